//! Declared topics by their keys: compared, looked at, made so, exported, undone.

use super::*;

#[test]
fn declared_topics_are_compared_made_so_and_exported() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let file = path("topics.toml");
    let text = "[topics.orders]\npartitions = 2\nreplication_factor = 1\n\
                configs = { \"retention.ms\" = 60000 }\n\
                [topics.known]\npartitions = 3\n[topics.same]\npartitions = 1\n";
    std::fs::write(&file, text)?;
    let topics = [("known", 1), ("same", 1), ("undeclared", 1)];
    let mut session = Session::start(WIDE, &["--open", "topics"], &[], &topics)?;
    session.terminal.wait_for("undeclared")?;
    session.see(":apply enter", "declared topics")?;
    session.terminal.send(&file)?;
    session.see("enter", "1 new · 1 changed")?;
    session.see("", "retention.ms 60000")?;
    session.see("", "partitions 1 → 3")?;
    session.see("o", "2 ")?;
    session.terminal.wait_while("same ")?;
    session.see("/ known enter", "partitions 1 → 3")?;
    session.see("enter", "+ 3")?;
    session.see("esc esc t", "pace of the moves")?;
    session.see(
        "ctrl-u 5M tab ctrl-u 2 enter",
        "moves at most 5 MB/s, 2 at a time",
    )?;
    session.see(":pace space none space 3 enter", "moves 3 at a time")?;
    session.see(
        ":pace space fast enter",
        "throttle: it must be a number of bytes",
    )?;
    session.see("x", "create 1 topic, change 1 topic")?;
    session.see("", "known\" keeps 3 partitions: none can be removed")?;
    session.see("", "accepts this")?;
    session.see("y", "✓ apply declared topics")?;
    session.see("", "everything is as declared")?;
    session.see("x", "nothing to do")?;
    // What is not declared goes only when told, by its name.
    session.see("D", "1 to be deleted")?;
    session.see("x", "type undeclared to confirm")?;
    session.see("esc D", "everything is as declared")?;
    // The file changes: it is seen without a key.
    std::fs::write(
        &file,
        text.replace("60000", "70000")
            .replace("partitions = 3", "partitions = 2"),
    )?;
    session.see("", "it has 3 partitions, and 2 are declared")?;
    session.see("x", "mark the others")?;
    session.see("/ orders enter space x", "60000 → 70000")?;
    session.see("", "accepts this")?;
    session.see("y", "✓ apply declared topics")?;
    std::fs::write(&file, "[topics.orders]\npartitons = 2\n")?;
    session.see("", "did you mean partitions?")?;
    session.terminal.resize(40, 10)?;
    session.see("", "did you mean")?;
    session.terminal.resize(200, 60)?;

    session.see(":topics enter", "undeclared")?;
    session.see("x", "export all topics")?;
    session.terminal.keys("ctrl-u")?;
    session.terminal.send(&path("all.yaml"))?;
    session.see("enter", "4 topics are written")?;
    let exported = std::fs::read_to_string(path("all.yaml"))?;
    assert!(exported.contains("\"retention.ms\": 70000"), "{exported}");
    session.see("x", "export all topics")?;
    session.terminal.keys("ctrl-u")?;
    session.terminal.send(&path("all.yaml"))?;
    session.see("enter", "File exists")?;
    session.see("u", "undo: apply declared topics")?;
    session.see("", "70000 → 60000")?;
    session.terminal.keys("esc")?;
    session.quit()
}
