//! Rules, users and quotas by their keys. This broker keeps passwords and quotas, and no rules.

use super::*;

#[test]
fn passwords_and_limits_are_set_and_removed_by_keys() -> anyhow::Result<()> {
    let mut session = Session::start(SMALL, &["--open", "users"], &[], &[])?;
    session.see("", "the cluster keeps no passwords")?;
    session.see("n", "set a password")?;
    session.see(
        "alice tab tab hunter2 tab hunter2 enter",
        "press y to execute",
    )?;
    assert!(!session.terminal.text().contains("hunter2"));
    session.see("y", "✓ set the password of user \"alice\"")?;
    session.terminal.wait_until("the user", |terminal| {
        let row = terminal.row("alice").unwrap_or_default();
        row.get(1..3)
            .is_some_and(|cells| cells == ["SCRAM-SHA-512", "8,192"])
    })?;
    session.see("D", "type alice to confirm")?;
    session.see("alice enter", "✓ delete the password of user \"alice\"")?;
    session.see("", "the cluster keeps no passwords")?;

    session.see(":quotas enter", "there are no quotas")?;
    session.see("n alice tab tab tab tab 2000 enter", "accepts this")?;
    session.see("y", "✓ change the quota of user \"alice\"")?;
    session.see("", "2 kB/s")?;
    session.see("x enter", "by the quota of user \"alice\"")?;
    session.see("esc esc D", "accepts this")?;
    session.see("y", "there are no quotas")?;

    // The undo of the last change brings the limit back.
    session.see("U", "press y to execute")?;
    session.see("y", "2 kB/s")?;

    session.see(":acls enter", "SECURITY_DISABLED")?;
    session.see("n", "SECURITY_DISABLED")?;
    session.quit()
}
