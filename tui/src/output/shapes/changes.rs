//! What a changing command prints, and `reassign status`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::derive;
use crate::model::ClusterSnapshot;
use crate::ops::reassign::{BrokerLoad, Estimate, Preview, time_text};
use crate::ops::{Change, Danger, Plan, Report, Verification};
use crate::output::{Printable, Table, bytes_text, or_dash};

use super::{RunJson, join};

/// A plan, as a dry run prints it.
#[derive(Clone, Debug, Serialize)]
pub struct PlanJson {
    pub title: String,
    pub danger: Danger,
    pub changes: Vec<Change>,
    pub warnings: Vec<String>,
    pub not_done: Vec<String>,
    /// What no undo takes back.
    pub irrevocable: Vec<String>,
    /// The same with Kafka's own tools.
    pub equivalent: Vec<String>,
    /// Replicas that a reassignment copies, and their bytes.
    pub moves: Option<usize>,
    pub move_bytes: Option<i64>,
    /// How long a reassignment takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// What a reassignment makes of each broker.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub brokers: Vec<LoadRow>,
}

/// One broker before, at the height of a reassignment, and after.
#[derive(Clone, Debug, Serialize)]
pub struct LoadRow {
    pub broker: i32,
    pub replicas_before: usize,
    pub replicas_during: usize,
    pub replicas_after: usize,
    pub leaders_before: usize,
    pub leaders_after: usize,
    pub bytes_before: Option<i64>,
    pub bytes_after: Option<i64>,
    pub bytes_in: Option<i64>,
    pub bytes_out: Option<i64>,
}

fn loads(preview: &Preview) -> Vec<LoadRow> {
    let row = |(broker, load): (&i32, &BrokerLoad)| LoadRow {
        broker: *broker,
        replicas_before: load.before,
        replicas_during: load.during,
        replicas_after: load.after,
        leaders_before: load.preferred_before,
        leaders_after: load.preferred_after,
        bytes_before: load.bytes_before.complete(),
        bytes_after: load.bytes_after.complete(),
        bytes_in: load.bytes_in.complete(),
        bytes_out: load.bytes_out.complete(),
    };
    preview.brokers.iter().map(row).collect()
}

impl From<&Plan> for PlanJson {
    fn from(plan: &Plan) -> Self {
        let preview = plan.reassignment.as_ref();
        Self {
            title: plan.title.clone(),
            danger: plan.danger,
            changes: plan.changes.clone(),
            warnings: plan.warnings.clone(),
            not_done: plan.not_done.clone(),
            irrevocable: plan.irrevocable.clone(),
            equivalent: plan.equivalent.clone(),
            moves: preview.map(|preview| preview.n_moves()),
            move_bytes: preview.and_then(|preview| preview.bytes.complete()),
            estimate: preview.and_then(|preview| preview.estimate.clone()),
            brokers: preview
                .filter(|p| !p.rows.is_empty())
                .map(loads)
                .unwrap_or_default(),
        }
    }
}

impl PlanJson {
    /// What there is to know besides the changes themselves.
    pub(super) fn notes(&self) -> String {
        let mut text = String::new();

        if let Some(moves) = self.moves.filter(|moves| *moves > 0) {
            let bytes = self
                .move_bytes
                .map_or_else(|| "unknown size".to_owned(), bytes_text);
            let _ = writeln!(text, "  copies {moves} replicas, {bytes}");
        }
        if let Some(estimate) = &self.estimate {
            let _ = writeln!(text, "  takes {estimate}");
        }
        if !self.brokers.is_empty() {
            text.push_str(&load_table(&self.brokers));
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "  warning: {warning}");
        }
        for untouched in &self.not_done {
            let _ = writeln!(text, "  left as it is: {untouched}");
        }
        for stays in &self.irrevocable {
            let _ = writeln!(text, "  no undo: {stays}");
        }
        for line in &self.equivalent {
            let _ = writeln!(text, "  same as: {line}");
        }
        text
    }
}

impl Printable for PlanJson {
    fn table(&self) -> String {
        let mut text = format!("{}\n", self.title);
        if self.changes.is_empty() {
            text.push_str("  nothing to change\n");
        }
        for change in &self.changes {
            let before = change.before.as_deref().unwrap_or("(none)");
            let after = change.after.as_deref().unwrap_or("(none)");
            let note = match &change.note {
                Some(note) => format!("  ({note})"),
                None => String::new(),
            };
            let _ = match (&change.before, &change.after) {
                (None, Some(after)) => writeln!(text, "  {}: {after}{note}", change.subject),
                (Some(before), None) => {
                    writeln!(text, "  {}: {before} -> gone{note}", change.subject)
                }
                _ => writeln!(text, "  {}: {before} -> {after}{note}", change.subject),
            };
        }
        text.push_str(&self.notes());
        text
    }
}

