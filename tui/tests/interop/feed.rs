//! What happens in the cluster, provoked by Kafka's own tools: told on the screen and by the
//! command while it happens, looked at again by keys, and played from a recording.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command;
use crate::terminal::Terminal;
use crate::{apache, shell};

const DEADLINE: Duration = Duration::from_secs(60);

/// `kafka-tui changes --record FILE` while it runs.
struct Follower {
    process: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        shell::kill(&mut self.process);
    }
}

impl Follower {
    fn start(cluster: &Cluster, file: &str) -> anyhow::Result<Follower> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
        command.args(["--output", "jsonl", "--bootstrap", &cluster.bootstrap()]);
        command.args(["changes", "--refresh", "1", "--record", file]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn()?;
        let output = process.stdout.take().context("its output")?;
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push(line);
            }
        });
        Ok(Follower { process, lines })
    }

    /// The texts of what it has told so far.
    fn told(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |line: &String| {
            let document: Value = serde_json::from_str(line).ok()?;
            Some(document["text"].as_str()?.to_owned())
        };
        lines.iter().filter_map(text).collect()
    }

    /// When something was told, in milliseconds since the epoch.
    fn at(&self, part: &str) -> Option<i64> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.iter().find(|line| line.contains(part))?;
        let document: Value = serde_json::from_str(line).ok()?;
        document["at"]["wall_ms"].as_i64()
    }

    fn wait_for(&self, parts: &[&str]) -> anyhow::Result<()> {
        let has = |text: &String| parts.iter().all(|part| text.contains(part));
        let came = shell::wait_until(DEADLINE, || self.told().iter().any(has));
        ensure!(came, "{parts:?} is not in {:#?}", self.told());
        Ok(())
    }

    /// Waits until the recording holds a look at the cluster.
    fn begin(&self, file: &str) -> anyhow::Result<()> {
        let began = shell::wait_until(DEADLINE, || {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            ["metadata", "groups", "settings"]
                .iter()
                .all(|part| text.contains(&format!("{{\"{part}\":{{\"Ok\"")))
        });
        ensure!(began, "nothing is recorded");
        Ok(())
    }

    /// Asks it to end, which completes the recording.
    fn end(mut self) -> anyhow::Result<Vec<String>> {
        shell::terminate(&mut self.process, DEADLINE)?;
        Ok(self.told())
    }
}

/// The screen and the command, which both look on.
struct Lookers {
    terminal: Terminal,
    follower: Follower,
}

impl Lookers {
    /// Both tell something with these words in a line.
    fn see(&mut self, parts: &[&str]) -> anyhow::Result<()> {
        self.follower.wait_for(parts)?;
        self.terminal.wait_until(&parts.join(" … "), |terminal| {
            let text = terminal.text();
            text.lines()
                .any(|line| parts.iter().all(|part| line.contains(part)))
        })
    }
}

/// A member of the group, which goes on reading.
fn member(cluster: &Cluster) -> anyhow::Result<Child> {
    let servers = cluster.bootstrap();
    let args = [
        "--bootstrap-server",
        &servers,
        "--topic",
        "fed",
        "--group",
        "eaters",
        "--command-property",
        "group.protocol=classic",
    ];
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let mut command = apache::tool_command("kafka-console-consumer", &args)?;
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command.stderr(Stdio::null()).spawn()?)
}

pub fn changes(cluster: &mut Cluster) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let files = ["screens", "command"].map(|name| folder.path().join(name).display().to_string());
    let [of_screens, of_command] = &files;
    let program = Path::new(env!("CARGO_BIN_EXE_kafka-tui"));
    let servers = cluster.bootstrap();
    let args = [
        "--bootstrap",
        &servers,
        "--refresh",
        "1",
        "--open",
        "changes",
        "--record",
        of_screens,
    ];
    let mut lookers = Lookers {
        terminal: Terminal::start(program, &args, &[], (160, 60))?,
        follower: Follower::start(cluster, of_command)?,
    };
    lookers.terminal.wait_for("live")?;
    // Both have looked once: what comes now is news.
    lookers.follower.begin(of_command)?;
    lookers.follower.begin(of_screens)?;
    let mut members = Vec::new();
    let provoked = provoke(cluster, &mut lookers, &mut members);
    members.iter_mut().for_each(shell::kill);
    // A broker that a failure left dead would spoil what comes after.
    if provoked.is_err() && !shell::listens(cluster.port(3)) {
        cluster.spawn(3)?;
        cluster.wait_for(3)?;
    }
    provoked?;
    again_by_keys(&mut lookers.terminal)?;
    since(&mut lookers.terminal, &lookers.follower)?;
    lookers.terminal.keys("ctrl-c")?;
    ensure!(lookers.terminal.wait_for_end()?.success());
    let live = lookers.follower.end()?;
    replayed(of_screens, of_command, &live)
}

fn provoke(
    cluster: &mut Cluster,
    lookers: &mut Lookers,
    members: &mut Vec<Child>,
) -> anyhow::Result<()> {
    let create = [
        "--create",
        "--topic",
        "fed",
        "--replica-assignment",
        "3:1:2,1:2:3",
    ];
    cluster.tool("kafka-topics", &create, None)?;
    lookers.see(&["topic fed was created: 2 partitions, replication factor 3"])?;
    let alter = ["--alter", "--entity-type", "topics", "--entity-name", "fed"];
    let alter = [&alter[..], &["--add-config", "retention.ms=7654321"]].concat();
    cluster.tool("kafka-configs", &alter, None)?;
    members.push(member(cluster)?);
    lookers.see(&["group eaters is new"])?;
    members.push(member(cluster)?);
    lookers.see(&["group eaters:", "joined"])?;
    lookers.see(&["topic fed: retention.ms", "→ 7654321"])?;

    cluster.kill(3);
    lookers.see(&["broker 3 is"])?;
    lookers.see(&["leader 3 →"])?;
    lookers.see(&["replica 3 fell out of sync"])?;
    cluster.spawn(3)?;
    cluster.wait_for(3)?;
    lookers.see(&["replica 3 is back in sync"])?;
    cluster.tool(
        "kafka-leader-election",
        &["--election-type", "preferred", "--all-topic-partitions"],
        None,
    )?;
    lookers.see(&["→ 3"])?;
    members.iter_mut().for_each(shell::kill);
    cluster.tool("kafka-topics", &["--delete", "--topic", "fed"], None)?;
    lookers.see(&["topic fed was deleted"])
}

