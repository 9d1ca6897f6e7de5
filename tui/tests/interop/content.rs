//! What is in messages: schemas of a registry over HTTP and over TLS, formats without schemas, what
//! compaction left, values from files, and a copy to another cluster.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kafka_tui::decode::Decoder;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::command::{document, run_with};
use crate::front::Front;
use crate::terminal::Terminal;
use crate::transaction::registry;
use crate::{WIDE, apache, program, shell};

const DEADLINE: Duration = Duration::from_secs(90);

fn topic(cluster: &Cluster, name: &str, more: &[&str]) -> anyhow::Result<()> {
    let create = ["--create", "--topic", name, "--partitions", "1"];
    let create = [&create[..], more].concat();
    cluster.tool("kafka-topics", &create, None).map(drop)
}

pub fn contents(cluster: &mut Cluster) -> anyhow::Result<()> {
    // The brokers compact while the rest goes on.
    topic(
        cluster,
        "compacted",
        &[
            "--config",
            "cleanup.policy=compact",
            "--config",
            "min.cleanable.dirty.ratio=0.01",
            "--config",
            "segment.ms=100",
        ],
    )?;
    let write = |key: &str| {
        let produce = ["messages", "produce", "compacted", "--key", key];
        document(cluster, &[&produce[..], &["--value", "v"]].concat())
    };
    for key in ["a", "a", "b"] {
        write(key)?;
    }
    decoded(cluster)?;
    from_files(cluster)?;
    elsewhere(cluster)?;
    // A record more closes the segment before it.
    write("c")?;
    compacted(cluster)
}

/// Schemas and formats; the registry is asked over HTTP and over TLS.
fn decoded(cluster: &Cluster) -> anyhow::Result<()> {
    topic(cluster, "decoded", &[])?;
    let avro = json!({"schema": "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}"});
    let proto = json!({"schemaType": "PROTOBUF", "schema": "syntax = \"proto3\"; message P { string s = 1; }"});
    let titled = json!({"schemaType": "JSON", "schema": "{\"title\":\"Order\"}"});
    let plain = registry(&[
        ("/schemas/ids/5", avro.to_string()),
        ("/schemas/ids/6", proto.to_string()),
        ("/schemas/ids/8", titled.to_string()),
    ])?;
    let front = Front::before(&plain)?;
    // Avro {a: 21}, Protobuf {s: "hi"}, JSON {"o":1}; MessagePack and CBOR {"a": 1}; the long 42.
    let lines: String = [
        "AAAAAAUq",
        "AAAAAAYACgJoaQ==",
        "AAAAAAh7Im8iOjF9",
        "gaFhAQ==",
        "oWFhAQ==",
        "AAAAAAAAACo=",
    ]
    .map(|value| format!("{}\n", json!({"value_base64": value})))
    .concat();
    let bootstrap = cluster.bootstrap();
    let import = ["--bootstrap", &bootstrap, "messages", "import", "decoded"];
    let (code, done) = run_with(&import, Some(&lines))?;
    ensure!(code == 0 && done["messages"] == 6, "{done}");

    let ca = front.ca();
    let ca = ca.to_str().context("a path in UTF-8")?;
    let read = |options: &[&str], more: &[&str]| -> anyhow::Result<Value> {
        let read = ["messages", "read", "decoded", "--from", "beginning"];
        document(cluster, &[options, &read, more].concat())
    };
    for options in [
        &["--registry", &plain][..],
        &["--registry", &front.url, "--registry-ca", ca],
    ] {
        let told = read(options, &["-n", "3"])?;
        let rows = told["messages"].as_array().context("messages")?;
        let values: Vec<&Value> = rows.iter().map(|row| &row["value"]).collect();
        let wanted = [json!({"a": 21}), json!({"s": "hi"}), json!({"o": 1})];
        ensure!(values == wanted.iter().collect::<Vec<_>>(), "{told}");
    }
    // Who does not know the authority reads no schema, and why.
    let told = read(&["--registry", &front.url], &["-n", "1"])?;
    let why = told["messages"][0]["value_error"]
        .as_str()
        .unwrap_or_default();
    ensure!(why.contains("TLS"), "{told}");
    for (offset, decoder, value) in [
        (3, "msgpack", json!({"a": 1})),
        (4, "cbor", json!({"a": 1})),
        (5, "long", json!(42)),
    ] {
        let filter = format!("offset == {offset}");
        let told = read(&[], &["--filter", &filter, "--value-decoder", decoder])?;
        ensure!(told["messages"][0]["value"] == value, "{decoder}: {told}");
    }
    decoded_by_keys(cluster, &front)
}

