//! Burrow's verdicts on real consumers that hold still, go back or are gone, each with its rule; and
//! how long retention still leaves what waits.

use std::time::Duration;

use anyhow::ensure;
use kafka_shared::time::{Clock as _, SystemClock};

use crate::cluster::Cluster;
use crate::command::{document, run_with, until};
use crate::manager;
use crate::members::{CLASSIC, CONSUMER, Program};

const DEADLINE: Duration = Duration::from_secs(90);
const HOUR_MS: i64 = 3_600_000;

pub fn verdicts(cluster: &mut Cluster) -> anyhow::Result<()> {
    let program = Program::compile()?;
    let mut clients = program.start(&cluster.bootstrap())?;
    let topic = "judged";
    let create = ["topics", "create", topic, "--partitions", "1"];
    let kept_ms = 2 * HOUR_MS - 120_000;
    let retention = format!("retention.ms={kept_ms}");
    let options = ["--replication-factor", "3", "--config", &retention];
    document(cluster, &[&create[..], &options].concat())?;
    // Written an hour ago, as far as anybody can tell.
    let at_ms = SystemClock::new().wall_ms() - HOUR_MS;
    let line = |n| format!("{{\"partition\":0,\"timestamp_ms\":{at_ms},\"value\":\"v{n}\"}}\n");
    let lines: String = (0..400).map(line).collect();
    let bootstrap = cluster.bootstrap();
    let (code, said) = run_with(
        &["--bootstrap", &bootstrap, "messages", "import", topic],
        Some(&lines),
    )?;
    ensure!(code == 0, "{said}");
    for (group, protocol) in [
        ("judged-stall", CLASSIC),
        ("judged-rewind", CONSUMER),
        ("judged-stop", CLASSIC),
    ] {
        // What it reads meanwhile it does not commit by itself.
        let options = format!("{protocol} enable.auto.commit=false");
        clients.order(&format!("consumer {group}-1 {group} {options}"))?;
        clients.order(&format!("topics {group}-1 judged"))?;
    }
    clients.order("commit judged-stall-1 100 0")?;
    clients.order("commit judged-rewind-1 390 -1")?;
    clients.order("commit judged-stop-1 100 1")?;
    let commits = |group: &str| {
        until(cluster, &["groups", "lag", group], |lag| {
            lag["partitions"][0]["complete"] == 1.0
        })
    };
    let rewound = commits("judged-rewind")?;
    ensure!(
        rewound["verdict"] == "rewind"
            && rewound["partitions"][0]["rule"] == "an offset went back and was not reached again",
        "{rewound}"
    );
    let stalled = commits("judged-stall")?;
    ensure!(
        stalled["verdict"] == "stall"
            && stalled["lag"] == 300
            && stalled["partitions"][0]["rule"] == "it commits the same offset while records wait",
        "{stalled}"
    );
    let left_ms = stalled["overtaken_in_ms"].as_i64().unwrap_or(0);
    let left = kept_ms - HOUR_MS - 600_000..kept_ms - HOUR_MS;
    ensure!(left.contains(&left_ms), "{left_ms} of {left:?}: {stalled}");
    ensure!(
        stalled["partitions"][0]["lag_ms_by"] == "record",
        "{stalled}"
    );
    commits("judged-stop")?;
    clients.order("close judged-stop-1")?;
    clients.wait_for("judged-stop-1 closed", DEADLINE)?;
    let stopped = until(cluster, &["groups", "lag", "judged-stop"], |lag| {
        lag["verdict"] == "stop"
    })?;
    let rule = "nothing was committed for longer than the whole window took";
    ensure!(stopped["partitions"][0]["rule"] == rule, "{stopped}");
    let mut terminal = manager(cluster, "group judged-stall")?;
    terminal.wait_for("verdict stall")?;
    terminal.wait_for("stall: it commits the same offset while records wait")?;
    // The hour that is left, or what the minutes since have left of it.
    terminal.wait_for("retention in 5")?;
    // The list can't see by its own samples that an offset went back; it says what the page has read.
    terminal.keys(":group space judged-rewind enter")?;
    terminal.wait_for("verdict rewind")?;
    terminal.keys("4 / judged-rewind enter")?;
    terminal.wait_until("the page's verdict in the list", |terminal| {
        let row = terminal.row("judged-rewind");
        row.is_some_and(|row| row.iter().any(|cell| cell == "rewind"))
    })?;
    clients.order("close judged-stall-1")?;
    clients.order("close judged-rewind-1")
}
