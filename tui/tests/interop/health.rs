//! `top`, `exporter` and `wait` on the cluster: the figures of the screens and of Kafka's tools,
//! also while a broker is dead and while replicas move.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kafka_tui::metrics::samples;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command::{document, run, run_with};
use crate::terminal::Terminal;
use crate::{manager, moves, number, shell};

const DEADLINE: Duration = Duration::from_secs(60);

/// What Kafka's tools say.
#[derive(Debug, PartialEq)]
struct Said {
    topics: usize,
    partitions: usize,
    under_replicated: usize,
    offline: usize,
    groups: usize,
}

impl Said {
    fn now(cluster: &Cluster) -> anyhow::Result<Self> {
        let lines = |tool: &str, args: &[&str], part: &str| -> anyhow::Result<usize> {
            let text = cluster.tool(tool, args, None)?;
            Ok(text
                .lines()
                .filter(|line| !line.is_empty() && line.contains(part))
                .count())
        };
        let described = |args: &[&str]| {
            lines(
                "kafka-topics",
                &[&["--describe"], args].concat(),
                "Partition: ",
            )
        };
        Ok(Self {
            topics: lines("kafka-topics", &["--list"], "")?,
            partitions: described(&[])?,
            under_replicated: described(&["--under-replicated-partitions"])?,
            offline: described(&["--unavailable-partitions"])?,
            // Of every kind, below a line of headers.
            groups: lines("kafka-groups", &["--list"], "")?.saturating_sub(1),
        })
    }

    fn of_top(top: &Value) -> Option<Self> {
        let n = |key: &str| usize::try_from(top[key].as_u64()?).ok();
        Some(Self {
            topics: n("topics")?,
            partitions: n("partitions")?,
            under_replicated: n("under_replicated")?,
            offline: n("offline")?,
            groups: n("groups")?,
        })
    }

    /// As the overview has it.
    fn of_screen(terminal: &Terminal) -> Option<Self> {
        // The lines of the two blocks of the screen stand beside each other.
        let of = |beside: &str, label: &str| -> Option<usize> {
            let line = terminal.line(beside)?;
            let (_, rest) = line.rsplit_once(label)?;
            let word = rest.split_whitespace().next()?;
            usize::try_from(number(word).ok()?).ok()
        };
        Some(Self {
            topics: of("under min ISR", "topics")?,
            partitions: of("at min ISR", "partitions")?,
            under_replicated: of("under-replicated", "under-replicated")?,
            offline: of("offline partitions", "offline partitions")?,
            groups: of("unreplicated", "groups")?,
        })
    }

    fn of_page(page: &BTreeMap<String, f64>) -> Option<Self> {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small counts"
        )]
        let n = |name: &str| page.get(name).map(|n| *n as usize);
        Some(Self {
            topics: n("kafka_topics")?,
            partitions: n("kafka_partitions")?,
            under_replicated: n("kafka_partitions_under_replicated")?,
            offline: n("kafka_partitions_offline")?,
            groups: n("kafka_groups")?,
        })
    }
}

/// Committed offset, end and lag by partition, as kafka-consumer-groups says.
fn lags(cluster: &Cluster, group: &str) -> anyhow::Result<BTreeMap<(String, String), i64>> {
    let args = ["--describe", "--group", group];
    let text = cluster.tool("kafka-consumer-groups", &args, None)?;
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == group)?;
        let lag = words.get(at + 5)?.parse().ok()?;
        Some((
            (
                (*words.get(at + 1)?).to_owned(),
                (*words.get(at + 2)?).to_owned(),
            ),
            lag,
        ))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// `kafka-tui exporter`, until it is dropped.
pub struct Exporter {
    process: Child,
    address: String,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        shell::kill(&mut self.process);
    }
}

