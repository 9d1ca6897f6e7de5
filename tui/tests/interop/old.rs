//! One run over everything that the manager does, on clusters of several versions of Apache Kafka:
//! what an old one has works, and what it lacks says so where it stands.
//!
//! In the ordinary run this is the newest version, on the cluster of the other cases, and one old
//! one. `KAFKA_TUI_VERSIONS=3.6.2,3.9.1,4.3.1` names those that are started for it instead.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command::run_with;
use crate::shell::Stopwatch;
use crate::{apache, manager_at, shell};

const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";

/// The old version of the ordinary run.
const OLD: &str = "3.9.1";

/// Things take their time on a machine that compiles meanwhile.
const DEADLINE: Duration = Duration::from_secs(90);

const TOPIC: &str = "tour";
const GROUP: &str = "tourists";

/// Two brokers of an old version, the first of them with the controller.
struct Old {
    version: String,
    nodes: Vec<Node>,
}

struct Node {
    port: u16,
    folder: tempfile::TempDir,
    process: Child,
}

impl Drop for Node {
    fn drop(&mut self) {
        shell::kill(&mut self.process);
    }
}

impl Old {
    fn start(version: &str) -> anyhow::Result<Self> {
        let controller = shell::free_port()?;
        let mut nodes = Vec::new();
        for id in 1..=2 {
            nodes.push(Node::start(version, id, controller)?);
        }
        for node in &nodes {
            if !shell::wait_until(Duration::from_secs(180), || shell::listens(node.port)) {
                let log = std::fs::read_to_string(node.folder.path().join("server.log"));
                bail!(
                    "Kafka {version} did not start:\n{}",
                    log.unwrap_or_default()
                );
            }
        }
        let version = version.to_owned();
        Ok(Self { version, nodes })
    }

    fn bootstrap(&self) -> String {
        let addresses = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port));
        addresses.collect::<Vec<_>>().join(",")
    }
}

impl Node {
    fn start(version: &str, id: usize, controller: u16) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = shell::free_port()?;
        let properties = folder.path().join("server.properties");
        let open = format!("PLAINTEXT://127.0.0.1:{port}");
        let (roles, listeners) = match id {
            1 => (
                "broker,controller",
                format!("{open},CONTROLLER://127.0.0.1:{controller}"),
            ),
            _ => ("broker", open),
        };
        let text = format!(
            "node.id={id}\nprocess.roles={roles}\nlisteners={listeners}\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             inter.broker.listener.name=PLAINTEXT\nlog.dirs={}\n\
             offsets.topic.num.partitions=1\noffsets.topic.replication.factor=2\n\
             transaction.state.log.num.partitions=1\n\
             transaction.state.log.replication.factor=2\ntransaction.state.log.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n",
            folder.path().join("data").display()
        );
        std::fs::write(&properties, text)?;
        let mut format = apache::java_of(version)?;
        format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
        format.arg(&properties);
        shell::run(&mut format, None, DEADLINE)?.success()?;
        let mut command = apache::java_of(version)?;
        command.arg("kafka.Kafka").arg(&properties);
        let process = apache::spawn_server(&mut command, folder.path())?;
        Ok(Self {
            port,
            folder,
            process,
        })
    }
}

pub fn newest(cluster: &mut Cluster) -> anyhow::Result<()> {
    tour(&cluster.bootstrap(), &apache::version()?)
}