/// Back to when the topic was there, by keys; and what is different since.
fn again_by_keys(terminal: &mut Terminal) -> anyhow::Result<()> {
    terminal.keys("3")?;
    terminal.wait_until("it is deleted", |terminal| terminal.row("fed").is_none())?;
    let there = |terminal: &Terminal| terminal.row("fed").is_some();
    for _ in 0..200 {
        if there(terminal) {
            break;
        }
        terminal.keys("[")?;
        terminal.read_for(Duration::from_millis(100));
    }
    ensure!(
        there(terminal),
        "no moment of the past has it:\n{}",
        terminal.text()
    );
    terminal.wait_for("AS OF")?;
    terminal.keys(":now enter")?;
    terminal.wait_while("AS OF")?;
    terminal.wait_until("it is deleted now", |terminal| !there(terminal))?;
    Ok(())
}

/// "What changed since …?", by keys, for the moment at which broker 3 was back.
fn since(terminal: &mut Terminal, follower: &Follower) -> anyhow::Result<()> {
    // Moments are ten seconds apart: long after the topic was made, and before it was deleted.
    let at = follower.at("is back in sync").context("it was told")?;
    terminal.send(&format!(":diff {at}\r"))?;
    terminal.wait_for("topic fed was deleted")?;
    terminal.keys("esc")?;
    terminal.wait_while("topic fed was deleted")?;
    // As one asks: since that time of the day.
    let time = kafka_tui::times::clock_ms(at);
    terminal.send(&format!(":diff {time}\r"))?;
    terminal.wait_for("topic fed was deleted")?;
    terminal.keys("esc").map(drop)
}

fn texts(document: &Value) -> Vec<String> {
    let changes = document["changes"].as_array();
    let text = |change: &Value| change["text"].as_str().unwrap_or_default().to_owned();
    changes.into_iter().flatten().map(text).collect()
}

/// The recordings tell the same, without the cluster.
fn replayed(of_screens: &str, of_command: &str, live: &[String]) -> anyhow::Result<()> {
    let play = |file: &str, args: &[&str]| -> anyhow::Result<Value> {
        let (code, document) =
            command::run_with(&[&["changes", "--replay", file], args].concat(), None)?;
        ensure!(code == 0, "{code}: {document}");
        Ok(document)
    };
    let document = play(of_command, &[])?;
    ensure!(
        texts(&document) == live,
        "{:#?}\nlive: {live:#?}",
        texts(&document)
    );
    let of_topic = |text: &&String| text.contains("topic fed");
    let by_screens = texts(&play(of_screens, &[])?);
    let (a, b): (Vec<&String>, Vec<&String>) = (
        live.iter().filter(of_topic).collect(),
        by_screens.iter().filter(of_topic).collect(),
    );
    ensure!(a == b, "{a:?} and {b:?}");
    // What is different between the birth of the group and the end.
    let changes = document["changes"].as_array().context("a list")?;
    let at = |part: &str| {
        let of = |change: &&Value| {
            change["text"]
                .as_str()
                .is_some_and(|text| text.contains(part))
        };
        changes
            .iter()
            .find(of)
            .and_then(|change| change["at"]["wall_ms"].as_i64())
    };
    let from = at("topic fed was created")
        .context("it is told")?
        .to_string();
    let diff = play(of_command, &["--diff", "--from", &from])?;
    ensure!(
        texts(&diff)
            .iter()
            .any(|text| text == "topic fed was deleted"),
        "{diff}"
    );
    ensure!(
        texts(&diff)
            .iter()
            .any(|text| text == "group eaters is new"),
        "{diff}"
    );
    let to = at("replica 3 fell out of sync")
        .context("it is told")?
        .to_string();
    let diff = play(of_command, &["--diff", "--from", &from, "--to", &to])?;
    ensure!(
        texts(&diff)
            .iter()
            .any(|text| text.contains("fell out of sync")),
        "{diff}"
    );
    ensure!(
        !texts(&diff).iter().any(|text| text.contains("was deleted")),
        "{diff}"
    );

    let program = Path::new(env!("CARGO_BIN_EXE_kafka-tui"));
    let mut terminal = Terminal::start(program, &["--replay", of_screens], &[], (160, 60))?;
    terminal.wait_for("recording of")?;
    terminal.wait_for("AS OF 20")?;
    terminal.keys("9")?;
    terminal.wait_for("topic fed was deleted")?;
    terminal.wait_for("replica 3 fell out of sync")?;
    let back = at("is back in sync").context("it is told")?;
    terminal.send(&format!(":at {back}\r"))?;
    terminal.keys("3")?;
    terminal.wait_until("the topic is there", |terminal| {
        terminal.row("fed").is_some()
    })?;
    terminal.send(&format!(":diff {back}\r"))?;
    terminal.wait_for("topic fed was deleted")?;
    terminal.keys("esc ctrl-c")?;
    ensure!(terminal.wait_for_end()?.success());
    Ok(())
}
