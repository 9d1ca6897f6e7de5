//! kafka-dump-log reads every file that our broker wrote.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::ours::Ours;
use crate::{Case, apache};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "files: dump-log reads data, indexes and snapshots",
            data_files_are_readable,
        ),
        Case::new(
            "files: dump-log decodes __consumer_offsets",
            offsets_are_decoded,
        ),
        Case::new(
            "files: dump-log decodes the metadata log",
            metadata_log_is_decoded,
        ),
    ]
}

fn tool(name: &str, args: &[&str], stdin: Option<&str>) -> anyhow::Result<String> {
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    apache::tool(name, &args, stdin)?.success()
}

/// A broker with small segments, a few thousand records in it, a committed group; stopped.
fn written() -> anyhow::Result<Ours> {
    let mut broker = Ours::start()?;
    let boot = broker.bootstrap();
    let create = ["--bootstrap-server", &boot, "--create", "--topic", "dumped"];
    let config = [
        "--config",
        "segment.bytes=1048576",
        "--config",
        "index.interval.bytes=4096",
    ];
    tool("kafka-topics", &[&create[..], &config[..]].concat(), None)?;
    let perf = [
        "--bootstrap-server",
        &boot,
        "--topic",
        "dumped",
        "--num-records",
        "30000",
    ];
    let load = ["--record-size", "100", "--throughput", "-1"];
    tool(
        "kafka-producer-perf-test",
        &[&perf[..], &load[..]].concat(),
        None,
    )?;
    let read = [
        "--bootstrap-server",
        &boot,
        "--topic",
        "dumped",
        "--group",
        "dumpers",
    ];
    let from = ["--from-beginning", "--max-messages", "1000"];
    tool(
        "kafka-console-consumer",
        &[&read[..], &from[..]].concat(),
        None,
    )?;
    broker.down()?;
    Ok(broker)
}

fn files_in(folder: &Path, suffix: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(suffix) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn dump(files: &[PathBuf], options: &[&str]) -> anyhow::Result<String> {
    let list: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
    let list = list.join(",");
    tool(
        "kafka-dump-log",
        &[&["--files", &list], options].concat(),
        None,
    )
}

fn data_files_are_readable() -> anyhow::Result<()> {
    let broker = written()?;
    let folder = broker.data().join("dumped-0");
    let logs = files_in(&folder, ".log")?;
    ensure!(
        logs.len() >= 3,
        "segments of 1 MiB were not rolled: {logs:?}"
    );
    let text = dump(&logs, &["--print-data-log"])?;
    let records = text.matches("| offset: ").count();
    ensure!(records == 30_000, "{records} of 30000 records were found");
    ensure!(
        !text.contains("isvalid: false"),
        "a batch with a wrong checksum"
    );
    for suffix in [".index", ".timeindex"] {
        let files = files_in(&folder, suffix)?;
        ensure!(files.len() == logs.len(), "{} {suffix} files", files.len());
        let text = dump(&files, &[])?;
        ensure!(!text.contains("Found timestamp mismatch"), "{text}");
        ensure!(!text.contains("Mismatches in"), "{text}");
        ensure!(!text.contains("Found out of order"), "{text}");
        let checked = dump(&files, &["--index-sanity-check"])?;
        let passed = checked.matches("passed sanity check").count();
        ensure!(passed == files.len(), "{checked}");
        dump(&files, &["--verify-index-only"])?;
    }
    let snapshots = files_in(&folder, ".snapshot")?;
    ensure!(
        !snapshots.is_empty(),
        "no producer snapshot after a clean shutdown"
    );
    let text = dump(&snapshots, &[])?;
    ensure!(text.contains("producerId: "), "{text}");
    Ok(())
}

fn offsets_are_decoded() -> anyhow::Result<()> {
    let broker = written()?;
    let mut text = String::new();
    for partition in 0..5 {
        let folder = broker
            .data()
            .join(format!("__consumer_offsets-{partition}"));
        text += &dump(&files_in(&folder, ".log")?, &["--offsets-decoder"])?;
    }
    ensure!(
        text.contains("\"group\":\"dumpers\""),
        "no record of the group:\n{text}"
    );
    ensure!(
        text.contains("\"topic\":\"dumped\""),
        "no committed offset:\n{text}"
    );
    ensure!(
        text.contains("\"protocolType\":\"consumer\""),
        "no group metadata:\n{text}"
    );
    ensure!(
        !text.contains("isvalid: false"),
        "a batch with a wrong checksum"
    );
    Ok(())
}

fn metadata_log_is_decoded() -> anyhow::Result<()> {
    let broker = written()?;
    let folder = broker.data().join("__cluster_metadata-0");
    let text = dump(&files_in(&folder, ".log")?, &["--cluster-metadata-decoder"])?;
    for wanted in [
        "LeaderChange",
        "FEATURE_LEVEL_RECORD",
        "REGISTER_BROKER_RECORD",
        "TOPIC_RECORD",
    ] {
        ensure!(text.contains(wanted), "no {wanted}:\n{text}");
    }
    ensure!(
        text.contains("\"name\":\"dumped\""),
        "the topic is not there:\n{text}"
    );
    ensure!(
        !text.contains("isvalid: false"),
        "a batch with a wrong checksum"
    );
    Ok(())
}
