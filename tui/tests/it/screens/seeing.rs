//! Looking: every screen, sizes, filter, sort, palette, jump, help, mouse, messages.

use super::*;

const TOPICS: [(&str, i32); 3] = [("alpha", 1), ("beta", 3), ("gamma-long-name", 2)];

/// Every screen, the keys that lead there from anywhere, and what it has to show.
const SCREENS: [(&str, &[&str]); 14] = [
    (
        ":overview enter",
        &["HEALTH", "all is well", "1 (epoch 1, 1 voter)"],
    ),
    (":brokers enter", &["overview › brokers", "ADDRESS", "up"]),
    (
        ":broker space 1 enter",
        &["broker 1", "log dir", "alpha-0", "leader"],
    ),
    (
        ":topics enter",
        &["overview › topics", "alpha", "beta", "gamma-long-name"],
    ),
    (
        ":topic space beta enter",
        &["beta", "PART", "LEADER", "no group reads this topic"],
    ),
    (
        ":configs space beta enter",
        &["SETTING", "cleanup.policy", "strongest first"],
    ),
    (
        ":messages space beta enter",
        &["messages of beta", "there are no messages here"],
    ),
    (
        ":groups enter",
        &["overview › groups", "there are no groups"],
    ),
    (":reassignments enter", &["nothing is being reassigned"]),
    (
        ":quorum enter",
        &["leader 1", "metadata.version", "LOG END"],
    ),
    (":changes enter", &["overview › changes"]),
    (
        ":topics enter g a",
        &["reassign alpha", "nothing changes", "REPLICAS NOW"],
    ),
    (
        ":local enter",
        &["local brokers", "there is no local broker"],
    ),
    (":topics enter ?", &["help: topics", "create a topic"]),
];

#[test]
fn every_screen_shows_what_it_is_for_in_small_and_wide_terminals() -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    let state = state.path().to_str().context("a path in UTF-8")?;
    let mut session = Session::start(SMALL, &[], &[("XDG_STATE_HOME", state)], &TOPICS)?;
    for size in [SMALL, WIDE] {
        session.terminal.resize(size.0, size.1)?;
        for (keys, shown) in SCREENS {
            for text in shown {
                session.see(keys, text)?;
                session.terminal.keys("esc")?;
            }
        }
    }
    session.quit()
}

#[test]
fn a_key_in_the_moment_of_a_new_size_does_not_wait_for_the_next_key() -> anyhow::Result<()> {
    let mut session = Session::start(SMALL, &[], &[], &TOPICS)?;
    for size in [WIDE, SMALL].repeat(10) {
        session.terminal.resize(size.0, size.1)?;
        session.see("3", "overview › topics")?;
        session.terminal.resize(size.0, size.1 - 1)?;
        session.see("esc", "HEALTH")?;
    }
    session.quit()
}

#[test]
fn a_list_is_filtered_sorted_and_jumped_to() -> anyhow::Result<()> {
    let mut session = Session::start(SMALL, &[], &[], &TOPICS)?;
    session.see("3", "topics  3")?;
    session.see("/ gam", "topics  1 of 3 · /gam")?;
    session.see("enter enter", "topics › gamma-long-name")?;
    // As most terminals write it.
    session.terminal.send("\x1b")?;
    session.see("", "topics  1 of 3")?;
    session.see("esc", "topics  3 ")?;
    session.see("/ !alpha enter", "2 of 3 · /!alpha")?;
    session.see("esc s", "PART▼")?;
    let order = |terminal: &Terminal| {
        let text = terminal.text();
        let at = |name: &str| text.find(name);
        (at(" beta"), at(" gamma-long"), at(" alpha"))
    };
    session
        .terminal
        .wait_until("most partitions first", |terminal| {
            let (beta, gamma, alpha) = order(terminal);
            beta < gamma && gamma < alpha && beta.is_some()
        })?;
    session.see("S", "PART▲")?;
    session
        .terminal
        .wait_until("fewest partitions first", |terminal| {
            let (beta, gamma, alpha) = order(terminal);
            alpha < gamma && gamma < beta && alpha.is_some()
        })?;
    session.see("ctrl-p gln", "jump")?;
    session.see("enter", "topics › gamma-long-name")?;
    session.see(":", "command")?;
    session.see("brok", "brokers")?;
    session.see("esc :nonsense enter", "no command \"nonsense\"")?;
    session.see("esc ?", "help: gamma-long-name")?;
    session.quit()
}

