//! The real program in a pseudo-terminal: keys in, screens out, on a broker in this test's own
//! process.

mod actions;
mod browse;
mod clusters;
mod declared;
mod failing;
mod groups;
mod leaving;
mod local;
mod moving;
mod quorum;
mod replay;
mod security;
mod seeing;
mod undoing;

use std::path::Path;

use anyhow::Context as _;
use kafka_broker::testing::TestBroker;

use super::SETTINGS;
use crate::terminal::Terminal;

/// What most terminals are when they open.
const SMALL: (u16, u16) = (80, 24);

/// Every column of every table has room.
const WIDE: (u16, u16) = (200, 60);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kafka-tui"))
}

/// A broker and the program on it.
struct Session {
    terminal: Terminal,
    /// Behind the terminal, so that it outlives the program.
    broker: Option<TestBroker>,
    runtime: tokio::runtime::Runtime,
}

impl Session {
    /// Starts a broker with these topics (name and partitions), and the program on it.
    fn start(
        size: (u16, u16),
        options: &[&str],
        variables: &[(&str, &str)],
        topics: &[(&str, i32)],
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let broker = runtime.block_on(TestBroker::start(&SETTINGS))?;
        let bootstrap = broker.bootstrap();
        for (name, partitions) in topics {
            runtime.block_on(create(&bootstrap, name, *partitions))?;
        }
        let mut args = vec!["--bootstrap", &bootstrap];
        args.extend(options);
        let mut terminal = Terminal::start(program(), &args, variables, size)?;
        terminal.wait_for("live")?;
        Ok(Self {
            terminal,
            broker: Some(broker),
            runtime,
        })
    }

    fn bootstrap(&self) -> String {
        let broker = self.broker.as_ref().expect("it runs until the end");
        broker.bootstrap()
    }

    /// Types keys, and waits for a text on the screen.
    fn see(&mut self, keys: &str, text: &str) -> anyhow::Result<()> {
        self.terminal.keys(keys)?;
        self.terminal
            .wait_for(text)
            .with_context(|| format!("after {keys}"))
    }

    /// Leaves the program, which has to give the terminal back.
    fn quit(mut self) -> anyhow::Result<()> {
        self.terminal.keys("ctrl-c")?;
        let status = self.terminal.wait_for_end()?;
        anyhow::ensure!(status.success(), "it ended with {status}");
        self.terminal
            .wait_until("restored", Terminal::is_restored)?;
        match self.broker.take() {
            Some(broker) => self.runtime.block_on(broker.stop()),
            None => Ok(()),
        }
    }
}

async fn create(bootstrap: &str, name: &str, partitions: i32) -> anyhow::Result<()> {
    use kafka_tui::ops::CreateTopic;
    let client = super::client(&[bootstrap.parse()?]);
    let create = CreateTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        replication_factor: Some(1),
        ..CreateTopic::default()
    };
    let created = client.create_topic(&create, false).await;
    created
        .map(drop)
        .map_err(|fault| anyhow::anyhow!("{fault}"))
}

async fn produce(bootstrap: &str, topic: &str, n: usize) -> anyhow::Result<()> {
    use kafka_tui::ops::ProduceMessage;
    let client = super::client(&[bootstrap.parse()?]);
    for at in 0..n {
        let message = ProduceMessage {
            topic: topic.to_owned(),
            partition: Some(0),
            key: Some(format!("key-{at}").into_bytes()),
            value: Some(format!("value-{at}").into_bytes()),
            headers: Vec::new(),
        };
        let written = client.produce(&message).await;
        written.map_err(|fault| anyhow::anyhow!("{fault}"))?;
    }
    Ok(())
}
