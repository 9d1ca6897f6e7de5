//! Data folders that change hands between Apache Kafka and our broker.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::apache::{self, Apache};
use crate::node::LOWERED;
use crate::ours::Ours;
use crate::{Case, shell};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "folders: Apache's is left alone, taken over after a downgrade, and goes back",
            apaches_folder_changes_hands,
        ),
        Case::new(
            "folders: one that Apache has only formatted",
            freshly_formatted_folders,
        ),
        Case::new(
            "folders: the metadata shell reads our snapshots and log",
            metadata_shell_reads_ours,
        ),
    ]
}

fn tool(name: &str, args: &[&str], stdin: Option<&str>) -> anyhow::Result<String> {
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    apache::tool(name, &args, stdin)?.success()
}

/// All files below a folder with their bytes.
fn content(folder: &Path) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(content(&path)?);
        } else {
            let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
            files.push((path, bytes));
        }
    }
    files.sort();
    Ok(files)
}

/// Starts our broker on the folder, and expects that it is refused with `said` and not touched; what
/// was said.
fn refused(folder: &Path, said: &[&str]) -> anyhow::Result<String> {
    let data = folder.join("data");
    let before = content(&data)?;
    let output = Ours::refused(&folder.join("server.properties"))?;
    ensure!(output.status == 1, "exit code {}", output.status);
    for part in said {
        ensure!(
            output.stderr.contains(part),
            "no {part:?} in:\n{}",
            output.stderr
        );
    }
    ensure!(content(&data)? == before, "the folder was changed");
    Ok(output.stderr)
}

fn produce(bootstrap: &str, records: &[&str]) -> anyhow::Result<()> {
    let args = ["--bootstrap-server", bootstrap, "--topic", "passed-on"];
    tool(
        "kafka-console-producer",
        &args,
        Some(&(records.join("\n") + "\n")),
    )?;
    Ok(())
}

fn consume(bootstrap: &str, n: usize) -> anyhow::Result<Vec<String>> {
    let n = n.to_string();
    let args = [
        "--bootstrap-server",
        bootstrap,
        "--topic",
        "passed-on",
        "--from-beginning",
        "--max-messages",
        &n,
        "--timeout-ms",
        "20000",
    ];
    let text = tool("kafka-console-consumer", &args, None)?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn apaches_folder_changes_hands() -> anyhow::Result<()> {
    let mut theirs = Apache::start()?;
    let (boot, folder) = (theirs.bootstrap(), theirs.folder().to_owned());
    let create = ["--create", "--topic", "passed-on", "--partitions", "1"];
    tool(
        "kafka-topics",
        &[&["--bootstrap-server", &boot], &create[..]].concat(),
        None,
    )?;
    produce(&boot, &["theirs-1", "theirs-2"])?;
    theirs.stop()?;
    let said = refused(
        &folder,
        &[
            "group.version is at level 1",
            "transaction.version is at level 2",
            "was left as it is",
        ],
    )?;

    // What the message advises, word for word.
    let advice = (said.lines().find_map(|line| line.split_once(" downgrade ")))
        .context("no advice to downgrade")?;
    theirs.up()?;
    let mut downgrade = vec!["--bootstrap-server", &boot, "downgrade"];
    downgrade.extend(advice.1.split_whitespace());
    tool("kafka-features", &downgrade, None)?;
    theirs.stop()?;

    let port = boot.rsplit(':').next().context("a port")?.parse()?;
    let mut ours = Ours::adopt(&folder, port)?;
    let taken_over = (|| {
        let read = consume(&boot, 2)?;
        ensure!(read == ["theirs-1", "theirs-2"], "{read:?}");
        produce(&boot, &["ours-3"])?;
        shell::terminate(&mut ours, Duration::from_secs(30))
    })();
    shell::kill(&mut ours);
    taken_over?;

    theirs.up()?;
    produce(&boot, &["theirs-4"])?;
    let read = consume(&boot, 4)?;
    ensure!(
        read == ["theirs-1", "theirs-2", "ours-3", "theirs-4"],
        "{read:?}"
    );
    theirs.stop()
}

fn freshly_formatted_folders() -> anyhow::Result<()> {
    let format = |features: &[&str]| -> anyhow::Result<(tempfile::TempDir, u16)> {
        let folder = tempfile::tempdir()?;
        let (port, controller) = (shell::free_port()?, shell::free_port()?);
        let properties = folder.path().join("server.properties");
        let text = apache::server_properties(port, controller, folder.path());
        std::fs::write(&properties, text)?;
        let shown = properties.display().to_string();
        let id = "4L6g3nShT-eMCtK--X86sw";
        let mut args = vec!["format", "--standalone", "-t", id, "-c", &shown];
        for feature in features {
            args.extend(["--feature", feature]);
        }
        tool("kafka-storage", &args, None)?;
        Ok((folder, port))
    };
    let (newest, _) = format(&[])?;
    refused(
        newest.path(),
        &["group.version is at level 1", "kafka-storage.sh format"],
    )?;
    let (lowered, port) = format(&LOWERED)?;
    let mut ours = Ours::adopt(lowered.path(), port)?;
    shell::terminate(&mut ours, Duration::from_secs(30))
}

fn metadata_shell_reads_ours() -> anyhow::Result<()> {
    let mut broker = Ours::start_with(&["metadata.log.max.record.bytes.between.snapshots=200"])?;
    let boot = broker.bootstrap();
    let metadata = broker.data().join("__cluster_metadata-0");
    let snapshots = || -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&metadata).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "checkpoint"))
            .collect();
        files.sort();
        files
    };
    for topic in ["shell-a", "shell-b", "shell-c"] {
        let create = [
            "--create",
            "--topic",
            topic,
            "--config",
            "retention.ms=5000",
        ];
        tool(
            "kafka-topics",
            &[&["--bootstrap-server", &boot], &create[..]].concat(),
            None,
        )?;
    }
    // The first is the one that format wrote; the others are of the running broker.
    let written = shell::wait_until(Duration::from_secs(20), || snapshots().len() >= 3);
    ensure!(written, "no snapshot was written: {:?}", snapshots());
    broker.down()?;
    let newest = snapshots().pop().context("a snapshot")?;
    let log = metadata.join("00000000000000000000.log");
    for (file, topics) in [
        (&newest, &["shell-a"][..]),
        (&log, &["shell-a", "shell-b", "shell-c"]),
    ] {
        let mut wanted = vec![
            "/image/features/metadataVersion".to_owned(),
            "/image/cluster/brokers/1".to_owned(),
        ];
        wanted.extend(topics.iter().map(|t| format!("/image/topics/byName/{t}/0")));
        metadata_shell_shows(file, &["find", "/"], &wanted)?;
        let config = "/image/configs/TOPIC:shell-a/retention.ms";
        metadata_shell_shows(file, &["cat", config], &["5000".to_owned()])?;
    }
    Ok(())
}

/// The shell takes its command as soon as it has loaded anything at all of the file, so that on a
/// busy machine it answers from a part of it: it is asked a few times.
fn metadata_shell_shows(file: &Path, command: &[&str], wanted: &[String]) -> anyhow::Result<()> {
    let mut said = String::new();
    for _ in 0..5 {
        let output = apache::metadata_shell(file, command)?;
        if output.status == 0 && wanted.iter().all(|w| output.stdout.contains(w)) {
            return Ok(());
        }
        said = format!("{}{}", output.stdout, output.stderr);
    }
    bail!(
        "{command:?} of {}: no {wanted:?} in\n{said}",
        file.display()
    )
}