impl Exporter {
    fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        Self::with(cluster, &[])
    }

    /// With options of the program.
    pub fn with(cluster: &Cluster, options: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
        command.args(["--bootstrap", &cluster.bootstrap()]);
        command.args(options).args(["exporter", "--refresh", "1"]);
        command.args(["--listen", "127.0.0.1:0", "--partitions"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().context("its output")?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        let address = address.context("its address")?.to_owned();
        Ok(Self { process, address })
    }

    fn get(&self, path: &str) -> anyhow::Result<String> {
        let mut socket = TcpStream::connect(&self.address)?;
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// All samples, by name with their labels, in which every line can be read.
    fn page(&self) -> anyhow::Result<BTreeMap<String, f64>> {
        let answer = self.get("/metrics")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        let mut page = BTreeMap::new();
        for sample in samples(body, |_| true) {
            let sample =
                sample.map_err(|bad| anyhow::anyhow!("line {}: {}", bad.number, bad.why))?;
            let labels: Vec<&str> = sample.labels.iter().map(|(_, value)| &**value).collect();
            let name = [&[&*sample.name], &labels[..]].concat().join(" ");
            ensure!(
                page.insert(name.clone(), sample.value).is_none(),
                "{name} is there twice"
            );
        }
        Ok(page)
    }

    pub fn wait_until(
        &self,
        what: &str,
        is_so: impl Fn(&BTreeMap<String, f64>) -> bool,
    ) -> anyhow::Result<()> {
        let came = shell::wait_until(DEADLINE, || self.page().is_ok_and(|page| is_so(&page)));
        ensure!(came, "{what} did not come about: {:#?}", self.page()?);
        Ok(())
    }
}

/// Everything says what Kafka's tools say.
fn agree(cluster: &Cluster, exporter: &Exporter, terminal: &mut Terminal) -> anyhow::Result<Said> {
    // A group's offsets topic may appear between two looks: then all look again.
    let mut told = (Said::now(cluster)?, Value::Null);
    let agreed = shell::wait_until(DEADLINE, || {
        let Ok(said) = Said::now(cluster) else {
            return false;
        };
        let Ok((_, top)) = run(cluster, &["top", "--interval", "1s"]) else {
            return false;
        };
        let is_same = Said::of_top(&top).as_ref() == Some(&said);
        told = (said, top);
        is_same
    });
    let (said, top) = told;
    ensure!(agreed, "the tools say {said:?}, top says {top}");
    exporter.wait_until("the exporter says so too", |page| {
        Said::of_page(page).as_ref() == Some(&said)
    })?;
    terminal.wait_until(&format!("{said:?}"), |terminal| {
        Said::of_screen(terminal).as_ref() == Some(&said)
    })?;
    Ok(said)
}

pub fn figures(cluster: &mut Cluster) -> anyhow::Result<()> {
    let exporter = Exporter::start(cluster)?;
    let mut terminal = manager(cluster, "overview")?;
    let sound = agree(cluster, &exporter, &mut terminal)?;
    ensure!(
        sound.under_replicated == 0 && sound.offline == 0,
        "{sound:?}"
    );
    let top = document(cluster, &["top", "--check", "--interval", "1s"])?;
    ensure!(top["brokers"] == 3 && top["verdict"] == "healthy", "{top}");
    ensure!(exporter.get("/health")?.starts_with("HTTP/1.1 200"));

    let lags = lags(cluster, "stopped")?;
    let all: i64 = lags.values().sum();
    ensure!(all == 500 - 6 * 16, "{lags:?}");
    exporter.wait_until("the lag", |page| {
        let whole = page.get("kafka_group_lag_records stopped");
        let each = lags.iter().all(|((topic, partition), lag)| {
            let name = format!("kafka_group_partition_lag_records stopped {topic} {partition}");
            page.get(&name) == Some(&(*lag as f64))
        });
        whole == Some(&(all as f64)) && each
    })?;
    let worst = top["worst_groups"].as_array().context("a list")?;
    let stopped = worst
        .iter()
        .find(|group| group["id"] == "stopped")
        .context("it lags")?;
    ensure!(stopped["lag"] == all, "{stopped}");

    // A broker dies: everything says so, and what waits goes on waiting.
    cluster.kill(3);
    let died = while_dead(cluster, &exporter, &mut terminal);
    let waiting = died.map(|()| Waiting::start(cluster, "urp == 0 and reassignments == 0"));
    cluster.spawn(3)?;
    let waiting = waiting??;
    waiting.wait_for("urp ")?;
    cluster.wait_for(3)?;
    let (code, told) = waiting.end()?;
    ensure!(code == Some(0) && told["holds"] == true, "{code:?}: {told}");
    agree(cluster, &exporter, &mut terminal).map(drop)
}

fn while_dead(
    cluster: &Cluster,
    exporter: &Exporter,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let (code, told) = run(
        cluster,
        &[
            "wait",
            "brokers == 2",
            "--timeout",
            "60s",
            "--every",
            "500ms",
        ],
    )?;
    ensure!(code == 0, "{code}: {told}");
    let said = agree(cluster, exporter, terminal)?;
    ensure!(said.under_replicated > 0, "{said:?}");
    let (code, top) = run(cluster, &["top", "--check", "--interval", "1s"])?;
    ensure!(code == 8 && top["verdict"] == "unhealthy", "{code}: {top}");
    ensure!(exporter.get("/health")?.starts_with("HTTP/1.1 503"));
    let (code, told) = run(
        cluster,
        &["wait", "urp == 0", "--timeout", "3s", "--every", "1s"],
    )?;
    ensure!(code == 8 && told["holds"] == false, "{code}: {told}");
    let n = usize::try_from(told["values"]["urp"].as_f64().unwrap_or_default() as i64)?;
    ensure!(n == said.under_replicated, "{told}");
    // What can't be asked, and nobody who could be.
    let (code, _) = run(cluster, &["wait", "urq == 0"])?;
    ensure!(code == 4, "a mistake ended with {code}");
    let nobody = [
        "--bootstrap",
        "127.0.0.1:1",
        "wait",
        "urp == 0",
        "--timeout",
        "2s",
    ];
    let (code, _) = run_with(&nobody, None)?;
    ensure!(code == 5, "without a cluster it ended with {code}");
    Ok(())
}

/// `kafka-tui wait` while it waits.
struct Waiting {
    process: Child,
    lines: Arc<Mutex<String>>,
}

impl Waiting {
    fn start(cluster: &Cluster, condition: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
        command.args(["--output", "json", "--bootstrap", &cluster.bootstrap()]);
        command.args(["wait", condition, "--every", "500ms", "--timeout", "90s"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn()?;
        let errors = process.stderr.take().context("its errors")?;
        let lines: Arc<Mutex<String>> = Arc::default();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Ok(Self { process, lines })
    }

    fn told(&self) -> String {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn wait_for(&self, text: &str) -> anyhow::Result<()> {
        let came = shell::wait_until(DEADLINE, || self.told().contains(text));
        ensure!(came, "{text} is not in {}", self.told());
        Ok(())
    }

    fn end(self) -> anyhow::Result<(Option<i32>, Value)> {
        let output = self.process.wait_with_output()?;
        let document = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Ok((output.status.code(), document))
    }
}

/// A move that is throttled is waited for until it has ended.
pub fn waits(cluster: &mut Cluster) -> anyhow::Result<()> {
    moves::slow_topic(cluster, "waited")?;
    let parts =
        [0, 1].map(|id| serde_json::json!({"topic": "waited", "partition": id, "replicas": [2]}));
    let plan = serde_json::json!({"version": 1, "partitions": parts});
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), plan.to_string())?;
    let path = file.path().display().to_string();
    let args = ["--reassignment-json-file", &path, "--execute"];
    cluster.tool("kafka-reassign-partitions", &args, None)?;
    let waiting = Waiting::start(cluster, "urp == 0 and reassignments == 0")?;
    waiting.wait_for("reassignments 2")?;
    moves::unthrottle(cluster, "waited")?;
    let (code, told) = waiting.end()?;
    ensure!(code == Some(0) && told["holds"] == true, "{code:?}: {told}");
    let listed = cluster.tool("kafka-reassign-partitions", &["--list"], None)?;
    ensure!(
        listed.contains("No partition reassignments found"),
        "{listed}"
    );
    Ok(())
}
