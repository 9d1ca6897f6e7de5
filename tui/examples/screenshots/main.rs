//! Paints screenshots/*.png from the real program in a pseudo-terminal.
//!
//! `cargo run --package kafka-tui --example screenshots [-- PART-OF-A-NAME…]` paints the demo's
//! cluster. `… -- apache HOST:PORT [METRICS-URL]` paints what the demo's brokers have not, on
//! brokers of Apache Kafka with an authorizer and, for traffic, the JMX exporter; what is on the
//! pictures is put there first, all but the traffic.

mod paint;
mod scenes;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/it/terminal.rs"]
mod terminal;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/it/transaction.rs"]
mod transaction;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/it/worker.rs"]
mod worker;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use kafka_shared::time::{Clock as _, SystemClock};

use scenes::Scene;
use terminal::Terminal;
use worker::Worker;

/// How long the demo's load runs before the first picture, so that rates and lags are there.
const WARM_UP: Duration = Duration::from_secs(30);

/// Topics as a team would declare them, a little different from the demo's.
const DECLARED: &str = r#"
[[topics]]
name = "orders"
partitions = 12
replication_factor = 3
[topics.configs]
"retention.ms" = 259200000

[[topics]]
name = "refunds"
partitions = 6
replication_factor = 3
"#;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let stage = Stage::new(build_program()?)?;
    if let [word, address, metrics @ ..] = &args[..]
        && word == "apache"
    {
        return stage.apache(address, metrics.first().map(String::as_str));
    }
    stage.demo(&args)
}

/// The program, and a folder for all that it keeps.
struct Stage {
    program: PathBuf,
    folder: tempfile::TempDir,
}

/// A demo that ends with this program: with its standard input.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let id = rustix::process::Pid::from_child(&self.0);
        // Interrupted it removes what it has made.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::INT);
        let _ = self.0.wait();
    }
}