pub fn versions(_: &mut Cluster) -> anyhow::Result<()> {
    let wanted = std::env::var("KAFKA_TUI_VERSIONS").unwrap_or_else(|_| OLD.to_owned());
    for version in wanted.split(',').map(str::trim).filter(|v| !v.is_empty()) {
        let watch = Stopwatch::start();
        let old = Old::start(version)?;
        tour(&old.bootstrap(), &old.version).with_context(|| format!("Kafka {version}"))?;
        println!(
            "     Apache Kafka {version} ({:.1} s)",
            watch.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

/// The manager's commands on one cluster.
struct Manager<'a> {
    bootstrap: &'a str,
}

impl Manager<'_> {
    fn run(&self, args: &[&str], stdin: Option<&str>) -> anyhow::Result<(i32, Value)> {
        run_with(&[&["--bootstrap", self.bootstrap], args].concat(), stdin)
    }

    /// The document of a command that has to succeed.
    fn document(&self, args: &[&str]) -> anyhow::Result<Value> {
        let (code, document) = self.run(args, None)?;
        ensure!(code == 0, "{args:?} ended with {code}: {document}");
        Ok(document)
    }

    /// Waits until what a command prints is as wanted.
    fn until(&self, args: &[&str], is_so: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let mut last = Value::Null;
        let came = shell::wait_until(DEADLINE, || {
            if let Ok((0, document)) = self.run(args, None) {
                last = document;
            }
            is_so(&last)
        });
        ensure!(came, "{args:?} stays as {last}");
        Ok(last)
    }

    /// A command that succeeds, or says that the cluster has not got what it is about.
    fn has_or_says(&self, args: &[&str], lacks: &[&str]) -> anyhow::Result<()> {
        let (code, document) = self.run(args, None)?;
        let text = document.to_string();
        let says = lacks.iter().any(|word| text.contains(word));
        ensure!(
            code == 0 || says,
            "{args:?} ended with {code} and names none of {lacks:?}: {document}"
        );
        Ok(())
    }

    /// One of Kafka's own tools, of the newest version.
    fn tool(&self, name: &str, args: &[&str]) -> anyhow::Result<String> {
        let mut all = vec!["--bootstrap-server".to_owned(), self.bootstrap.to_owned()];
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        let output = apache::tool(name, &all, None)?;
        output.success().with_context(|| format!("{name} {args:?}"))
    }
}

/// Everything once, on a cluster of at least two brokers with the ids 1 and 2.
fn tour(bootstrap: &str, version: &str) -> anyhow::Result<()> {
    let manager = Manager { bootstrap };
    topics(&manager).context("topics")?;
    groups(&manager).context("groups")?;
    moves(&manager).context("reassignments")?;
    others(&manager).context("the rest of the commands")?;
    screens(bootstrap, version).context("screens")?;
    manager.document(&["groups", "delete", GROUP, "--yes"])?;
    manager.document(&["topics", "delete", TOPIC, "--yes"])?;
    manager
        .until(&["topics", "list"], |list| {
            !list.to_string().contains(&format!("\"{TOPIC}\""))
        })
        .map(drop)
}

fn topics(manager: &Manager<'_>) -> anyhow::Result<()> {
    let create = ["topics", "create", TOPIC, "--replica-assignment", "1,2"];
    manager.document(&[&create[..], &["--config", "retention.ms=3600000"]].concat())?;
    let set = ["--set", "max.message.bytes=2000000"];
    manager.document(&[&["topics", "alter", TOPIC], &set[..], &["--yes"]].concat())?;
    manager.document(&["partitions", "add", TOPIC, "--total", "3", "--yes"])?;
    let describe = ["topics", "describe", TOPIC];
    let described = manager.until(&describe, |topic| {
        topic["partitions"].as_array().map(Vec::len) == Some(3)
    })?;
    let text = described.to_string();
    for setting in ["retention.ms", "3600000", "max.message.bytes", "2000000"] {
        ensure!(text.contains(setting), "{setting}: {text}");
    }
    let theirs = manager.tool("kafka-topics", &["--describe", "--topic", TOPIC])?;
    ensure!(theirs.contains("PartitionCount: 3"), "{theirs}");
    ensure!(theirs.contains("max.message.bytes=2000000"), "{theirs}");
    let lines: String = (0..30).map(|n| format!("{n}:value {n}\n")).collect();
    let produce = ["messages", "produce", TOPIC, "--key-separator", ":"];
    let (code, told) = manager.run(&produce, Some(&lines))?;
    ensure!(code == 0, "{told}");
    let read = manager.run(&["messages", "read", TOPIC, "--from", "beginning"], None)?;
    ensure!(read.0 == 0, "{}", read.1);
    Ok(())
}

/// Committed offsets by partition, as Kafka's tool tells.
fn theirs(manager: &Manager<'_>) -> anyhow::Result<BTreeMap<i64, (i64, i64)>> {
    let text = manager.tool("kafka-consumer-groups", &["--describe", "--group", GROUP])?;
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [GROUP, TOPIC, partition, committed, _, lag, ..] => Some((
                partition.parse().ok()?,
                (committed.parse().ok()?, lag.parse().ok()?),
            )),
            _ => None,
        }
    };
    Ok(text.lines().filter_map(line).collect())
}

fn ours(manager: &Manager<'_>) -> anyhow::Result<BTreeMap<i64, (i64, i64)>> {
    let document = manager.document(&["groups", "describe", GROUP])?;
    let rows = document["partitions"].as_array().context("partitions")?;
    let row = |row: &Value| {
        let found = (row["committed"].as_i64()?, row["lag"].as_i64()?);
        Some((row["partition"].as_i64()?, found))
    };
    Ok(rows.iter().filter_map(row).collect())
}

