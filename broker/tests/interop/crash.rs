//! kill -9 under a stock producer's load: what was acknowledged is there once, in order.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::ours::Ours;
use crate::shell;
use crate::{Case, apache};

const ROUNDS: usize = 20;

pub fn cases() -> Vec<Case> {
    vec![Case::new(
        format!("crash: {ROUNDS} rounds of kill -9 under a stock idempotent producer"),
        acknowledged_records_survive,
    )]
}

/// Kafka's verifiable producer prints each acknowledged value; the broker is killed every 1,000.
fn acknowledged_records_survive() -> anyhow::Result<()> {
    let mut broker = Ours::start()?;
    let boot = broker.bootstrap();
    let folder = broker.folder().to_path_buf();
    let patient = folder.join("producer.properties");
    std::fs::write(
        &patient,
        "enable.idempotence=true\nacks=all\nretries=2147483647\ndelivery.timeout.ms=120000\n\
         request.timeout.ms=5000\nreconnect.backoff.max.ms=100\nmax.in.flight.requests.per.connection=5\n",
    )?;
    let create = ["--bootstrap-server", &boot, "--create", "--topic", "crash"];
    apache::tool("kafka-topics", &create.map(str::to_owned), None)?.success()?;

    let mut args = vec!["--bootstrap-server".to_owned(), boot.clone()];
    args.extend(["--topic", "crash", "--acks", "-1", "--throughput", "4000"].map(str::to_owned));
    args.extend(["--command-config".to_owned(), patient.display().to_string()]);
    let mut producer = apache::tool_command("kafka-verifiable-producer", &args)?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (acked, mut values) = (mpsc::channel(), Vec::<u64>::new());
    let pipe = producer.stdout.take().context("the producer's output")?;
    let sender = acked.0;
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if let Some(value) = acknowledged_value(&line)
                && sender.send(value).is_err()
            {
                break;
            }
        }
    });
    for round in 0..ROUNDS {
        for _ in 0..1000 {
            let value = acked.1.recv_timeout(Duration::from_secs(60));
            values.push(value.with_context(|| format!("no acknowledgement in round {round}"))?);
        }
        broker.kill();
        broker
            .up()
            .with_context(|| format!("start after kill {round}"))?;
    }
    shell::terminate(&mut producer, Duration::from_secs(60))?;
    values.extend(acked.1.iter());

    let offsets = [
        "--bootstrap-server",
        &boot,
        "--topic",
        "crash",
        "--partition",
        "0",
    ];
    let all = ["--offset", "earliest", "--timeout-ms", "5000"].map(str::to_owned);
    let args = [&offsets.map(str::to_owned)[..], &all[..]].concat();
    let stored = apache::tool("kafka-console-consumer", &args, None)?.stdout;
    let stored: Vec<u64> = stored
        .lines()
        .filter_map(|l| l.trim().parse().ok())
        .collect();
    ensure!(
        stored.windows(2).all(|w| w[0] < w[1]),
        "a record is there twice or out of order"
    );
    let lost: Vec<&u64> = values
        .iter()
        .filter(|v| stored.binary_search(v).is_err())
        .take(10)
        .collect();
    ensure!(
        lost.is_empty(),
        "acknowledged, but not there: {lost:?} of {}",
        values.len()
    );
    println!(
        "     {} acknowledged, {} stored, {ROUNDS} kills",
        values.len(),
        stored.len()
    );
    Ok(())
}

fn acknowledged_value(line: &str) -> Option<u64> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    (event["name"] == "producer_send_success").then(|| event["value"].as_str()?.parse().ok())?
}
