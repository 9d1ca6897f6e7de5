//! Local brokers: started from the page without a cluster, stopped, started again, killed.

use super::*;

#[test]
fn a_local_broker_is_started_looked_into_stopped_killed_and_deleted() -> anyhow::Result<()> {
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
    terminal.wait_for("has stopped")?;
    terminal.wait_until("stopped", |terminal| {
        terminal
            .row("default")
            .is_some_and(|row| row[1] == "stopped")
    })?;
    terminal.keys("n")?;
    terminal.wait_for("running")?;
    terminal.wait_while("starting")?;
    terminal.keys("K")?;
    terminal.wait_for("is killed")?;
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
