//! Kafka Connect: a real worker on the cluster, with the connectors for files, by commands and by
//! keys.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command;
use crate::stores::keytool;
use crate::terminal::Terminal;
use crate::{apache, shell};

const DEADLINE: Duration = Duration::from_secs(90);

/// Of the worker's keystore.
const STORE: &str = "store-of-the-worker";

/// A worker; killed when dropped.
struct Worker {
    url: String,
    /// The same over TLS, with a certificate that vouches for itself.
    secured_url: String,
    folder: tempfile::TempDir,
    process: Child,
}

impl Drop for Worker {
    fn drop(&mut self) {
        shell::kill(&mut self.process);
    }
}

impl Worker {
    fn start(cluster: &Cluster) -> anyhow::Result<Worker> {
        let folder = tempfile::tempdir()?;
        let (port, secured_port) = (shell::free_port()?, shell::free_port()?);
        make_identity(folder.path())?;
        let properties = folder.path().join("worker.properties");
        let text = format!(
            "bootstrap.servers={}\ngroup.id=connect-workers\n\
             listeners=HTTP://127.0.0.1:{port},HTTPS://127.0.0.1:{secured_port}\n\
             rest.advertised.host.name=127.0.0.1\nrest.advertised.port={port}\n\
             rest.advertised.listener=http\n\
             listeners.https.ssl.keystore.type=PKCS12\n\
             listeners.https.ssl.keystore.location={}\n\
             listeners.https.ssl.keystore.password={STORE}\n\
             listeners.https.ssl.key.password={STORE}\n\
             config.storage.topic=connect-configs\nconfig.storage.replication.factor=1\n\
             offset.storage.topic=connect-offsets\noffset.storage.replication.factor=1\n\
             offset.storage.partitions=1\nstatus.storage.topic=connect-status\n\
             status.storage.replication.factor=1\nstatus.storage.partitions=1\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             offset.flush.interval.ms=500\nscheduled.rebalance.max.delay.ms=0\n\
             plugin.discovery=only_scan\n",
            cluster.bootstrap(),
            folder.path().join("worker.p12").display()
        );
        std::fs::write(&properties, text)?;
        let mut java = apache::java("pom-connect.xml", None)?;
        java.arg("org.apache.kafka.connect.cli.ConnectDistributed");
        java.arg(&properties);
        let process = apache::spawn_server(&mut java, folder.path())?;
        let worker = Worker {
            url: format!("http://127.0.0.1:{port}"),
            secured_url: format!("https://127.0.0.1:{secured_port}"),
            folder,
            process,
        };
        let is_ready = || {
            let listed = worker.run(&["list"]);
            listed.is_ok_and(|(code, _)| code == 0)
        };
        if !shell::wait_until(DEADLINE, is_ready) {
            let log = std::fs::read_to_string(worker.folder.path().join("server.log"));
            bail!("the worker did not start:\n{}", log.unwrap_or_default());
        }
        Ok(worker)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `kafka-tui connect`; its exit code and its document.
    fn run(&self, args: &[&str]) -> anyhow::Result<(i32, Value)> {
        let global = ["--bootstrap", "127.0.0.1:1", "connect", "--url", &self.url];
        command::run_with(&[&global[..], args].concat(), None)
    }

    fn done(&self, args: &[&str]) -> anyhow::Result<Value> {
        let (code, document) = self.run(args)?;
        ensure!(code == 0, "{args:?} ended with {code}: {document}");
        Ok(document)
    }

    /// A document of the worker's own, without the manager.
    fn get(&self, path: &str) -> anyhow::Result<Value> {
        let address = self.url.trim_start_matches("http://");
        let mut socket = TcpStream::connect(address)?;
        write!(socket, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.contains(" 200 "), "{answer}");
        Ok(serde_json::from_str(body)?)
    }

    fn wait_until(
        &self,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
        name: &str,
    ) -> anyhow::Result<Value> {
        let mut last = Value::Null;
        let came = shell::wait_until(DEADLINE, || match self.run(&["describe", name]) {
            Ok((0, document)) => {
                last = document;
                is_so(&last)
            }
            _ => false,
        });
        ensure!(came, "{what}: {last}");
        Ok(last)
    }
}

fn is_running(connector: &Value) -> bool {
    connector["state"] == "RUNNING" && connector["tasks"][0]["state"] == "RUNNING"
}

pub fn connectors(cluster: &mut Cluster) -> anyhow::Result<()> {
    let worker = Worker::start(cluster)?;
    by_commands(cluster, &worker)?;
    over_tls(cluster, &worker)?;
    by_keys(cluster, &worker)
}

/// A key with a certificate for the worker's address, and the certificate on its own.
fn make_identity(folder: &Path) -> anyhow::Result<()> {
    let store = ["-keystore", "worker.p12", "-storepass", STORE];
    let make = [
        "-genkeypair",
        "-alias",
        "worker",
        "-dname",
        "CN=worker",
        "-keyalg",
        "EC",
        "-ext",
        "SAN=IP:127.0.0.1",
        "-storetype",
        "PKCS12",
    ];
    keytool(folder, &[&make[..], &store].concat())?;
    let tell = ["-exportcert", "-rfc", "-alias", "worker"];
    let pem = keytool(folder, &[&tell[..], &store].concat())?;
    Ok(std::fs::write(folder.join("worker.pem"), pem)?)
}

/// Who trusts the worker's certificate is answered, and who does not reads which step failed.
fn over_tls(cluster: &Cluster, worker: &Worker) -> anyhow::Result<()> {
    let ca = worker.file("worker.pem").display().to_string();
    let list = |more: &[&str]| {
        let connect = ["--bootstrap", "127.0.0.1:1", "connect", "--url"];
        let own = [worker.secured_url.as_str(), "list"];
        command::run_with(&[&connect[..], &own, more].concat(), None)
    };
    let (code, listed) = list(&["--ca", &ca])?;
    ensure!(
        code == 0 && listed["connectors"][0]["name"] == "lines",
        "{code}: {listed}"
    );
    let (code, told) = list(&[])?;
    ensure!(
        code != 0 && told.to_string().contains("TLS"),
        "{code}: {told}"
    );

    let config = worker.file("secured.toml");
    let entry = |name: &str, more: &str| {
        format!(
            "[clusters.{name}]\nbootstrap = \"{}\"\nconnect = [\"{}\"]\n{more}",
            cluster.bootstrap(),
            worker.secured_url
        )
    };
    // Relative to the file.
    let trusted = entry("lab", "connect_ca = \"worker.pem\"\n");
    std::fs::write(&config, trusted + &entry("stranger", ""))?;
    let config = config.display().to_string();
    let program = Path::new(env!("CARGO_BIN_EXE_kafka-tui"));
    for (name, told) in [("lab", "lines"), ("stranger", "TLS")] {
        let args = ["--config-file", &config, "--cluster", name];
        let args = [&args[..], &["--open", "connectors"]].concat();
        let mut terminal = Terminal::start(program, &args, &[], (80, 24))?;
        terminal.wait_for(told)?;
    }
    Ok(())
}

fn by_commands(cluster: &Cluster, worker: &Worker) -> anyhow::Result<()> {
    let none = worker.done(&["list"])?;
    ensure!(none["connectors"] == serde_json::json!([]), "{none}");
    let from = worker.file("lines.txt");
    std::fs::write(&from, "one\ntwo\nthree\n")?;
    let file = format!("file={}", from.display());
    let create = [
        "config",
        "lines",
        "--set",
        "connector.class=FileStreamSource",
        "--set",
        &file,
        "--set",
        "topic=from-file",
        "--set",
        "tasks.max=1",
    ];
    // What a worker does not take is told before anything is sent.
    let (code, refused) = worker.run(&[&create[..9], &["tasks.max=none"]].concat())?;
    let problems = refused["problems"].to_string();
    ensure!(
        code == 4 && problems.contains("tasks.max"),
        "{code}: {refused}"
    );
    let made = worker.done(&create)?;
    ensure!(made["is_done"] == true, "{made}");
    let running = worker.wait_until("it runs", is_running, "lines")?;
    let own = worker.get("/connectors/lines/config")?;
    ensure!(own["file"] == running["config"]["file"], "{own} {running}");
    let read = [
        "--topic",
        "from-file",
        "--from-beginning",
        "--max-messages",
        "3",
    ];
    let read = cluster.tool("kafka-console-consumer", &read, None)?;
    ensure!(
        read.lines().collect::<Vec<_>>() == ["one", "two", "three"],
        "{read}"
    );

    let change = [
        "config",
        "lines",
        "--set",
        "batch.size=7",
        "--unset",
        "tasks.max",
    ];
    let dry = worker.done(&[&change[..], &["--dry-run"]].concat())?;
    let keys: Vec<(&Value, &Value, &Value)> = dry["diff"]
        .as_array()
        .context("a list")?
        .iter()
        .map(|diff| (&diff["key"], &diff["before"], &diff["after"]))
        .collect();
    let text = |text: &str| Value::from(text);
    let wanted = [
        (&text("batch.size"), &Value::Null, &text("7")),
        (&text("tasks.max"), &text("1"), &Value::Null),
    ];
    ensure!(keys == wanted, "{dry}");
    ensure!(
        worker.get("/connectors/lines/config")? == own,
        "a dry run changes nothing"
    );
    worker.done(&change)?;
    let now = worker.get("/connectors/lines/config")?;
    ensure!(
        now["batch.size"] == "7" && now.get("tasks.max").is_none(),
        "{now}"
    );

    for (args, state) in [
        (&["pause", "lines"][..], "PAUSED"),
        (&["resume", "lines"], "RUNNING"),
        (&["restart", "lines"], "RUNNING"),
        (&["restart", "lines", "--task", "0"], "RUNNING"),
        (&["stop", "lines"], "STOPPED"),
        (&["resume", "lines"], "RUNNING"),
    ] {
        worker.done(args)?;
        worker.wait_until(&args.join(" "), |told| told["state"] == state, "lines")?;
        let own = worker.get("/connectors/lines/status")?;
        ensure!(own["connector"]["state"] == state, "{args:?}: {own}");
    }
    worker.wait_until("it runs again", is_running, "lines")?;

    let into = worker.file("nowhere").join("out.txt");
    let file = format!("file={}", into.display());
    worker.done(&[
        "config",
        "sink",
        "--set",
        "connector.class=FileStreamSink",
        "--set",
        &file,
        "--set",
        "topics=from-file",
        "--set",
        "tasks.max=1",
    ])?;
    let has_failed = |told: &Value| told["tasks"][0]["state"] == "FAILED";
    let failed = worker.wait_until("its task fails", has_failed, "sink")?;
    let trace = failed["tasks"][0]["trace"].as_str().unwrap_or_default();
    ensure!(
        trace.contains("ConnectException") && trace.contains("\tat "),
        "{trace}"
    );
    let (code, _) = worker.run(&["list", "--check"])?;
    ensure!(code == 8, "--check ended with {code}");
    // With its folder there, what has failed can go on.
    std::fs::create_dir(into.parent().context("a folder")?)?;
    worker.done(&["restart", "sink", "--failed"])?;
    worker.wait_until("it goes on", is_running, "sink")?;
    let copied = shell::wait_until(DEADLINE, || {
        std::fs::read_to_string(&into).is_ok_and(|text| text == "one\ntwo\nthree\n")
    });
    ensure!(copied, "{:?}", std::fs::read_to_string(&into));
    worker.done(&["delete", "sink", "--yes"])?;
    let (code, _) = worker.run(&["describe", "sink"])?;
    ensure!(code == 3, "describe of a deleted one ended with {code}");
    Ok(())
}

/// The words of a connector's row: name, state, running of tasks.
fn row(terminal: &Terminal, name: &str) -> Vec<String> {
    terminal.row(name).unwrap_or_default()
}

fn by_keys(cluster: &Cluster, worker: &Worker) -> anyhow::Result<()> {
    let config = worker.file("config.toml");
    let entry = format!(
        "[clusters.lab]\nbootstrap = \"{}\"\nconnect = [\"{}\"]\n",
        cluster.bootstrap(),
        worker.url
    );
    std::fs::write(&config, entry)?;
    let config = config.display().to_string();
    let args = [
        "--config-file",
        &config,
        "--cluster",
        "lab",
        "--open",
        "connectors",
    ];
    let program = Path::new(env!("CARGO_BIN_EXE_kafka-tui"));
    let mut terminal = Terminal::start(program, &args, &[], (120, 40))?;
    let state = |terminal: &Terminal, name: &str, state: &str, tasks: &str| {
        let row = row(terminal, name);
        row.get(1).is_some_and(|own| own == state) && row.get(2).is_some_and(|own| own == tasks)
    };
    terminal.wait_until("it runs", |terminal| {
        state(terminal, "lines", "running", "1/1")
    })?;
    // A new one, whose task fails.
    terminal.keys("n")?;
    terminal.wait_for("a new connector")?;
    let settings = format!("file={},topics=from-file", worker.file("no/out").display());
    terminal.send(&format!("bad\t\tFileStreamSink\t{settings}\r"))?;
    terminal.wait_for("bad will be configured")?;
    terminal.wait_for("connector.class: (none) → FileStreamSink")?;
    terminal.keys("enter")?;
    terminal.wait_for("bad: configured")?;
    terminal.wait_until("its task fails", |terminal| {
        state(terminal, "bad", "running", "0/1")
    })?;
    terminal.keys("g enter")?;
    terminal.wait_for("task 0: failed")?;
    terminal.wait_for("ConnectException")?;
    terminal.keys("esc t")?;
    terminal.wait_for("restart a task of bad")?;
    std::fs::create_dir(worker.file("no"))?;
    terminal.keys("enter")?;
    terminal.wait_for("bad: restarted")?;
    terminal.wait_until("its task runs", |terminal| {
        state(terminal, "bad", "running", "1/1")
    })?;
    // Another configuration, which the worker checks, and a bad one.
    terminal.keys("e")?;
    terminal.wait_for("configuration of bad")?;
    terminal.send("tasks.max\tnone\r")?;
    terminal.wait_for("the worker does not take it")?;
    terminal.wait_for("! tasks.max")?;
    terminal.keys("esc e")?;
    terminal.wait_for("configuration of bad")?;
    terminal.send("tasks.max\t2\r")?;
    terminal.wait_for("tasks.max: (none) → 2")?;
    terminal.keys("enter")?;
    terminal.wait_for("bad: configured")?;
    terminal.wait_until("two tasks", |terminal| {
        state(terminal, "bad", "running", "2/2")
    })?;
    let own = worker.get("/connectors/bad/config")?;
    ensure!(own["tasks.max"] == "2", "{own}");
    for (key, said, own, tasks) in [
        ("p", "bad: paused", "paused", "0/2"),
        ("p", "bad: resumed", "running", "2/2"),
        ("r", "bad: restarted", "running", "2/2"),
        ("x", "bad: stopped", "stopped", "0/0"),
    ] {
        terminal.keys(key)?;
        terminal.wait_for(said)?;
        terminal.wait_until(own, |terminal| state(terminal, "bad", own, tasks))?;
    }
    terminal.keys("D")?;
    terminal.wait_for("type bad to confirm")?;
    terminal.send("bad\r")?;
    terminal.wait_for("bad: deleted")?;
    terminal.wait_until("it is gone", |terminal| terminal.row("bad").is_none())?;
    ensure!(worker.get("/connectors")? == serde_json::json!(["lines"]));
    worker.done(&["delete", "lines", "--yes"]).map(drop)
}
