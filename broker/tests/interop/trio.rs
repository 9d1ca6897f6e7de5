//! Three nodes that are broker and controller in one, voters of one static quorum: ours, Apache
//! Kafka's, or some of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, bail};
use kafka_shared::types::{random_uuid, uuid_to_base64};
use rustix::process::{Pid, Signal, kill_process};

use crate::mixed::Kind;
use crate::{apache, shell};

pub const IDS: [i32; 3] = [1, 2, 3];
const UP: Duration = Duration::from_secs(180);
const STOPPED: Duration = Duration::from_secs(90);

/// How Apache Kafka's nodes are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jvm {
    /// As fast as it can, with a small heap.
    Small,
    /// As Kafka's own start script does it.
    Server,
}

/// One node.
#[derive(Debug)]
struct Node {
    kind: Kind,
    port: u16,
    folder: PathBuf,
    process: Option<Child>,
}

impl Node {
    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    fn process(&self) -> anyhow::Result<&Child> {
        self.process.as_ref().context("the node runs")
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(Pid::from_child(self.process()?), signal)?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            shell::kill(&mut process);
        }
    }
}

/// See the module's documentation. Killed when dropped, the folders go with it.
#[derive(Debug)]
pub struct Trio {
    jvm: Jvm,
    nodes: BTreeMap<i32, Node>,
    folder: tempfile::TempDir,
}

impl Trio {
    /// Formats and starts three nodes; `settings` are lines of `server.properties` for all of them.
    /// Where both kinds are among them, the features are at levels that both have.
    pub fn start(kinds: [Kind; 3], jvm: Jvm, settings: &str) -> anyhow::Result<Self> {
        let mut trio = Self {
            jvm,
            nodes: BTreeMap::new(),
            folder: tempfile::tempdir()?,
        };
        let mut controllers = Vec::new();
        for (id, kind) in IDS.into_iter().zip(kinds) {
            let folder = trio.folder.path().join(format!("node-{id}"));
            std::fs::create_dir_all(&folder)?;
            let node = Node {
                kind,
                port: shell::free_port()?,
                folder,
                process: None,
            };
            trio.nodes.insert(id, node);
            controllers.push((id, shell::free_port()?));
        }
        let is_mixed = kinds.iter().any(|kind| *kind != kinds[0]);
        let cluster_id = uuid_to_base64(random_uuid());
        for (id, controller) in &controllers {
            trio.configure(*id, *controller, &controllers, settings)?;
            trio.format(*id, &cluster_id, is_mixed)?;
        }
        for id in IDS {
            trio.spawn(id)?;
        }
        IDS.into_iter().try_for_each(|id| trio.wait_up(id))?;
        Ok(trio)
    }

    fn configure(
        &self,
        id: i32,
        controller: u16,
        controllers: &[(i32, u16)],
        settings: &str,
    ) -> anyhow::Result<()> {
        let node = &self.nodes[&id];
        let voter = |(id, port): &(i32, u16)| format!("{id}@127.0.0.1:{port}");
        let voters: Vec<String> = controllers.iter().map(voter).collect();
        let text = format!(
            "process.roles=broker,controller\nnode.id={id}\nlog.dirs={}\n\
             listeners=PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{controller}\n\
             controller.quorum.voters={}\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             default.replication.factor=3\nmin.insync.replicas=2\n\
             offsets.topic.replication.factor=3\noffsets.topic.num.partitions=6\n\
             transaction.state.log.replication.factor=3\ntransaction.state.log.min.isr=2\n\
             {settings}\n",
            node.folder.join("data").display(),
            node.port,
            voters.join(","),
        );
        std::fs::write(node.properties(), text)?;
        Ok(())
    }

