//! Local brokers: started, watched, stopped and deleted by this program.
//!
//! Owns a folder per broker under `$XDG_STATE_HOME/kafka-tui/local/NAME` with its log, its data and
//! `state.json`. A broker is a child process in its own process group, so
//! that it outlives the terminal it was started from; the program itself is its executable (see
//! `daemon`), or another `kafka-broker` that is named.
//!
//! Several nodes can make one cluster: `NAME` is its folder then, with `cluster.json` (see
//! [`layout`]) and a folder for each node, which is called `NAME/ID` and is otherwise a broker like
//! any other.
//!
//! Invariants:
//! - A process is signalled only if it is the one that was started: its id and its start time must
//!   match what `state.json` says, so that a recycled id hits nobody.
//! - `state.json` is replaced as a whole, never half-written.
//! - Deleting refuses while the broker runs, and removes only a folder that holds a `state.json`.

mod apache;
mod cluster;
pub mod daemon;
mod layout;
mod process;
mod rolling;
mod size;
mod start;
mod stopping;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{Fault, FaultKind};

pub use cluster::{ClusterOptions, Outcomes};
pub(crate) use cluster::{format_node, write_node};
pub use layout::NODES_MAX;
pub(crate) use layout::{ClusterLayout, Ports};
pub use process::ProcessIdentity;
pub use rolling::RollingOptions;
pub(crate) use start::{Job, command};
pub use start::{Program, StartOptions};

/// The name of a broker when none is given.
pub const DEFAULT_NAME: &str = "default";

const STATE_FILE: &str = "state.json";
pub(crate) const LOG_FILE: &str = "broker.log";
const DATA_FOLDER: &str = "data";
const CLUSTER_FILE: &str = "cluster.json";
pub(crate) const PROPERTIES_FILE: &str = "server.properties";

/// Longer names make paths that some systems refuse.
const NAME_CHARS_MAX: usize = 64;

/// What a local broker does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalStatus {
    Running,
    /// Held where it stands: it answers nobody.
    Paused,
    Stopped,
}

impl fmt::Display for LocalStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// One local broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocalBroker {
    /// `CLUSTER/ID` for a node of a cluster.
    pub name: String,
    /// `None`: it is a cluster on its own.
    pub cluster: Option<String>,
    pub node_id: i32,
    pub rack: Option<String>,
    pub status: LocalStatus,
    /// While it runs, or is paused.
    pub pid: Option<i32>,
    pub host: String,
    pub port: u16,
    /// When it was started last, in milliseconds since the epoch.
    pub started_ms: i64,
    pub folder: PathBuf,
    pub log_file: PathBuf,
    pub data_folder: PathBuf,
    /// A node of a cluster has one.
    pub properties_file: Option<PathBuf>,
    /// The installation of Apache Kafka that runs it; `None`: a broker of ours.
    pub apache: Option<PathBuf>,
    /// What its data takes on the disk, where that was measured.
    pub data_bytes: Option<u64>,
}

/// One broker's place on this machine, whether it was ever started or not.
#[derive(Clone, Debug)]
struct Site {
    name: String,
    folder: PathBuf,
    /// The cluster whose node it is.
    node: Option<(String, layout::NodeLayout)>,
    /// As it was left by the last start.
    state: Option<State>,
}

impl Site {
    /// `None` where there is no such broker.
    fn broker(&self) -> Option<LocalBroker> {
        let state = self.state.as_ref();
        let node = self.node.as_ref();
        let port = state
            .map(|state| state.port)
            .or(node.map(|(_, node)| node.port))?;
        let process = state.map(|state| &state.process).filter(|p| p.is_alive());
        let status = match process {
            None => LocalStatus::Stopped,
            Some(process) if process.is_paused() => LocalStatus::Paused,
            Some(_) => LocalStatus::Running,
        };
        Some(LocalBroker {
            name: self.name.clone(),
            cluster: node.map(|(cluster, _)| cluster.clone()),
            node_id: node.map_or(1, |(_, node)| node.id),
            rack: node.and_then(|(_, node)| node.rack.clone()),
            status,
            pid: process.map(|process| process.pid),
            host: start::HOST.to_owned(),
            port,
            started_ms: state.map_or(0, |state| state.started_ms),
            log_file: self.folder.join(LOG_FILE),
            data_folder: self.folder.join(DATA_FOLDER),
            properties_file: node.map(|_| self.folder.join(PROPERTIES_FILE)),
            apache: node.and_then(|(_, node)| node.apache.clone()),
            data_bytes: None,
            folder: self.folder.clone(),
        })
    }
}

impl LocalBroker {
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// What is kept about a broker between two runs of this program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    port: u16,
    /// As they were given at the last start.
    #[serde(default)]
    settings: Vec<(String, String)>,
    started_ms: i64,
    /// The process that was started last; it may be gone.
    process: ProcessIdentity,
}

