//! What `reassign run`, `status`, `resume` and `janitor` print.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::model::Fault;
use crate::ops::execution::janitor::LeftOver;
use crate::ops::execution::{Brake, Counts, Move, MoveState, Run, Wish};
use crate::output::{Printable, Table};

use super::join;

/// A reassignment that is executed in batches.
#[derive(Clone, Debug, Serialize)]
pub struct RunJson {
    pub id: String,
    pub title: String,
    pub started_at: String,
    pub wish: Wish,
    pub throttle: Option<i64>,
    pub batch: usize,
    pub brake: Brake,
    /// Brokers that are down and are to get a replica of what is on its way.
    pub waits_for: Vec<i32>,
    /// Partitions on their way that have no leader to be copied from.
    pub leaderless: usize,
    pub is_over: bool,
    pub counts: Counts,
    /// Whether throttles that it set are still there.
    pub has_throttles: bool,
    pub trouble: Option<String>,
    pub undo_file: Option<PathBuf>,
    pub moves: Vec<Move>,
    #[serde(skip)]
    line: String,
}

impl From<&Run> for RunJson {
    fn from(run: &Run) -> Self {
        Self {
            id: run.id.clone(),
            title: run.title.clone(),
            started_at: run.started_at.clone(),
            wish: run.orders.wish,
            throttle: run.orders.throttle,
            batch: run.orders.batch,
            brake: run.brake.clone(),
            waits_for: run.waits_for.clone(),
            leaderless: run.leaderless,
            is_over: run.is_over,
            counts: run.counts(),
            has_throttles: !run.ours.is_empty(),
            trouble: run.trouble.clone(),
            undo_file: run.undo_file.clone(),
            moves: run.moves.clone(),
            line: run.line(),
        }
    }
}

impl Printable for RunJson {
    fn table(&self) -> String {
        let mut text = format!("run \"{}\": {}\n", self.title, self.line);
        let told = |one: &&Move| one.state == MoveState::Moving || one.note.is_some();
        for one in self.moves.iter().filter(told) {
            let (from, to) = (join(&one.from), join(&one.to));
            let note = one.note.as_deref().unwrap_or("on the way");
            let _ = writeln!(
                text,
                "  {}-{}: {from} -> {to}: {note}",
                one.topic, one.partition
            );
        }
        if let Some(file) = self.undo_file.as_ref().filter(|_| self.is_over) {
            let _ = writeln!(text, "undo it with: kafka-tui undo {}", file.display());
        }
        text
    }
}

/// Throttles that were left behind.
#[derive(Clone, Debug, Serialize)]
pub struct JanitorJson {
    pub left_over: Vec<LeftOverRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LeftOverRow {
    #[serde(flatten)]
    pub left: LeftOver,
    /// Whether it is removed with what was asked for: what this machine set, or all.
    pub is_meant: bool,
    /// `removed`, or why not; absent in a dry run.
    pub outcome: Option<String>,
}

impl JanitorJson {
    pub fn of(found: &[LeftOver], all: bool) -> Self {
        let row = |left: &LeftOver| LeftOverRow {
            left: left.clone(),
            is_meant: all || left.set_by.is_some(),
            outcome: None,
        };
        Self {
            left_over: found.iter().map(row).collect(),
        }
    }

    pub fn report(&mut self, left: &LeftOver, outcome: Result<String, Fault>) {
        if let Some(row) = self.left_over.iter_mut().find(|row| row.left == *left) {
            row.outcome = Some(match outcome {
                Ok(_) => "removed".to_owned(),
                Err(fault) => fault.why,
            });
        }
    }

    /// Whether there is anything to remove.
    pub fn has_work(&self) -> bool {
        self.left_over.iter().any(|row| row.is_meant)
    }
}

impl Printable for JanitorJson {
    fn table(&self) -> String {
        if self.left_over.is_empty() {
            return "no throttle is left over\n".to_owned();
        }
        let mut table = Table::new(&["WHERE", "SETTING", "VALUE", "SET BY", "STATE"]);
        for row in &self.left_over {
            let set_by = row.left.set_by.clone();
            let state = match (&row.outcome, row.is_meant) {
                (Some(outcome), _) => outcome.clone(),
                (None, true) => "would be removed".to_owned(),
                (None, false) => "stays: --all removes it".to_owned(),
            };
            table.row([
                row.left.resource.clone(),
                row.left.setting.clone(),
                row.left.values.join(","),
                set_by.unwrap_or_else(|| "somebody else".to_owned()),
                state,
            ]);
        }
        table.render()
    }
}