fn load_table(rows: &[LoadRow]) -> String {
    let mut table = Table::new(&[
        ">  BROKER",
        ">REPLICAS",
        ">MEANWHILE",
        ">AFTER",
        ">LEADERS",
        ">AFTER",
        ">DISK",
        ">AFTER",
        ">RECEIVES",
        ">SENDS",
    ]);
    let bytes = |bytes: Option<i64>| or_dash(bytes.map(bytes_text));
    for row in rows {
        table.row([
            row.broker.to_string(),
            row.replicas_before.to_string(),
            row.replicas_during.to_string(),
            row.replicas_after.to_string(),
            row.leaders_before.to_string(),
            row.leaders_after.to_string(),
            bytes(row.bytes_before),
            bytes(row.bytes_after),
            bytes(row.bytes_in),
            bytes(row.bytes_out),
        ]);
    }
    table.render()
}

/// What a changing command did.
#[derive(Clone, Debug, Serialize)]
pub struct DoneJson {
    pub dry_run: bool,
    pub plan: PlanJson,
    /// What the broker said of the plan when it was asked to check it only.
    pub check: Option<Report>,
    pub report: Option<Report>,
    pub verification: Option<Verification>,
    /// Whether the plan was shown already, to who was asked to confirm it.
    #[serde(skip)]
    pub is_told: bool,
}

impl DoneJson {
    /// What was done, and what came of it.
    pub(super) fn outcome(&self) -> String {
        let mut text = String::new();
        for item in self.report.iter().flat_map(|report| &report.items) {
            let _ = match &item.outcome {
                Ok(done) => writeln!(text, "{}: {done}", item.subject),
                Err(fault) => writeln!(text, "{}: failed: {}", item.subject, fault.why),
            };
        }
        if let Some(file) = self.report.as_ref().and_then(|r| r.undo_file.as_ref()) {
            let _ = writeln!(text, "undo it with: kafka-tui undo {}", file.display());
        }
        match &self.verification {
            Some(Verification::InProgress { detail }) => {
                let _ = writeln!(text, "in progress: {detail}");
            }
            Some(Verification::Differs { detail }) => {
                let _ = writeln!(text, "not as planned: {detail}");
            }
            Some(Verification::Done) | None => {}
        }
        text
    }
}

impl Printable for DoneJson {
    fn table(&self) -> String {
        match self.is_told {
            true => self.outcome(),
            false => self.plan.table() + &self.outcome(),
        }
    }
}

/// `reassign status`.
#[derive(Clone, Debug, Serialize)]
pub struct MovesJson {
    pub reassignments: Vec<MoveRow>,
    /// How fast they go, and how long they take still with what waits in the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<i64>,
    /// The run from here that has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunJson>,
}

#[derive(Clone, Debug, Serialize)]
pub struct MoveRow {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<i32>,
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
    pub bytes_done: Option<i64>,
    pub bytes_total: Option<i64>,
    /// Brokers that are to get a replica and are down.
    pub waits_for: Vec<i32>,
    /// Whether it adds what it removes: such a reassignment ends only when it is cancelled.
    pub never_ends: bool,
    /// Between 0 and 1.
    pub progress: Option<f64>,
}

/// Every reassignment that runs.
pub fn moves(snapshot: &ClusterSnapshot) -> MovesJson {
    let (Some(running), Some(metadata)) = (snapshot.reassignments.get(), snapshot.metadata.get())
    else {
        return MovesJson {
            reassignments: Vec::new(),
            bytes_per_second: None,
            left_ms: None,
            run: None,
        };
    };
    let row = |progress: derive::MoveProgress| MoveRow {
        waits_for: progress.waits_for.clone(),
        never_ends: progress.is_endless,
        topic: progress.partition.topic.to_string(),
        partition: progress.partition.partition,
        bytes_done: progress.bytes_done.complete(),
        bytes_total: progress.bytes_total.complete(),
        progress: progress.fraction(),
        replicas: progress.ongoing.replicas,
        adding: progress.ongoing.adding,
        removing: progress.ongoing.removing,
    };
    let moves = derive::moves(running, metadata, snapshot.log_dirs.get());
    MovesJson {
        reassignments: moves.into_iter().map(row).collect(),
        bytes_per_second: None,
        left_ms: None,
        run: None,
    }
}

impl Printable for MovesJson {
    fn table(&self) -> String {
        let run = self.run.as_ref().map(Printable::table).unwrap_or_default();
        if self.reassignments.is_empty() {
            return format!("{run}no reassignment is running\n");
        }
        let mut table = Table::new(&[
            "TOPIC",
            ">PARTITION",
            "REPLICAS",
            "ADDING",
            "REMOVING",
            ">COPIED",
            ">OF",
            ">DONE",
        ]);
        for row in &self.reassignments {
            table.row([
                row.topic.clone(),
                row.partition.to_string(),
                join(&row.replicas),
                join(&row.adding),
                join(&row.removing),
                or_dash(row.bytes_done.map(bytes_text)),
                or_dash(row.bytes_total.map(bytes_text)),
                match &row.waits_for[..] {
                    _ if row.never_ends => "never ends: cancel it".to_owned(),
                    [] => or_dash(row.progress.map(|done| format!("{:.0}%", done * 100.0))),
                    down => format!("waits for {}, which is down", join(down)),
                },
            ]);
        }
        let mut text = format!("{run}{}", table.render());
        if let Some(rate) = self.bytes_per_second {
            let _ = write!(text, "{}/s", bytes_text(rate as i64));
            if let Some(ms) = self.left_ms {
                let _ = write!(text, ", {} left", time_text(ms));
            }
            text.push('\n');
        }
        text
    }
}