impl Stage {
    fn new(program: PathBuf) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self { program, folder })
    }

    fn file(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .env("XDG_STATE_HOME", self.folder.path())
            .env("PASSWORD", "a secret")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> anyhow::Result<()> {
        let output = self.command(args).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{args:?}: {error}");
        Ok(())
    }

    fn demo(&self, wanted: &[String]) -> anyhow::Result<()> {
        let mut demo = self.command(&["demo", "--headless"]);
        let demo = demo.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut demo = Demo(demo.spawn()?);
        let said = demo.0.stdout.take().context("what the demo says")?;
        let mut lines = BufReader::new(said).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let mut words = line.split([' ', ',']).map(str::to_owned);
            words.find(|word| word.starts_with("127.0.0.1:"))
        });
        let address = address.context("the demo did not start")?;
        let password = ["--password-from", "env:PASSWORD", "--yes"];
        let alice = [&["users", "set-password", "alice"][..], &password].concat();
        let billing = [&["users", "set-password", "billing"][..], &password].concat();
        let limit = ["quotas", "alter", "--user", "alice", "--set"];
        let writes = [&limit[..], &["producer_byte_rate=10485760"]].concat();
        let limit = ["quotas", "alter", "--client-id", "reports", "--set"];
        let reads = [&limit[..], &["consumer_byte_rate=2097152"]].concat();
        for args in [alice, billing, writes, reads] {
            self.run(&[&["--bootstrap", &address][..], &args].concat())?;
        }
        let local = ["local", "start", "dev", "--brokers", "3"];
        self.run(&[&local[..], &["--racks", "a,b,c"]].concat())?;
        self.invoices(&address)?;
        let schema = serde_json::json!({ "schema": SCHEMA });
        let registry = transaction::registry(&[("/schemas/ids/7", schema.to_string())])?;
        let worker = Worker::start()?;
        let config = self.file("config.toml", &config(&address, &worker.url, &registry))?;
        self.file("topics.toml", DECLARED)?;
        let wanted = |scenes: &'static [Scene]| {
            let is_wanted = |scene: &&Scene| {
                wanted.is_empty() || wanted.iter().any(|part| scene.file.contains(&**part))
            };
            scenes.iter().filter(is_wanted).collect::<Vec<_>>()
        };
        let args = ["--config-file", &config, "--cluster", "demo"];
        let painted = self.paint(&args, &wanted(scenes::DEMO), WARM_UP, &mut || {});
        self.run(&["local", "stop", "dev"])?;
        painted?;
        let run = wanted(scenes::RUN);
        self.paint(&args, &run, Duration::from_secs(8), &mut || {})?;
        let mut demo = Some(demo);
        let lost = wanted(scenes::LOST);
        let dies = &mut || drop(demo.take());
        self.paint(&args, &lost, Duration::from_secs(12), dies)?;
        let none = ["--config-file", "none.toml"];
        let start = wanted(scenes::START);
        self.paint(&none, &start, Duration::ZERO, &mut || {})
    }

    /// Records in Avro, whose schema a registry has.
    fn invoices(&self, address: &str) -> anyhow::Result<()> {
        let at = ["--bootstrap", address];
        let topic = ["topics", "create", "invoices", "--partitions", "3"];
        self.run(&[&at[..], &topic].concat())?;
        let mut lines = String::new();
        for n in 0..40 {
            let (key, value) = (format!("invoice-{n}"), invoice(n));
            let line = serde_json::json!({ "key": key, "value_base64": base64(&value) });
            lines.push_str(&format!("{line}\n"));
        }
        let file = self.file("invoices.jsonl", &lines)?;
        let import = ["messages", "import", "invoices", "--file", &file, "--yes"];
        self.run(&[&at[..], &import].concat())
    }

    fn apache(&self, address: &str, metrics: Option<&str>) -> anyhow::Result<()> {
        let at = ["--bootstrap", address];
        let topic = ["topics", "create", "orders", "--partitions", "6"];
        // What is there from the last time is as good.
        let _ = self.command(&[&at[..], &topic].concat()).output()?;
        for (how, who, operation, on) in [
            ("--allow", "User:billing", "read", ["--topic", "orders"]),
            ("--allow", "User:billing", "read", ["--group", "billing"]),
            ("--allow", "User:shop", "write", ["--topic", "orders"]),
            ("--allow", "User:ops", "describe", ["--topic", "*"]),
            ("--deny", "User:guest", "all", ["--topic", "*"]),
            ("--allow", "User:guest", "read", ["--topic", "orders"]),
        ] {
            let rule = ["acls", "create", how, who, "--operation", operation];
            let _ = self.command(&[&at[..], &rule, &on].concat()).output()?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let bootstrap = [address.parse()?];
        for (id, partition, commits) in [("shop-1", 0, Some(true)), ("shop-2", 1, None)] {
            let at = ("orders", partition);
            let values = (&["an order"][..], SystemClock::new().wall_ms());
            let written = transaction::transaction_of(&bootstrap, id, at, values, commits);
            runtime.block_on(written)?;
        }
        let scenes: Vec<&Scene> = scenes::APACHE.iter().collect();
        // So that the pictures say whose brokers they show.
        let config = format!("[clusters.apache-kafka]\nbootstrap = \"{address}\"\n");
        let config = self.file("config.toml", &config)?;
        let args = ["--config-file", &config, "--cluster", "apache-kafka"];
        self.paint(&args, &scenes, Duration::from_secs(4), &mut || {})?;
        let Some(url) = metrics else { return Ok(()) };
        let args = [&args[..], &["--metrics", url]].concat();
        let scenes: Vec<&Scene> = scenes::METRICS.iter().collect();
        self.paint(&args, &scenes, Duration::from_secs(12), &mut || {})
    }

    /// Paints one picture after the other, once the cluster has been looked at for a while and that
    /// has happened to it.
    fn paint(
        &self,
        args: &[&str],
        scenes: &[&Scene],
        warm_up: Duration,
        happens: &mut dyn FnMut(),
    ) -> anyhow::Result<()> {
        if scenes.is_empty() {
            return Ok(());
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../screenshots");
        std::fs::create_dir_all(&folder)?;
        let state = self.folder.path().display().to_string();
        let variables = [
            // Where it starts, so that no path of this machine is on a picture.
            ("HOME", &*state),
            ("XDG_STATE_HOME", &*state),
            ("CONNECT_PASSWORD", worker::PASSWORD),
        ];
        let mut terminal = Terminal::start(&self.program, args, &variables, (120, 34))?;
        terminal
            .wait_for(": command")
            .context("the screens did not come")?;
        terminal.read_for(warm_up);
        happens();
        for scene in scenes {
            terminal.resize(scene.columns, scene.rows)?;
            for keys in scene.keys {
                terminal.send(keys)?;
                terminal.read_for(Duration::from_millis(700));
            }
            terminal.wait_for(scene.shows).context(scene.file)?;
            // Rates, verdicts and what is read last.
            terminal.read_for(Duration::from_millis(2_500));
            let path = folder.join(format!("{}.png", scene.file));
            paint::paint(terminal.screen(), &path)?;
            println!("{}", path.display());
            // Back to where every scene starts.
            for _ in 0..4 {
                terminal.send("\x1b[27u")?;
                terminal.read_for(Duration::from_millis(150));
            }
        }
        terminal.send("q")?;
        let status = terminal.wait_for_end()?;
        ensure!(status.success(), "the program ended with {status}");
        Ok(())
    }
}

/// A configuration with three clusters, of which one is there.
fn config(address: &str, worker: &str, registry: &str) -> String {
    format!(
        "[clusters.demo]\n\
         bootstrap = \"{address}\"\n\
         registry = \"{registry}\"\n\
         connect = [\"{worker}\"]\n\
         connect_login = \"me:${{env:CONNECT_PASSWORD}}\"\n\
         [clusters.staging]\n\
         bootstrap = \"kafka.staging.example:9092\"\n\
         [clusters.prod]\n\
         bootstrap = \"kafka.prod.example:9093\"\n\
         danger = \"high\"\n\
         read_only = true\n"
    )
}

const SCHEMA: &str = r#"{"type": "record", "name": "Invoice", "fields": [
    {"name": "number", "type": "long"},
    {"name": "customer", "type": "string"},
    {"name": "paid", "type": "boolean"},
    {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
        {"name": "article", "type": "string"},
        {"name": "pieces", "type": "int"}]}}}]}"#;

