//! The commands of the program, with what they print.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::shell;

/// The longest that [`until`] waits.
const UNTIL: Duration = Duration::from_secs(90);

/// Runs a command on the cluster; its exit code and its document.
pub fn run(cluster: &Cluster, args: &[&str]) -> anyhow::Result<(i32, Value)> {
    let bootstrap = cluster.bootstrap();
    let global = ["--bootstrap", &bootstrap];
    run_with(&[&global[..], args].concat(), None)
}

/// The document of a command that has to succeed.
pub fn document(cluster: &Cluster, args: &[&str]) -> anyhow::Result<Value> {
    let (code, document) = run(cluster, args)?;
    ensure!(code == 0, "{args:?} ended with {code}: {document}");
    Ok(document)
}

/// Runs the program; what it prints, and what it complains of where it prints no document.
pub fn run_with(args: &[&str], stdin: Option<&str>) -> anyhow::Result<(i32, Value)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
    command.args(["--output", "json"]).args(args);
    command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().context("its input")?;
    // A program that reads nothing may have ended already.
    let _ = input.write_all(stdin.unwrap_or_default().as_bytes());
    drop(input);
    let output = child.wait_with_output()?;
    let code = output.status.code().context("it ended by itself")?;
    let document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&output.stderr).into_owned()));
    Ok((code, document))
}

/// Waits until what a command prints is as wanted.
pub fn until(
    cluster: &Cluster,
    args: &[&str],
    is_so: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let mut last = Value::Null;
    let came = shell::wait_until(UNTIL, || {
        if let Ok((_, document)) = run(cluster, args) {
            last = document;
        }
        is_so(&last)
    });
    ensure!(came, "{args:?} stays as {last}");
    Ok(last)
}
