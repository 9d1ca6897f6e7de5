//! Lag that can be believed: what is held up by an open transaction, what was deleted unread, and a
//! partition without a leader, each in its own cells; on the screen, in documents, and as metrics.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command::{document, run, run_with};
use crate::transactions::begin;
use crate::{manager, shell};

const DEADLINE: Duration = Duration::from_secs(90);
const TOPIC: &str = "lagging";
const GROUP: &str = "behind";

/// Ten records in each of three partitions, one on each broker; the group has read two of each.
fn prepare(cluster: &Cluster) -> anyhow::Result<()> {
    let create = [
        "--create",
        "--topic",
        TOPIC,
        "--replica-assignment",
        "1,2,3",
    ];
    cluster.tool("kafka-topics", &create, None)?;
    let lines: String = (0..30)
        .map(|n| format!("{{\"partition\":{},\"value\":\"v{n}\"}}\n", n % 3))
        .collect();
    let bootstrap = cluster.bootstrap();
    let import = ["--bootstrap", &bootstrap, "messages", "import", TOPIC];
    let (code, told) = run_with(&import, Some(&lines))?;
    ensure!(code == 0, "{told}");
    let args = ["--group", GROUP, "--topic", TOPIC, "--reset-offsets"];
    let args = [&args[..], &["--to-offset", "2", "--execute"]].concat();
    cluster.tool("kafka-consumer-groups", &args, None)?;
    // Partition 0: one more record, in a transaction that nobody ends.
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(begin(&bootstrap, "holder", TOPIC, true, 0))?;
    // Partition 1: the first six are deleted, of which the group has read two.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("until.json");
    let until = format!(
        "{{\"version\":1,\"partitions\":[{{\"topic\":\"{TOPIC}\",\"partition\":1,\"offset\":6}}]}}"
    );
    std::fs::write(&file, until)?;
    let file = file.to_str().context("a path in UTF-8")?;
    let args = ["--offset-json-file", file];
    cluster.tool("kafka-delete-records", &args, None).map(drop)
}

/// The rows of `groups lag`, by partition.
fn rows(cluster: &Cluster) -> anyhow::Result<(Value, Vec<Value>)> {
    let lag = document(cluster, &["groups", "lag", GROUP])?;
    let rows = lag["partitions"]
        .as_array()
        .cloned()
        .context("partitions")?;
    ensure!(rows.len() == 3, "{lag}");
    Ok((lag, rows))
}

pub fn lags(cluster: &mut Cluster) -> anyhow::Result<()> {
    prepare(cluster)?;
    let (lag, found) = rows(cluster)?;
    ensure!(
        found[0]["lag"] == 9 && found[0]["committed_lag"] == 8,
        "{lag}"
    );
    ensure!(found[1]["lag"] == 8 && found[1]["lost"] == 4, "{lag}");
    ensure!(
        found[2]["lag"] == 8 && found[2]["committed_lag"] == 8,
        "{lag}"
    );
    ensure!(lag["lag"] == 25 && lag["committed_lag"] == 24, "{lag}");
    // Kafka's own tool says the same, but for what it does not know.
    let args = ["--describe", "--group", GROUP];
    let text = cluster.tool("kafka-consumer-groups", &args, None)?;
    for (partition, lag) in [("0", "9"), ("1", "8"), ("2", "8")] {
        let mut lines = text.lines().map(str::split_whitespace);
        let is_it = |words: &mut std::str::SplitWhitespace<'_>| {
            let words: Vec<&str> = words.collect();
            words.get(2) == Some(&partition) && words.get(5) == Some(&lag)
        };
        ensure!(lines.any(|mut words| is_it(&mut words)), "{text}");
    }
    ensure!(found[0]["lag_ms_by"] == "record", "{lag}");
    // Retention is a week: so long the records that wait are kept.
    let kept_ms = found[2]["overtaken_in_ms"].as_i64().unwrap_or(0);
    ensure!(kept_ms > 6 * 86_400_000, "{lag}");
    let listed = document(cluster, &["groups", "list", "--filter", GROUP])?;
    let row = &listed["groups"][0];
    ensure!(
        row["lag"] == 25 && row["partitions_with_loss"] == 1,
        "{row}"
    );
    ensure!(
        ["stop", "stall"].iter().any(|word| row["verdict"] == *word) && row["rule"].is_string(),
        "{row}"
    );
    metrics(cluster)?;
    screens(cluster)?;
    let abort = [
        "transactions",
        "abort",
        "--topic",
        TOPIC,
        "--partition",
        "0",
    ];
    document(
        cluster,
        &[&abort[..], &["--start-offset", "10", "--yes"]].concat(),
    )?;
    cluster.tool(
        "kafka-consumer-groups",
        &["--delete", "--group", GROUP],
        None,
    )?;
    let delete = ["--delete", "--topic", TOPIC];
    cluster.tool("kafka-topics", &delete, None).map(drop)
}

