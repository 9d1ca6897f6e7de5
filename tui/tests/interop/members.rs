//! A process of real clients that does what it is told: consumers of both protocols and
//! applications of Kafka Streams, many in one Java.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::{apache, shell};

const POM: &str = "pom-streams.xml";

/// Settings of consumers that go by the one protocol and by the other.
pub const CLASSIC: &str =
    "group.protocol=classic session.timeout.ms=8000 heartbeat.interval.ms=500";
pub const CONSUMER: &str = "group.protocol=consumer";

/// The compiled program.
pub struct Program {
    classes: tempfile::TempDir,
}

impl Program {
    pub fn compile() -> anyhow::Result<Self> {
        let classes = tempfile::tempdir()?;
        let mut javac = Command::new("javac");
        javac.arg("-nowarn").arg("-d").arg(classes.path());
        let jars = apache::jars(POM)?;
        javac.arg("-cp").arg(format!("{}/*", jars.display()));
        javac.arg(shell::client_programs().join("Members.java"));
        shell::run(&mut javac, None, Duration::from_secs(120))?.success()?;
        Ok(Self { classes })
    }

    pub fn start(&self, bootstrap: &str) -> anyhow::Result<Members> {
        let mut java = apache::java(POM, Some(self.classes.path()))?;
        java.arg("Members").arg(bootstrap);
        java.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = java.stderr(Stdio::null()).spawn()?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let output = BufReader::new(process.stdout.take().context("what it says")?);
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                heard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
        Ok(Members {
            orders: process.stdin.take(),
            process,
            said,
        })
    }
}

/// The running program; killed when dropped.
pub struct Members {
    process: Child,
    orders: Option<ChildStdin>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Drop for Members {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Members {
    /// Gives an order: see `Members.java`.
    pub fn order(&mut self, line: &str) -> anyhow::Result<()> {
        let orders = self.orders.as_mut().context("it runs")?;
        writeln!(orders, "{line}")?;
        orders.flush().context("give an order")
    }

    /// Waits until a member says something that contains `text`.
    pub fn wait_for(&self, text: &str, deadline: Duration) -> anyhow::Result<()> {
        let said = || {
            self.said
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        let has = || said().iter().any(|line| line.contains(text));
        ensure!(shell::wait_until(deadline, has), "{text:?}: {:?}", said());
        Ok(())
    }

    /// kill -9: all its members fail.
    pub fn kill(&mut self) {
        shell::kill(&mut self.process);
    }
}
