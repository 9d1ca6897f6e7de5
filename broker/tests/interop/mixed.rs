//! A cluster of Apache Kafka's nodes and ours, each a process with a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::proxy::Proxy;
use crate::{apache, shell};

pub const CLUSTER_ID: &str = "6X8g3nShT-eMCtK--X86sw";

/// Whose program a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Apache,
    Ours,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    pub kind: Kind,
    pub port: u16,
    /// Where others are told to find this node, if they are told of a proxy.
    proxy_port: Option<u16>,
    folder: PathBuf,
    process: Option<Child>,
}

impl Node {
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = match self.kind {
            Kind::Apache => {
                let mut command = apache::java("pom.xml", None)?;
                command.arg("kafka.Kafka").arg(self.properties());
                command
            }
            Kind::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
                command.arg("start").arg("--config").arg(self.properties());
                command
            }
        };
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("server.log"))?;
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start a node")?;
        self.process = Some(process);
        Ok(())
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let process = self.process.as_ref().context("the node runs")?;
        let sent = Command::new("kill")
            .arg(name)
            .arg(process.id().to_string())
            .status()?;
        anyhow::ensure!(sent.success(), "kill {name} failed");
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

/// See the module's documentation. The controller is a node of its own, with id 100.
#[derive(Debug)]
pub struct Mixed {
    nodes: BTreeMap<i32, Node>,
    /// Between all nodes, and in front of them for clients that want it.
    proxy: Option<Proxy>,
    folder: tempfile::TempDir,
}

pub const CONTROLLER: i32 = 100;

/// A level of each feature that our broker does not have.
pub const LOWERED: [&str; 4] = [
    "transaction.version=0",
    "group.version=0",
    "share.version=0",
    "streams.version=0",
];

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
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,\
             BETWEEN:PLAINTEXT\n\
             offsets.topic.replication.factor=3\noffsets.topic.num.partitions=4\n\
             group.initial.rebalance.delay.ms=0\nlog.cleaner.dedupe.buffer.size=4194304\n\
             {settings}\n"
        );
        cluster.add(CONTROLLER, controller, port, &(listeners + &common))?;
        for (id, kind) in brokers {
            let port = shell::free_port()?;
            let mut listeners = format!(
                "process.roles=broker\nlisteners=PLAINTEXT://127.0.0.1:{port}\n\
                 inter.broker.listener.name=PLAINTEXT\n"
            );
            let mut proxy_port = None;
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
                proxy_port = Some(proxied);
            }
            cluster.add(*id, *kind, port, &(listeners + &common))?;
            cluster.node(*id).proxy_port = proxy_port;
        }
        for node in cluster.nodes.values_mut() {
            node.spawn()?;
        }
        for (id, _) in brokers {
            cluster.wait_for(*id)?;
        }
        Ok(cluster)
    }

    /// Writes the settings of a node and formats its folder.
    fn add(&mut self, id: i32, kind: Kind, port: u16, settings: &str) -> anyhow::Result<()> {
        let folder = self.folder.path().join(format!("node-{id}"));
        std::fs::create_dir_all(&folder)?;
        let data = folder.join("data");
        let text = format!("node.id={id}\nlog.dirs={}\n{settings}", data.display());
        let text = text.replace("{folder}", &folder.display().to_string());
        let node = Node {
            kind,
            port,
            proxy_port: None,
            folder,
            process: None,
        };
        std::fs::write(node.properties(), text)?;
        let mut format = vec!["format", "-t", CLUSTER_ID, "-c"];
        let properties = node.properties().display().to_string();
        format.push(&properties);
        if id == CONTROLLER {
            format.push("--standalone");
            // What our brokers don't have yet, nobody may use.
            for feature in LOWERED {
                format.extend(["--feature", feature]);
            }
        } else {
            format.push("--no-initial-controllers");
        }
        let is_apache = self.proxy.is_none() || (id == CONTROLLER && kind == Kind::Apache);
        let format: Vec<String> = format.into_iter().map(str::to_owned).collect();
        if is_apache {
            apache::tool("kafka-storage", &format, None)?.success()?;
        } else {
            let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
            command.args(&format);
            shell::run(&mut command, None, Duration::from_secs(30))?.success()?;
        }
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

    fn wait_for(&mut self, id: i32) -> anyhow::Result<()> {
        let node = self.node(id);
        let port = node.port;
        let up = shell::wait_until(Duration::from_secs(90), || shell::listens(port));
        let node = self.node(id);
        let ended = node.process.as_mut().map(Child::try_wait);
        if !up || !matches!(ended, Some(Ok(None))) {
            bail!("node {id} did not start:\n{}", node.log());
        }
        Ok(())
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
        &self.nodes[&id].folder
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
        let ports = self.brokers().filter_map(|(_, node)| node.proxy_port);
        let addresses: Vec<String> = ports.map(|port| format!("127.0.0.1:{port}")).collect();
        addresses.join(",")
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
            Some(mut process) => shell::terminate(&mut process, Duration::from_secs(60)),
            None => Ok(()),
        }
    }

    /// Starts a stopped node again, and waits until it listens.
    pub fn up(&mut self, id: i32) -> anyhow::Result<()> {
        self.node(id).spawn()?;
        self.wait_for(id)
    }

    /// Starts a stopped node again as another program.
    pub fn up_as(&mut self, id: i32, kind: Kind) -> anyhow::Result<()> {
        self.node(id).kind = kind;
        self.up(id)
    }

    /// Whether a node's process runs, or was never stopped by this test.
    pub fn is_up(&self, id: i32) -> bool {
        self.nodes[&id].process.is_some()
    }

    pub fn pause(&mut self, id: i32) -> anyhow::Result<()> {
        self.node(id).signal("-STOP")
    }

    pub fn resume(&mut self, id: i32) -> anyhow::Result<()> {
        self.node(id).signal("-CONT")
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
        let tail = |(id, node): (&i32, &Node)| {
            let log = node.log();
            let lines: Vec<&str> = log.lines().rev().take(25).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            format!("--- node {id} ({:?})\n{}\n", node.kind, lines.join("\n"))
        };
        self.nodes.iter().map(tail).collect()
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
