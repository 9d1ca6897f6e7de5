//! One node of a cluster under test: whose program it is, its settings, its folder, its process.
//!
//! Quorums, trios and mixed clusters are made of these; they differ in roles, listeners and in how
//! the nodes find each other.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{apache, shell};

/// A first start on a machine that compiles at the same time takes its time.
const UP: Duration = Duration::from_secs(180);
const STOPPED: Duration = Duration::from_secs(90);

/// A level of each feature that our broker does not have.
pub const LOWERED: [&str; 4] = [
    "group.version=0",
    "share.version=0",
    "streams.version=0",
    "transaction.version=0",
];

/// Whose program a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Apache,
    Ours,
}

impl Kind {
    pub fn other(self) -> Self {
        match self {
            Self::Apache => Self::Ours,
            Self::Ours => Self::Apache,
        }
    }
}

/// How Apache Kafka's nodes are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jvm {
    /// As fast as it can, with a small heap.
    Small,
    /// As Kafka's own start script does it.
    Server,
}

/// See the module's documentation. Killed when dropped.
#[derive(Debug)]
pub struct Node {
    pub kind: Kind,
    /// Of the listener at which it is asked whether it is up.
    pub port: u16,
    pub jvm: Jvm,
    folder: PathBuf,
    process: Option<Child>,
}

impl Node {
    /// Makes the folder, which is to be this node's own.
    pub fn new(kind: Kind, port: u16, folder: PathBuf) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            kind,
            port,
            jvm: Jvm::Small,
            folder,
            process: None,
        })
    }

    /// Writes `server.properties`: what nodes have in common, and `settings`, in which `{folder}`
    /// stands for the node's own folder.
    pub fn configure(&self, id: i32, settings: &str) -> anyhow::Result<()> {
        let text = format!(
            "node.id={id}\nlog.dirs={{folder}}/data\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,\
             BETWEEN:PLAINTEXT\nlog.cleaner.dedupe.buffer.size=4194304\n{settings}\n"
        );
        let text = text.replace("{folder}", &self.folder.display().to_string());
        std::fs::write(self.properties(), text)?;
        Ok(())
    }

    /// Formats the folder with the program of one's choice, at these levels of features.
    pub fn format(
        &self,
        by: Kind,
        cluster_id: &str,
        options: &[String],
        features: &[&str],
    ) -> anyhow::Result<()> {
        let mut args = ["format", "-t", cluster_id, "-c"]
            .map(str::to_owned)
            .to_vec();
        args.push(self.properties().display().to_string());
        args.extend_from_slice(options);
        for feature in features {
            args.extend(["--feature".to_owned(), (*feature).to_owned()]);
        }
        match by {
            Kind::Apache => apache::tool("kafka-storage", &args, None)?,
            Kind::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
                shell::run(command.args(&args), None, UP)?
            }
        }
        .success()?;
        Ok(())
    }

    /// Starts the process, and does not wait.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = match (self.kind, self.jvm) {
            (Kind::Ours, _) => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
                command.args(["start", "--config"]);
                command
            }
            (Kind::Apache, jvm) => {
                let mut command = match jvm {
                    Jvm::Small => apache::java("pom.xml", None)?,
                    Jvm::Server => apache::server_java()?,
                };
                command.arg("kafka.Kafka");
                command
            }
        };
        command.arg(self.properties());
        self.process = Some(apache::spawn_server(&mut command, &self.folder)?);
        Ok(())
    }

    /// Waits until it listens.
    pub fn wait_up(&mut self) -> anyhow::Result<()> {
        let mut is_alive = true;
        let up = shell::wait_until(UP, || {
            let ended = self.process.as_mut().map(Child::try_wait);
            is_alive = matches!(ended, Some(Ok(None)));
            !is_alive || shell::listens(self.port)
        });
        if !up || !is_alive {
            bail!("a node did not start:\n{}", self.log());
        }
        Ok(())
    }

    /// Starts the process, and waits until it listens.
    pub fn up(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        self.wait_up()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            shell::kill(&mut process);
        }
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(mut process) => shell::terminate(&mut process, STOPPED),
            None => Ok(()),
        }
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(Pid::from_child(self.process()?), signal)?;
        Ok(())
    }

    fn process(&self) -> anyhow::Result<&Child> {
        self.process.as_ref().context("the node runs")
    }

    pub fn process_id(&self) -> anyhow::Result<u32> {
        Ok(self.process()?.id())
    }

    /// Waits until the process ends of itself; what it has said.
    pub fn wait_ended(&mut self) -> anyhow::Result<String> {
        let process = self.process.as_mut().context("the node runs")?;
        let ended = shell::wait_until(UP, || matches!(process.try_wait(), Ok(Some(_))));
        if !ended {
            bail!("a node goes on:\n{}", self.log());
        }
        self.process = None;
        Ok(self.log())
    }

    /// Whether it was started and not stopped since; it may have died of itself.
    pub fn is_started(&self) -> bool {
        self.process.is_some()
    }

    /// Holds everything of this node.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What it wrote to its standard output and error since its first start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    /// The last lines of [`Self::log`], under a heading.
    pub fn log_end(&self, id: i32) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(25)..].join("\n");
        format!("--- node {id} ({:?})\n{end}\n", self.kind)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
