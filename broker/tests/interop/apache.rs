//! A real Apache Kafka from Maven's jars: one node, and its command-line tools.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::shell::{self, Output};

const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";

/// The tools' main classes by their script's name.
const TOOLS: &[(&str, &str)] = &[
    ("kafka-acls", "org.apache.kafka.tools.AclCommand"),
    (
        "kafka-broker-api-versions",
        "org.apache.kafka.tools.BrokerApiVersionsCommand",
    ),
    ("kafka-cluster", "org.apache.kafka.tools.ClusterTool"),
    ("kafka-configs", "kafka.admin.ConfigCommand"),
    (
        "kafka-console-consumer",
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
    ),
    (
        "kafka-console-producer",
        "org.apache.kafka.tools.ConsoleProducer",
    ),
    (
        "kafka-consumer-groups",
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    ),
    (
        "kafka-consumer-perf-test",
        "org.apache.kafka.tools.ConsumerPerformance",
    ),
    (
        "kafka-delete-records",
        "org.apache.kafka.tools.DeleteRecordsCommand",
    ),
    (
        "kafka-console-share-consumer",
        "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
    ),
    ("kafka-dump-log", "org.apache.kafka.tools.DumpLogSegments"),
    ("kafka-features", "org.apache.kafka.tools.FeatureCommand"),
    ("kafka-get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
    ("kafka-groups", "org.apache.kafka.tools.GroupsCommand"),
    (
        "kafka-leader-election",
        "org.apache.kafka.tools.LeaderElectionCommand",
    ),
    ("kafka-log-dirs", "org.apache.kafka.tools.LogDirsCommand"),
    (
        "kafka-metadata-quorum",
        "org.apache.kafka.tools.MetadataQuorumCommand",
    ),
    (
        "kafka-producer-perf-test",
        "org.apache.kafka.tools.ProducerPerformance",
    ),
    (
        "kafka-reassign-partitions",
        "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    ),
    (
        "kafka-share-groups",
        "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
    ),
    ("kafka-storage", "kafka.tools.StorageTool"),
    (
        "kafka-streams-groups",
        "org.apache.kafka.tools.streams.StreamsGroupCommand",
    ),
    ("kafka-topics", "org.apache.kafka.tools.TopicCommand"),
    (
        "kafka-transactions",
        "org.apache.kafka.tools.TransactionsCommand",
    ),
    (
        "kafka-verifiable-consumer",
        "org.apache.kafka.tools.VerifiableConsumer",
    ),
    (
        "kafka-verifiable-producer",
        "org.apache.kafka.tools.VerifiableProducer",
    ),
];

/// The archive's name, beside the jars that it is of.
const ARCHIVE: &str = "classes.jsa";

/// Copies the jars that `pom` lists into a cache folder, once; the folder.
pub fn jars(pom: &str) -> anyhow::Result<PathBuf> {
    jars_of(pom, None)
}

/// As [`jars`], of another version than that which `pom` asks for.
pub fn jars_of(pom: &str, version: Option<&str>) -> anyhow::Result<PathBuf> {
    static COPYING: Mutex<()> = Mutex::new(());
    // Cases run at a time: one copies, the other finds the jars complete.
    let _guard = COPYING.lock().unwrap_or_else(PoisonError::into_inner);
    let name = pom.trim_end_matches(".xml");
    let folder = match version {
        Some(version) => shell::cache(&format!("{name}-{version}"))?,
        None => shell::cache(name)?,
    };
    let done = folder.join("complete");
    if !done.exists() {
        let mut maven = Command::new("mvn");
        maven
            .args(["-q", "-B", "-f"])
            .arg(shell::client_programs().join(pom));
        if let Some(version) = version {
            maven.arg(format!("-Dkafka.version={version}"));
        }
        maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
        maven.arg(format!("-DoutputDirectory={}", folder.display()));
        shell::run(&mut maven, None, Duration::from_secs(900))?.success()?;
        let quiet = "Configuration:\n  Appenders: {Console: {name: E, target: SYSTEM_ERR, PatternLayout: {pattern: \"%p %m%n\"}}}\n  Loggers: {Root: {level: WARN, AppenderRef: {ref: E}}}\n";
        std::fs::write(folder.join("log4j2.yaml"), quiet)?;
        std::fs::write(&done, "")?;
    }
    Ok(folder)
}

/// The version of Apache Kafka that `pom.xml` asks for.
pub fn version() -> anyhow::Result<String> {
    let pom = std::fs::read_to_string(shell::client_programs().join("pom.xml"))?;
    let (_, rest) = (pom.split_once("<kafka.version>")).context("pom.xml has no kafka.version")?;
    Ok(rest.split('<').next().unwrap_or_default().to_owned())
}

/// A `java` command over the jars of `pom`, with what makes a short-lived JVM start fast.
pub fn java(pom: &str, classes: Option<&Path>) -> anyhow::Result<Command> {
    let jars = jars(pom)?;
    let mut class_path = format!("{}/*", jars.display());
    if let Some(classes) = classes {
        // Behind the jars: the archive below is valid for paths that begin with its own.
        class_path = format!("{class_path}:{}", classes.display());
    }
    let mut command = Command::new("java");
    command.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    let archive = jars.join(ARCHIVE);
    if archive.exists() {
        // Java says nothing, and loads the jars, where the archive is of another Java.
        command.arg("-Xlog:disable");
        command.arg(format!("-XX:SharedArchiveFile={}", archive.display()));
    }
    command.arg(format!(
        "-Dlog4j2.configurationFile={}",
        jars.join("log4j2.yaml").display()
    ));
    command.arg("-cp").arg(class_path);
    Ok(command)
}

/// A `java` command over the jars of another version of Apache Kafka, for its brokers.
pub fn java_of(version: &str) -> anyhow::Result<Command> {
    let jars = jars_of("pom.xml", Some(version))?;
    let mut command = Command::new("java");
    command.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.arg(format!(
        "-Dlog4j2.configurationFile={}",
        jars.join("log4j2.yaml").display()
    ));
    command.arg("-cp").arg(format!("{}/*", jars.display()));
    Ok(command)
}

/// A `java` command with the heap, the collector and the switches of Kafka's own start script.
pub fn server_java() -> anyhow::Result<Command> {
    let mut command = Command::new("java");
    let jars = jars("pom.xml")?;
    command.args([
        "-server",
        "-Xms1g",
        "-Xmx1g",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
    ]);
    command.args([
        "-XX:InitiatingHeapOccupancyPercent=35",
        "-XX:+ExplicitGCInvokesConcurrent",
        "-XX:MaxInlineLevel=15",
        "-Djava.awt.headless=true",
    ]);
    command.arg(format!(
        "-Dlog4j2.configurationFile={}",
        jars.join("log4j2.yaml").display()
    ));
    command.arg("-cp").arg(format!("{}/*", jars.display()));
    Ok(command)
}

/// Makes the archive of the classes that the tools load, once: it halves the CPU time of each of
/// their many starts. One tool runs against `bootstrap` for it. A Java that cannot make one goes
/// without.
pub fn archive_classes(bootstrap: &str) -> anyhow::Result<()> {
    let archive = jars("pom.xml")?.join(ARCHIVE);
    if archive.exists() {
        return Ok(());
    }
    let part = archive.with_extension("part");
    let mut command = java("pom.xml", None)?;
    command.arg(format!("-XX:ArchiveClassesAtExit={}", part.display()));
    command.args(["-Xlog:disable", "org.apache.kafka.tools.TopicCommand"]);
    command.args(["--bootstrap-server", bootstrap, "--list"]);
    let output = shell::run(&mut command, None, Duration::from_secs(120))?;
    if output.status == 0 && part.exists() {
        #[allow(
            clippy::disallowed_methods,
            reason = "a cache file that is made again if lost"
        )]
        std::fs::rename(&part, &archive)?;
    }
    Ok(())
}

