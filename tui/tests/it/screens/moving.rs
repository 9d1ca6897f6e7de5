//! Messages that are written to a file, read from one, and copied, by their keys.

use super::*;

#[test]
fn messages_are_exported_imported_and_copied() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let topics = [("log", 2), ("copy", 2), ("small", 1)];
    let mut session = Session::start(SMALL, &[], &[], &topics)?;
    let bootstrap = session.bootstrap();
    session.runtime.block_on(produce(&bootstrap, "log", 30))?;
    session.see(":messages space log enter", "value-29")?;
    session.see("x", "export messages of log")?;
    session.terminal.keys("ctrl-u")?;
    session.terminal.send(&path("log.jsonl"))?;
    session.see("enter", "30 messages of log are in")?;
    let exported = std::fs::read_to_string(path("log.jsonl"))?;
    assert_eq!(exported.lines().count(), 30, "{exported}");
    // What is chosen is what is taken; what is there is not written over.
    session.see(":find space value== enter", "nothing follows")?;
    session.see(":find space value==value-7 enter", "1 · the newest")?;
    session.see("x", "Only what fits: value==value-7")?;
    session.terminal.keys("ctrl-u")?;
    session.terminal.send(&path("log.jsonl"))?;
    session.see("enter", "is there already")?;
    session.see("f ctrl-u enter", "value-29")?;

    session.see("c", "copy messages of log")?;
    session.see("enter", "which topic?")?;
    session.see("none enter", "does not exist there")?;
    session.see("ctrl-u log enter", "can't be copied to itself")?;
    session.see("ctrl-u small enter", "2 partitions don't fit into 1")?;
    session.see(
        "ctrl-u copy tab tab ctrl-u soon enter",
        "\"soon\" is none of",
    )?;
    session.see("ctrl-u start enter", "30 records")?;
    session.see("", "can't be taken back")?;
    session.see("y", "✓ copy topic \"log\" to topic \"copy\": 30 records")?;
    session.see("esc :messages space copy enter", "value-29")?;
    session.see("", "30 · the newest")?;

    session.see("i", "import messages into copy")?;
    session.terminal.send(&path("none"))?;
    session.see("enter", "No such file")?;
    session.terminal.keys("ctrl-u")?;
    session.terminal.send(&path("log.jsonl"))?;
    session.see("enter", "30 records")?;
    session.see("y", "✓ import")?;
    session.see("e", "60 · the newest")?;
    session.quit()
}

#[test]
fn a_copy_to_another_cluster_is_confirmed_as_that_cluster_wants_it() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let other = runtime.block_on(TestBroker::start(&SETTINGS))?;
    let there = other.bootstrap();
    runtime.block_on(create(&there, "log", 1))?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.toml");
    let text = format!(
        "[clusters.prod]\nbootstrap = \"{there}\"\ndanger = \"high\"\n\
         [clusters.fixed]\nbootstrap = \"{there}\"\nread_only = true\n"
    );
    std::fs::write(&config, text)?;
    let config = config.display().to_string();
    // The cluster that is read from may be read-only.
    let options = ["--read-only", "--config-file", &config];
    let mut session = Session::start(SMALL, &options, &[], &[("log", 1)])?;
    let bootstrap = session.bootstrap();
    session.runtime.block_on(produce(&bootstrap, "log", 3))?;
    session.see(":messages space log enter", "value-2")?;
    session.see("i", "read-only")?;
    session.terminal.keys("esc")?;
    session.see("c tab nowhere enter", "no cluster \"nowhere\" is saved")?;
    session.see("ctrl-u fixed enter", "read-only")?;
    session.see("ctrl-u prod enter", "type prod to confirm")?;
    session.see("y enter", "type prod to confirm")?;
    session.see("backspace prod enter", "✓ copy topic")?;
    let read = runtime.block_on(async {
        let client = crate::client(&[there.parse()?]);
        let read = kafka_tui::cluster::ReadMessages {
            topic: "log".to_owned(),
            ..kafka_tui::cluster::ReadMessages::default()
        };
        let read = client.read_messages(&read).await;
        read.map_err(|fault| anyhow::anyhow!("{fault}"))
    })?;
    assert_eq!(read.0.len(), 3);
    session.quit()?;
    runtime.block_on(other.stop())?;
    Ok(())
}