fn decoded_by_keys(cluster: &Cluster, front: &Front) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.toml");
    let entry = |name: &str, more: &str| {
        format!(
            "[clusters.{name}]\nbootstrap = \"{}\"\nregistry = \"{}\"\n{more}",
            cluster.bootstrap(),
            front.url
        )
    };
    let trusted = format!("registry_ca = \"{}\"\n", front.ca().display());
    std::fs::write(&config, entry("lab", &trusted) + &entry("stranger", ""))?;
    let config = config.to_str().context("a path in UTF-8")?;
    let args = ["--config-file", config, "--cluster", "lab"];
    let mut terminal = Terminal::start(program(), &args, &[], WIDE)?;
    terminal.wait_for("live")?;
    terminal.keys(":messages space decoded enter")?;
    for text in ["{\"a\":21}", "{\"s\":\"hi\"}", "{\"o\":1}"] {
        terminal.wait_for(text)?;
    }
    terminal.keys("f value.a space == space 21 enter")?;
    terminal.wait_for("1 · the newest")?;
    terminal.keys("g enter")?;
    terminal.wait_for("value (avro R, schema 5")?;
    terminal.keys("esc")?;
    let mut at = 0;
    for (offset, name, value) in [
        ("5", "long", "42"),
        ("3", "msgpack", "{\"a\":1}"),
        ("4", "cbor", "{\"a\":1}"),
    ] {
        let place = Decoder::ALL
            .iter()
            .position(|decoder| decoder.name() == name);
        let place = place.context("a decoder")?;
        let further = "space ".repeat(place - at);
        at = place;
        terminal.keys(&format!(
            "f ctrl-u offset space == space {offset} tab tab tab {further} enter"
        ))?;
        terminal.wait_until(name, |terminal| has_row(terminal, offset, value))?;
    }
    // An offset to begin at, and who does not know the authority.
    terminal.keys("f ctrl-u enter")?;
    terminal.keys("o 4 enter")?;
    terminal.wait_for("2 · from offset 4")?;
    terminal.keys("esc :cluster space stranger enter")?;
    terminal.wait_for("kafka-tui  stranger")?;
    terminal.wait_for("live")?;
    terminal.keys(":messages space decoded enter")?;
    terminal.wait_for("6 · the newest")?;
    terminal.keys("g enter")?;
    terminal.wait_for("TLS")?;
    terminal.keys("ctrl-c")?;
    ensure!(terminal.wait_for_end()?.success(), "it ends");
    Ok(())
}

/// Whether there is a message with that offset and that value.
fn has_row(terminal: &Terminal, offset: &str, value: &str) -> bool {
    terminal.text().lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(2) == Some(&offset) && words.last() == Some(&value)
    })
}

/// Values of a file and of stdin, by a command and by keys, as Kafka's consumer reads them.
fn from_files(cluster: &Cluster) -> anyhow::Result<()> {
    topic(cluster, "from-files", &[])?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("lines.txt");
    std::fs::write(&path, "k3:by a file\nk4:and another\n")?;
    let path = path.to_str().context("a path in UTF-8")?;
    let bootstrap = cluster.bootstrap();
    let produce = [
        "--bootstrap",
        &bootstrap,
        "messages",
        "produce",
        "from-files",
    ];
    let (code, done) = run_with(
        &[&produce[..], &["--header", "h=1"]].concat(),
        Some("by stdin\n"),
    )?;
    ensure!(code == 0 && done["messages"] == 1, "{done}");
    let more = ["--file", path, "--key-separator", ":"];
    let (code, done) = run_with(&[&produce[..], &more].concat(), None)?;
    ensure!(code == 0 && done["messages"] == 2, "{done}");
    let mut terminal = crate::manager(cluster, "topics")?;
    terminal.keys(":messages space from-files enter")?;
    terminal.wait_for("3 · the newest")?;
    terminal.keys("i")?;
    terminal.wait_for("import messages into from-files")?;
    terminal.send(path)?;
    terminal.keys("tab tab space tab : tab by=keys enter")?;
    terminal.wait_for("2 records")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ import")?;
    let args = [
        "--topic",
        "from-files",
        "--from-beginning",
        "--max-messages",
        "5",
        "--timeout-ms",
        "30000",
        "--formatter-property",
        "print.key=true",
        "--formatter-property",
        "print.headers=true",
    ];
    let read = cluster.tool("kafka-console-consumer", &args, None)?;
    for line in [
        "h:1\tnull\tby stdin",
        "NO_HEADERS\tk3\tby a file",
        "NO_HEADERS\tk4\tand another",
        "by:keys\tk3\tby a file",
        "by:keys\tk4\tand another",
    ] {
        ensure!(
            read.lines().any(|found| found == line),
            "{line:?} is not in {read}"
        );
    }
    Ok(())
}

