//! A cluster of Apache Kafka's nodes and ours, each a process with a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::process::Signal;

use crate::node::{Kind, LOWERED, Node};
use crate::proxy::Proxy;
use crate::shell;

pub const CLUSTER_ID: &str = "6X8g3nShT-eMCtK--X86sw";

/// See the module's documentation. The controller is a node of its own, with id 100.
#[derive(Debug)]
pub struct Mixed {
    nodes: BTreeMap<i32, Node>,
    /// Between all nodes, and in front of them for clients that want it.
    proxy: Option<Proxy>,
    /// Where others are told to find a broker, if they are told of a proxy.
    proxy_ports: Vec<u16>,
    folder: tempfile::TempDir,
}

pub const CONTROLLER: i32 = 100;

impl Mixed {
    /// Starts brokers with these ids; `settings` are lines of server.properties for all of them, in
    /// which `{folder}` stands for the node's own folder.
    pub fn start(brokers: &[(i32, Kind)], settings: &str) -> anyhow::Result<Self> {
        Self::start_under(Kind::Apache, brokers, settings)
    }

    /// As [`Self::start`], under a controller of one's choice. Apache Kafka's tool formats all
    /// folders, whoever works on them.
    pub fn start_under(
        controller: Kind,
        brokers: &[(i32, Kind)],
        settings: &str,
    ) -> anyhow::Result<Self> {
        Self::start_with(controller, brokers, settings, None)
    }

    /// As [`Self::start_under`], with a proxy before every node, for the other nodes and for who
    /// starts at [`Self::proxied_bootstrap`]. Our program formats the brokers' folders.
    pub fn start_behind_proxies(
        controller: Kind,
        brokers: &[(i32, Kind)],
        settings: &str,
    ) -> anyhow::Result<Self> {
        Self::start_with(controller, brokers, settings, Some(Proxy::new()?))
    }

