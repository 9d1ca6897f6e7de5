//! The quorum, the features, and what this broker does not serve.

use super::*;

#[test]
fn the_quorum_page_and_the_transactions_say_what_there_is() -> anyhow::Result<()> {
    let mut session = Session::start(SMALL, &["--open", "quorum"], &[], &[])?;
    session.see("", "metadata.version")?;
    session.see("n", "is no observer")?;
    session.see(
        "tab / metadata enter enter",
        "the level of metadata.version",
    )?;
    session.see("ctrl-u 99 enter", "not every node can do")?;
    session.terminal.keys("esc esc esc :transactions enter")?;
    session
        .terminal
        .wait_until("the transactions, or why there are none", |terminal| {
            let text = terminal.text();
            text.contains("no partition waits") || text.contains("transactions not read")
        })?;
    session.quit()
}
