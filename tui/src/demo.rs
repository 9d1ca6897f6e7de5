//! A cluster to look at: local brokers in a temporary folder, topics, live producers, and four
//! consumer groups of which one keeps up, one lags, one has members that come and go, and one has
//! a member that fails again and again.
//!
//! Leaving it stops everything it started and removes the folder. The brokers are children that
//! end when their standard input ends, so that they go even when this program is killed, and then
//! remove their folders themselves.

mod assignor;
mod consumers;
mod folder;
mod member;
mod producers;

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kafka_shared::task;
use kafka_shared::time::{Clock, SystemClock};
use kafka_shared::types::Endpoint;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::{ClusterClient, ConnectOptions};
use crate::local::{
    ClusterLayout, Job, LOG_FILE, PROPERTIES_FILE, Ports, Program, command, format_node, write_node,
};
use crate::model::{Fault, FaultKind};
use crate::ops::CreateTopic;

use folder::DemoFolder;

pub use assignor::range_assignment;
pub use member::{MemberOptions, Progress, run_member};

const HOST: &str = "127.0.0.1";

/// How long the brokers may take until they answer.
const START_WAIT_MS: u64 = 30_000;

/// How long the members may take to leave their groups.
const LEAVE_WAIT_MS: u64 = 3_000;

/// How long the brokers may take to shut down before they are killed: their data goes anyway.
const STOP_WAIT_MS: u64 = 1_500;

const POLL_MS: u64 = 25;

const RACKS: [&str; 3] = ["rack-a", "rack-b", "rack-c"];

/// Quick to form groups, so that there is something to see at once.
const SETTINGS: [(&str, &str); 1] = [("group.initial.rebalance.delay.ms", "500")];

/// A topic that is made.
struct TopicPlan {
    name: &'static str,
    partitions: i32,
    /// As many as there are brokers, if they are fewer; `None`: the brokers' default.
    replication_factor: Option<usize>,
    configs: &'static [(&'static str, &'static str)],
}

const fn topic(
    name: &'static str,
    partitions: i32,
    configs: &'static [(&'static str, &'static str)],
) -> TopicPlan {
    TopicPlan {
        name,
        partitions,
        replication_factor: None,
        configs,
    }
}

const TOPICS: [TopicPlan; 6] = [
    topic("orders", 6, &[("retention.ms", "3600000")]),
    topic("payments", 3, &[("retention.ms", "3600000")]),
    topic(
        "clicks",
        12,
        &[("retention.ms", "600000"), ("segment.bytes", "16777216")],
    ),
    topic("profiles", 4, &[("cleanup.policy", "compact")]),
    topic("audit", 1, &[]),
    // Large enough, and with a replica less than there are brokers, so that there is something to
    // be moved; kept small enough for anybody's disk.
    TopicPlan {
        replication_factor: Some(2),
        ..topic(
            "uploads",
            6,
            &[
                ("min.insync.replicas", "1"),
                ("retention.bytes", "33554432"),
                ("segment.bytes", "8388608"),
            ],
        )
    },
];

/// A running demo. [`Demo::stop`] ends it in order; dropping it ends it at once.
#[derive(Debug)]
pub struct Demo {
    // Fields are dropped in this order: the brokers end before their folder is removed.
    brokers: Vec<BrokerChild>,
    folder: DemoFolder,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// A broker's process; killed when it is dropped.
#[derive(Debug)]
struct BrokerChild {
    process: Child,
    endpoint: Endpoint,
    log: PathBuf,
}

impl Drop for BrokerChild {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Demo {
    /// Starts so many brokers, makes the topics and starts producers and consumers.
    ///
    /// # Errors
    /// When a broker does not come up; everything started so far is stopped.
    pub async fn start(program: &Program, brokers: usize) -> Result<Self, Fault> {
        let what = "start the demo";
        let folder = DemoFolder::new().map_err(|error| {
            Fault::new(
                FaultKind::Failed,
                what,
                format!("make a temporary folder: {error}"),
            )
        })?;
        let racks = RACKS.map(str::to_owned);
        let racks = if brokers > 1 { &racks[..] } else { &[] };
        let settings = SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let layout = ClusterLayout::new(what, brokers, racks, &settings, Ports::Any)?;
        let mut demo = Self {
            brokers: spawn_all(what, folder.path(), &layout, program).await?,
            folder,
            stop: CancellationToken::new(),
            tasks: Vec::new(),
        };
        demo.wait_until_ready(what).await?;
        demo.create_topics().await?;
        demo.start_clients();
        Ok(demo)
    }

    /// Where the brokers listen.
    pub fn bootstrap(&self) -> Vec<Endpoint> {
        let brokers = self.brokers.iter();
        brokers.map(|broker| broker.endpoint.clone()).collect()
    }