/// A broker of this program, on its own; stopped when dropped.
struct Other {
    state: tempfile::TempDir,
    servers: String,
}

impl Other {
    fn start() -> anyhow::Result<Self> {
        let state = tempfile::tempdir()?;
        let mut other = Self {
            state,
            servers: String::new(),
        };
        let told = other.local(&["start", "other"])?;
        let port = &told["brokers"][0]["port"];
        other.servers = format!("127.0.0.1:{port}");
        Ok(other)
    }

    fn local(&self, args: &[&str]) -> anyhow::Result<Value> {
        let mut command = Command::new(program());
        command.args(["--output", "json", "local"]).args(args);
        let output = command.env("XDG_STATE_HOME", self.state.path()).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{args:?}: {errors}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Nothing is left to do where it did not start.
        let _ = self.local(&["stop", "other", "--force"]);
    }
}

/// To another cluster, by a command and by keys; Kafka's consumer reads both there.
fn elsewhere(cluster: &Cluster) -> anyhow::Result<()> {
    let other = Other::start()?;
    let there = [
        "--bootstrap",
        &other.servers,
        "topics",
        "create",
        "from-files",
    ];
    let (code, told) = run_with(&there, None)?;
    ensure!(code == 0, "{told}");
    let copy = [
        "messages",
        "copy",
        "from-files",
        "from-files",
        "--to-bootstrap",
    ];
    let done = document(
        cluster,
        &[&copy[..], &[other.servers.as_str(), "-n", "1"]].concat(),
    )?;
    ensure!(done["messages"] == 1, "{done}");
    let mut terminal = crate::manager(cluster, "topics")?;
    terminal.keys(":messages space from-files enter")?;
    terminal.wait_for("5 · the newest")?;
    terminal.keys(&format!("c from-files tab {} enter", other.servers))?;
    terminal.wait_for("press y to execute")?;
    terminal.wait_for(&other.servers)?;
    terminal.keys("y")?;
    terminal.wait_for("✓ copy")?;
    drop(terminal);
    let args = [
        "--bootstrap-server",
        &other.servers,
        "--topic",
        "from-files",
        "--from-beginning",
        "--max-messages",
        "6",
        "--timeout-ms",
        "30000",
    ];
    let args = args.map(str::to_owned);
    let read = apache::tool("kafka-console-consumer", &args, None)?.success()?;
    let times = |line: &str| read.lines().filter(|found| *found == line).count();
    ensure!(
        times("by stdin") == 2 && times("and another") == 2,
        "{read}"
    );
    Ok(())
}

/// What compaction took away is told, on the screen and by the command.
fn compacted(cluster: &Cluster) -> anyhow::Result<()> {
    let read = ["messages", "read", "compacted", "--from", "beginning"];
    let mut told = Value::Null;
    let is_compacted = || {
        let Ok(now) = document(cluster, &read) else {
            return false;
        };
        told = now;
        told["read"]["missing"] == 1
    };
    ensure!(shell::wait_until(DEADLINE, is_compacted), "{told}");
    let mut terminal = crate::manager(cluster, "topics")?;
    terminal.keys(":messages space compacted enter")?;
    terminal.keys("b")?;
    terminal.wait_for("1 offsets hold nothing (compacted, or never given)")?;
    terminal.wait_for("[1 gone before]")?;
    // A tombstone is no value, and is told as that.
    terminal.keys("n a tab tab space enter")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ write")?;
    terminal.keys("esc :messages space compacted enter")?;
    terminal.wait_until("the tombstone", |terminal| {
        let text = terminal.text();
        let mut lines = text.lines().map(|line| line.split_whitespace());
        lines.any(|line| line.rev().take(2).eq(["null", "a"]))
    })
}