/// Runs one of Kafka's tools to its end.
pub fn tool(name: &str, args: &[String], stdin: Option<&str>) -> anyhow::Result<Output> {
    shell::run(
        &mut tool_command(name, args)?,
        stdin,
        Duration::from_secs(90),
    )
}

pub fn tool_command(name: &str, args: &[String]) -> anyhow::Result<Command> {
    let class = TOOLS
        .iter()
        .find(|(n, _)| *n == name)
        .with_context(|| format!("no tool {name}"))?;
    let mut command = java("pom.xml", None)?;
    command.arg(class.1).args(args);
    Ok(command)
}

/// A running Apache Kafka node, broker and controller in one; killed when dropped.
#[derive(Debug)]
pub struct Apache {
    port: u16,
    folder: tempfile::TempDir,
    command: Command,
    process: Child,
}

impl Apache {
    /// A small node that starts as fast as it can.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(java("pom.xml", None)?, &[])
    }

    /// A node with the heap, the collector and the switches of Kafka's own start script, and
    /// `key=value` settings beside those that every node gets.
    pub fn start_as_server(settings: &[&str]) -> anyhow::Result<Self> {
        Self::start_with(server_java()?, settings)
    }

    fn start_with(mut command: Command, settings: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (port, controller) = (shell::free_port()?, shell::free_port()?);
        let properties = folder.path().join("server.properties");
        std::fs::write(
            &properties,
            server_properties(port, controller, folder.path()),
        )?;
        let format: Vec<String> = ["format", "--standalone", "-t", CLUSTER_ID, "-c"]
            .map(str::to_owned)
            .into_iter()
            .chain([properties.display().to_string()])
            .collect();
        tool("kafka-storage", &format, None)?.success()?;
        command.arg("kafka.Kafka").arg(&properties);
        for setting in settings {
            command.arg("--override").arg(setting);
        }
        let process = spawn_server(&mut command, folder.path())?;
        let mut node = Self {
            port,
            folder,
            command,
            process,
        };
        // A first start on a machine that compiles at the same time takes its time.
        if !shell::wait_until(Duration::from_secs(180), || shell::listens(port)) {
            let log = node.log();
            shell::kill(&mut node.process);
            bail!("Apache Kafka did not start:\n{log}");
        }
        Ok(node)
    }

    /// Starts the stopped node again, and waits until it listens.
    pub fn up(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        let port = self.port;
        if !shell::wait_until(Duration::from_secs(180), || shell::listens(port)) {
            bail!("Apache Kafka did not start again:\n{}", self.log());
        }
        Ok(())
    }

    /// Holds `server.properties`, and the data under `data`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the stopped node again, and does not wait.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        self.process = spawn_server(&mut self.command, self.folder.path())?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        shell::terminate(&mut self.process, Duration::from_secs(60))
    }

    /// What the node wrote to its standard output and error since its first start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        shell::kill(&mut self.process);
    }
}

