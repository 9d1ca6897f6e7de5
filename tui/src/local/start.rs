//! Starts a local broker and waits until it answers.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kafka_shared::time::{Clock, SystemClock};
use kafka_shared::types::Endpoint;

use crate::cluster::{ClusterClient, ConnectOptions};
use crate::model::{Fault, FaultKind};

use super::process::ProcessIdentity;
use super::{
    DATA_FOLDER, LOG_FILE, LocalBroker, LocalBrokers, LocalStatus, PROPERTIES_FILE, STATE_FILE,
    Site, State, io_fault, not_found, tail,
};

/// Local brokers serve this machine only.
pub(super) const HOST: &str = "127.0.0.1";

/// Where ports are looked for first: Kafka's own.
pub(super) const FIRST_PORT: u16 = 9092;

/// Ports tried from there on before any free one is taken.
pub(super) const PORTS_TRIED: u16 = 50;

/// Lines of the log that are shown when a broker does not come up.
const LOG_LINES: usize = 5;

const POLL_MS: u64 = 25;

/// What to run as the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Program {
    /// This very program, which holds the broker.
    #[default]
    Own,
    /// A `kafka-broker` executable.
    Other(PathBuf),
}

/// How to start a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartOptions {
    /// `None`: the port it had before, or a free one.
    pub port: Option<u16>,
    /// Settings beyond the usual, as in `server.properties`. None: those it had before.
    pub settings: Vec<(String, String)>,
    pub program: Program,
    /// How long it may take until it answers.
    pub wait_ms: u64,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            port: None,
            settings: Vec::new(),
            program: Program::Own,
            wait_ms: 20_000,
        }
    }
}

impl LocalBrokers {
    /// Starts a broker, made anew if there is none of that name, and waits until it answers. One
    /// that runs already is a success.
    ///
    /// # Errors
    /// When the port is taken, or the broker does not come up; its last words are in the fault.
    pub async fn start(&self, name: &str, options: &StartOptions) -> Result<LocalBroker, Fault> {
        let what = format!("start the local broker \"{name}\"");
        let mut site = self.site(name)?;
        match site.broker().map(|broker| (broker.status, broker)) {
            Some((LocalStatus::Running, broker)) => return Ok(broker),
            Some((LocalStatus::Paused, _)) => return self.resume(name),
            _ => {}
        }
        let (port, settings, arguments) = site.arguments(&what, options)?;
        let folder = site.folder.clone();
        fs::create_dir_all(&folder).map_err(|error| io_fault(&what, &folder, &error))?;
        let apache = site
            .node
            .as_ref()
            .and_then(|(_, node)| node.apache.as_ref());
        let (command, wait_ms) = match apache {
            Some(home) => {
                let command = super::apache::command(home, Job::Start, &folder);
                (Ok(command), options.wait_ms.max(super::apache::WAIT_MS))
            }
            None => (command(&options.program, Job::Start), options.wait_ms),
        };
        let mut child = spawn(&what, &folder, arguments, command)?;
        let pid = i32::try_from(child.id()).unwrap_or(-1);
        let identity =
            ProcessIdentity::of(pid).ok_or_else(|| ended(&what, &folder, "it ended at once"))?;
        let started_ms = SystemClock::new().wall_ms();
        let state = State {
            port,
            settings,
            started_ms,
            process: identity,
        };
        write_json(&folder, STATE_FILE, &state)
            .map_err(|error| io_fault(&what, &folder, &error))?;
        site.state = Some(state);
        wait_until_ready(&what, &folder, &mut child, port, wait_ms).await?;
        site.broker().ok_or_else(|| not_found(name))
    }
}

impl Site {
    /// The port, settings and arguments of the next start.
    #[allow(clippy::type_complexity, reason = "one caller takes it apart at once")]
    fn arguments(
        &self,
        what: &str,
        options: &StartOptions,
    ) -> Result<(u16, Vec<(String, String)>, Vec<OsString>), Fault> {
        if let Some((_, node)) = &self.node {
            let port = choose_port(what, Some(node.port))?;
            choose_port(what, Some(node.controller_port))?;
            let properties = self.folder.join(PROPERTIES_FILE);
            // Apache Kafka's script takes the file alone.
            let option = node.apache.is_none().then(|| OsString::from("--config"));
            let arguments = option.into_iter().chain([properties.into()]).collect();
            return Ok((port, Vec::new(), arguments));
        }
        let before = self.state.as_ref();
        let wanted = options.port.or(before.map(|state| state.port));
        let settings = match before {
            Some(state) if options.settings.is_empty() => state.settings.clone(),
            _ => options.settings.clone(),
        };
        let port = choose_port(what, wanted)?;
        let arguments = arguments(&self.folder.join(DATA_FOLDER), port, &settings);
        Ok((port, settings, arguments))
    }
}

