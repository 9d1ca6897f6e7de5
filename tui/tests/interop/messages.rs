//! Messages by keys: read from a time, followed, chosen by filter and partition, markers seen,
//! written with headers, exported, imported and copied; as Kafka's tools see them.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use kafka_shared::types::Endpoint;

use crate::cluster::Cluster;
use crate::command::run_with;
use crate::manager;
use crate::shell;
use crate::transaction::transaction;

/// What kafka-console-consumer prints of a topic, line by line.
fn consumed(cluster: &Cluster, topic: &str, n: &str) -> anyhow::Result<Vec<String>> {
    let args = [
        "--topic",
        topic,
        "--from-beginning",
        "--max-messages",
        n,
        "--timeout-ms",
        "30000",
        "--formatter-property",
        "print.key=true",
        "--formatter-property",
        "print.headers=true",
        "--formatter-property",
        "print.partition=true",
    ];
    let text = cluster.tool("kafka-console-consumer", &args, None)?;
    let lines = text.lines().filter(|line| line.starts_with("Partition:"));
    Ok(lines.map(str::to_owned).collect())
}

pub fn by_keys(cluster: &mut Cluster) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    for topic in ["shown", "shown-copy"] {
        let args = ["--create", "--topic", topic, "--partitions", "2"];
        // What is written is older than Kafka keeps records.
        let args = [&args[..], &["--config", "retention.ms=-1"]].concat();
        cluster.tool("kafka-topics", &args, None)?;
    }
    // Hours apart, so that a time lies between them.
    let line = |n: i64| {
        format!(
            "{{\"partition\":{},\"timestamp_ms\":{},\"key\":\"k{n}\",\"value\":\"{{\\\"a\\\":{{\\\"b\\\":{n}}}}}\",\
             \"headers\":[{{\"key\":\"h\",\"value\":\"{}\"}}]}}\n",
            n % 2,
            1_700_000_000_000 + n * 3_600_000,
            n % 3
        )
    };
    let lines: String = (0..10).map(line).collect();
    let bootstrap = cluster.bootstrap();
    let import = ["--bootstrap", &bootstrap, "messages", "import", "shown"];
    let (code, done) = run_with(&import, Some(&lines))?;
    ensure!(code == 0 && done["messages"] == 10, "{done}");

    let mut terminal = manager(cluster, "topics")?;
    terminal.keys(":messages space shown enter")?;
    terminal.wait_for("10 · the newest")?;
    // From a time: 5 h after the first, in UTC as everything is shown.
    terminal.keys("w")?;
    terminal.wait_for("read from a time")?;
    terminal.keys("2023-11-15 space 03:13 enter")?;
    terminal.wait_for("5 · from 2023-11-15 03:13:00")?;
    terminal.wait_for("k5")?;
    terminal.wait_while("k4")?;
    // From an offset of every partition: 3 and 4 of both.
    terminal.keys("o 3 enter")?;
    terminal.wait_for("4 · from offset 3")?;
    // By key, header, value, path and time.
    for (filter, n, seen) in [
        ("key space == space k7", 1, "k7"),
        ("header.h space == space 2", 3, "k8"),
        ("value.a.b space < space 3", 3, "k2"),
        ("value space ~ space :9", 1, "k9"),
        ("time space >= space 2023-11-15T06:13", 2, "k9"),
    ] {
        terminal.keys(&format!("f ctrl-u {filter} enter"))?;
        terminal.keys("b")?;
        terminal.wait_for(&format!("{n} · from the start"))?;
        terminal.wait_for(seen)?;
        terminal.wait_for("looked at")?;
    }
    // One partition only.
    terminal.keys("f ctrl-u tab ctrl-u 1 enter")?;
    terminal.wait_for("5 · from the start")?;
    terminal.wait_while("k4")?;
    terminal.keys("f tab ctrl-u enter")?;
    terminal.wait_for("10 · from the start")?;

    // Markers, on demand.
    let servers: Result<Vec<Endpoint>, _> = bootstrap.split(',').map(str::parse).collect();
    let servers = servers?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let at = ("shown", 0);
        transaction(&servers, "shown-a", at, &["kept"], Some(true)).await?;
        transaction(&servers, "shown-b", at, &["dropped"], Some(false)).await
    })?;
    // A transaction is ended a moment after its producer was told so.
    let read = ["--bootstrap", &bootstrap, "messages", "read", "shown"];
    let read = [&read[..], &["--filter", "value == dropped"]].concat();
    let is_aborted = || {
        let read = run_with(&read, None);
        read.is_ok_and(|(_, read)| read["messages"][0]["transaction"] == "aborted")
    };
    ensure!(
        shell::wait_until(Duration::from_secs(60), is_aborted),
        "it is not aborted"
    );
    terminal.keys("b")?;
    terminal.wait_for("[aborted] dropped")?;
    ensure!(
        !terminal.text().contains("commit marker"),
        "{}",
        terminal.text()
    );
    terminal.keys("f tab tab tab tab tab space enter")?;
    terminal.wait_for("-- commit marker")?;
    terminal.wait_for("-- abort marker")?;
    terminal.keys("f tab tab tab tab tab space enter")?;
    terminal.wait_while("-- commit marker")?;

    // Followed while another producer writes, and while this one does, with headers.
    terminal.keys("t")?;
    terminal.wait_for("following")?;
    cluster.tool(
        "kafka-console-producer",
        &["--topic", "shown"],
        Some("by-kafka\n"),
    )?;
    terminal.wait_for("by-kafka")?;
    terminal.keys("n")?;
    terminal.wait_for("write a message to shown")?;
    terminal.keys("ours tab by-keys tab tab h=1,g=2 tab 1 enter")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ write")?;
    terminal.wait_for("by-keys")?;
    let all = consumed(cluster, "shown", "14")?;
    let written = all.iter().find(|line| line.ends_with("by-keys"));
    let written = written.context("what was written by keys")?;
    ensure!(
        written == "Partition:1\th:1,g:2\tours\tby-keys",
        "{written}"
    );

    // To a file and to another topic: what is committed, as Kafka's consumer reads it there.
    terminal.keys("e")?;
    terminal.wait_for("· the newest")?;
    terminal.keys("x")?;
    terminal.wait_for("export messages of shown")?;
    terminal.keys("ctrl-u")?;
    terminal.send(&path("shown.jsonl"))?;
    terminal.keys("enter")?;
    terminal.wait_for("13 messages of shown are in")?;
    let exported = std::fs::read_to_string(path("shown.jsonl"))?;
    ensure!(
        exported.lines().count() == 13 && !exported.contains("dropped"),
        "{exported}"
    );
    terminal.keys("c shown-copy enter")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    // The plan, which told of 13 records, closes when they are written.
    terminal.wait_for("✓ copy topic")?;
    terminal.keys(":messages space shown-copy enter")?;
    terminal.wait_for("13 · the newest")?;
    terminal.keys("i")?;
    terminal.wait_for("import messages into shown-copy")?;
    terminal.send(&path("shown.jsonl"))?;
    terminal.keys("enter")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ import")?;
    let there = consumed(cluster, "shown-copy", "26")?;
    for n in 0..10 {
        let line = format!(
            "Partition:{}\th:{}\tk{n}\t{{\"a\":{{\"b\":{n}}}}}",
            n % 2,
            n % 3
        );
        let times = there.iter().filter(|seen| **seen == line).count();
        ensure!(times == 2, "{line} is there {times} times: {there:#?}");
    }

    // Kafka's own topic, with the records of a group of the new protocol.
    terminal.keys(":messages space __consumer_offsets enter")?;
    terminal.wait_for("· the newest")?;
    terminal.keys(":find space key.record==ConsumerGroupCurrentMemberAssignment enter")?;
    // As far as the column is wide.
    terminal.wait_for("\"state\":\"STAB")?;
    Ok(())
}
