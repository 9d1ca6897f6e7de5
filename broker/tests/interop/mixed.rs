//! A cluster of Apache Kafka's nodes and ours, each a process with a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

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
    folder: tempfile::TempDir,
}

const CONTROLLER: i32 = 100;

impl Mixed {
    /// Starts brokers with these ids; `settings` are lines of server.properties for all of them.
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
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            folder: tempfile::tempdir()?,
        };
        let controller_port = shell::free_port()?;
        cluster.add(
            CONTROLLER,
            controller,
            controller_port,
            controller_port,
            settings,
        )?;
        for (id, kind) in brokers {
            let port = shell::free_port()?;
            cluster.add(*id, *kind, port, controller_port, settings)?;
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
    fn add(
        &mut self,
        id: i32,
        kind: Kind,
        port: u16,
        controller_port: u16,
        settings: &str,
    ) -> anyhow::Result<()> {
        let folder = self.folder.path().join(format!("node-{id}"));
        std::fs::create_dir_all(&folder)?;
        let (role, listener) = match id {
            CONTROLLER => ("controller", "CONTROLLER"),
            _ => ("broker", "PLAINTEXT"),
        };
        let text = format!(
            "process.roles={role}\nnode.id={id}\nlog.dirs={}\n\
             listeners={listener}://127.0.0.1:{port}\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             {}offsets.topic.replication.factor=3\noffsets.topic.num.partitions=4\n\
             group.initial.rebalance.delay.ms=0\nlog.cleaner.dedupe.buffer.size=4194304\n\
             {settings}\n",
            folder.join("data").display(),
            match role {
                "broker" => "inter.broker.listener.name=PLAINTEXT\n",
                _ => "",
            },
        );
        let node = Node {
            kind,
            port,
            folder,
            process: None,
        };
        std::fs::write(node.properties(), text)?;
        let mut format = vec!["format", "-t", CLUSTER_ID, "-c"];
        let properties = node.properties().display().to_string();
        format.push(&properties);
        if id == CONTROLLER {
            // What our brokers don't have yet, nobody may use.
            format.extend(["--standalone", "--feature", "transaction.version=0"]);
            format.extend([
                "--feature",
                "group.version=0",
                "--feature",
                "share.version=0",
            ]);
            format.extend(["--feature", "streams.version=0"]);
        } else {
            format.push("--no-initial-controllers");
        }
        let format: Vec<String> = format.into_iter().map(str::to_owned).collect();
        apache::tool("kafka-storage", &format, None)?.success()?;
        self.nodes.insert(id, node);
        Ok(())
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

    pub fn pause(&mut self, id: i32) -> anyhow::Result<()> {
        self.node(id).signal("-STOP")
    }

    pub fn resume(&mut self, id: i32) -> anyhow::Result<()> {
        self.node(id).signal("-CONT")
    }

    /// The bytes of all segments of a partition's replica, in order.
    pub fn log_bytes(&self, id: i32, partition: &str) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for path in segments(&self.nodes[&id].data().join(partition))? {
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
