//! The local lab with nodes of both kinds: ours and an Apache Kafka installation's, by commands and
//! by keys, and what all screens say of a node that is held or dead.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::apache;
use crate::cluster::Cluster;
use crate::shell;
use crate::terminal::Terminal;

const DEADLINE: Duration = Duration::from_secs(60);

/// A place for local brokers; what still runs in it is killed in the end.
struct Lab {
    state: tempfile::TempDir,
    home: PathBuf,
}

impl Drop for Lab {
    fn drop(&mut self) {
        // There is nothing to kill where all went well.
        let _ = self.run(&["stop", "mix", "--force"]);
    }
}

/// Something to give a name to: what a downloaded installation has, over Maven's jars.
fn installation(folder: &Path) -> anyhow::Result<PathBuf> {
    let home = folder.join("kafka");
    std::fs::create_dir_all(home.join("bin"))?;
    let jars = apache::jars("pom.xml")?;
    let log = home.join("log4j2.yaml");
    let talkative = "Configuration:\n  Appenders: {Console: {name: O, PatternLayout: {pattern: \
                     \"%p %m%n\"}}}\n  Loggers: {Root: {level: INFO, AppenderRef: {ref: O}}}\n";
    std::fs::write(&log, talkative)?;
    for (script, class) in [
        ("kafka-server-start.sh", "kafka.Kafka"),
        ("kafka-storage.sh", "kafka.tools.StorageTool"),
    ] {
        let path = home.join("bin").join(script);
        let text = format!(
            "#!/bin/sh\nexec java $KAFKA_HEAP_OPTS -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
             -Dlog4j2.configurationFile={} -cp '{}/*' {class} \"$@\"\n",
            log.display(),
            jars.display()
        );
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(home)
}

impl Lab {
    fn new() -> anyhow::Result<Lab> {
        let state = tempfile::tempdir()?;
        let home = installation(state.path())?;
        Ok(Lab { state, home })
    }

    fn run(&self, args: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
        command.args(["--output", "json", "local"]).args(args);
        Ok(command.env("XDG_STATE_HOME", self.state.path()).output()?)
    }

    /// What a command prints that has to succeed.
    fn done(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.run(args)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{args:?}: {errors}");
        ensure!(!errors.contains("killed"), "{args:?}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The lines of a log.
    fn log(&self, args: &[&str]) -> anyhow::Result<Vec<Value>> {
        let document: Value = serde_json::from_str(&self.done(&[&["logs"], args].concat())?)?;
        document["logs"][0]["lines"]
            .as_array()
            .cloned()
            .context("lines")
    }

    fn brokers(&self, args: &[&str]) -> anyhow::Result<Vec<Value>> {
        let document: Value = serde_json::from_str(&self.done(args)?)?;
        document["brokers"].as_array().cloned().context("brokers")
    }

    fn start(&self) -> anyhow::Result<String> {
        let home = self.home.display().to_string();
        let started = self.brokers(&[
            "start",
            "mix",
            "--brokers",
            "3",
            "--racks",
            "a,b,c",
            "--apache",
            &home,
            "--apache-nodes",
            "2,3",
            "--set",
            "broker.session.timeout.ms=3000",
        ])?;
        let of = |field: &str| -> Vec<String> {
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            started.iter().map(|broker| text(&broker[field])).collect()
        };
        ensure!(
            of("status") == ["running"; 3] && of("rack") == ["a", "b", "c"],
            "{started:?}"
        );
        let is_apache: Vec<bool> = started.iter().map(|b| b["apache"].is_string()).collect();
        ensure!(is_apache == [false, true, true], "{started:?}");
        let ports = started
            .iter()
            .map(|broker| format!("127.0.0.1:{}", broker["port"]));
        Ok(ports.collect::<Vec<_>>().join(","))
    }

    /// What a command on the lab's cluster prints.
    fn ask(&self, servers: &str, args: &[&str]) -> anyhow::Result<Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
        command
            .args(["--output", "json", "--bootstrap", servers])
            .args(args);
        let output = command.env("XDG_STATE_HOME", self.state.path()).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{args:?}: {errors}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Waits for a condition, as a script would.
    fn wait(&self, servers: &str, condition: &str) -> anyhow::Result<()> {
        let args = ["wait", condition, "--timeout", "60s", "--every", "500ms"];
        let told = self
            .ask(servers, &args)
            .with_context(|| condition.to_owned())?;
        ensure!(told["holds"] == true, "{told}");
        Ok(())
    }
}

pub fn mixed(_: &mut Cluster) -> anyhow::Result<()> {
    let lab = Lab::new()?;
    let servers = lab.start()?;
    let create = [
        "topics",
        "create",
        "t",
        "--partitions",
        "6",
        "--replication-factor",
        "3",
    ];
    lab.ask(&servers, &create)?;
    by_commands(&lab, &servers)?;
    by_keys(&lab)
}

fn by_commands(lab: &Lab, servers: &str) -> anyhow::Result<()> {
    lab.wait(servers, "brokers == 3 and urp == 0")?;
    let listed = lab.ask(servers, &["brokers", "list"])?;
    let rack = |id: usize| listed["brokers"][id]["rack"].clone();
    ensure!([rack(0), rack(1), rack(2)] == ["a", "b", "c"], "{listed}");
    let status = lab.brokers(&["status", "mix"])?;
    let has_size = |broker: &Value| broker["data_bytes"].as_u64().is_some_and(|n| n > 0);
    ensure!(status.iter().all(has_size), "{status:?}");
    let log = lab.log(&["mix/2", "--filter", "KAFKA SERVER STARTED"])?;
    let has = |log: &[Value], part: &str| log.iter().any(|line| line.to_string().contains(part));
    ensure!(has(&log, "Kafka Server started"), "{log:?}");
    ensure!(lab.log(&["mix/2", "--filter", "no such text"])?.is_empty());
    for (verb, way_back) in [("pause", "resume"), ("kill", "start"), ("stop", "start")] {
        lab.done(&[verb, "mix/3"])?;
        lab.wait(servers, "brokers == 2 and urp > 0")?;
        lab.done(&[way_back, "mix/3"])?;
        lab.wait(servers, "brokers == 3 and urp == 0")?;
    }
    lab.done(&["restart", "mix/2"])?;
    lab.wait(servers, "brokers == 3 and urp == 0")?;
    // All of them, in order: nobody is left without a quorum.
    let stopped = lab.brokers(&["stop", "mix"])?;
    ensure!(
        stopped.iter().all(|broker| broker["status"] == "stopped"),
        "{stopped:?}"
    );
    let log = lab.log(&["mix/2", "--filter", "controlled shutdown", "--lines", "500"])?;
    ensure!(!has(&log, "Timed out"), "{log:?}");
    lab.brokers(&["start", "mix"])?;
    lab.wait(
        servers,
        "brokers == 3 and urp == 0 and partitions(\"t\") == 6",
    )?;
    lab.done(&["stop", "mix"])?;
    lab.done(&["delete", "mix", "--yes"])?;
    ensure!(lab.brokers(&["status"])?.is_empty());
    Ok(())
}

fn by_keys(lab: &Lab) -> anyhow::Result<()> {
    let program = Path::new(env!("CARGO_BIN_EXE_kafka-tui"));
    let state = lab.state.path().display().to_string();
    let variables = [("XDG_STATE_HOME", state.as_str())];
    let args = ["--open", "local", "--refresh", "1"];
    let mut terminal = Terminal::start(program, &args, &variables, (160, 40))?;
    // A mark may stand before the name.
    let is = |terminal: &Terminal, name: &str, state: &str| {
        terminal.line(name).is_some_and(|line| line.contains(state))
    };
    terminal.keys("n")?;
    terminal.wait_for("start new local brokers")?;
    // ctrl-u empties the field.
    let home = lab.home.display();
    terminal.send(&format!("\x15mix\t\x153\ta,b,c\t{home}\t2,3\r"))?;
    terminal.wait_for("mix/1, mix/2, mix/3: runs at")?;
    for name in ["mix/1", "mix/2", "mix/3"] {
        terminal.wait_until(name, |terminal| is(terminal, name, "running"))?;
    }
    terminal.wait_until("whose they are", |terminal| {
        let kind = |name: &str| {
            terminal
                .line(name)
                .is_some_and(|line| line.contains("apache"))
        };
        !kind("mix/1") && kind("mix/2") && kind("mix/3")
    })?;
    // Where the data is and how large it is; what takes longer to be measured is waited for.
    terminal.resize(240, 40)?;
    terminal.wait_until("folders, sizes and racks", |terminal| {
        ["mix/1", "mix/2", "mix/3"]
            .iter()
            .zip(["a", "b", "c"])
            .all(|(name, rack)| {
                let line = terminal.line(name).unwrap_or_default();
                let words: Vec<&str> = line.split_whitespace().collect();
                let folder = words
                    .iter()
                    .any(|word| word.starts_with(&state) && word.len() > state.len());
                folder && words.contains(&rack) && words.iter().any(|word| word.ends_with("iB"))
            })
    })?;
    // The lab's cluster on all screens, while its third node is held and then dead.
    terminal.keys("enter")?;
    terminal.wait_for("3 brokers")?;
    terminal.keys("2")?;
    terminal.wait_until("racks", |terminal| {
        let has = |id: &str, rack: &str| {
            let row = terminal.row(id).unwrap_or_default();
            row.iter().any(|word| word == rack)
        };
        has("1", "a") && has("2", "b") && has("3", "c")
    })?;
    terminal.resize(160, 40)?;
    terminal.keys("1")?;
    terminal.wait_for("all is well")?;
    terminal.send(":create t\r")?;
    terminal.wait_for("create a topic")?;
    terminal.send("\t6\t3\r")?;
    terminal.wait_for("accepts this")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ create topic \"t\"")?;
    on_node(&mut terminal, 3)?;
    terminal.keys("p")?;
    terminal.wait_for("mix/3: paused")?;
    terminal.wait_until("paused", |terminal| is(terminal, "mix/3", "paused"))?;
    screens_of_loss(&mut terminal)?;
    on_node(&mut terminal, 3)?;
    terminal.keys("p")?;
    terminal.wait_for("mix/3: resumed")?;
    whole_again(&mut terminal)?;
    on_node(&mut terminal, 3)?;
    terminal.keys("K")?;
    terminal.wait_for("mix/3: killed")?;
    terminal.wait_until("stopped", |terminal| is(terminal, "mix/3", "stopped"))?;
    screens_of_loss(&mut terminal)?;
    on_node(&mut terminal, 3)?;
    terminal.keys("n")?;
    terminal.wait_for("mix/3: runs at")?;
    whole_again(&mut terminal)?;
    on_node(&mut terminal, 2)?;
    terminal.keys("r")?;
    terminal.wait_for("mix/2: runs at")?;
    on_node(&mut terminal, 2)?;
    terminal.send(":log started\r")?;
    terminal.wait_for("log of mix/2")?;
    terminal.wait_for("Kafka Server started")?;
    terminal.keys("esc g space space space x")?;
    terminal.wait_for("mix/1, mix/2, mix/3: stopped")?;
    for name in ["mix/1", "mix/2", "mix/3"] {
        terminal.wait_until(name, |terminal| is(terminal, name, "stopped"))?;
    }
    terminal.keys("D")?;
    terminal.wait_for("type mix to confirm")?;
    terminal.send("mix\r")?;
    terminal.wait_for("mix is deleted")?;
    terminal.wait_for("there is no local broker")?;
    let gone = shell::wait_until(DEADLINE, || {
        let status = lab.run(&["status"]);
        status.is_ok_and(|output| !String::from_utf8_lossy(&output.stdout).contains("mix"))
    });
    ensure!(gone, "the folder is still there");
    terminal.keys("ctrl-c")?;
    ensure!(terminal.wait_for_end()?.success());
    Ok(())
}

/// Selects a node on the screen of local brokers, once it is read.
fn on_node(terminal: &mut Terminal, id: usize) -> anyhow::Result<()> {
    // Opened anew it has to be read again, and the rows of before would be taken for its own.
    if !terminal.text().contains("local brokers") {
        terminal.keys("7")?;
    }
    terminal.wait_until("the nodes", |terminal| terminal.row("mix/3").is_some())?;
    terminal.keys(["g", "g down", "g down down"][id - 1])
}

/// What stands on each screen when broker 3 does not answer any more.
fn screens_of_loss(terminal: &mut Terminal) -> anyhow::Result<()> {
    terminal.keys("2")?;
    terminal.wait_until("broker 3 is missed", |terminal| {
        let row = terminal.row("3").unwrap_or_default();
        row.get(1)
            .is_some_and(|word| word == "fenced" || word == "gone")
    })?;
    terminal.keys("1")?;
    terminal.wait_until("replicas are missed", |terminal| {
        let row = terminal.row("under-replicated").unwrap_or_default();
        row.get(1).is_some_and(|n| n != "0")
    })?;
    terminal.wait_while("all is well")?;
    terminal.keys("3")?;
    terminal.wait_until("the topic lacks replicas", |terminal| {
        terminal.line("under-repl.").is_some()
    })?;
    terminal.keys("6")?;
    terminal.wait_for("LOG END")?;
    terminal.keys("9")?;
    terminal.wait_for("broker 3 is")?;
    terminal.wait_for("replica 3 fell out of sync")?;
    // Small terminals say it too.
    terminal.resize(40, 10)?;
    terminal.wait_for("broker 3 is")?;
    terminal.resize(160, 40)
}

fn whole_again(terminal: &mut Terminal) -> anyhow::Result<()> {
    terminal.keys("1")?;
    terminal.wait_until("every replica is in sync again", |terminal| {
        let row = terminal.row("under-replicated").unwrap_or_default();
        row.get(1).is_some_and(|n| n == "0") && terminal.line("all is well").is_some()
    })
}