fn groups(manager: &Manager<'_>) -> anyhow::Result<()> {
    let args = ["--topic", TOPIC, "--group", GROUP, "--from-beginning"];
    let args = ["--bootstrap-server", manager.bootstrap]
        .iter()
        .chain(&args)
        .map(|arg| (*arg).to_owned())
        .collect::<Vec<_>>();
    let mut command: Command = apache::tool_command("kafka-console-consumer", &args)?;
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut consumer = command.stderr(Stdio::null()).spawn()?;
    let describe = ["groups", "describe", GROUP];
    // A consumer commits what it knows its place in, which may not be each partition at first.
    manager.until(&describe, |group| {
        let members = group["members"].as_array().map_or(0, Vec::len);
        let partitions = group["partitions"].as_array();
        let is_committed = |row: &Value| row["committed"].is_i64();
        let n_committed =
            partitions.map_or(0, |rows| rows.iter().filter(|r| is_committed(r)).count());
        group["state"] == "Stable" && members == 1 && group["lag"] == 0 && n_committed == 3
    })?;
    let told = manager.document(&["groups", "timeline", GROUP])?;
    ensure!(
        told["events"][0]["causes"][0]["cause"] == "joined",
        "{told}"
    );
    shell::terminate(&mut consumer, DEADLINE)?;
    manager.until(&describe, |group| group["state"] == "Empty")?;
    let reset = ["groups", "reset", GROUP, "--shift-by", "-4", "--all-topics"];
    manager.document(&[&reset[..], &["--execute", "--yes"]].concat())?;
    let (ours_now, theirs_now) = (ours(manager)?, theirs(manager)?);
    ensure!(
        ours_now.len() == 3 && ours_now == theirs_now,
        "{ours_now:?}, not {theirs_now:?}"
    );
    ensure!(
        ours_now.values().any(|(_, lag)| *lag > 0),
        "{ours_now:?} are behind"
    );
    let list = manager.document(&["groups", "list"])?;
    let lag: i64 = ours_now.values().map(|(_, lag)| lag).sum();
    let rows = list["groups"].as_array().context("groups")?;
    let row = rows
        .iter()
        .find(|row| row["id"] == GROUP)
        .context("a row")?;
    ensure!(row["lag"] == lag, "{row}, not {lag}");
    Ok(())
}

fn moves(manager: &Manager<'_>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("plan.json");
    let file = file.to_str().context("a path in UTF-8")?;
    let plan = ["reassign", "plan", "--move", "1:2", "--topic", TOPIC];
    manager.document(&[&plan[..], &["--out", file]].concat())?;
    manager.document(&["reassign", "run", file, "--execute", "--yes"])?;
    let describe = ["topics", "describe", TOPIC];
    manager.until(&describe, |topic| {
        let rows = topic["partitions"].as_array().cloned().unwrap_or_default();
        let has_left = |row: &Value| {
            let replicas = row["replicas"].as_array().cloned().unwrap_or_default();
            !replicas.contains(&Value::from(1)) && !replicas.is_empty()
        };
        rows.len() == 3 && rows.iter().all(has_left)
    })?;
    let status = manager.document(&["reassign", "status"])?;
    ensure!(
        !status.to_string().contains(&format!("\"{TOPIC}\"")),
        "{status}"
    );
    manager
        .document(&["elect", "--topic", TOPIC, "--yes"])
        .map(drop)
}

