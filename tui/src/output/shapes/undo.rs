//! What `undo --list` prints.

use serde::Serialize;

use crate::model::ClusterMetadata;
use crate::ops::undo::Entry;
use crate::output::{Printable, Table};

/// The changes of a cluster that were made from here, newest first.
#[derive(Clone, Debug, Serialize)]
pub struct UndoJson {
    pub changes: Vec<UndoRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct UndoRow {
    /// RFC 3339.
    pub made_at: String,
    pub change: String,
    pub is_undone: bool,
    /// Whether it took another change back.
    pub is_undo: bool,
    /// What of it nothing takes back.
    pub irrevocable: Vec<String>,
    /// Whether something takes it back, or a part of it.
    pub can_be_undone: bool,
    /// Whether nothing is left of it: its topics are gone, or others have their names.
    pub is_moot: bool,
    pub file: String,
}

/// The changes in the journal, on the cluster as it is now.
pub fn undo(entries: &[Entry], metadata: &ClusterMetadata) -> UndoJson {
    let row = |entry: &Entry| UndoRow {
        made_at: entry.inverse.made_at.clone(),
        change: entry.inverse.change.clone(),
        is_undone: entry.is_undone,
        is_undo: entry.inverse.is_undo,
        irrevocable: entry.inverse.irrevocable.clone(),
        can_be_undone: entry.inverse.undo.is_some(),
        is_moot: entry.inverse.is_moot(metadata),
        file: entry.path.display().to_string(),
    };
    UndoJson {
        changes: entries.iter().map(row).collect(),
    }
}

impl Printable for UndoJson {
    fn table(&self) -> String {
        if self.changes.is_empty() {
            return "no change of this cluster is known\n".to_owned();
        }
        let mut table = Table::new(&["MADE", "CHANGE", "STATE", "FILE"]);
        for row in &self.changes {
            let state = match (row.is_undone, row.is_undo) {
                (true, _) => "undone",
                _ if row.is_moot => "nothing is left of it",
                (false, true) => "an undo",
                _ if !row.can_be_undone => "can't be undone",
                _ if !row.irrevocable.is_empty() => "can be undone in part",
                (false, false) => "can be undone",
            };
            table.row([
                row.made_at.clone(),
                row.change.clone(),
                state.to_owned(),
                row.file.clone(),
            ]);
        }
        table.render()
    }
}
