//! Local brokers: started, watched, stopped and deleted by this program.
//!
//! Owns a folder per broker under `$XDG_STATE_HOME/kafka-tui/local/NAME` with its log, its data and
//! `state.json`. A broker is a child process in its own process group, so
//! that it outlives the terminal it was started from; the program itself is its executable (see
//! `daemon`), or another `kafka-broker` that is named.
//!
//! Invariants:
//! - A process is signalled only if it is the one that was started: its id and its start time must
//!   match what `state.json` says, so that a recycled id hits nobody.
//! - `state.json` is replaced as a whole, never half-written.
//! - Deleting refuses while the broker runs, and removes only a folder that holds a `state.json`.

pub mod daemon;
mod process;
mod start;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{Fault, FaultKind};

pub use process::ProcessIdentity;
pub use start::{Program, StartOptions};
pub(crate) use start::{arguments, command, free_port};

/// The name of a broker when none is given.
pub const DEFAULT_NAME: &str = "default";

const STATE_FILE: &str = "state.json";
const LOG_FILE: &str = "broker.log";
const DATA_FOLDER: &str = "data";

/// Longer names make paths that some systems refuse.
const NAME_CHARS_MAX: usize = 64;

/// What a local broker does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalStatus {
    Running,
    Stopped,
}

impl fmt::Display for LocalStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
        })
    }
}

/// One local broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocalBroker {
    pub name: String,
    pub status: LocalStatus,
    /// While it runs.
    pub pid: Option<i32>,
    pub host: String,
    pub port: u16,
    /// When it was started last, in milliseconds since the epoch.
    pub started_ms: i64,
    pub folder: PathBuf,
    pub log_file: PathBuf,
    pub data_folder: PathBuf,
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

    fn broker(name: &str, folder: PathBuf, state: &State) -> LocalBroker {
        let pid = state.process.is_alive().then_some(state.process.pid);
        LocalBroker {
            name: name.to_owned(),
            status: if pid.is_some() {
                LocalStatus::Running
            } else {
                LocalStatus::Stopped
            },
            pid,
            host: start::HOST.to_owned(),
            port: state.port,
            started_ms: state.started_ms,
            log_file: folder.join(LOG_FILE),
            data_folder: folder.join(DATA_FOLDER),
            folder,
        }
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
            if let Some(state) = Self::read_state(&entry.path()) {
                brokers.push(Self::broker(&name, entry.path(), &state));
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
        let folder = self.folder(name)?;
        let state = Self::read_state(&folder).ok_or_else(|| {
            let why = format!("there is no local broker \"{name}\"");
            Fault::not_found("find the local broker", why)
                .with_hint("`kafka-tui local status` lists them")
        })?;
        Ok(Self::broker(name, folder, &state))
    }

    fn process_to_signal(&self, name: &str) -> Result<Option<ProcessIdentity>, Fault> {
        let folder = self.folder(name)?;
        self.get(name)?;
        let state = Self::read_state(&folder);
        Ok(state
            .map(|state| state.process)
            .filter(ProcessIdentity::is_alive))
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

    /// Removes a stopped broker with its data.
    ///
    /// # Errors
    /// `NotFound`; refused while it runs.
    pub fn delete(&self, name: &str) -> Result<(), Fault> {
        let what = format!("delete the local broker \"{name}\"");
        let broker = self.get(name)?;
        if broker.status == LocalStatus::Running {
            return Err(Fault::refused(what, "it runs").with_hint("stop it first"));
        }
        fs::remove_dir_all(&broker.folder).map_err(|error| io_fault(&what, &broker.folder, &error))
    }

    /// The last lines of a broker's log.
    ///
    /// # Errors
    /// `NotFound`; when the log can't be read.
    pub fn log_tail(&self, name: &str, lines: usize) -> Result<Vec<String>, Fault> {
        let broker = self.get(name)?;
        tail(&broker.log_file, lines)
            .map_err(|error| io_fault("read the broker's log", &broker.log_file, &error))
    }
}

/// No more of a log is read than this, however long its lines are.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;

/// The last lines of a file.
fn tail(path: &Path, lines: usize) -> io::Result<Vec<String>> {
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
    let skip = all.len().saturating_sub(lines);
    Ok(all.into_iter().skip(skip).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