/// The same on the screen, also when the only replica of a partition is gone.
fn screens(cluster: &mut Cluster) -> anyhow::Result<()> {
    let mut terminal = manager(cluster, "groups")?;
    terminal.wait_until("the group's lag and its loss", |terminal| {
        let row = terminal.row(GROUP).unwrap_or_default();
        row.get(2).is_some_and(|lag| lag == "25")
    })?;
    terminal.keys(&format!(":group space {GROUP} enter"))?;
    terminal.wait_for("STABLE LAG")?;
    terminal.wait_for("4 removed by retention before they were read")?;
    terminal.wait_until("a lag of 9, of which 8 are committed", |terminal| {
        let row = terminal.row("lagging-0").unwrap_or_default();
        row.get(3).is_some_and(|lag| lag == "9") && row.iter().any(|word| word == "8")
    })?;
    // How long what waits is kept, exact times without a mark, and the rule of the verdict.
    terminal.wait_until("six days are left", |terminal| {
        let line = terminal.line("lagging-2").unwrap_or_default();
        line.contains(" 6d") || line.contains(" 7d")
    })?;
    terminal.keys("G")?;
    terminal.wait_until("the rule that fired", |terminal| {
        let text = terminal.text();
        text.contains("stop: ") || text.contains("stall: ")
    })?;
    cluster.kill(3);
    terminal.wait_until("one partition without an end", |terminal| {
        let lag = |name: &str| terminal.row(name).unwrap_or_default().get(3).cloned();
        lag("lagging-2").as_deref() == Some("?")
            && lag("lagging-0").as_deref() == Some("9")
            && lag("lagging-1").as_deref() == Some("8")
    })?;
    let described = shell::wait_until(DEADLINE, || {
        let Ok((0, group)) = run(cluster, &["groups", "describe", GROUP]) else {
            return false;
        };
        let rows = group["partitions"].as_array().cloned().unwrap_or_default();
        let lags: Vec<Option<i64>> = rows.iter().map(|row| row["lag"].as_i64()).collect();
        lags == [Some(9), Some(8), None] && group["lag"].is_null()
    });
    ensure!(described, "one partition costs its own cells only");
    cluster.spawn(3)?;
    cluster.wait_for(3)?;
    terminal.wait_until("it is there again", |terminal| {
        let row = terminal.row("lagging-2").unwrap_or_default();
        row.get(3).is_some_and(|lag| lag == "8")
    })?;
    let elected = shell::wait_until(DEADLINE, || {
        let elected = run(cluster, &["elect", "--yes"]);
        elected.is_ok_and(|(code, _)| code == 0)
    });
    ensure!(elected, "leaders are where they were");
    Ok(())
}

/// What the exporter says of groups.
fn metrics(cluster: &Cluster) -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
    command.args(["--bootstrap", &cluster.bootstrap(), "exporter"]);
    command.args(["--listen", "127.0.0.1:0", "--refresh", "1", "--partitions"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut exporter = command.stderr(Stdio::null()).spawn()?;
    let outcome = scrape(&mut exporter);
    shell::kill(&mut exporter);
    outcome
}

fn scrape(exporter: &mut std::process::Child) -> anyhow::Result<()> {
    let output = exporter.stdout.take().context("what it says")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let address = line
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let address = address.with_context(|| format!("no address in {line}"))?;
    let mut page = String::new();
    let wanted = [
        format!("kafka_group_lag_records{{group=\"{GROUP}\"}} 25"),
        format!("kafka_group_partitions_with_loss{{group=\"{GROUP}\"}} 1"),
        "kafka_group_lag_seconds{group=\"classic-one\"} 0".to_owned(),
        "kafka_group_verdict{group=\"classic-one\",verdict=\"ok\"} 1".to_owned(),
        format!(
            "kafka_group_partition_lag_records{{group=\"{GROUP}\",topic=\"{TOPIC}\",\
             partition=\"0\"}} 9"
        ),
    ];
    let is_so = shell::wait_until(DEADLINE, || {
        page = get(address).unwrap_or_default();
        wanted.iter().all(|line| page.contains(line.as_str()))
    });
    ensure!(is_so, "{wanted:?} in\n{page}");
    Ok(())
}

fn get(address: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}
