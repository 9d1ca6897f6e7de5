//! Local brokers: started from the page without a cluster, stopped, started again, killed; a cluster
//! of three from a form, of which one is paused and killed.

use std::sync::{Mutex, PoisonError};

use super::*;

/// Brokers take the first free ports: two tests that look for them at once would take each other's.
static PORTS: Mutex<()> = Mutex::new(());

#[test]
fn a_local_broker_is_started_looked_into_stopped_killed_and_deleted() -> anyhow::Result<()> {
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir()?;
    let state = folder.path().to_str().context("a path in UTF-8")?;
    let variables = [("XDG_STATE_HOME", state)];
    let mut terminal = Terminal::start(program(), &[], &variables, SMALL)?;
    terminal.wait_for("No cluster yet")?;
    terminal.keys("n")?;
    terminal.wait_for("live")?;
    terminal.keys("7")?;
    terminal.wait_for("running")?;
    terminal.keys("o")?;
    terminal.wait_for("ready")?;
    terminal.keys("esc x")?;
    terminal.wait_for("default: stopped")?;
    terminal.wait_until("stopped", |terminal| {
        terminal
            .row("default")
            .is_some_and(|row| row[1] == "stopped")
    })?;
    terminal.keys("n")?;
    terminal.wait_for("running")?;
    terminal.wait_while("starting")?;
    terminal.keys("K")?;
    terminal.wait_for("default: killed")?;
    terminal.wait_until("stopped", |terminal| {
        terminal
            .row("default")
            .is_some_and(|row| row[1] == "stopped")
    })?;
    terminal.keys("D")?;
    terminal.wait_for("default")?;
    terminal.send("default\r")?;
    terminal.wait_for("is deleted")?;
    terminal.wait_for("there is no local broker")?;
    terminal.keys("ctrl-c")?;
    let status = terminal.wait_for_end()?;
    assert!(status.success(), "{status}");
    Ok(())
}

/// Kills what a test that failed has left.
struct Nodes<'a>(&'a str);

impl Drop for Nodes<'_> {
    fn drop(&mut self) {
        let stop = ["local", "stop", "trio", "--force"];
        let mut command = std::process::Command::new(program());
        // There is nothing to kill where all went well.
        let _ = command.args(stop).env("XDG_STATE_HOME", self.0).output();
    }
}

#[test]
fn three_nodes_are_a_cluster_that_shows_the_loss_of_one_and_its_return() -> anyhow::Result<()> {
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir()?;
    let state = folder.path().to_str().context("a path in UTF-8")?;
    let variables = [("XDG_STATE_HOME", state)];
    let _nodes = Nodes(state);
    let mut terminal = Terminal::start(program(), &[], &variables, WIDE)?;
    terminal.wait_for("No cluster yet")?;
    terminal.keys("7")?;
    terminal.wait_for("there is no local broker")?;
    terminal.keys("n")?;
    terminal.wait_for("start new local brokers")?;
    // ctrl-u empties the field.
    terminal.keys("ctrl-u trio tab ctrl-u 3 tab a,b,c enter")?;
    terminal.wait_for("trio/1, trio/2, trio/3: runs at")?;
    let row = |terminal: &Terminal, name: &str, state: &str| {
        terminal.row(name).is_some_and(|row| row[1] == state)
    };
    for name in ["trio/1", "trio/2", "trio/3"] {
        terminal.wait_until(name, |terminal| row(terminal, name, "running"))?;
    }
    terminal.keys("enter")?;
    terminal.wait_for("3 brokers")?;
    terminal.keys("6")?;
    terminal.wait_for("LOG END")?;
    for id in ["1", "2", "3"] {
        terminal.wait_until("a voter", |terminal| {
            terminal
                .row(id)
                .is_some_and(|row| matches!(&*row[1], "leader" | "voter"))
        })?;
    }
    // A node that is killed is missed, and is back when it was started again.
    terminal.keys("7")?;
    terminal.wait_until("trio/1", |terminal| row(terminal, "trio/1", "running"))?;
    terminal.keys("K")?;
    terminal.wait_for("trio/1: killed")?;
    terminal.keys("2")?;
    terminal.wait_for("fenced")?;
    terminal.keys("7")?;
    terminal.wait_until("stopped", |terminal| row(terminal, "trio/1", "stopped"))?;
    terminal.keys("n")?;
    terminal.wait_for("trio/1: runs at")?;
    terminal.keys("2")?;
    terminal.wait_while("fenced")?;
    Ok(())
}

#[test]
fn nodes_are_restarted_one_after_the_other_while_the_others_serve() -> anyhow::Result<()> {
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir()?;
    let state = folder.path().to_str().context("a path in UTF-8")?;
    let _nodes = Nodes(state);
    let local = |args: &[&str]| -> anyhow::Result<String> {
        let mut command = std::process::Command::new(program());
        command.args(["--output", "json", "local"]).args(args);
        let output = command.env("XDG_STATE_HOME", state).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{args:?}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    };
    local(&["start", "trio", "--brokers", "3"])?;
    let processes = || -> anyhow::Result<Vec<i64>> {
        let status: serde_json::Value = serde_json::from_str(&local(&["status", "trio"])?)?;
        let brokers = status["brokers"].as_array().context("a list")?;
        Ok(brokers
            .iter()
            .filter_map(|broker| broker["pid"].as_i64())
            .collect())
    };
    let before = processes()?;
    assert_eq!(before.len(), 3);
    let variables = [("XDG_STATE_HOME", state)];
    let args = ["--open", "local"];
    let mut terminal = Terminal::start(program(), &args, &variables, WIDE)?;
    terminal.wait_for("trio/3")?;
    // What the data takes is measured.
    terminal.wait_until("sizes", |terminal| {
        terminal
            .row("trio/1")
            .is_some_and(|row| row.join(" ").contains("KiB"))
    })?;
    terminal.keys("R")?;
    for at in ["(1 of 3)", "(2 of 3)", "(3 of 3)"] {
        terminal.wait_for(at)?;
    }
    terminal.wait_for("trio: 3 were restarted, one after the other")?;
    let after = processes()?;
    assert_eq!(after.len(), 3);
    assert!(
        after.iter().all(|pid| !before.contains(pid)),
        "{before:?} {after:?}"
    );
    // A log's lines, of those that say something.
    terminal.keys(": l o g space r e a d y enter")?;
    terminal.wait_for("log of trio/1")?;
    terminal.keys("esc ctrl-c")?;
    assert!(terminal.wait_for_end()?.success());
    let lines = |filter: &str| -> anyhow::Result<Vec<serde_json::Value>> {
        let told = local(&["logs", "trio/1", "--filter", filter])?;
        let told: serde_json::Value = serde_json::from_str(&told)?;
        let lines = told["logs"][0]["lines"].as_array();
        Ok(lines.context("lines")?.clone())
    };
    let ready = lines("READY")?;
    assert!(!ready.is_empty());
    let is_ready = |line: &serde_json::Value| line.to_string().to_lowercase().contains("ready");
    assert!(ready.iter().all(is_ready), "{ready:?}");
    assert!(lines("no such text")?.is_empty());
    local(&["kill", "trio/2"])?;
    let refused = local(&["rolling-restart", "trio"]).unwrap_err();
    assert!(
        refused.to_string().contains("trio/2 is stopped"),
        "{refused}"
    );
    local(&["restart", "trio"])?;
    assert_eq!(processes()?.len(), 3);
    Ok(())
}
