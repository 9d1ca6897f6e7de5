//! Nodes that an installation of Apache Kafka runs, with its own scripts.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::start::Job;
use crate::model::Fault;

/// A developer's node needs no gigabyte.
const HEAP: &str = "-Xms64M -Xmx512M";

/// How long the JVM may take until it answers.
pub(super) const WAIT_MS: u64 = 60_000;

/// Features that brokers of ours don't have: a cluster with both kinds is formatted without them.
pub(super) const FEATURES_OFF: [&str; 4] = [
    "group.version=0",
    "transaction.version=0",
    "share.version=0",
    "streams.version=0",
];

fn script(home: &Path, job: Job) -> PathBuf {
    home.join("bin").join(match job {
        Job::Start => "kafka-server-start.sh",
        Job::Format => "kafka-storage.sh",
    })
}

/// Checks that a folder holds an installation; its absolute path.
///
/// # Errors
/// It does not.
pub(super) fn home(what: &str, folder: &Path) -> Result<PathBuf, Fault> {
    let found = folder.canonicalize().ok().filter(|home| {
        let both = [Job::Start, Job::Format];
        both.iter().all(|job| script(home, *job).is_file())
    });
    found.ok_or_else(|| {
        let why = format!("{} holds no bin/kafka-server-start.sh", folder.display());
        Fault::refused(what, why).with_hint("name the folder that a kafka_….tgz was unpacked to")
    })
}

/// The command that does it for the node in this folder, without its configuration.
pub(super) fn command(home: &Path, job: Job, folder: &Path) -> Command {
    let mut command = Command::new(script(home, job));
    if job == Job::Format {
        command.arg("format");
    }
    // Its own logs lie beside its data, not in the installation.
    command.env("LOG_DIR", folder.join("logs"));
    if std::env::var_os("KAFKA_HEAP_OPTS").is_none() {
        command.env("KAFKA_HEAP_OPTS", HEAP);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_known_by_its_scripts() {
        let folder = tempfile::tempdir().unwrap();
        let fault = home("start", folder.path()).unwrap_err();
        assert!(fault.why.contains("kafka-server-start.sh"), "{fault}");
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        for job in [Job::Start, Job::Format] {
            std::fs::write(script(folder.path(), job), "").unwrap();
        }
        assert_eq!(
            home("start", folder.path()).unwrap(),
            folder.path().canonicalize().unwrap()
        );
    }
}