    fn start_with(
        controller: Kind,
        brokers: &[(i32, Kind)],
        settings: &str,
        proxy: Option<Proxy>,
    ) -> anyhow::Result<Self> {
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            proxy,
            proxy_ports: Vec::new(),
            folder: tempfile::tempdir()?,
        };
        let port = shell::free_port()?;
        let controller_port = match &cluster.proxy {
            Some(proxy) => proxy.listen_for(CONTROLLER, port)?,
            None => port,
        };
        let listeners = format!(
            "process.roles=controller\nlisteners=CONTROLLER://127.0.0.1:{port}\n\
             advertised.listeners=CONTROLLER://127.0.0.1:{controller_port}\n"
        );
        let common = format!(
            "controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}\n\
             offsets.topic.replication.factor=3\noffsets.topic.num.partitions=4\n\
             group.initial.rebalance.delay.ms=0\n{settings}"
        );
        cluster.add(CONTROLLER, controller, port, &(listeners + &common))?;
        for (id, kind) in brokers {
            let port = shell::free_port()?;
            let mut listeners = format!(
                "process.roles=broker\nlisteners=PLAINTEXT://127.0.0.1:{port}\n\
                 inter.broker.listener.name=PLAINTEXT\n"
            );
            if let Some(proxy) = &cluster.proxy {
                let between = shell::free_port()?;
                let proxied = proxy.listen_for(*id, between)?;
                listeners = format!(
                    "process.roles=broker\n\
                     listeners=PLAINTEXT://127.0.0.1:{port},BETWEEN://127.0.0.1:{between}\n\
                     advertised.listeners=PLAINTEXT://127.0.0.1:{port},\
                     BETWEEN://127.0.0.1:{proxied}\n\
                     inter.broker.listener.name=BETWEEN\n"
                );
                cluster.proxy_ports.push(proxied);
            }
            cluster.add(*id, *kind, port, &(listeners + &common))?;
        }
        for node in cluster.nodes.values_mut() {
            node.spawn()?;
        }
        for (id, _) in brokers {
            cluster.wait_up(*id)?;
        }
        Ok(cluster)
    }

    /// Writes the settings of a node and formats its folder.
    fn add(&mut self, id: i32, kind: Kind, port: u16, settings: &str) -> anyhow::Result<()> {
        let folder = self.folder.path().join(format!("node-{id}"));
        let node = Node::new(kind, port, folder)?;
        node.configure(id, settings)?;
        let (option, features) = if id == CONTROLLER {
            // What our brokers don't have yet, nobody may use.
            ("--standalone", &LOWERED[..])
        } else {
            ("--no-initial-controllers", &[][..])
        };
        let is_apache = self.proxy.is_none() || (id == CONTROLLER && kind == Kind::Apache);
        let by = if is_apache { Kind::Apache } else { Kind::Ours };
        node.format(by, CLUSTER_ID, &[option.to_owned()], features)?;
        self.nodes.insert(id, node);
        Ok(())
    }

    /// Holds everything of this cluster.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves the files where they are when this goes away, for who wants to know what went wrong.
    pub fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    /// The proxy between the nodes.
    ///
    /// # Panics
    /// When there is none.
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("started behind proxies")
    }

    fn wait_up(&mut self, id: i32) -> anyhow::Result<()> {
        let up = self.node(id).wait_up();
        up.with_context(|| format!("node {id}"))
    }

    fn node(&mut self, id: i32) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node of this cluster")
    }

    pub fn brokers(&self) -> impl Iterator<Item = (i32, &Node)> {
        let brokers = self.nodes.iter().filter(|(id, _)| **id != CONTROLLER);
        brokers.map(|(id, node)| (*id, node))
    }

    /// The folder of a node, which holds its data folder.
    pub fn folder(&self, id: i32) -> &Path {
        self.nodes[&id].folder()
    }

    pub fn kind(&self, id: i32) -> Kind {
        self.nodes[&id].kind
    }

    /// `host:port` of the controller.
    pub fn controller(&self) -> String {
        format!("127.0.0.1:{}", self.nodes[&CONTROLLER].port)
    }

    pub fn bootstrap(&self) -> String {
        let brokers: Vec<String> = self
            .brokers()
            .map(|(_, node)| format!("127.0.0.1:{}", node.port))
            .collect();
        brokers.join(",")
    }

    /// Where clients begin that are to go through the proxy.
    pub fn proxied_bootstrap(&self) -> String {
        let ports = self.proxy_ports.iter();
        let addresses: Vec<String> = ports.map(|port| format!("127.0.0.1:{port}")).collect();
        addresses.join(",")
    }

    /// SIGKILL.
    pub fn kill(&mut self, id: i32) {
        self.node(id).kill();
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self, id: i32) -> anyhow::Result<()> {
        self.node(id).stop()
    }

    /// Starts a stopped node again, and waits until it listens.
    pub fn up(&mut self, id: i32) -> anyhow::Result<()> {
        let up = self.node(id).up();
        up.with_context(|| format!("node {id}"))
    }

    /// Starts a stopped node again as another program.
    pub fn up_as(&mut self, id: i32, kind: Kind) -> anyhow::Result<()> {
        self.node(id).kind = kind;
        self.up(id)
    }

    /// Whether a node's process runs, or was never stopped by this test.
    pub fn is_up(&self, id: i32) -> bool {
        self.nodes[&id].is_started()
    }

    pub fn pause(&mut self, id: i32) -> anyhow::Result<()> {
        self.node(id).signal(Signal::STOP)
    }

    pub fn resume(&mut self, id: i32) -> anyhow::Result<()> {
        self.node(id).signal(Signal::CONT)
    }

    /// The folder of a partition's replica.
    pub fn partition_folder(&self, id: i32, partition: &str) -> PathBuf {
        self.nodes[&id].data().join(partition)
    }

    /// The bytes of all segments of a partition's replica, in order.
    pub fn log_bytes(&self, id: i32, partition: &str) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for path in segments(&self.partition_folder(id, partition))? {
            bytes.extend(std::fs::read(path)?);
        }
        Ok(bytes)
    }

    /// What each node has said, the last lines of it.
    pub fn logs(&self) -> String {
        let nodes = self.nodes.iter();
        nodes.map(|(id, node)| node.log_end(*id)).collect()
    }
}

/// The segments of a partition's folder, in order.
pub fn segments(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            segments.push(path);
        }
    }
    segments.sort();
    Ok(segments)
}
