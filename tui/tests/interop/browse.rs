//! Messages: what Kafka's console producer wrote is read, what is imported Kafka's console consumer
//! reads, transactions are told apart, and Kafka's own topics are legible.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use kafka_shared::types::Endpoint;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::manager;
use crate::transaction::transaction;

/// Runs a command of the manager; its document.
fn run(cluster: &Cluster, args: &[&str], stdin: Option<&str>) -> anyhow::Result<Value> {
    use std::io::Write as _;
    let bootstrap = cluster.bootstrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kafka-tui"))
        .args(["--output", "json", "--bootstrap", &bootstrap])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("its stdin")?;
    input.write_all(stdin.unwrap_or_default().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{args:?}: {errors}");
    serde_json::from_slice(&output.stdout).with_context(|| format!("{args:?}"))
}

fn rows<'d>(document: &'d Value, names: &[&str]) -> anyhow::Result<Vec<Vec<&'d Value>>> {
    let messages = document["messages"].as_array().context("messages")?;
    Ok(messages
        .iter()
        .map(|message| names.iter().map(|name| &message[name]).collect())
        .collect())
}

/// What of the three transactions is left by isolation and filter, and what Kafka's own topic says.
fn isolation(cluster: &Cluster) -> anyhow::Result<()> {
    let read = |args: &[&str]| {
        let from = ["messages", "read", "browse", "--start", "0:3"];
        run(
            cluster,
            &[&from[..], &["--from", "beginning"], args].concat(),
            None,
        )
    };
    for (args, values) in [
        (&["--isolation", "read_committed"][..], &["committed"][..]),
        (&["--filter", "aborted"], &["aborted"]),
        (&[], &["committed", "aborted", "open"]),
    ] {
        let read = read(args)?;
        let seen: Vec<&str> = rows(&read, &["value"])?
            .iter()
            .filter_map(|row| row[0].as_str())
            .collect();
        ensure!(seen == values, "{args:?}: {seen:?}");
    }
    let args = [
        "messages",
        "read",
        "__transaction_state",
        "--from",
        "beginning",
    ];
    let args = [&args[..], &["--filter", "key ~ browse-c"]].concat();
    let internal = run(cluster, &args, None)?;
    let rows = rows(&internal, &["value"])?;
    let is_ongoing = |row: &Vec<&Value>| row[0]["transaction_status"] == "Ongoing";
    ensure!(rows.iter().any(is_ongoing), "{internal}");
    Ok(())
}

