//! Three nodes that are broker and controller in one, voters of one static quorum: ours, Apache
//! Kafka's, or some of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use kafka_shared::types::{random_uuid, uuid_to_base64};
use rustix::process::Signal;

pub use crate::node::Jvm;
use crate::node::{Kind, LOWERED, Node};
use crate::shell;

pub const IDS: [i32; 3] = [1, 2, 3];

/// See the module's documentation. Killed when dropped, the folders go with it.
#[derive(Debug)]
pub struct Trio {
    nodes: BTreeMap<i32, Node>,
    folder: tempfile::TempDir,
}

impl Trio {
    /// Formats and starts three nodes; `settings` are lines of `server.properties` for all of them.
    /// Where both kinds are among them, the features are at levels that both have.
    pub fn start(kinds: [Kind; 3], jvm: Jvm, settings: &str) -> anyhow::Result<Self> {
        let mut trio = Self {
            nodes: BTreeMap::new(),
            folder: tempfile::tempdir()?,
        };
        let mut controllers = Vec::new();
        for (id, kind) in IDS.into_iter().zip(kinds) {
            let folder = trio.folder.path().join(format!("node-{id}"));
            let mut node = Node::new(kind, shell::free_port()?, folder)?;
            node.jvm = jvm;
            trio.nodes.insert(id, node);
            controllers.push((id, shell::free_port()?));
        }
        let is_mixed = kinds.iter().any(|kind| *kind != kinds[0]);
        let cluster_id = uuid_to_base64(random_uuid());
        for (id, controller) in &controllers {
            trio.configure(*id, *controller, &controllers, settings)?;
            let features = if is_mixed { &LOWERED[..] } else { &[] };
            let node = &trio.nodes[id];
            node.format(node.kind, &cluster_id, &[], features)?;
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
            "process.roles=broker,controller\n\
             listeners=PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{controller}\n\
             controller.quorum.voters={}\ninter.broker.listener.name=PLAINTEXT\n\
             default.replication.factor=3\nmin.insync.replicas=2\n\
             offsets.topic.replication.factor=3\noffsets.topic.num.partitions=6\n\
             transaction.state.log.replication.factor=3\ntransaction.state.log.min.isr=2\n\
             {settings}",
            node.port,
            voters.join(","),
        );
        node.configure(id, &text)
    }

    /// Starts a stopped node, and does not wait.
    pub fn spawn(&mut self, id: i32) -> anyhow::Result<()> {
        self.node(id).spawn()
    }

    /// Waits until a node listens.
    pub fn wait_up(&mut self, id: i32) -> anyhow::Result<()> {
        let up = self.node(id).wait_up();
        up.with_context(|| format!("node {id}"))
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
        self.nodes[&id].process_id()
    }

    /// The folder of a partition's replica.
    pub fn replica(&self, id: i32, partition: &str) -> PathBuf {
        self.nodes[&id].data().join(partition)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// SIGKILL.
    pub fn kill(&mut self, id: i32) {
        self.node(id).kill();
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self, id: i32) -> anyhow::Result<()> {
        self.node(id).stop()
    }

    pub fn pause(&self, id: i32) -> anyhow::Result<()> {
        self.nodes[&id].signal(Signal::STOP)
    }

    pub fn resume(&self, id: i32) -> anyhow::Result<()> {
        self.nodes[&id].signal(Signal::CONT)
    }

    /// What each node has said, the last lines of it.
    pub fn logs(&self) -> String {
        let nodes = self.nodes.iter();
        nodes.map(|(id, node)| node.log_end(*id)).collect()
    }
}
