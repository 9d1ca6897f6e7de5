//! A session that was recorded, and what the screens show of it without its cluster.

use super::*;

#[test]
fn a_recorded_session_is_looked_at_again_without_its_cluster() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("session");
    let file = file.to_str().context("a path in UTF-8")?;
    let options = ["--refresh", "1", "--record", file];
    let mut session = Session::start(WIDE, &options, &[], &[("early", 1)])?;
    session.see("3", "early")?;
    let bootstrap = session.bootstrap();
    session
        .runtime
        .block_on(create(&bootstrap, "late-comer", 2))?;
    session.see("", "late-comer")?;
    session.see("9", "topic late-comer")?;
    session.quit()?;

    // The broker is gone; the screens are as they were.
    let mut terminal = Terminal::start(program(), &["--replay", file], &[], WIDE)?;
    terminal.wait_for("AS OF 20")?;
    terminal.wait_for("recording of")?;
    terminal.keys("3")?;
    terminal.wait_for("late-comer")?;
    terminal.keys("9")?;
    terminal.wait_for("topic late-comer")?;
    // Back to the first look, when there was no such topic, and to the end again.
    terminal.keys("3 [")?;
    terminal.wait_until("the first look", |terminal| {
        let text = terminal.text();
        text.contains("early") && !text.contains("late-comer")
    })?;
    terminal.keys("]")?;
    terminal.wait_for("late-comer")?;
    terminal.keys("] ]")?;
    terminal.keys("D")?;
    terminal.wait_for("this session is read-only")?;
    for (columns, rows) in [(80, 24), (40, 10)] {
        terminal.resize(columns, rows)?;
        terminal.wait_for("late-comer")?;
        terminal.wait_for("AS OF")?;
    }
    terminal.keys("ctrl-c")?;
    let status = terminal.wait_for_end()?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[test]
fn a_recording_that_is_none_is_refused_before_a_screen_opens() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "hello\n")?;
    let file = file.to_str().context("a path in UTF-8")?;
    let mut terminal = Terminal::start(program(), &["--replay", file], &[], SMALL)?;
    terminal.wait_for("it is no recording")?;
    let status = terminal.wait_for_end()?;
    assert_eq!(status.exit_code(), 4);
    Ok(())
}