pub fn messages(cluster: &mut Cluster) -> anyhow::Result<()> {
    let create = |topic: &str, partitions: &str| {
        let args = ["--create", "--topic", topic, "--partitions", partitions];
        cluster.tool("kafka-topics", &args, None)
    };
    create("browse", "1")?;
    create("browse-copy", "1")?;
    let args = [
        "--topic",
        "browse",
        "--compression-codec",
        "gzip",
        "--reader-property",
        "parse.key=true",
        "--reader-property",
        "parse.headers=true",
        "--reader-property",
        "null.marker=NULL",
    ];
    let text = "h:1,g:2\tk1\t{\"a\":{\"b\":7}}\nh:1\tk2\tNULL\nh:x\tk3\tplain\n";
    cluster.tool("kafka-console-producer", &args, Some(text))?;
    let read = run(cluster, &["messages", "read", "browse"], None)?;
    let seen = rows(&read, &["key", "value", "value_decoder", "compression"])?;
    let (json, text, none) = (json!("json"), json!("text"), Value::Null);
    let codecs: Vec<&Value> = seen.iter().map(|row| row[3]).collect();
    ensure!(codecs.iter().all(|codec| **codec == "gzip"), "{codecs:?}");
    let seen: Vec<&[&Value]> = seen.iter().map(|row| &row[..3]).collect();
    let object = json!({"a": {"b": 7}});
    let expected: [[&Value; 3]; 3] = [
        [&json!("k1"), &object, &json],
        [&json!("k2"), &none, &none],
        [&json!("k3"), &json!("plain"), &text],
    ];
    ensure!(seen == expected, "{seen:?}");
    let headers = &read["messages"][0]["headers"];
    let expected = json!([{"key": "h", "value": "1"}, {"key": "g", "value": "2"}]);
    ensure!(*headers == expected, "{headers}");
    let filter = [
        "messages",
        "read",
        "browse",
        "--filter",
        "value.a.b == 7 and header.g == 2",
    ];
    ensure!(rows(&run(cluster, &filter, None)?, &["offset"])? == [[&json!(0)]]);

    let servers: Result<Vec<Endpoint>, _> =
        cluster.bootstrap().split(',').map(str::parse).collect();
    let servers = servers?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let at = ("browse", 0);
        transaction(&servers, "browse-a", at, &["committed"], Some(true)).await?;
        transaction(&servers, "browse-b", at, &["aborted"], Some(false)).await?;
        transaction(&servers, "browse-c", at, &["open"], None).await
    })?;
    let all = run(
        cluster,
        &[
            "messages",
            "read",
            "browse",
            "--control",
            "--start",
            "0:3",
            "--from",
            "beginning",
        ],
        None,
    )?;
    let seen: Vec<String> = rows(&all, &["value", "transaction"])?
        .iter()
        .map(|row| {
            format!(
                "{} {}",
                row[0].as_str().unwrap_or_default(),
                row[1].as_str().unwrap_or("-")
            )
        })
        .collect();
    let kinds = [
        ("committed", "committed"),
        ("commit marker", "-"),
        ("aborted", "aborted"),
        ("abort marker", "-"),
        ("open", "open"),
    ];
    let fits = seen.len() == kinds.len()
        && seen
            .iter()
            .zip(kinds)
            .all(|(seen, (value, kind))| seen.starts_with(value) && seen.ends_with(kind));
    ensure!(fits, "{seen:?}");
    let counts = (&all["read"]["control"], &all["read"]["aborted"]);
    ensure!(counts == (&json!(2), &json!(1)), "{}", all["read"]);
    isolation(cluster)?;

    // Only what is committed is copied; Kafka's consumer reads the same.
    let copied = run(
        cluster,
        &["messages", "copy", "browse", "browse-copy"],
        None,
    )?;
    ensure!(copied["messages"] == 4, "{copied}");
    let import = "{\"key\":\"k5\",\"value\":\"imported\",\"headers\":[{\"key\":\"h\",\"value\":null}],\"timestamp_ms\":1700000000000}\n";
    run(
        cluster,
        &["messages", "import", "browse-copy"],
        Some(import),
    )?;
    let args = [
        "--topic",
        "browse-copy",
        "--from-beginning",
        "--max-messages",
        "5",
        "--timeout-ms",
        "30000",
        "--formatter-property",
        "print.key=true",
        "--formatter-property",
        "print.headers=true",
        "--formatter-property",
        "print.timestamp=true",
    ];
    let printed = cluster.tool("kafka-console-consumer", &args, None)?;
    let lines: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with("CreateTime"))
        .collect();
    ensure!(lines.len() == 5, "{printed}");
    for (line, end) in lines.iter().zip([
        "h:1,g:2\tk1\t{\"a\":{\"b\":7}}",
        "h:1\tk2\tnull",
        "h:x\tk3\tplain",
        "NO_HEADERS\tnull\tcommitted",
        "h:null\tk5\timported",
    ]) {
        ensure!(line.ends_with(end), "{line} is not {end}");
    }
    ensure!(
        lines[4].starts_with("CreateTime:1700000000000"),
        "{}",
        lines[4]
    );

    let own = [
        "messages",
        "read",
        "__consumer_offsets",
        "-n",
        "5",
        "--filter",
        "key.group == stopped and value.offset == 16",
    ];
    let own = run(cluster, &own, None)?;
    let seen = rows(&own, &["key", "value_decoder"])?;
    let first = seen
        .first()
        .context("an offset of the group that stopped")?;
    ensure!(
        first[0]["topic"] == "orders" && *first[1] == "offsets",
        "{own}"
    );

    let mut terminal = manager(cluster, "topics")?;
    terminal.keys(":messages space browse enter")?;
    terminal.wait_for("[aborted] aborted")?;
    terminal.wait_for("[open transaction] open")?;
    Ok(())
}
