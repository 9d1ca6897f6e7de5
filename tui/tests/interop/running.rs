//! Runs driven by keys: begun, paused, paced anew, left and taken up again, cancelled; throttles of
//! an operator, throttles that may not be set, throttles left behind. What is set and where replicas
//! are is asked of Kafka's own tools.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::shell;
use crate::terminal::Terminal;

/// The most that anything may take.
const DEADLINE: Duration = Duration::from_secs(180);

/// Records of 10 kB that each partition gets.
const RECORDS: usize = 300;

/// The manager with a memory of its own, which its programs share.
pub struct Place {
    pub bootstrap: String,
    state: tempfile::TempDir,
}

impl Place {
    pub fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        Ok(Self {
            bootstrap: cluster.bootstrap(),
            state: tempfile::tempdir()?,
        })
    }

    pub fn folder(&self) -> &Path {
        self.state.path()
    }

    pub fn file(&self, name: &str) -> String {
        self.folder().join(name).display().to_string()
    }

    /// Writes a file of Kafka's tool; where it is.
    pub fn goal(&self, topic: &str, replicas: &[&str]) -> anyhow::Result<String> {
        let partition = |(at, replicas): (usize, &&str)| {
            format!(r#"{{"topic":"{topic}","partition":{at},"replicas":[{replicas}]}}"#)
        };
        let partitions: Vec<String> = replicas.iter().enumerate().map(partition).collect();
        let path = self.file(&format!(
            "{topic}-{}.json",
            replicas.join("-").replace(',', "_")
        ));
        let text = format!(r#"{{"version":1,"partitions":[{}]}}"#, partitions.join(","));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// The screens, in a terminal in which every column has room.
    pub fn screens(&self, open: &str) -> anyhow::Result<Terminal> {
        let program = Path::new(env!("CARGO_BIN_EXE_kafka-tui"));
        let args = [
            "--bootstrap",
            &self.bootstrap,
            "--refresh",
            "1",
            "--open",
            open,
        ];
        let state = self.folder().display().to_string();
        let variables = [("XDG_STATE_HOME", &*state)];
        let mut terminal = Terminal::start(program, &args, &variables, (200, 60))?;
        terminal.wait_for("live")?;
        Ok(terminal)
    }

    /// A command; its exit code and its document, or what it complains of.
    pub fn run(&self, args: &[&str]) -> anyhow::Result<(i32, Value)> {
        self.run_at(&["--bootstrap", &self.bootstrap], args)
    }

    /// As `run`, with another way to the cluster.
    fn run_at(&self, at: &[&str], args: &[&str]) -> anyhow::Result<(i32, Value)> {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
        command.args(["--output", "json"]).args(at).args(args);
        command.env("XDG_STATE_HOME", self.folder());
        let output = shell::run(&mut command, None, DEADLINE)?;
        let document = serde_json::from_str(&output.stdout);
        Ok((
            output.status,
            document.unwrap_or(Value::String(output.stderr)),
        ))
    }

    /// The document of a command that has to succeed.
    pub fn document(&self, args: &[&str]) -> anyhow::Result<Value> {
        let (code, document) = self.run(args)?;
        ensure!(code == 0, "{args:?} ended with {code}: {document}");
        Ok(document)
    }
}

/// A topic whose partitions have these replicas, with some megabytes where they are asked for.
pub fn topic(cluster: &Cluster, name: &str, replicas: &str, has_data: bool) -> anyhow::Result<()> {
    let create = [
        "--create",
        "--topic",
        name,
        "--replica-assignment",
        replicas,
    ];
    cluster.tool("kafka-topics", &create, None)?;
    if !has_data {
        return Ok(());
    }
    let records = (replicas.split(',').count() * RECORDS).to_string();
    let args = [
        "--topic",
        name,
        "--num-records",
        &records,
        "--record-size",
        "10000",
    ];
    let args = [&args[..], &["--throughput", "-1"]].concat();
    cluster
        .tool("kafka-producer-perf-test", &args, None)
        .map(drop)
}

/// The replicas of each partition, as kafka-topics says.
pub fn placed(cluster: &Cluster, topic: &str) -> anyhow::Result<Vec<String>> {
    let text = cluster.tool("kafka-topics", &["--describe", "--topic", topic], None)?;
    let lines = text
        .lines()
        .filter_map(|line| line.split_once("Replicas: "));
    let replicas = lines.filter_map(|(_, rest)| rest.split_whitespace().next());
    Ok(replicas.map(str::to_owned).collect())
}

/// What kafka-configs says of throttles, of a topic and of all brokers.
pub fn throttles(cluster: &Cluster, topic: &str) -> anyhow::Result<Vec<String>> {
    let args = [
        "--describe",
        "--entity-type",
        "topics",
        "--entity-name",
        topic,
    ];
    let mut text = cluster.tool("kafka-configs", &args, None)?;
    let brokers = ["--describe", "--entity-type", "brokers"];
    text.push_str(&cluster.tool("kafka-configs", &brokers, None)?);
    let lines = text.lines().map(str::trim);
    let set = lines.filter(|line| line.contains(".replication.throttled."));
    // What comes after is where the value is from.
    let value = |line: &str| {
        line.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let mut set: Vec<String> = set.map(value).collect();
    set.sort();
    Ok(set)
}

fn alter(cluster: &Cluster, kind: &str, name: &str, change: &[&str]) -> anyhow::Result<()> {
    let args = ["--alter", "--entity-type", kind, "--entity-name", name];
    let args = [&args[..], change].concat();
    cluster.tool("kafka-configs", &args, None).map(drop)
}

/// Plans by keys: all partitions onto one broker, in batches with that pace.
fn begin(terminal: &mut Terminal, topic: &str, to: &str, pace: &str) -> anyhow::Result<()> {
    terminal.keys(&format!(":topic space {topic} enter"))?;
    terminal.wait_for(&format!("topics › {topic}"))?;
    terminal.wait_for("MiB")?;
    terminal.keys("a")?;
    terminal.wait_for(&format!("reassign {topic}"))?;
    terminal.keys("g space space space space e")?;
    terminal.wait_for("replicas of 4 partitions")?;
    terminal.keys(&format!("ctrl-u {to} enter"))?;
    terminal.wait_for("4 of 4 partitions change")?;
    terminal.keys("r")?;
    terminal.wait_for("reassign in batches")?;
    terminal.keys(&format!("ctrl-u {pace} enter"))?;
    terminal.wait_for("press y to execute")?;
    terminal.wait_for("takes")?;
    terminal.keys("y")?;
    terminal.wait_for("at a time: begun")?;
    terminal.keys(":reassignments enter")?;
    terminal.wait_for("run:")
}

/// A run is begun, looked at, paused, paced anew, left in the middle, taken up by the next program,
/// and cancelled.
pub fn by_keys(cluster: &mut Cluster) -> anyhow::Result<()> {
    topic(cluster, "run-keys", "1,1,1,1", true)?;
    let place = Place::of(cluster)?;
    let mut terminal = place.screens("topics")?;
    // One at a time at 100 kB a second: half a minute each.
    begin(&mut terminal, "run-keys", "3", "100K tab ctrl-u 1")?;
    terminal.wait_for("1 on the way, 3 waiting, at most 100 kB/s")?;
    terminal.wait_for("%")?;
    // How fast it goes and how long it takes, from what was read.
    terminal.wait_until("a rate and the time that is left", |terminal| {
        let line = terminal.line(" copied ").unwrap_or_default();
        line.contains("/s, ") && line.contains(" left")
    })?;
    let order = |terminal: &mut Terminal, keys: &str, asked: &str, then: &str| {
        terminal.keys(keys)?;
        terminal.wait_for(asked)?;
        terminal.wait_for("press y to execute")?;
        terminal.keys("y")?;
        terminal.wait_for(then)
    };
    order(&mut terminal, "p", "pause the run", "paused")?;
    let set = throttles(cluster, "run-keys")?;
    ensure!(
        set.iter()
            .any(|line| line.ends_with("throttled.rate=100000")),
        "{set:?}"
    );
    let status = place.document(&["reassign", "status"])?;
    ensure!(status["run"]["wish"] == "pause", "{status}");
    ensure!(status["run"]["throttle"] == 100_000, "{status}");
    // What is on its way arrives, faster now, and nothing begins.
    let pace = |keys: &str| format!("t ctrl-u {keys} enter");
    let title = "change the pace of the run";
    order(
        &mut terminal,
        &pace("5M tab ctrl-u 1"),
        title,
        "at most 5 MB/s",
    )?;
    terminal.wait_until("what was on its way is there", |terminal| {
        let line = terminal.line("paused").unwrap_or_default();
        !line.contains("on the way") && line.contains("waiting")
    })?;
    let moved = moved(&terminal).context("how many have moved")?;
    ensure!((1..=2).contains(&moved), "{}", terminal.text());
    order(
        &mut terminal,
        &pace("100K tab ctrl-u 2"),
        title,
        "at most 100 kB/s",
    )?;
    order(&mut terminal, "p", "go on with the run", "2 on the way")?;
    // Commands tell the screens, which execute it.
    place.document(&["reassign", "pause"])?;
    terminal.wait_for("paused")?;
    place.document(&["reassign", "resume"])?;
    terminal.wait_while("paused")?;

    // Left in the middle: what is on its way stays throttled.
    terminal.keys("ctrl-c")?;
    ensure!(terminal.wait_for_end()?.success(), "it ended badly");
    ensure!(
        !throttles(cluster, "run-keys")?.is_empty(),
        "no throttle is left"
    );
    let mut terminal = place.screens("reassignments")?;
    terminal.wait_for("run:")?;
    terminal.wait_for("on the way")?;
    place.document(&["reassign", "cancel"])?;
    terminal.wait_for("cancelled, over")?;
    terminal.wait_for("nothing is being reassigned")?;
    let moved = self::moved(&terminal).context("how many have moved")?;
    let now = placed(cluster, "run-keys")?;
    let there = now.iter().filter(|list| *list == "3").count();
    ensure!(
        there == moved && now.iter().all(|list| list == "1" || list == "3"),
        "{now:?}"
    );
    ensure!(throttles(cluster, "run-keys")?.is_empty());

    // What was moved goes back as a run with the throttle of the first one, or another one.
    terminal.keys("u")?;
    terminal.wait_for("undo: reassign partitions")?;
    terminal.wait_for("--throttle 100000")?;
    terminal.keys("esc")?;
    let done = place.document(&["undo", "--throttle", "5M", "--execute"])?;
    ensure!(
        done["throttle"] == 5_000_000 && done["counts"]["done"] == moved,
        "{done}"
    );
    ensure!(placed(cluster, "run-keys")? == ["1", "1", "1", "1"]);
    ensure!(throttles(cluster, "run-keys")?.is_empty());
    Ok(())
}

/// Partitions that have arrived, as the line of the run says.
fn moved(terminal: &Terminal) -> Option<usize> {
    let line = terminal.line(" of 4 moved")?;
    line.split_whitespace().next()?.parse().ok()
}

/// What an operator has set by kafka-configs is used and added to, and is there afterwards; what
/// was left behind is found and removed, by the command and by the screen.
pub fn throttles_of_others(cluster: &mut Cluster) -> anyhow::Result<()> {
    let topic_name = "run-merged";
    topic(cluster, topic_name, "1,1", true)?;
    let place = Place::of(cluster)?;
    let own_rate = "leader.replication.throttled.rate=3000000";
    let own_list = "leader.replication.throttled.replicas=[9:9]";
    alter(cluster, "brokers", "1", &["--add-config", own_rate])?;
    alter(cluster, "topics", topic_name, &["--add-config", own_list])?;
    let own = throttles(cluster, topic_name)?;
    ensure!(own.len() == 2, "{own:?}");

    let goal = place.goal(topic_name, &["2", "2"])?;
    let run = ["reassign", "run", &goal, "--throttle", "1M", "--execute"];
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_kafka-tui"))
        .args(["--bootstrap", &place.bootstrap])
        .args(run)
        .env("XDG_STATE_HOME", place.folder())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    let mut during = Vec::new();
    let came = shell::wait_until(DEADLINE, || {
        during = throttles(cluster, topic_name).unwrap_or_default();
        during
            .iter()
            .any(|line| line.contains("follower.replication.throttled.replicas"))
    });
    let ended = child.wait()?;
    ensure!(came, "nothing was throttled: {during:?}");
    ensure!(
        during.contains(&own_rate.to_owned()),
        "the operator's rate: {during:?}"
    );
    ensure!(
        during
            .iter()
            .any(|line| line.starts_with("leader") && line.contains("9:9,0:1")),
        "its list: {during:?}"
    );
    ensure!(ended.success(), "{ended}");
    ensure!(placed(cluster, topic_name)? == ["2", "2"]);
    let after = throttles(cluster, topic_name)?;
    ensure!(after == own, "{after:?}, and before {own:?}");

    // Nothing needs them now.
    let found = place.document(&["reassign", "janitor"])?;
    let rows = found["left_over"].as_array().context("rows")?;
    ensure!(rows.len() == 2, "{found}");
    ensure!(
        rows.iter()
            .all(|row| row["set_by"].is_null() && row["is_meant"] == false)
    );
    // Without being told so, what is somebody else's stays.
    place.document(&["reassign", "janitor", "--execute"])?;
    ensure!(throttles(cluster, topic_name)? == own);
    place.document(&["reassign", "janitor", "--all", "--execute"])?;
    let left = throttles(cluster, topic_name)?;
    ensure!(left.is_empty(), "{left:?}");

    alter(cluster, "brokers", "1", &["--add-config", own_rate])?;
    alter(cluster, "topics", topic_name, &["--add-config", own_list])?;
    let mut terminal = place.screens("reassignments")?;
    terminal.wait_for("nothing is being reassigned")?;
    terminal.keys("J")?;
    terminal.wait_for("remove 2 throttles left behind")?;
    terminal.wait_for("was not set from here")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ remove 2 throttles")?;
    terminal.keys("J")?;
    terminal.wait_for("no throttle is left over")?;
    let left = throttles(cluster, topic_name)?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

/// Who may reassign and may not alter configurations gets no move at all, and is told why.
pub fn refused(cluster: &mut Cluster) -> anyhow::Result<()> {
    let topic_name = "run-refused";
    topic(cluster, topic_name, "1,1", false)?;
    let place = Place::of(cluster)?;
    let password = "SCRAM-SHA-512=[password=mover-secret]";
    alter(cluster, "users", "mover", &["--add-config", password])?;
    let principal = ["--allow-principal", "User:mover"];
    let rules: [&[&str]; 2] = [
        &[
            "--operation",
            "Describe",
            "--operation",
            "DescribeConfigs",
            "--topic",
            "*",
        ],
        &[
            "--operation",
            "Describe",
            "--operation",
            "DescribeConfigs",
            "--operation",
            "Alter",
            "--cluster",
        ],
    ];
    for rule in rules {
        cluster.tool(
            "kafka-acls",
            &[&["--add"], &principal[..], rule].concat(),
            None,
        )?;
    }
    let properties = place.file("mover.properties");
    let text = format!(
        "bootstrap.servers={}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n\
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
         username=\"mover\" password=\"mover-secret\";\n",
        cluster.sasl()
    );
    std::fs::write(&properties, text)?;
    let goal = place.goal(topic_name, &["2", "3"])?;
    let mover = ["--properties", &properties];
    let args = ["reassign", "run", &goal, "--throttle", "1M", "--execute"];
    let (code, document) = place.run_at(&mover, &args)?;
    ensure!(code == 1, "{code}: {document}");
    ensure!(
        document["counts"]["skipped"] == 2 && document["is_over"] == true,
        "{document}"
    );
    let note = document["moves"][0]["note"].as_str().unwrap_or_default();
    ensure!(
        note.contains("its throttle can't be set") && note.contains("AUTHORIZATION_FAILED"),
        "{note}"
    );
    ensure!(document["has_throttles"] == false, "{document}");
    ensure!(placed(cluster, topic_name)? == ["1", "1"]);
    let left = throttles(cluster, topic_name)?;
    ensure!(left.is_empty(), "{left:?}");
    // Without a throttle he may.
    let (code, document) = place.run_at(&mover, &["reassign", "run", &goal, "--execute"])?;
    ensure!(
        code == 0 && document["counts"]["done"] == 2,
        "{code}: {document}"
    );
    for rule in rules {
        let remove = [&["--remove", "--force"], &principal[..], rule].concat();
        cluster.tool("kafka-acls", &remove, None)?;
    }
    alter(
        cluster,
        "users",
        "mover",
        &["--delete-config", "SCRAM-SHA-512"],
    )
}