/// Starts a node in the background; what it says goes into `server.log` of that folder.
pub fn spawn_server(command: &mut Command, folder: &Path) -> anyhow::Result<Child> {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("server.log"))?;
    (command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log))
    .spawn()
    .context("start Apache Kafka")
}

/// Runs Apache Kafka's metadata shell on a file of a metadata log.
pub fn metadata_shell(file: &Path, command: &[&str]) -> anyhow::Result<Output> {
    let mut shell = java("pom-shell.xml", None)?;
    shell.arg("org.apache.kafka.shell.MetadataShell");
    shell.arg("--snapshot").arg(file).args(command);
    shell::run(&mut shell, None, Duration::from_secs(90))
}

/// The settings that both brokers are started with.
pub fn server_properties(port: u16, controller: u16, folder: &Path) -> String {
    let data = folder.join("data");
    let mut text = format!(
        "process.roles=broker,controller\nnode.id=1\nlog.dirs={}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=5\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n",
        data.display()
    );
    text.push_str(&format!(
        "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n"
    ));
    text
}

static SHARED: OnceLock<Mutex<Option<Apache>>> = OnceLock::new();

/// The address of the one Apache Kafka that the comparisons share; started at the first call.
pub fn shared() -> anyhow::Result<String> {
    let cell = SHARED.get_or_init(Mutex::default);
    let mut guard = cell
        .lock()
        .map_err(|_| anyhow::anyhow!("Apache Kafka failed to start before"))?;
    if guard.is_none() {
        *guard = Some(Apache::start()?);
    }
    Ok(guard.as_ref().map(Apache::bootstrap).unwrap_or_default())
}

pub fn stop_shared() {
    if let Some(cell) = SHARED.get()
        && let Ok(mut guard) = cell.lock()
    {
        guard.take();
    }
}
