//! Kafka Connect on the screens and by commands, on a double of a worker's REST interface.

use std::process::{Command, Output};

use anyhow::Context as _;
use serde_json::Value;

use crate::front::Front;
use crate::terminal::Terminal;
use crate::worker::{PASSWORD, Worker};

fn program() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_BIN_EXE_kafka-tui"))
}

fn run(worker: &Worker, args: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(program());
    command.args([
        "--output",
        "json",
        "--config-file",
        "/nonexistent/config.toml",
        "connect",
    ]);
    command.args(["--url", &worker.url, "--login", "me:env:CONNECT_PASSWORD"]);
    command.args(args).env("CONNECT_PASSWORD", PASSWORD);
    Ok(command.output()?)
}

#[test]
fn connectors_are_listed_restarted_paused_stopped_and_deleted_by_commands() -> anyhow::Result<()> {
    let worker = Worker::start()?;
    let listed = run(&worker, &["list", "--check"])?;
    assert_eq!(
        listed.status.code(),
        Some(8),
        "a task has failed: {listed:?}"
    );
    let list: Value = serde_json::from_slice(&listed.stdout)?;
    assert_eq!(list["connectors"][1]["name"], "to-s3");
    assert_eq!(list["connectors"][1]["tasks"][0]["state"], "FAILED");
    assert_eq!(list["connectors"][1]["config"]["the.password"], "[hidden]");
    for (args, own) in [
        (&["restart", "to-s3", "--failed"][..], "RUNNING"),
        (&["pause", "to-s3"], "PAUSED"),
        (&["resume", "to-s3"], "RUNNING"),
        (&["stop", "to-s3"], "STOPPED"),
    ] {
        let done = run(&worker, args)?;
        assert_eq!(done.status.code(), Some(0), "{args:?}: {done:?}");
        assert_eq!(
            worker.state("to-s3").context("it is there")?.0,
            own,
            "{args:?}"
        );
    }
    // Nobody can be asked whether it is meant.
    let refused = run(&worker, &["delete", "to-s3"])?;
    assert_eq!(refused.status.code(), Some(4));
    assert!(worker.state("to-s3").is_some());
    let dry = run(&worker, &["delete", "to-s3", "--dry-run"])?;
    assert_eq!(dry.status.code(), Some(0));
    assert!(worker.state("to-s3").is_some());
    let deleted = run(&worker, &["delete", "to-s3", "--yes"])?;
    assert_eq!(deleted.status.code(), Some(0), "{deleted:?}");
    assert!(worker.state("to-s3").is_none());
    let missing = run(&worker, &["pause", "to-s3"])?;
    assert_eq!(missing.status.code(), Some(3));
    assert_eq!(run(&worker, &["list", "--check"])?.status.code(), Some(0));
    Ok(())
}

#[test]
fn connectors_are_seen_and_changed_on_their_screen() -> anyhow::Result<()> {
    let worker = Worker::start()?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.toml");
    let entry = format!(
        "[clusters.lab]\nbootstrap = \"127.0.0.1:1\"\nconnect = [\"{}\"]\n\
         connect_login = \"me:${{env:CONNECT_PASSWORD}}\"\n",
        worker.url
    );
    std::fs::write(&config, entry)?;
    let config = config.to_str().context("a path in UTF-8")?;
    let args = [
        "--config-file",
        config,
        "--cluster",
        "lab",
        "--open",
        "connectors",
    ];
    let variables = [("CONNECT_PASSWORD", PASSWORD)];
    let mut terminal = Terminal::start(program(), &args, &variables, (80, 24))?;
    terminal.wait_for("to-s3")?;
    let state = |terminal: &Terminal, name: &str, state: &str| {
        terminal.row(name).is_some_and(|row| row[1] == state)
    };
    terminal.wait_until("it is seen", |terminal| state(terminal, "files", "running"))?;
    terminal.keys("p")?;
    terminal.wait_for("files: paused")?;
    terminal.wait_until("paused", |terminal| state(terminal, "files", "paused"))?;
    terminal.keys("p")?;
    terminal.wait_for("files: resumed")?;
    // What has failed says why, and is restarted.
    terminal.keys("down enter")?;
    terminal.wait_for("task 0: failed, on w1:8083")?;
    terminal.wait_for("NoBucket: there is none")?;
    terminal.wait_for("the.password = [hidden]")?;
    terminal.keys("esc r")?;
    terminal.wait_for("to-s3: restarted")?;
    terminal.wait_until("it runs", |terminal| {
        terminal.row("to-s3").is_some_and(|row| row[2] == "1/1")
    })?;
    for size in [(200, 60), (40, 10), (80, 24)] {
        terminal.resize(size.0, size.1)?;
        terminal.wait_for("to-s3")?;
    }
    // Deleting wants its name.
    terminal.keys("D")?;
    terminal.wait_for("type to-s3 to confirm")?;
    terminal.send("to-s3\r")?;
    terminal.wait_for("to-s3: deleted")?;
    terminal.wait_until("it is gone", |terminal| terminal.row("to-s3").is_none())?;
    assert!(worker.state("to-s3").is_none());
    terminal.keys("ctrl-c")?;
    assert!(terminal.wait_for_end()?.success());
    Ok(())
}

#[test]
fn without_workers_or_with_a_wrong_user_the_screen_says_what_to_do() -> anyhow::Result<()> {
    let args = ["--bootstrap", "127.0.0.1:1", "--open", "connectors"];
    let mut terminal = Terminal::start(program(), &args, &[], (80, 24))?;
    terminal.wait_for("no worker is named")?;
    terminal.wait_for("of the saved cluster")?;
    drop(terminal);
    let worker = Worker::start()?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.toml");
    let entry = format!(
        "[clusters.lab]\nbootstrap = \"127.0.0.1:1\"\nconnect = [\"{}\"]\n",
        worker.url
    );
    std::fs::write(&config, entry)?;
    let config = config.to_str().context("a path in UTF-8")?;
    let args = [
        "--config-file",
        config,
        "--cluster",
        "lab",
        "--open",
        "connectors",
    ];
    let mut terminal = Terminal::start(program(), &args, &[], (80, 24))?;
    terminal.wait_for("User cannot access")?;
    terminal.wait_for("connect_login of the saved cluster")?;
    Ok(())
}

#[test]
fn a_worker_behind_tls_is_asked_by_who_trusts_its_authority() -> anyhow::Result<()> {
    let worker = Worker::start()?;
    let front = Front::before(&worker.url)?;
    let ca = front.ca();
    let ca = ca.to_str().context("a path in UTF-8")?;
    let list = |more: &[&str]| -> anyhow::Result<Output> {
        let mut command = Command::new(program());
        command.args([
            "--output",
            "json",
            "--config-file",
            "/nonexistent/config.toml",
        ]);
        command.args([
            "connect",
            "--url",
            &front.url,
            "--login",
            "me:env:CONNECT_PASSWORD",
        ]);
        command
            .arg("list")
            .args(more)
            .env("CONNECT_PASSWORD", PASSWORD);
        Ok(command.output()?)
    };
    let listed = list(&["--ca", ca])?;
    let document: Value = serde_json::from_slice(&listed.stdout)?;
    assert_eq!(document["connectors"][1]["name"], "to-s3");
    let refused = list(&[])?;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("TLS"), "{told}");
    assert!(!told.contains(PASSWORD), "{told}");
    Ok(())
}
