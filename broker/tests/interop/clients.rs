//! Stock clients: every codec, a group of three, a restart of the broker, and on from the commit.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::ours::Ours;
use crate::shell::{self, client_programs};
use crate::{Case, apache};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
const RECORDS_PER_CODEC: usize = 100;
const MEMBERS: usize = 3;

/// A client library and its program under `clients`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockClient {
    Java,
    JavaNewest,
    Librdkafka,
    KafkaPython,
    KafkaJs,
    Franz,
    Sarama,
}

pub fn cases() -> Vec<Case> {
    use StockClient::*;
    let resuming = StockClient::ALL.into_iter().map(|client| {
        Case::new(
            format!("client {client:?}: codecs, group of three, restart"),
            move || all_codecs_then_group_then_restart(client),
        )
    });
    let transacting = [Java, JavaNewest, Librdkafka, Franz]
        .into_iter()
        .map(|client| {
            Case::new(
                format!("client {client:?}: a transaction is refused at once"),
                move || transaction_is_refused_at_once(client),
            )
        });
    resuming.chain(transacting).collect()
}

/// There are no transactions yet; a producer that wants one must know so without waiting.
fn transaction_is_refused_at_once(client: StockClient) -> anyhow::Result<()> {
    const LONGEST_MS: u64 = 5_000;
    let broker = Ours::start()?;
    let output = client.call(&["transact", &broker.bootstrap(), "unused"])?;
    let mut words = output.split_whitespace();
    ensure!(words.next() == Some("refused"), "{output}");
    let took_ms: u64 = words.next().unwrap_or_default().parse()?;
    ensure!(took_ms < LONGEST_MS, "refused after {took_ms} ms: {output}");
    ensure!(!output.contains("not fatal"), "{output}");
    Ok(())
}

fn all_codecs_then_group_then_restart(client: StockClient) -> anyhow::Result<()> {
    let mut broker = Ours::start_with(&["num.partitions=6"])?;
    let boot = broker.bootstrap();
    let topic = "every-codec";
    create_topic(&boot, topic)?;
    let mut sent = 0;
    for codec in CODECS {
        client
            .call(&["produce", &boot, topic, codec, &sent.to_string(), "100"])
            .with_context(|| format!("produce with {codec}"))?;
        sent += RECORDS_PER_CODEC;
    }
    read_by_group(client, &boot, topic, 0..sent).context("first reading")?;

    broker.down()?;
    broker.up()?;
    let more = sent + RECORDS_PER_CODEC;
    client.call(&["produce", &boot, topic, "lz4", &sent.to_string(), "100"])?;
    read_by_group(client, &boot, topic, sent..more).context("after the restart")
}

fn create_topic(boot: &str, topic: &str) -> anyhow::Result<()> {
    let args = [
        "--bootstrap-server",
        boot,
        "--create",
        "--topic",
        topic,
        "--partitions",
        "6",
    ];
    apache::tool("kafka-topics", &args.map(str::to_owned), None)?.success()?;
    Ok(())
}

/// Three members read the topic from where the group stands; they must see just `expected`, once.
fn read_by_group(
    client: StockClient,
    boot: &str,
    topic: &str,
    expected: std::ops::Range<usize>,
) -> anyhow::Result<()> {
    let (count, members) = (expected.len().to_string(), MEMBERS.to_string());
    let output = client.call(&["group", boot, topic, "resumes", &count, &members])?;
    let mut values: Vec<usize> = Vec::new();
    for line in output.lines() {
        if let Some(list) = line.strip_prefix("values") {
            values = list
                .split_whitespace()
                .map(str::parse)
                .collect::<Result<_, _>>()?;
        }
    }
    let seen: BTreeSet<usize> = values.iter().copied().collect();
    let missing: Vec<usize> = expected
        .clone()
        .filter(|v| !seen.contains(v))
        .take(5)
        .collect();
    let foreign: Vec<&usize> = values
        .iter()
        .filter(|v| !expected.contains(v))
        .take(5)
        .collect();
    ensure!(missing.is_empty(), "missing {missing:?} of {expected:?}");
    ensure!(
        foreign.is_empty(),
        "read again or never sent: {foreign:?}, expected {expected:?}"
    );
    // A member that joins while another is reading may read its uncommitted tail again; more
    // than one batch per member of that is no longer a hand-over.
    let twice = values.len() - seen.len();
    ensure!(
        twice <= expected.len() / 2,
        "{twice} of {} records came twice",
        seen.len()
    );
    Ok(())
}