    /// Formats a node with its own kind's program.
    fn format(&self, id: i32, cluster_id: &str, is_mixed: bool) -> anyhow::Result<()> {
        let node = &self.nodes[&id];
        let properties = node.properties().display().to_string();
        let mut args = vec!["format", "-t", cluster_id, "-c", &properties];
        if is_mixed {
            for feature in [
                "group.version=0",
                "share.version=0",
                "streams.version=0",
                "transaction.version=0",
            ] {
                args.extend(["--feature", feature]);
            }
        }
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        match node.kind {
            Kind::Apache => apache::tool("kafka-storage", &args, None)?.success()?,
            Kind::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
                shell::run(command.args(&args), None, UP)?.success()?
            }
        };
        Ok(())
    }

    /// Starts a stopped node, and does not wait.
    pub fn spawn(&mut self, id: i32) -> anyhow::Result<()> {
        let jvm = self.jvm;
        let node = self.node(id);
        let mut command = match (node.kind, jvm) {
            (Kind::Ours, _) => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
                command.args(["start", "--config"]);
                command
            }
            (Kind::Apache, Jvm::Small) => {
                let mut command = apache::java("pom.xml", None)?;
                command.arg("kafka.Kafka");
                command
            }
            (Kind::Apache, Jvm::Server) => {
                let mut command = apache::server_java()?;
                command.arg("kafka.Kafka");
                command
            }
        };
        command.arg(node.properties());
        node.process = Some(apache::spawn_server(&mut command, &node.folder)?);
        Ok(())
    }

    /// Waits until a node listens.
    pub fn wait_up(&mut self, id: i32) -> anyhow::Result<()> {
        let node = self.node(id);
        let port = node.port;
        let mut is_alive = true;
        let up = shell::wait_until(UP, || {
            let ended = node.process.as_mut().map(Child::try_wait);
            is_alive = matches!(ended, Some(Ok(None)));
            !is_alive || shell::listens(port)
        });
        if !up || !is_alive {
            bail!("node {id} did not start:\n{}", node.log());
        }
        Ok(())
    }

    /// Starts a stopped node again, and waits until it listens.
    pub fn up(&mut self, id: i32) -> anyhow::Result<()> {
        self.spawn(id)?;
        self.wait_up(id)
    }

    fn node(&mut self, id: i32) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node of this cluster")
    }

    pub fn kind(&self, id: i32) -> Kind {
        self.nodes[&id].kind
    }

    /// `host:port` of one broker.
    pub fn address(&self, id: i32) -> String {
        format!("127.0.0.1:{}", self.nodes[&id].port)
    }

    /// `host:port` of all brokers.
    pub fn bootstrap(&self) -> String {
        IDS.map(|id| self.address(id)).join(",")
    }

    pub fn process_id(&self, id: i32) -> anyhow::Result<u32> {
        Ok(self.nodes[&id].process()?.id())
    }

    /// The folder of a partition's replica.
    pub fn replica(&self, id: i32, partition: &str) -> PathBuf {
        self.data(id).join(partition)
    }

    fn data(&self, id: i32) -> PathBuf {
        self.nodes[&id].folder.join("data")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// SIGKILL.
    pub fn kill(&mut self, id: i32) {
        if let Some(mut process) = self.node(id).process.take() {
            shell::kill(&mut process);
        }
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self, id: i32) -> anyhow::Result<()> {
        match self.node(id).process.take() {
            Some(mut process) => shell::terminate(&mut process, STOPPED),
            None => Ok(()),
        }
    }

    pub fn pause(&self, id: i32) -> anyhow::Result<()> {
        self.nodes[&id].signal(Signal::STOP)
    }

    pub fn resume(&self, id: i32) -> anyhow::Result<()> {
        self.nodes[&id].signal(Signal::CONT)
    }

    /// What each node has said, the last lines of it.
    pub fn logs(&self) -> String {
        let tail = |(id, node): (&i32, &Node)| {
            let log = node.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(25)..].join("\n");
            format!("--- node {id} ({:?})\n{end}\n", node.kind)
        };
        self.nodes.iter().map(tail).collect()
    }
}
