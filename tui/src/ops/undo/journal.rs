//! The files of what can be undone: `undo/CLUSTER/TIME-TITLE.json` in the state folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{Fault, FaultKind};
use crate::state;

use super::{Inverse, VERSION, timestamp};

/// Changes of one cluster that are remembered; older ones are forgotten.
const ENTRIES_MAX: usize = 300;

/// What the name of an undone change ends with.
const UNDONE: &str = "undone";

/// Where inverses are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    folder: Option<PathBuf>,
}

/// One change that can be undone, or was.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub path: PathBuf,
    pub inverse: Inverse,
    pub is_undone: bool,
}

impl Journal {
    /// Keeps nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// In this folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
        }
    }

    /// The user's; without a home nothing is kept.
    pub fn of_user() -> Self {
        Self {
            folder: state::folder_of_user().map(|folder| folder.join("undo")),
        }
    }

    fn folder_of(&self, cluster_id: Option<&str>) -> Option<PathBuf> {
        let name = state::file_name(cluster_id.unwrap_or_default());
        Some(self.folder.as_ref()?.join(name))
    }

    /// Writes an inverse; where, or `None` when nothing is kept.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, inverse: &Inverse, wall_ms: i64) -> Result<Option<PathBuf>, Fault> {
        let Some(folder) = self.folder_of(inverse.cluster_id.as_deref()) else {
            return Ok(None);
        };
        let failed = |why: String| {
            Fault::new(FaultKind::Failed, "write down what undoes this", why).with_hint(
                "nothing was changed; XDG_STATE_HOME names the folder that is written to",
            )
        };
        let mut text =
            serde_json::to_string_pretty(inverse).map_err(|error| failed(error.to_string()))?;
        text.push('\n');
        let time = timestamp(wall_ms).replace([':', '-'], "");
        let title: String = inverse.change.chars().take(40).collect();
        let title = state::file_name(&title);
        // Names are in the order of time, also those of one millisecond: `-` comes before `.`.
        let path = (0..)
            .map(|n| match n {
                0 => folder.join(format!("{time}-{title}.json")),
                n => folder.join(format!("{time}.{n:03}-{title}.json")),
            })
            .find(|path| !path.exists() && !undone_path(path).exists())
            .unwrap_or_else(|| folder.join(format!("{time}-{title}.json")));
        state::write(&path, &text).map_err(|fault| failed(fault.why))?;
        prune(&folder);
        Ok(Some(path))
    }

    /// Forgets a change that was not made after all.
    pub fn forget(&self, path: &Path) {
        // At worst an undo that has nothing to do is offered.
        let _ = fs::remove_file(path);
    }

    /// Notes that a change was taken back.
    ///
    /// # Errors
    /// What the file system says.
    pub fn mark_undone(&self, path: &Path) -> Result<(), Fault> {
        let is_ours = self
            .folder
            .as_ref()
            .is_some_and(|folder| path.starts_with(folder));
        if !is_ours || path.extension().is_some_and(|end| end == UNDONE) {
            return Ok(());
        }
        state::move_to(path, &undone_path(path))
    }

    /// The changes of one cluster, newest first. A file that can't be read is left out.
    pub fn entries(&self, cluster_id: Option<&str>) -> Vec<Entry> {
        let Some(folder) = self.folder_of(cluster_id) else {
            return Vec::new();
        };
        let mut paths = files(&folder);
        paths.reverse();
        let entry = |path: PathBuf| {
            let inverse = Self::read(&path).ok()?;
            let is_undone = path.extension().is_some_and(|end| end == UNDONE);
            Some(Entry {
                path,
                inverse,
                is_undone,
            })
        };
        paths.into_iter().filter_map(entry).collect()
    }

    /// The last change that was neither undone nor an undo.
    pub fn last(&self, cluster_id: Option<&str>) -> Option<Entry> {
        let mut entries = self.entries(cluster_id).into_iter();
        entries.find(|entry| !entry.is_undone && !entry.inverse.is_undo)
    }

    /// Reads one file.
    ///
    /// # Errors
    /// It is not there or holds something else.
    pub fn read(path: &Path) -> Result<Inverse, Fault> {
        let what = "read what undoes a change";
        let text = state::read(path)?;
        let refused = |why: String| Fault::refused(what, format!("{}: {why}", path.display()));
        let inverse: Inverse =
            serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        if inverse.version != VERSION {
            return Err(refused(format!("version {} is unknown", inverse.version)));
        }
        Ok(inverse)
    }
}

fn undone_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(UNDONE);
    PathBuf::from(name)
}

/// Oldest first: names begin with the time.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(listed) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = listed.filter_map(|file| Some(file.ok()?.path()));
    let is_entry = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && (name.ends_with(".json") || name.ends_with(".json.undone"))
    };
    let mut paths: Vec<PathBuf> = paths.filter(is_entry).collect();
    paths.sort();
    paths
}

fn prune(folder: &Path) {
    let paths = files(folder);
    let too_many = paths.len().saturating_sub(ENTRIES_MAX);
    for path in paths.iter().take(too_many) {
        // It is tried again with the next change.
        let _ = fs::remove_file(path);
    }
}