#[test]
fn clicks_choose_sort_and_open_and_the_wheel_scrolls() -> anyhow::Result<()> {
    let mut session = Session::start(SMALL, &["--open", "topics"], &[], &TOPICS)?;
    session.terminal.wait_for("gamma-long-name")?;
    // A click on the title of a column sorts by it.
    let click = |terminal: &mut Terminal, text: &str| -> anyhow::Result<()> {
        let screen = terminal.text();
        let found = screen.lines().enumerate().find_map(|(row, line)| {
            let at = line.find(text)?;
            Some((row + 1, line[..at].chars().count() + 1))
        });
        let (row, column) = found.with_context(|| format!("{text} on\n{screen}"))?;
        terminal.send(&format!("\x1b[<0;{column};{row}M\x1b[<0;{column};{row}m"))
    };
    click(&mut session.terminal, "PART")?;
    session.terminal.wait_for("PART▼")?;
    click(&mut session.terminal, "alpha")?;
    session.terminal.keys("enter")?;
    session.terminal.wait_for("topics › alpha")?;
    session.see("esc :quorum enter", "metadata.version")?;
    session.see(":broker space 1 enter c", "settings of broker 1")?;
    let first = session.terminal.text();
    for _ in 0..20 {
        session.terminal.send("\x1b[<65;10;6M")?;
    }
    session.terminal.wait_until("other settings", |terminal| {
        let settings = |screen: &str| screen.lines().nth(3).map(str::to_owned);
        settings(&terminal.text()) != settings(&first)
    })?;
    session.quit()
}

#[test]
fn messages_are_read_from_anywhere_and_followed() -> anyhow::Result<()> {
    let mut session = Session::start(WIDE, &[], &[], &[("log", 1)])?;
    let bootstrap = session.bootstrap();
    session.runtime.block_on(produce(&bootstrap, "log", 20))?;
    session.see(":messages space log enter", "value-19")?;
    session.see("b", "from the start")?;
    session.see("", "value-0")?;
    session.see("o 12 enter", "from offset 12")?;
    session.terminal.wait_while("value-11")?;
    session.see("", "value-12")?;
    session.see("w 2000-01-01 enter", "from 2000-01-01")?;
    session.see("", "value-0")?;
    session.see("e", "the newest")?;
    session.see("G enter", "offset 19")?;
    session.see("", "value (text, detected, 8 B)")?;
    session.see("esc o 19 enter", "from offset 19")?;
    session.see("t", "following")?;
    session.runtime.block_on(produce(&bootstrap, "log", 1))?;
    session.see("", "key-0 ")?;
    session.see("p", "held")?;
    session.quit()
}

#[test]
fn a_small_terminal_keeps_what_matters_and_a_tiny_one_gets_a_word() -> anyhow::Result<()> {
    let mut session = Session::start(WIDE, &["--open", "topics"], &[], &TOPICS)?;
    session.terminal.wait_for("LSKEW")?;
    session.terminal.resize(80, 24)?;
    session.terminal.wait_while("LSKEW")?;
    for text in ["gamma-long-name", "RECORDS", "? help", "live"] {
        session.see("", text)?;
    }
    session.terminal.resize(30, 5)?;
    session.see("", "too small")?;
    session.terminal.resize(200, 60)?;
    session.see("", "LSKEW")?;
    session.quit()
}

#[test]
fn without_colours_nothing_has_a_colour() -> anyhow::Result<()> {
    let colours = |terminal: &Terminal| {
        let screen = terminal.screen();
        let (rows, columns) = screen.size();
        let cells = (0..rows.get()).flat_map(|y| (0..columns.get()).map(move |x| (y, x)));
        let cells = cells.filter_map(|(y, x)| screen.cell(y, x));
        let default = vt100::Color::Default;
        cells
            .filter(|cell| cell.fgcolor() != default || cell.bgcolor() != default)
            .count()
    };
    let mut session = Session::start(SMALL, &[], &[("NO_COLOR", "1")], &TOPICS)?;
    for (keys, shown) in [("1", "HEALTH"), ("3", "gamma"), ("n", "create a topic")] {
        session.see(keys, shown)?;
        assert_eq!(colours(&session.terminal), 0, "{}", session.terminal.text());
    }
    session.quit()?;
    for theme in ["dark", "light"] {
        let mut session = Session::start(SMALL, &["--theme", theme], &[], &TOPICS)?;
        session.see("3", "gamma")?;
        assert!(colours(&session.terminal) > 0, "{theme}");
        session.quit()?;
    }
    Ok(())
}

#[test]
fn an_idle_screen_writes_nothing() -> anyhow::Result<()> {
    let mut session = Session::start(SMALL, &["--refresh", "1"], &[], &TOPICS)?;
    session.see("3", "gamma-long-name")?;
    // Everything that is read rarely has been read once it is silent for so long.
    session
        .terminal
        .wait_for_silence(std::time::Duration::from_secs(6))?;
    session.quit()
}