fn others(manager: &Manager<'_>) -> anyhow::Result<()> {
    let brokers = manager.document(&["brokers", "list"])?;
    ensure!(
        brokers["brokers"].as_array().is_some_and(|b| b.len() >= 2),
        "{brokers}"
    );
    let alter = ["configs", "alter", "--broker", "2"];
    let set = ["--set", "log.cleaner.backoff.ms=20000", "--yes"];
    manager.document(&[&alter[..], &set].concat())?;
    manager.until(&["configs", "describe", "--broker", "2"], |configs| {
        configs.to_string().contains("20000")
    })?;
    let unset = ["--unset", "log.cleaner.backoff.ms", "--yes"];
    manager.document(&[&alter[..], &unset].concat())?;
    // Settings of groups came with Kafka 3.8, and as what they are with 4.0.
    let group = ["configs", "describe", "--group", GROUP];
    manager.has_or_says(
        &group,
        &["UNSUPPORTED", "INVALID_REQUEST", "does not", "too old"],
    )?;
    let features = manager.document(&["features", "list"])?;
    ensure!(
        features.to_string().contains("metadata.version"),
        "{features}"
    );
    let quorum = manager.document(&["quorum", "describe"])?;
    ensure!(
        quorum["leader"] == 1 || quorum["leader_id"] == 1,
        "{quorum}"
    );
    manager.document(&["transactions", "list"])?;
    manager.document(&["transactions", "open"])?;
    let (code, hanging) = manager.run(&["transactions", "find-hanging"], None)?;
    ensure!(code == 0, "{hanging}");
    manager.document(&["transactions", "producers", "--topic", TOPIC])?;
    manager.has_or_says(&["acls", "list"], &["SECURITY_DISABLED"])?;
    manager.document(&["users", "list"])?;
    let quota = ["quotas", "alter", "--client-id", "tour"];
    let set = ["--set", "producer_byte_rate=1000000", "--yes"];
    manager.document(&[&quota[..], &set].concat())?;
    manager.until(&["quotas", "list"], |quotas| {
        quotas.to_string().contains("1000000")
    })?;
    let unset = ["--unset", "producer_byte_rate", "--yes"];
    manager.document(&[&quota[..], &unset].concat())?;
    let (_, top) = manager.run(&["top"], None)?;
    ensure!(top.to_string().contains("partitions"), "{top}");
    let stop = manager.run(&["brokers", "may-stop", "2"], None)?.1;
    ensure!(stop.to_string().contains("partitions"), "{stop}");
    Ok(())
}

/// Every screen, come to by keys, and what has to be on it.
fn screens(bootstrap: &str, version: &str) -> anyhow::Result<()> {
    let mut terminal = manager_at(bootstrap, "overview")?;
    terminal.wait_for("HEALTH")?;
    let (topic, group) = (TOPIC, GROUP);
    let tour = [
        (
            ":brokers enter".to_owned(),
            vec!["overview › brokers", "up"],
        ),
        (
            ":broker space 2 enter".to_owned(),
            vec!["broker 2", "__consumer_offsets-0"],
        ),
        (":topics enter".to_owned(), vec!["overview › topics", topic]),
        (format!(":topic space {topic} enter"), vec!["LEADER", group]),
        (
            format!(":configs space {topic} enter"),
            vec!["max.message.bytes", "strongest first"],
        ),
        (
            format!(":messages space {topic} enter"),
            vec!["messages of tour", "value 29"],
        ),
        (":groups enter".to_owned(), vec!["overview › groups", group]),
        (
            format!(":group space {group} enter"),
            vec!["tour-0", "verdict"],
        ),
        (
            format!(":group space {group} enter t"),
            vec!["joined: console-consumer", "left: console-consumer"],
        ),
        (":reassignments enter".to_owned(), vec!["reassign"]),
        (
            ":quorum enter".to_owned(),
            vec!["metadata.version", "LOG END"],
        ),
        (":changes enter".to_owned(), vec!["overview › changes"]),
        (":acls enter".to_owned(), vec!["overview › ACLs"]),
        (":users enter".to_owned(), vec!["overview › users"]),
        (":quotas enter".to_owned(), vec!["overview › quotas"]),
        (
            ":transactions enter".to_owned(),
            vec!["overview › transactions"],
        ),
        (":connectors enter".to_owned(), vec!["connectors"]),
        (":local enter".to_owned(), vec!["local brokers"]),
        (":clusters enter".to_owned(), vec!["clusters"]),
        (":overview enter".to_owned(), vec!["HEALTH"]),
    ];
    for (keys, shown) in &tour {
        terminal.keys(keys)?;
        for text in shown {
            let seen = terminal.wait_for(text);
            seen.with_context(|| format!("{keys} shows {text:?} on {version}"))?;
        }
        // Nothing of what any version has may be missing for a reason of the manager's own.
        let text = terminal.text();
        for bad in ["panicked", "could not be decoded", "Protocol"] {
            ensure!(!text.contains(bad), "{keys} on {version}:\n{text}");
        }
        terminal.keys("esc")?;
    }
    // What there is not is said where it would stand.
    terminal.keys(":acls enter")?;
    terminal.wait_until("rules, or why there are none", |terminal| {
        let text = terminal.text();
        [
            "SECURITY_DISABLED",
            "no rule",
            "there are no rules",
            "User:",
        ]
        .iter()
        .any(|part| text.contains(part))
    })
}