    /// Everything that the demo keeps on disk.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets the members leave, stops the brokers and removes the folder.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut self.tasks);
        let ended = futures_util::future::join_all(tasks);
        // Who does not leave in time is cut off by the end of the brokers.
        let _ = tokio::time::timeout(Duration::from_millis(LEAVE_WAIT_MS), ended).await;
        for broker in &mut self.brokers {
            // The end of its input asks the broker to shut down.
            drop(broker.process.stdin.take());
        }
        for _ in 0..STOP_WAIT_MS / POLL_MS {
            let mut brokers = self.brokers.iter_mut();
            if brokers.all(|broker| !matches!(broker.process.try_wait(), Ok(None))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    }

    fn client(&self, client_id: &str) -> ClusterClient {
        client(self.bootstrap(), client_id)
    }

    /// Waits until every broker answers and knows all the others.
    async fn wait_until_ready(&mut self, what: &str) -> Result<(), Fault> {
        let clock = SystemClock::new();
        let started = clock.monotonic();
        let n_brokers = self.brokers.len();
        while clock.monotonic().saturating_sub(started) < Duration::from_millis(START_WAIT_MS) {
            let mut n_ready = 0;
            for broker in &mut self.brokers {
                if let Ok(Some(status)) = broker.process.try_wait() {
                    let log = std::fs::read_to_string(&broker.log).unwrap_or_default();
                    let last: Vec<&str> = log.lines().rev().take(5).collect();
                    let last: Vec<&str> = last.into_iter().rev().collect();
                    let why = format!("a broker ended with {status}\n{}", last.join("\n"));
                    return Err(Fault::new(FaultKind::Failed, what, why));
                }
                let client = client(vec![broker.endpoint.clone()], "kafka-tui-demo");
                let answer = client.metadata().await;
                n_ready += usize::from(answer.is_ok_and(|m| m.brokers.len() == n_brokers));
            }
            if n_ready == n_brokers {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
        let why = format!("not all brokers are ready after {} s", START_WAIT_MS / 1000);
        Err(Fault::new(FaultKind::Failed, what, why))
    }

    async fn create_topics(&self) -> Result<(), Fault> {
        let client = self.client("kafka-tui-demo");
        for plan in TOPICS {
            let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            let factor = plan.replication_factor.map(|n| n.min(self.brokers.len()));
            let create = CreateTopic {
                name: plan.name.to_owned(),
                partitions: Some(plan.partitions),
                replication_factor: factor.and_then(|n| i16::try_from(n).ok()),
                configs: plan.configs.iter().map(own).collect(),
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
            let work = consumers::run(self.bootstrap(), plan, self.stop.clone());
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
fn client(bootstrap: Vec<Endpoint>, client_id: &str) -> ClusterClient {
    let mut options = ConnectOptions::new(bootstrap);
    options.client_id = client_id.to_owned();
    options.connect_timeout_ms = 2_000;
    ClusterClient::new(options, Arc::new(SystemClock::new()))
}

/// Makes the nodes' folders and starts them all.
async fn spawn_all(
    what: &'static str,
    folder: &Path,
    layout: &ClusterLayout,
    program: &Program,
) -> Result<Vec<BrokerChild>, Fault> {
    let (folder, layout, program) = (folder.to_owned(), layout.clone(), program.clone());
    let spawned = task::spawn_blocking("demo-spawn", move || {
        let mut brokers = Vec::new();
        for node in &layout.nodes {
            let own = folder.join(format!("node-{}", node.id));
            write_node(&layout, node.id, &own).map_err(|error| failed(what, error))?;
            format_node(what, &own, &layout, &program)?;
            brokers.push(BrokerChild {
                process: spawn(what, &folder, &own, &program)?,
                endpoint: Endpoint::new(HOST, node.port),
                log: own.join(LOG_FILE),
            });
        }
        Ok(brokers)
    });
    spawned
        .await
        .unwrap_or_else(|_| Err(failed(what, "the task broke: see the log")))
}

fn failed(what: &str, why: impl ToString) -> Fault {
    Fault::new(FaultKind::Failed, what, why.to_string())
}

fn spawn(what: &str, folder: &Path, own: &Path, program: &Program) -> Result<Child, Fault> {
    let log = File::create(own.join(LOG_FILE)).map_err(|error| failed(what, error))?;
    let second = log.try_clone().map_err(|error| failed(what, error))?;
    let mut command = command(program, Job::Start).map_err(|error| failed(what, error))?;
    command.arg("--config").arg(own.join(PROPERTIES_FILE));
    if *program == Program::Own {
        command
            .arg("--until-stdin-ends")
            .arg("--remove-after")
            .arg(own)
            .arg("--remove-empty-after")
            .arg(folder);
    }
    command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(second);
    command
        .spawn()
        .map_err(|error| failed(what, format!("start a broker: {error}")))
}

#[cfg(test)]
mod tests;
