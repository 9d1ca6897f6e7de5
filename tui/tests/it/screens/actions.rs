//! Changing: every action by its keys, with its plan, its refusals and what comes of it.

use super::*;

#[test]
fn a_topic_is_made_filled_changed_grown_and_deleted() -> anyhow::Result<()> {
    let mut session = Session::start(SMALL, &["--open", "topics"], &[], &[("other", 1)])?;
    session.terminal.wait_for("other")?;
    // What one broker can't hold is known here; what only the broker knows, it is asked first.
    session.see("n", "create a topic")?;
    session.see("orders tab 2 tab 3 enter", "needs 3 live")?;
    session.see(
        "ctrl-u 1 tab retention.ms=soon enter",
        "refuses: INVALID_CONFIG",
    )?;
    session.see("y", "the broker refuses this")?;
    session.see("esc", "replicas")?;
    assert!(!session.terminal.text().contains("topics  2"));
    session.see("ctrl-u enter", "accepts this")?;
    session.see("y", "✓ create topic \"orders\"")?;
    session.see("", "topics  2")?;

    session.see(":topic space orders enter", "2 partitions")?;
    session.see("p", "write a message to orders")?;
    session.see("key tab hello", "hello")?;
    session.see("enter", "press y to execute")?;
    session.see("y", "✓ write")?;
    session.see("m", "hello")?;
    session.terminal.keys("esc")?;

    session.see("c", "settings of topic \"orders\"")?;
    session.see("/ retention.ms enter G", "604800000")?;
    session.see("e", "retention.ms of topic")?;
    session.see("ctrl-u soon enter", "refuses")?;
    session.see("esc ctrl-u 60000 enter", "accepts this")?;
    session.see("", "604800000 → 60000")?;
    session.see("y", "✓ change")?;
    session.terminal.wait_until("the new value", |terminal| {
        terminal
            .row("retention.ms")
            .is_some_and(|row| row[1..3] == ["60000", "topic"])
    })?;
    session.see("D", "press y to execute")?;
    session.terminal.keys("y")?;
    session
        .terminal
        .wait_until("the default again", |terminal| {
            terminal
                .row("retention.ms")
                .is_some_and(|row| row[1..3] == ["604800000", "default"])
        })?;

    session.see(":topic space orders enter +", "add partitions to orders")?;
    session.see("ctrl-u 1 enter", "2 partitions")?;
    session.see("ctrl-u 5 enter", "accepts this")?;
    session.see("y", "✓ add partitions")?;
    session.see("", "5 partitions")?;

    session.see("e", "already")?;
    session.see("esc a", "nothing changes")?;
    session.see("o", "\"version\"")?;
    session.see("esc x", "nothing changes")?;
    session.see("esc :topic space orders enter", "no group reads this topic")?;

    session.see("D", "type orders to confirm")?;
    session.see("enter", "type orders to confirm")?;
    session.see("order enter", "type orders to confirm")?;
    session.see("s enter", "✓ delete topic \"orders\"")?;
    session.see(":topics enter", "topics  1")?;
    session.quit()
}

#[test]
fn a_read_only_session_refuses_every_change_and_says_why() -> anyhow::Result<()> {
    let options = ["--read-only", "--open", "topics"];
    let mut session = Session::start(SMALL, &options, &[], &[("kept", 2)])?;
    session.terminal.wait_for("kept")?;
    for keys in ["n", "p", "+", "e", "D", "U", ":elect enter", "2 d"] {
        session.see(keys, "read-only")?;
        session.terminal.keys("esc")?;
        session.terminal.wait_while("session is read-only")?;
    }
    session.see(":configs space kept enter", "cleanup.policy")?;
    session.see("e", "session is read-only")?;
    session.terminal.keys("esc :topics enter")?;
    session
        .terminal
        .wait_until("the topic as it was", |terminal| {
            terminal.row("kept").is_some_and(|row| row[1] == "2")
        })?;
    session.quit()
}