impl StockClient {
    pub const ALL: [Self; 7] = [
        Self::Java,
        Self::JavaNewest,
        Self::Librdkafka,
        Self::KafkaPython,
        Self::KafkaJs,
        Self::Franz,
        Self::Sarama,
    ];

    /// Whether the producer of its program is idempotent.
    pub fn is_idempotent(self) -> bool {
        self != Self::KafkaJs
    }

    fn call(self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command()?;
        command.args(args);
        shell::run(&mut command, None, Duration::from_secs(120))?.success()
    }

    /// Its program; built at the first call.
    pub fn command(self) -> anyhow::Result<Command> {
        Ok(match self {
            Self::Java => java("pom.xml")?,
            Self::JavaNewest => java("pom-newest.xml")?,
            Self::Librdkafka => python("rdkafka")?,
            Self::KafkaPython => python("pure")?,
            Self::KafkaJs => {
                let mut command = Command::new("node");
                command.arg(node_programs()?.join("stock.js"));
                command
            }
            Self::Franz => go("franz")?,
            Self::Sarama => go("sarama")?,
        })
    }
}

fn java(pom: &str) -> anyhow::Result<Command> {
    let classes = shell::cache(&format!("classes-{}", pom.trim_end_matches(".xml")))?;
    let jars = apache::jars(pom)?;
    let source = client_programs().join("Stock.java");
    build_once(&format!("javac {pom}"), || {
        let mut javac = Command::new("javac");
        javac.arg("-nowarn").arg("-d").arg(&classes);
        javac
            .arg("-cp")
            .arg(format!("{}/*", jars.display()))
            .arg(&source);
        shell::run(&mut javac, None, Duration::from_secs(120))?.success()
    })?;
    let mut command = apache::java(pom, Some(&classes))?;
    command.arg("Stock");
    Ok(command)
}

/// The program of librdkafka's Python client; a command and its arguments follow.
pub fn librdkafka() -> anyhow::Result<Command> {
    python("rdkafka")
}

fn python(library: &str) -> anyhow::Result<Command> {
    let venv = shell::cache("venv")?;
    let interpreter = venv.join("bin/python");
    build_once("python", || {
        let wanted = std::fs::read_to_string(client_programs().join("requirements.txt"))?;
        let installed = venv.join("requirements.txt");
        if std::fs::read_to_string(&installed).unwrap_or_default() != wanted {
            let mut create = Command::new("python3");
            create.args(["-m", "venv"]).arg(&venv);
            shell::run(&mut create, None, Duration::from_secs(120))?.success()?;
            let mut install = Command::new(venv.join("bin/pip"));
            install
                .args(["-q", "install", "-r"])
                .arg(client_programs().join("requirements.txt"));
            shell::run(&mut install, None, Duration::from_secs(600))?.success()?;
            std::fs::write(installed, wanted)?;
        }
        Ok(String::new())
    })?;
    let mut command = Command::new(interpreter);
    command.arg(client_programs().join("stock.py")).arg(library);
    Ok(command)
}

/// The JavaScript program beside the packages that it needs.
fn node_programs() -> anyhow::Result<PathBuf> {
    let folder = shell::cache("node")?;
    let copy = folder.clone();
    build_once("node", move || {
        for file in ["package.json", "stock.js"] {
            std::fs::copy(client_programs().join(file), copy.join(file))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund"])
            .current_dir(&copy);
        shell::run(&mut npm, None, Duration::from_secs(600))?.success()
    })?;
    Ok(folder)
}

fn go(library: &str) -> anyhow::Result<Command> {
    let folder = shell::cache("go")?;
    let binary = folder.join("stock");
    let target = binary.clone();
    build_once("go", move || {
        for file in ["go.mod", "main.go"] {
            std::fs::copy(client_programs().join("go").join(file), folder.join(file))?;
        }
        for args in [vec!["mod", "tidy"], vec!["build", "-o", "stock", "."]] {
            let mut go = Command::new("go");
            go.args(args).current_dir(&folder);
            shell::run(&mut go, None, Duration::from_secs(900))?.success()?;
        }
        Ok(String::new())
    })?;
    let mut command = Command::new(target);
    command.arg(library);
    Ok(command)
}

/// Runs a preparation once in this process.
fn build_once(what: &str, build: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<()> {
    static DONE: OnceLock<std::sync::Mutex<BTreeSet<String>>> = OnceLock::new();
    let done = DONE.get_or_init(Default::default);
    let mut done = done
        .lock()
        .map_err(|_| anyhow::anyhow!("a preparation failed before"))?;
    if !done.contains(what) {
        build().with_context(|| format!("prepare {what}"))?;
        done.insert(what.to_owned());
    }
    Ok(())
}
