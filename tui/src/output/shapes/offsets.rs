//! `groups reset` while it only shows what would be.

use std::fmt::Write as _;

use serde::Serialize;

use crate::ops::Plan;
use crate::ops::offsets::{AlterOffsets, OffsetChange, TargetRecord};
use crate::output::{Printable, Table, or_dash};

use super::PlanJson;

/// New offsets of a group, partition by partition.
#[derive(Clone, Debug, Serialize)]
pub struct OffsetsJson {
    pub dry_run: bool,
    pub group: String,
    /// Also those that stay as they are.
    pub partitions: Vec<OffsetRow>,
    pub plan: PlanJson,
}

#[derive(Clone, Debug, Serialize)]
pub struct OffsetRow {
    pub topic: String,
    pub partition: i32,
    /// `null`: nothing is committed.
    pub from: Option<i64>,
    pub to: Option<i64>,
    pub log_start: Option<i64>,
    pub log_end: Option<i64>,
    /// Offsets that will not be read, or will be read again: at most as many records.
    pub skips: Option<i64>,
    pub rereads: Option<i64>,
    /// What would be read next.
    pub record: Option<TargetRecord>,
}

impl OffsetsJson {
    pub fn new(alter: &AlterOffsets, plan: &Plan) -> Self {
        let row = |change: &OffsetChange| OffsetRow {
            topic: change.topic.clone(),
            partition: change.partition,
            from: change.from.as_ref().map(|from| from.offset),
            to: change.to.as_ref().map(|to| to.offset),
            log_start: change.log_start,
            log_end: change.log_end,
            skips: change.moved().map(|n| n.max(0)),
            rereads: change.moved().map(|n| n.saturating_neg().max(0)),
            record: change.record.clone(),
        };
        Self {
            dry_run: true,
            group: alter.group.clone(),
            partitions: alter.changes.iter().map(row).collect(),
            plan: PlanJson::from(plan),
        }
    }
}

impl Printable for OffsetsJson {
    fn table(&self) -> String {
        let mut table = Table::new(&[
            "TOPIC",
            ">PARTITION",
            ">CURRENT",
            ">NEW",
            ">SKIPS",
            ">RE-READS",
            ">START",
            ">END",
            "NEXT RECORD",
        ]);
        for row in &self.partitions {
            let nonzero = |n: Option<i64>| or_dash(n.filter(|n| *n != 0));
            let next = row.record.as_ref().map(crate::ops::offsets::record_text);
            table.row([
                row.topic.clone(),
                row.partition.to_string(),
                or_dash(row.from),
                or_dash(row.to),
                nonzero(row.skips),
                nonzero(row.rereads),
                or_dash(row.log_start),
                or_dash(row.log_end),
                next.map_or_else(String::new, |text| one_line(&text)),
            ]);
        }
        let mut text = format!("{}\n{}", self.plan.title, table.render());
        if self.plan.changes.is_empty() {
            text.push_str("nothing to change\n");
        }
        for warning in &self.plan.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        for left in &self.plan.not_done {
            let _ = writeln!(text, "left as it is: {left}");
        }
        for line in &self.plan.equivalent {
            let _ = writeln!(text, "same as: {line}");
        }
        text
    }
}

/// A record's text as one cell: nothing in it ends the line or moves a cursor.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).take(60).collect()
}
