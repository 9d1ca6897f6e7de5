//! One node, broker and controller in one, whose folder is run by Apache Kafka and by us in turn, ended
//! in order and by kill -9, while idempotent producers go on.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, ensure};
use kafka_shared::client::Client;

use crate::admin::Admin;
use crate::load::client_config;
use crate::mixed::{Kind, LOWERED, segments};
use crate::ping_pong::ledger::Ledger;
use crate::ping_pong::producers::produce;
use crate::{Case, apache, shell};

const TOPIC: &str = "t";
const N_PARTITIONS: usize = 2;
const UP: Duration = Duration::from_secs(120);

pub fn cases() -> Vec<Case> {
    vec![Case::new(
        "folders: a single node changes its program under load, in order and by kill -9",
        a_single_node_changes_its_program,
    )]
}

#[derive(Clone, Copy, Debug)]
enum End {
    InOrder,
    Kill,
}

struct Node {
    port: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Node {
    fn format() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (port, controller) = (shell::free_port()?, shell::free_port()?);
        let text = apache::server_properties(port, controller, folder.path());
        let node = Self {
            port,
            folder,
            process: None,
        };
        std::fs::write(node.properties(), text)?;
        let properties = node.properties().display().to_string();
        let id = "4L6g3nShT-eMCtK--X86sw";
        let mut args = vec!["format", "--standalone", "-t", id, "-c", &properties];
        for feature in LOWERED {
            args.extend(["--feature", feature]);
        }
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        apache::tool("kafka-storage", &args, None)?.success()?;
        Ok(node)
    }

    fn properties(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    fn up(&mut self, kind: Kind) -> anyhow::Result<()> {
        let mut command = match kind {
            Kind::Apache => {
                let mut command = apache::java("pom.xml", None)?;
                command.arg("kafka.Kafka");
                command
            }
            Kind::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
                command.args(["start", "--config"]);
                command
            }
        };
        command.arg(self.properties());
        self.process = Some(apache::spawn_server(&mut command, self.folder.path())?);
        let port = self.port;
        let up = shell::wait_until(UP, || shell::listens(port));
        ensure!(up, "{kind:?} did not start:\n{}", self.log());
        Ok(())
    }

    fn end(&mut self, how: End) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the node runs")?;
        match how {
            End::InOrder => shell::terminate(&mut process, Duration::from_secs(60)),
            End::Kill => {
                shell::kill(&mut process);
                Ok(())
            }
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            shell::kill(&mut process);
        }
    }
}

fn a_single_node_changes_its_program() -> anyhow::Result<()> {
    use End::{InOrder, Kill};
    use Kind::{Apache, Ours};
    let mut node = Node::format()?;
    node.up(Apache)?;
    let result = (|| -> anyhow::Result<()> {
        let bootstrap = format!("127.0.0.1:{}", node.port);
        let admin = Admin::with(client_config(&bootstrap))?;
        admin.create(TOPIC, 1, &[&[1][..]; N_PARTITIONS])?;
        let ledger = Arc::new(Ledger::default());
        let mut tasks = Vec::new();
        for partition in 0..i32::try_from(N_PARTITIONS)? {
            let _runtime = admin.runtime.enter();
            let client = Client::new(client_config(&bootstrap));
            let known = Arc::clone(&ledger);
            let run = produce(client, TOPIC, partition, format!("p{partition}"), known);
            tasks.push(kafka_shared::task::spawn("produce", run));
        }
        go_on(&ledger)?;
        let turns = [
            (InOrder, Ours),
            (Kill, Apache),
            (Kill, Ours),
            (Kill, Ours),
            (InOrder, Apache),
            (Kill, Ours),
        ];
        for (end, next) in turns {
            node.end(end)?;
            node.up(next)?;
            go_on(&ledger).with_context(|| format!("{next:?} after {end:?}"))?;
        }
        ledger.stop.store(true, Ordering::Relaxed);
        for task in tasks {
            admin.runtime.block_on(task).context("a producer failed")?;
        }
        ledger.no_problems()?;
        node.end(InOrder)?;
        for partition in 0..N_PARTITIONS {
            let folder = node.folder.path().join(format!("data/{TOPIC}-{partition}"));
            let mut log = Vec::new();
            for path in segments(&folder)? {
                log.extend(std::fs::read(path)?);
            }
            let contents = ledger.check(i32::try_from(partition)?, &log)?;
            ensure!(contents.n_records > 0, "nothing is stored");
        }
        println!(
            "     {} acknowledged, lost 0, doubled 0, longest gaps in ms {:?}",
            ledger.n_acknowledged(),
            ledger.gaps_ms()
        );
        Ok(())
    })();
    result.with_context(|| node.log())
}

/// Waits until some more is acknowledged.
fn go_on(ledger: &Ledger) -> anyhow::Result<()> {
    let wanted = ledger.n_acknowledged() + 300;
    let done = shell::wait_until(UP, || ledger.n_acknowledged() >= wanted);
    ledger.no_problems()?;
    ensure!(done, "nothing is acknowledged any more");
    Ok(())
}