/// The port that is wanted, if it is free; else the first free one from Kafka's own on.
pub(super) fn choose_port(what: &str, wanted: Option<u16>) -> Result<u16, Fault> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    if let Some(port) = wanted {
        if is_free(port) {
            return Ok(port);
        }
        return Err(Fault::refused(what, format!("port {port} is in use"))
            .with_hint("stop what uses it, or choose another port with --port"));
    }
    let near = (FIRST_PORT..FIRST_PORT + PORTS_TRIED).find(|port| is_free(*port));
    near.or_else(free_port)
        .ok_or_else(|| Fault::new(FaultKind::Failed, what, "no port is free on this machine"))
}

/// A port that nobody uses now, as the system chooses it.
fn free_port() -> Option<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    listener.local_addr().ok().map(|address| address.port())
}

/// The arguments that make a broker a cluster of its own on one port of this machine.
pub(super) fn arguments(data: &Path, port: u16, settings: &[(String, String)]) -> Vec<OsString> {
    let mut arguments = vec![
        OsString::from("--data-dir"),
        data.as_os_str().to_owned(),
        OsString::from("--set"),
        OsString::from(format!("listeners=PLAINTEXT://{HOST}:{port}")),
    ];
    for (name, value) in settings {
        arguments.extend([
            OsString::from("--set"),
            OsString::from(format!("{name}={value}")),
        ]);
    }
    arguments
}

fn spawn(
    what: &str,
    folder: &Path,
    arguments: Vec<OsString>,
    command: std::io::Result<Command>,
) -> Result<Child, Fault> {
    let log_path = folder.join(LOG_FILE);
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(&log_path);
    let log = log.map_err(|error| io_fault(what, &log_path, &error))?;
    let second = log
        .try_clone()
        .map_err(|error| io_fault(what, &log_path, &error))?;
    let mut command =
        command.map_err(|error| Fault::new(FaultKind::Failed, what, error.to_string()))?;
    command.args(arguments);
    // A group of its own: an interrupt key in the terminal is not for the broker.
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(second);
    command.spawn().map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        Fault::new(FaultKind::Failed, what, format!("{program}: {error}"))
    })
}

/// What a broker's program is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Start,
    Format,
}

/// The command that starts a broker or formats its folders, without its configuration.
pub(crate) fn command(program: &Program, job: Job) -> std::io::Result<Command> {
    let (mut command, verb) = match (program, job) {
        (Program::Own, Job::Start) => (Command::new(std::env::current_exe()?), "daemon"),
        (Program::Own, Job::Format) => (Command::new(std::env::current_exe()?), "daemon-format"),
        (Program::Other(path), Job::Start) => (Command::new(path), "start"),
        (Program::Other(path), Job::Format) => (Command::new(path), "format"),
    };
    command.arg(verb);
    // What it says goes into a file, where colours are noise.
    command.env("NO_COLOR", "1");
    Ok(command)
}

/// Writes a document beside the old one and puts it in its place.
pub(super) fn write_json(
    folder: &Path,
    name: &str,
    document: &impl serde::Serialize,
) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(document)?;
    let path = folder.join(format!("{name}.{}", std::process::id()));
    let mut file = fs::File::create(&path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    rename(&path, &folder.join(name))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the durable rename belongs to the broker's log; a lost state file costs nothing but \
              a question"
)]
fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::rename(from, to)
}

/// Waits until the broker answers a request, its process has ended, or the time is over.
async fn wait_until_ready(
    what: &str,
    folder: &Path,
    child: &mut Child,
    port: u16,
    wait_ms: u64,
) -> Result<(), Fault> {
    let clock = SystemClock::new();
    let started = clock.monotonic();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    while clock.monotonic().saturating_sub(started) < Duration::from_millis(wait_ms) {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(ended(what, folder, &format!("it ended with {status}")));
        }
        if tokio::net::TcpStream::connect(address).await.is_ok() && answers(port).await {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
    }
    let why = format!(
        "it does not answer on port {port} after {} s",
        wait_ms / 1000
    );
    Err(ended(what, folder, &why))
}

/// Whether the broker tells its metadata.
async fn answers(port: u16) -> bool {
    !brokers_seen_by(port).await.is_empty()
}

/// The ids of the brokers that the one at this port tells of; none when it does not answer.
pub(super) async fn brokers_seen_by(port: u16) -> Vec<i32> {
    let mut options = ConnectOptions::new(vec![Endpoint::new(HOST, port)]);
    options.connect_timeout_ms = 1_000;
    options.request_timeout_ms = 1_000;
    let client = ClusterClient::new(options, Arc::new(SystemClock::new()));
    let metadata = client.metadata().await;
    let brokers = metadata
        .map(|metadata| metadata.brokers)
        .unwrap_or_default();
    brokers.into_iter().map(|broker| broker.id).collect()
}

/// A fault with the last lines of the broker's log.
fn ended(what: &str, folder: &Path, why: &str) -> Fault {
    let log = folder.join(LOG_FILE);
    let lines = tail(&log, LOG_LINES, "").unwrap_or_default();
    let mut why = why.to_owned();
    for line in &lines {
        why.push_str("\n  ");
        why.push_str(line);
    }
    Fault::new(FaultKind::Failed, what, why).with_hint(format!("its log is {}", log.display()))
}
