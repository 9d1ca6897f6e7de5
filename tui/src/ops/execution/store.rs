//! The files of runs: `runs/CLUSTER/ID.json` in the state folder, beside it `ID.orders` for what
//! is asked of whoever executes it, and `lock`, held by whoever does.
//!
//! One run of a cluster is executed at a time, by one process.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::model::{Fault, FaultKind};
use crate::state;

use super::{NewOrders, Run, VERSION};

/// Runs of one cluster that are kept after their end.
const RUNS_MAX: usize = 50;

/// Where the runs of one cluster are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    folder: PathBuf,
}

/// The right to execute the runs of a cluster; given back when it is dropped, also by a crash.
#[derive(Debug)]
pub struct Held {
    _file: File,
}

impl Store {
    /// The user's, for one cluster.
    ///
    /// # Errors
    /// There is no home.
    pub fn of_user(cluster_id: Option<&str>) -> Result<Self, Fault> {
        let folder = state::folder_of_user().ok_or_else(|| {
            let why = "there is no folder to keep it in";
            Fault::new(FaultKind::Failed, "execute a reassignment", why)
                .with_hint("set HOME or XDG_STATE_HOME")
        })?;
        Ok(Self::at(folder.join("runs"), cluster_id))
    }

    pub fn at(folder: impl Into<PathBuf>, cluster_id: Option<&str>) -> Self {
        let name = state::file_name(cluster_id.unwrap_or_default());
        Self {
            folder: folder.into().join(name),
        }
    }

    fn path(&self, id: &str, end: &str) -> PathBuf {
        self.folder.join(format!("{}.{end}", id.replace('/', "-")))
    }

    /// # Errors
    /// What the file system says.
    pub fn save(&self, run: &Run) -> Result<(), Fault> {
        let text = serde_json::to_string_pretty(run).map_err(|error| {
            Fault::new(FaultKind::Failed, "write down the run", error.to_string())
        })?;
        state::write(&self.path(&run.id, "json"), &text)
    }

    /// # Errors
    /// It is not there, or damaged.
    pub fn load(&self, id: &str) -> Result<Run, Fault> {
        read(&self.path(id, "json"))
    }

    /// The files of all runs, newest first: their names begin with the time.
    fn paths(&self) -> Vec<PathBuf> {
        let Ok(listed) = std::fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = listed.filter_map(|file| Some(file.ok()?.path())).collect();
        let is_run = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            !name.starts_with('.') && name.ends_with(".json")
        };
        paths.retain(is_run);
        paths.sort();
        paths.reverse();
        paths
    }

    /// All runs, newest first; what can't be read is left out.
    pub fn runs(&self) -> Vec<Run> {
        let paths = self.paths();
        paths.iter().filter_map(|path| read(path).ok()).collect()
    }

    /// The run that has not ended, if there is one: it is the newest one, because none begins
    /// before the one before it has ended.
    pub fn unfinished(&self) -> Option<Run> {
        let paths = self.paths();
        let newest = paths.iter().find_map(|path| read(path).ok());
        newest.filter(|run| !run.is_over)
    }

    /// Begins a run: there may be no other one that has not ended.
    ///
    /// # Errors
    /// There is one, or the file can't be written.
    pub fn begin(&self, run: &Run) -> Result<(), Fault> {
        if let Some(other) = self.unfinished() {
            let why = format!("\"{}\" has not ended: {}", other.title, other.line());
            return Err(Fault::refused("execute a reassignment", why)
                .with_hint("`reassign resume` goes on with it, `reassign cancel` ends it"));
        }
        for old in self
            .runs()
            .iter()
            .filter(|run| run.ours.is_empty())
            .skip(RUNS_MAX)
        {
            // It is tried again with the next run.
            let _ = std::fs::remove_file(self.path(&old.id, "json"));
        }
        self.save(run)
    }

    /// Asks for the right to execute; `None` where another process has it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn hold(&self) -> Result<Option<Held>, Fault> {
        let path = self.folder.join("lock");
        let fail = |error: std::io::Error| {
            let why = format!("{}: {error}", path.display());
            Fault::new(FaultKind::Failed, "lock the runs", why)
        };
        std::fs::create_dir_all(&self.folder).map_err(fail)?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(fail)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Held { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(fail(error.into())),
        }
    }

    /// Asks whoever executes a run for something; what was asked before and not taken yet stays.
    ///
    /// # Errors
    /// What the file system says.
    pub fn order(&self, id: &str, new: &NewOrders) -> Result<(), Fault> {
        let path = self.path(id, "orders");
        let mut orders = self.orders(id).unwrap_or_default();
        orders.wish = new.wish.or(orders.wish);
        orders.throttle = new.throttle.or(orders.throttle);
        orders.unthrottled |= new.unthrottled;
        orders.batch = new.batch.or(orders.batch);
        let text = serde_json::to_string(&orders).unwrap_or_default();
        state::write(&path, &text)
    }

    fn orders(&self, id: &str) -> Option<NewOrders> {
        let text = state::read(&self.path(id, "orders")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Takes over what was asked for.
    pub fn take_orders(&self, run: &mut Run) {
        if let Some(new) = self.orders(&run.id) {
            run.orders.take(&new);
        }
        // A damaged one is of no use either.
        let _ = std::fs::remove_file(self.path(&run.id, "orders"));
    }
}

fn read(path: &Path) -> Result<Run, Fault> {
    let text = state::read(path)?;
    let refused = |why: String| {
        let why = format!("{}: {why}", path.display());
        Fault::refused("read a run", why)
    };
    let run: Run = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
    if run.version != VERSION {
        return Err(refused(format!("version {} is unknown", run.version)));
    }
    Ok(run)
}
