//! The files of what can be undone: `undo/CLUSTER/TIME-TITLE.json` in the state folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{ClusterMetadata, ClusterSnapshot, Fault, FaultKind};
use crate::ops::plan::Plan;
use crate::state;

use super::{Inverse, VERSION, timestamp};

/// Changes of one cluster that are remembered; older ones are forgotten.
const ENTRIES_MAX: usize = 300;

/// Later changes that are named where an older one is undone.
const STAYS_MAX: usize = 3;

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

/// What is undone next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Last {
    /// The last change that can be undone, and was not; no undo either.
    pub entry: Option<Entry>,
    /// Changes that were made after it and that nothing takes back, the newest first.
    pub since: Vec<Inverse>,
}

impl Last {
    /// What has to be known of the changes that stay.
    pub fn stays(&self) -> Vec<String> {
        let told = |change: &Inverse| {
            let stays = change.stays();
            format!(
                "\"{}\" is later and can't be taken back: {stays}",
                change.change
            )
        };
        let mut texts: Vec<String> = self.since.iter().take(STAYS_MAX).map(told).collect();
        if let Some(more @ 1..) = self.since.len().checked_sub(STAYS_MAX) {
            texts.push(format!("{more} more later changes can't be taken back"));
        }
        texts
    }

    /// Plans the undo, and says in it what stays.
    ///
    /// # Errors
    /// As [`Inverse::plan`]; and where there is nothing that could be undone.
    pub fn plan(&self, snapshot: &ClusterSnapshot) -> Result<Plan, Fault> {
        let Some(entry) = &self.entry else {
            let what = "undo the last change";
            return Err(match self.stays().first() {
                Some(why) => Fault::refused(what, why),
                None => Fault::not_found(what, "no change of this cluster is known"),
            });
        };
        let mut plan = entry.inverse.plan(Some(&entry.path), snapshot)?;
        plan.warnings.splice(0..0, self.stays());
        Ok(plan)
    }
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

    /// Adds to a change which topics it created, as only their creation tells their ids.
    pub(super) fn note_created(&self, path: &Path, created: &BTreeMap<String, String>) {
        let Ok(mut inverse) = Self::read(path) else {
            return;
        };
        inverse.created.clone_from(created);
        if let Ok(text) = serde_json::to_string_pretty(&inverse) {
            // Without it the undo looks at the names only, and asks for them to be typed.
            let _ = state::write(path, &(text + "\n"));
        }
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
        self.newest_first(cluster_id).collect()
    }

    /// As [`Self::entries`], read one by one: a file may be large.
    fn newest_first(&self, cluster_id: Option<&str>) -> impl Iterator<Item = Entry> {
        let folder = self.folder_of(cluster_id);
        let paths = folder.map(|folder| files(&folder)).unwrap_or_default();
        paths.into_iter().rev().filter_map(|path| {
            let inverse = Self::read(&path).ok()?;
            let is_undone = path.extension().is_some_and(|end| end == UNDONE);
            Some(Entry {
                path,
                inverse,
                is_undone,
            })
        })
    }

    /// The change that is undone next, and those after it that stay. One of which nothing is left,
    /// as its topic is deleted, is in nobody's way.
    pub fn last(&self, cluster_id: Option<&str>, metadata: Option<&ClusterMetadata>) -> Last {
        let mut last = Last::default();
        let is_moot = |inverse: &Inverse| metadata.is_some_and(|now| inverse.is_moot(now));
        for entry in self.newest_first(cluster_id) {
            if entry.is_undone || entry.inverse.is_undo || is_moot(&entry.inverse) {
                continue;
            }
            if entry.inverse.undo.is_some() {
                last.entry = Some(entry);
                break;
            }
            last.since.push(entry.inverse);
        }
        last
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
