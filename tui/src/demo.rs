//! A cluster to look at: a local broker in a temporary folder, topics, live producers, and three
//! consumer groups of which one keeps up, one lags and one has members that come and go.
//!
//! Leaving it stops everything it started and removes the folder. The broker is a child that ends
//! when its standard input ends, so that it goes even when this program is killed, and then
//! removes the folder itself.

mod assignor;
mod consumers;
mod folder;
mod member;
mod producers;

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kafka_shared::task;
use kafka_shared::time::{Clock, SystemClock};
use kafka_shared::types::Endpoint;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::{ClusterClient, ConnectOptions};
use crate::local::{Program, arguments, command, free_port};
use crate::model::{Fault, FaultKind};
use crate::ops::CreateTopic;

use folder::DemoFolder;

pub use assignor::range_assignment;
pub use member::{MemberOptions, Progress, run_member};

const HOST: &str = "127.0.0.1";

/// How long the broker may take until it answers.
const START_WAIT_MS: u64 = 20_000;

/// How long the members may take to leave their groups.
const LEAVE_WAIT_MS: u64 = 3_000;

/// How long the broker may take to shut down before it is killed.
const STOP_WAIT_MS: u64 = 5_000;

const POLL_MS: u64 = 25;

/// A topic: name, partitions, settings.
type TopicPlan = (&'static str, i32, &'static [(&'static str, &'static str)]);

const TOPICS: [TopicPlan; 5] = [
    ("orders", 6, &[("retention.ms", "3600000")]),
    ("payments", 3, &[("retention.ms", "3600000")]),
    (
        "clicks",
        12,
        &[("retention.ms", "600000"), ("segment.bytes", "16777216")],
    ),
    ("profiles", 4, &[("cleanup.policy", "compact")]),
    ("audit", 1, &[]),
];

/// A running demo. [`Demo::stop`] ends it in order; dropping it ends it at once.
#[derive(Debug)]
pub struct Demo {
    // Fields are dropped in this order: the broker ends before its folder is removed.
    broker: BrokerChild,
    folder: DemoFolder,
    endpoint: Endpoint,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// The broker's process; killed when it is dropped.
#[derive(Debug)]
struct BrokerChild(Child);

impl Drop for BrokerChild {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Demo {
    /// Starts the broker, makes the topics and starts producers and consumers.
    ///
    /// # Errors
    /// When the broker does not come up; everything started so far is stopped.
    pub async fn start(program: &Program) -> Result<Self, Fault> {
        let what = "start the demo";
        let folder = DemoFolder::new().map_err(|error| {
            Fault::new(
                FaultKind::Failed,
                what,
                format!("make a temporary folder: {error}"),
            )
        })?;
        let port =
            free_port().ok_or_else(|| Fault::new(FaultKind::Failed, what, "no port is free"))?;
        let broker = BrokerChild(spawn(what, folder.path(), port, program)?);
        let mut demo = Self {
            broker,
            folder,
            endpoint: Endpoint::new(HOST, port),
            stop: CancellationToken::new(),
            tasks: Vec::new(),
        };
        demo.wait_until_ready(what).await?;
        demo.create_topics().await?;
        demo.start_clients();
        Ok(demo)
    }

    /// Where the broker listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Everything that the demo keeps on disk.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets the members leave, stops the broker and removes the folder.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut self.tasks);
        let ended = futures_util::future::join_all(tasks);
        // Who does not leave in time is cut off by the end of the broker.
        let _ = tokio::time::timeout(Duration::from_millis(LEAVE_WAIT_MS), ended).await;
        // The end of its input asks the broker to shut down.
        drop(self.broker.0.stdin.take());
        for _ in 0..STOP_WAIT_MS / POLL_MS {
            if !matches!(self.broker.0.try_wait(), Ok(None)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    }

    fn client(&self, client_id: &str) -> ClusterClient {
        client(&self.endpoint, client_id)
    }

    async fn wait_until_ready(&mut self, what: &str) -> Result<(), Fault> {
        let clock = SystemClock::new();
        let started = clock.monotonic();
        while clock.monotonic().saturating_sub(started) < Duration::from_millis(START_WAIT_MS) {
            if let Ok(Some(status)) = self.broker.0.try_wait() {
                let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(5).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                let why = format!("the broker ended with {status}\n{}", last.join("\n"));
                return Err(Fault::new(FaultKind::Failed, what, why));
            }
            let answer = self.client("kafka-tui-demo").metadata().await;
            if answer.is_ok_and(|metadata| !metadata.brokers.is_empty()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
        let why = format!(
            "the broker does not answer after {} s",
            START_WAIT_MS / 1000
        );
        Err(Fault::new(FaultKind::Failed, what, why))
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("broker.log")
    }

    async fn create_topics(&self) -> Result<(), Fault> {
        let client = self.client("kafka-tui-demo");
        for (name, partitions, configs) in TOPICS {
            let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            let create = CreateTopic {
                name: name.to_owned(),
                partitions: Some(partitions),
                replication_factor: Some(1),
                configs: configs.iter().map(own).collect(),
                ..CreateTopic::default()
            };
            client.create_topic(&create, false).await?;
        }
        Ok(())
    }

    fn start_clients(&mut self) {
        for load in producers::LOADS {
            let client = self.client(load.client_id);
            let work = producers::run(client, load, self.stop.clone());
            self.tasks.push(task::spawn("demo-producer", work));
        }
        for plan in consumers::PLANS {
            let work = consumers::run(self.endpoint.clone(), plan, self.stop.clone());
            self.tasks.push(task::spawn("demo-consumer", work));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A session of its own: a member's long polls hold up nobody else.
fn client(endpoint: &Endpoint, client_id: &str) -> ClusterClient {
    let mut options = ConnectOptions::new(vec![endpoint.clone()]);
    options.client_id = client_id.to_owned();
    options.connect_timeout_ms = 2_000;
    ClusterClient::new(options, Arc::new(SystemClock::new()))
}

fn spawn(what: &str, folder: &Path, port: u16, program: &Program) -> Result<Child, Fault> {
    let failed = |why: String| Fault::new(FaultKind::Failed, what, why);
    // Quick to form groups, so that there is something to see at once.
    let settings = [(
        "group.initial.rebalance.delay.ms".to_owned(),
        "500".to_owned(),
    )];
    let log = File::create(folder.join("broker.log")).map_err(|error| failed(error.to_string()))?;
    let second = log.try_clone().map_err(|error| failed(error.to_string()))?;
    let mut command = command(program).map_err(|error| failed(error.to_string()))?;
    command.args(arguments(&folder.join("data"), port, &settings));
    if *program == Program::Own {
        command
            .arg("--until-stdin-ends")
            .arg("--remove-after")
            .arg(folder);
    }
    command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(second);
    command
        .spawn()
        .map_err(|error| failed(format!("start the broker: {error}")))
}

#[cfg(test)]
mod tests;