/// All local brokers of one user.
#[derive(Clone, Debug)]
pub struct LocalBrokers {
    root: PathBuf,
}

fn io_fault(what: &str, path: &Path, error: &io::Error) -> Fault {
    Fault::new(
        FaultKind::Failed,
        what,
        format!("{}: {error}", path.display()),
    )
}

impl LocalBrokers {
    /// Those under `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Those of the user: under `$XDG_STATE_HOME`, or `~/.local/state`.
    ///
    /// # Errors
    /// When neither `XDG_STATE_HOME` nor `HOME` says where that is.
    pub fn of_user() -> Result<Self, Fault> {
        let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        let folder = state
            .filter(|path| path.is_absolute())
            .or(home)
            .ok_or_else(|| {
                Fault::new(
                    FaultKind::Failed,
                    "find the state folder",
                    "HOME is not set",
                )
                .with_hint("set HOME or XDG_STATE_HOME")
            })?;
        Ok(Self::new(folder.join("kafka-tui").join("local")))
    }

    fn folder(&self, name: &str) -> Result<PathBuf, Fault> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(legal) {
            let why = format!("\"{name}\" is no name for a local broker");
            return Err(Fault::refused("name a local broker", why)
                .with_hint("letters, digits, '-' and '_' can be in a name"));
        }
        Ok(self.root.join(name))
    }

    fn read_state(folder: &Path) -> Option<State> {
        let text = fs::read_to_string(folder.join(STATE_FILE)).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn read_layout(folder: &Path) -> Option<ClusterLayout> {
        let text = fs::read_to_string(folder.join(CLUSTER_FILE)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The place of a broker on its own, or of the node `CLUSTER/ID`.
    fn site(&self, name: &str) -> Result<Site, Fault> {
        let Some((cluster, id)) = name.split_once('/') else {
            let folder = self.folder(name)?;
            return Ok(Site {
                name: name.to_owned(),
                state: Self::read_state(&folder),
                folder,
                node: None,
            });
        };
        let folder = self.folder(cluster)?;
        let layout = Self::read_layout(&folder);
        let node = layout.and_then(|layout| {
            let mut nodes = layout.nodes.into_iter();
            nodes.find(|node| node.id.to_string() == id)
        });
        let node = node.ok_or_else(|| not_found(name))?;
        Ok(Self::site_of_node(cluster, &folder, node))
    }

    fn site_of_node(cluster: &str, folder: &Path, node: layout::NodeLayout) -> Site {
        let name = format!("{cluster}/{}", node.id);
        let folder = folder.join(format!("node-{}", node.id));
        Site {
            name,
            state: Self::read_state(&folder),
            folder,
            node: Some((cluster.to_owned(), node)),
        }
    }

    /// The brokers that a name stands for: itself, or the nodes of the cluster of that name.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn members(&self, name: &str) -> Result<Vec<String>, Fault> {
        if !name.contains('/')
            && let Some(layout) = Self::read_layout(&self.folder(name)?)
        {
            let nodes = layout.nodes.iter();
            return Ok(nodes.map(|node| format!("{name}/{}", node.id)).collect());
        }
        Ok(vec![self.get(name)?.name])
    }

    /// All brokers, by name.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn list(&self) -> Result<Vec<LocalBroker>, Fault> {
        let what = "list the local brokers";
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_fault(what, &self.root, &error)),
        };
        let mut brokers = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| io_fault(what, &self.root, &error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(layout) = Self::read_layout(&entry.path()) {
                let nodes = layout.nodes.into_iter();
                let sites = nodes.map(|node| Self::site_of_node(&name, &entry.path(), node));
                brokers.extend(sites.filter_map(|site| site.broker()));
            } else if let Ok(site) = self.site(&name) {
                brokers.extend(site.broker());
            }
        }
        brokers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(brokers)
    }

    /// One broker.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub fn get(&self, name: &str) -> Result<LocalBroker, Fault> {
        self.site(name)?.broker().ok_or_else(|| not_found(name))
    }

    fn process_to_signal(&self, name: &str) -> Result<Option<ProcessIdentity>, Fault> {
        self.get(name)?;
        let process = self.site(name)?.state.map(|state| state.process);
        Ok(process.filter(ProcessIdentity::is_alive))
    }

    /// Holds a broker where it stands, as if its machine had stopped: its connections stay open and
    /// nobody answers.
    ///
    /// # Errors
    /// `NotFound`; refused when it does not run.
    pub fn pause(&self, name: &str) -> Result<LocalBroker, Fault> {
        self.hold(name, "pause", ProcessIdentity::pause, LocalStatus::Paused)
    }

    /// Lets a paused broker go on. One that runs is a success.
    ///
    /// # Errors
    /// `NotFound`; refused when it does not run.
    pub fn resume(&self, name: &str) -> Result<LocalBroker, Fault> {
        self.hold(
            name,
            "resume",
            ProcessIdentity::resume,
            LocalStatus::Running,
        )
    }

    fn hold(
        &self,
        name: &str,
        verb: &str,
        signal: fn(&ProcessIdentity) -> io::Result<()>,
        outcome: LocalStatus,
    ) -> Result<LocalBroker, Fault> {
        let what = format!("{verb} the local broker \"{name}\"");
        let process = self.process_to_signal(name)?;
        let process = process.ok_or_else(|| Fault::refused(&*what, "it does not run"))?;
        signal(&process)
            .map_err(|error| Fault::new(FaultKind::Failed, &what, error.to_string()))?;
        let mut broker = self.get(name)?;
        // The signal can't be refused, but the kernel may show the state of before for a moment.
        if process.is_alive() {
            broker.status = outcome;
        }
        Ok(broker)
    }

    /// Asks a broker to shut down and waits until it has. A broker that does not run is a success.
    ///
    /// # Errors
    /// `NotFound`; when it is still there after `wait_ms`.
    pub async fn stop(&self, name: &str, wait_ms: u64) -> Result<LocalBroker, Fault> {
        let what = format!("stop the local broker \"{name}\"");
        if let Some(process) = self.process_to_signal(name)? {
            process
                .terminate()
                .map_err(|error| Fault::new(FaultKind::Failed, &what, error.to_string()))?;
            if !process.wait_until_gone(wait_ms).await {
                let why = format!(
                    "it still runs {} s after it was asked to stop",
                    wait_ms / 1000
                );
                return Err(Fault::new(FaultKind::Failed, what, why)
                    .with_hint("kill it with `kafka-tui local stop --force`; its log says more"));
            }
        }
        self.get(name)
    }

    /// Kills a broker, as a crash would. Its data is kept and recovered at the next start.
    ///
    /// # Errors
    /// `NotFound`; when the process does not go.
    pub async fn kill(&self, name: &str) -> Result<LocalBroker, Fault> {
        let what = format!("kill the local broker \"{name}\"");
        if let Some(process) = self.process_to_signal(name)? {
            process
                .kill()
                .map_err(|error| Fault::new(FaultKind::Failed, &what, error.to_string()))?;
            if !process.wait_until_gone(process::KILL_WAIT_MS).await {
                return Err(Fault::new(
                    FaultKind::Failed,
                    what,
                    "the process does not go away",
                ));
            }
        }
        self.get(name)
    }

    /// Removes a stopped broker, or a stopped cluster, with its data.
    ///
    /// # Errors
    /// `NotFound`; refused while it runs, and for a single node of a cluster.
    pub fn delete(&self, name: &str) -> Result<(), Fault> {
        let what = format!("delete the local broker \"{name}\"");
        if let Some((cluster, _)) = name.split_once('/') {
            let why = "the others of its cluster count on it";
            return Err(Fault::refused(what, why)
                .with_hint(format!("\"{cluster}\" can be deleted as a whole")));
        }
        for member in self.members(name)? {
            if self.get(&member)?.pid.is_some() {
                let why = if member == name {
                    "it runs".to_owned()
                } else {
                    format!("{member} runs")
                };
                return Err(Fault::refused(what, why).with_hint("stop it first"));
            }
        }
        let folder = self.folder(name)?;
        fs::remove_dir_all(&folder).map_err(|error| io_fault(&what, &folder, &error))
    }

    /// The last lines of a broker's log, of those that hold `part` in any case.
    ///
    /// # Errors
    /// `NotFound`; when the log can't be read.
    pub fn log_tail(&self, name: &str, lines: usize, part: &str) -> Result<Vec<String>, Fault> {
        let broker = self.get(name)?;
        tail(&broker.log_file, lines, part)
            .map_err(|error| io_fault("read the broker's log", &broker.log_file, &error))
    }
}

fn not_found(name: &str) -> Fault {
    let why = format!("there is no local broker \"{name}\"");
    Fault::not_found("find the local broker", why).with_hint("`kafka-tui local status` lists them")
}

/// No more of a log is read than this, however long its lines are.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;

/// The last lines of a file, of those that hold `part` in any case.
fn tail(path: &Path, lines: usize, part: &str) -> io::Result<Vec<String>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut all: Vec<&str> = text.lines().collect();
    if from > 0 && !all.is_empty() {
        // The first line is cut.
        all.remove(0);
    }
    let part = part.to_lowercase();
    all.retain(|line| part.is_empty() || line.to_lowercase().contains(&part));
    let skip = all.len().saturating_sub(lines);
    Ok(all.into_iter().skip(skip).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