/// One of these, as a registry's serializer writes it: 0, the schema's id, Avro.
fn invoice(n: u32) -> Vec<u8> {
    // Zigzag, of what is never below zero.
    let long = |n: u32| {
        let mut rest = n * 2;
        let mut bytes = Vec::new();
        while rest > 0x7f {
            bytes.push((rest % 0x80) as u8 | 0x80);
            rest /= 0x80;
        }
        bytes.push((rest % 0x80) as u8);
        bytes
    };
    let length = |text: &str| u32::try_from(text.len()).unwrap_or(0);
    let string = |text: &str| [long(length(text)), text.as_bytes().to_vec()].concat();
    let line = |article: &str, pieces| [string(article), long(pieces)].concat();
    [
        vec![0, 0, 0, 0, 7],
        long(20_260_000 + n),
        string(&format!("customer-{}", n * 37 % 100)),
        vec![u8::from(!n.is_multiple_of(3))],
        long(2),
        line("lamp", n % 4 + 1),
        line("table", 1),
        long(0),
    ]
    .concat()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| usize::from(three.get(at).copied().unwrap_or(0));
        let all = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for at in 0..4 {
            let letter = char::from(LETTERS[(all >> (18 - 6 * at)) & 0x3f]);
            text.push(if at <= three.len() { letter } else { '=' });
        }
    }
    text
}

/// Builds the program in this example's own profile, and says where it is.
fn build_program() -> anyhow::Result<PathBuf> {
    let example = std::env::current_exe()?;
    let profile = example
        .parent()
        .and_then(Path::parent)
        .context("the example is not in a target folder")?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--package", "kafka-tui", "--bin", "kafka-tui"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
    anyhow::ensure!(built.success(), "kafka-tui could not be built");
    Ok(profile.join("kafka-tui"))
}
