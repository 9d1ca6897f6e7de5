//! Our broker as a process of its own, in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::{apache, shell};

/// A running `kafka-broker`; killed when dropped. The folder goes with it.
#[derive(Debug)]
pub struct Ours {
    pub port: u16,
    controller: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
    settings: Vec<String>,
}

impl Ours {
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// Starts with `key=value` settings beside those that Apache Kafka is given too.
    pub fn start_with(settings: &[&str]) -> anyhow::Result<Self> {
        let mut node = Self {
            port: shell::free_port()?,
            controller: shell::free_port()?,
            folder: tempfile::tempdir()?,
            process: None,
            settings: settings.iter().map(|s| (*s).to_owned()).collect(),
        };
        node.up()?;
        Ok(node)
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Starts the process on the same port and data, and waits until it listens.
    pub fn up(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        let port = self.port;
        let up = shell::wait_until(Duration::from_secs(30), || shell::listens(port));
        let ended = self.process.as_mut().map(Child::try_wait);
        if !up || !matches!(ended, Some(Ok(None))) {
            bail!("kafka-broker did not start:\n{}", self.log());
        }
        Ok(())
    }

    /// Starts the process with a `server.properties` of somebody else, and waits for its end: exit
    /// code, and what it said.
    pub fn refused(properties: &Path) -> anyhow::Result<shell::Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
        command.arg("start").arg("--config").arg(properties);
        shell::run(&mut command, None, Duration::from_secs(60))
    }

    /// A broker on the data of somebody else, with the `server.properties` in `folder`.
    pub fn adopt(folder: &Path, port: u16) -> anyhow::Result<Child> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
        command.arg("start").arg("--config");
        command.arg(folder.join("server.properties"));
        let log = std::fs::File::create(folder.join("adopted.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?);
        let mut process = command.stderr(log).spawn()?;
        if !shell::wait_until(Duration::from_secs(30), || shell::listens(port)) {
            shell::kill(&mut process);
            let log = std::fs::read_to_string(folder.join("adopted.log"))?;
            bail!("kafka-broker did not start:\n{log}");
        }
        Ok(process)
    }

    /// Starts the process and does not wait.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let properties = self.folder.path().join("server.properties");
        let text = apache::server_properties(self.port, self.controller, self.folder.path());
        std::fs::write(&properties, text)?;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("server.log"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
        command.arg("start").arg("--config").arg(&properties);
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        let process = (command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log))
        .spawn()
        .context("start kafka-broker")?;
        self.process = Some(process);
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub fn down(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(mut process) => shell::terminate(&mut process, Duration::from_secs(30)),
            None => Ok(()),
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            shell::kill(&mut process);
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.kill();
    }
}
