//! Every way out gives the terminal back as it was.

use std::time::Duration;

use kafka_tui::ui::terminal;
use rustix::process::{Pid, Signal, kill_process};

use super::*;

#[test]
fn a_signal_ends_the_program_in_order() -> anyhow::Result<()> {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut session = Session::start(SMALL, &[], &[], &[("kept", 1)])?;
        assert!(!session.terminal.is_restored(), "the screens have it");
        let id = session.terminal.process_id().context("it runs")?;
        let id = Pid::from_raw(i32::try_from(id)?).context("a process id")?;
        kill_process(id, signal)?;
        let status = session.terminal.wait_for_end()?;
        assert!(status.success(), "{signal:?}: {status}");
        session
            .terminal
            .wait_until("restored", Terminal::is_restored)?;
    }
    Ok(())
}

#[test]
fn a_suspended_program_gives_the_terminal_to_the_shell_and_comes_back() -> anyhow::Result<()> {
    let session = Session::start(SMALL, &[], &[], &[("kept", 1)])?;
    let command = format!(
        "{} --bootstrap {} --open topics\r",
        program().display(),
        session.bootstrap()
    );
    let shell = Path::new("/bin/sh");
    let variables = [("PS1", "shell> "), ("ENV", "")];
    let mut terminal = Terminal::start(shell, &["-i"], &variables, SMALL)?;
    terminal.wait_for("shell> ")?;
    terminal.send(&command)?;
    terminal.wait_for("kept")?;
    terminal.keys("ctrl-z")?;
    terminal.wait_until("the shell's own screen", |terminal| {
        !terminal.screen().alternate_screen() && !terminal.screen().hide_cursor()
    })?;
    terminal.send("echo in-the-$((1+1))nd-shell\r")?;
    terminal.wait_for("in-the-2nd-shell")?;
    terminal.send("fg\r")?;
    terminal.wait_until("the screens again", |terminal| {
        terminal.screen().alternate_screen() && terminal.text().contains("kept")
    })?;
    terminal.keys("2")?;
    terminal.wait_for("overview › brokers")?;
    terminal.keys("q")?;
    terminal.wait_until("the shell again", |terminal| {
        !terminal.screen().alternate_screen()
    })?;
    terminal.send("exit\r")?;
    terminal.wait_for_end()?;
    session.quit()
}

/// Not a test: what the test below runs in a terminal of its own.
#[test]
#[ignore = "it panics, in the terminal of another test"]
fn takes_the_terminal_and_panics() {
    let mut terminal = terminal::Terminal::enter(true).expect("it is in a terminal");
    let draw = |buffer: &mut ratatui::buffer::Buffer| {
        buffer.set_string(0, 0, "entered", ratatui::style::Style::default());
        None
    };
    terminal.draw(draw).expect("a terminal");
    panic!("on purpose");
}

#[test]
fn a_panic_is_told_on_a_restored_terminal() -> anyhow::Result<()> {
    let test = "screens::leaving::takes_the_terminal_and_panics";
    let args = [test, "--exact", "--ignored", "--nocapture"];
    let program = std::env::current_exe()?;
    let mut terminal = Terminal::start(&program, &args, &[("RUST_BACKTRACE", "0")], SMALL)?;
    let status = terminal.wait_for_end()?;
    terminal.read_for(Duration::from_millis(100));
    assert!(!status.success());
    let nothing: [&str; 0] = [];
    assert_eq!(terminal.left_behind(), nothing, "{}", terminal.text());
    assert!(
        terminal.text().contains("on purpose"),
        "{}",
        terminal.text()
    );
    Ok(())
}

#[test]
fn the_demo_shows_its_groups_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().to_str().context("a path in UTF-8")?;
    let variables = [("TMPDIR", path), ("XDG_STATE_HOME", path)];
    let mut terminal = Terminal::start(program(), &["demo"], &variables, WIDE)?;
    terminal.wait_for("live")?;
    assert!(
        folder.path().read_dir()?.next().is_some(),
        "it has a folder"
    );
    terminal.keys("4")?;
    terminal.wait_for("groups  4")?;
    terminal.wait_for("stable")?;
    terminal.keys("q")?;
    let status = terminal.wait_for_end()?;
    assert!(status.success(), "{status}");
    terminal.wait_until("restored", Terminal::is_restored)?;
    let left: Vec<_> = folder.path().read_dir()?.collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}
