//! Undo by its key, also of what an earlier program changed, and throttles that were left behind.

use super::*;

use kafka_tui::model::ConfigResource;
use kafka_tui::ops::{AlterConfigs, ConfigChange};

#[test]
fn the_last_changes_are_undone_one_by_one_also_by_another_program() -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    let path = state.path().display().to_string();
    let variables = [("XDG_STATE_HOME", &*path)];
    let mut session = Session::start(SMALL, &["--open", "topics"], &variables, &[("kept", 1)])?;
    session.terminal.wait_for("kept")?;
    session.see("u", "nothing to undo")?;
    for (now, then) in [("604800000", "60000"), ("60000", "70000")] {
        session.see("esc :configs space kept enter", "cleanup.policy")?;
        session.see("/ retention.ms enter G", now)?;
        session.see("e", "retention.ms of topic")?;
        session.see(&format!("ctrl-u {then} enter"), "accepts this")?;
        session.see("y", "✓ change")?;
    }
    let bootstrap = session.bootstrap();
    let args = ["--bootstrap", &bootstrap, "--open", "topics"];
    let mut other = Terminal::start(program(), &args, &variables, SMALL)?;
    other.wait_for("kept")?;
    other.keys("u")?;
    other.wait_for("70000 → 60000")?;
    other.wait_for("accepts this")?;
    other.keys("y")?;
    other.wait_for("✓ undo: change")?;
    other.keys("u")?;
    other.wait_for("60000 → (inherited)")?;
    other.wait_for("accepts this")?;
    other.keys("y")?;
    other.wait_until("the second one is undone", |terminal| {
        !terminal.text().contains("→") && terminal.text().contains("✓ undo: change")
    })?;
    other.keys("u")?;
    other.wait_for("nothing to undo")?;
    session.quit()
}

#[test]
fn throttles_that_nothing_needs_are_found_and_removed() -> anyhow::Result<()> {
    let mut session = Session::start(SMALL, &["--open", "topics"], &[], &[("held", 1)])?;
    session.terminal.wait_for("held")?;
    let bootstrap = session.bootstrap();
    let list = "leader.replication.throttled.replicas";
    let alter = AlterConfigs {
        resource: ConfigResource::Topic("held".to_owned()),
        changes: vec![ConfigChange::Set {
            name: list.to_owned(),
            value: "0:1,0:2".to_owned(),
        }],
    };
    let client = crate::client(&[bootstrap.parse()?]);
    let altered = session
        .runtime
        .block_on(client.alter_configs(&alter, false));
    altered.map_err(|fault| anyhow::anyhow!("{fault}"))?;
    session.see(":reassignments enter", "nothing is being reassigned")?;
    session.see("p", "no run is under way")?;
    session.see("esc J", "remove 1 throttle left behind")?;
    session.see("", "0:1,0:2")?;
    session.see("", "an operator may want it")?;
    session.see("y", "✓ remove 1 throttle")?;
    session.see("J", "no throttle is left over")?;
    session.quit()
}
