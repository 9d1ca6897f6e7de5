//! `brokers may-stop`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use crate::derive::{self, MayStop, StopCheck};
use crate::model::ClusterSnapshot;
use crate::output::Printable;

/// `brokers may-stop`.
#[derive(Clone, Debug, Serialize)]
pub struct MayStopJson {
    pub brokers: Vec<i32>,
    #[serde(flatten)]
    pub check: StopCheck,
}

impl MayStopJson {
    pub fn is_yes(&self) -> bool {
        self.check.may_stop == MayStop::Yes
    }
}

/// Whether all of these brokers may stop now.
pub fn may_stop(snapshot: &ClusterSnapshot, brokers: &BTreeSet<i32>) -> MayStopJson {
    MayStopJson {
        brokers: brokers.iter().copied().collect(),
        check: derive::may_stop(snapshot, brokers),
    }
}

impl Printable for MayStopJson {
    fn table(&self) -> String {
        let noun = match self.brokers.len() {
            1 => "broker",
            _ => "brokers",
        };
        let brokers = format!("{noun} {}", super::join(&self.brokers));
        let mut text = match self.check.may_stop {
            MayStop::Yes => format!("{brokers} may stop\n"),
            MayStop::Unknown => format!("whether {brokers} may stop is not known\n"),
            MayStop::No => format!("{brokers} must not stop now\n"),
        };
        for reason in &self.check.reasons {
            let _ = writeln!(text, "! {reason}");
        }
        for (what, affected) in [
            ("no replica in sync", &self.check.offline),
            ("under min.insync.replicas", &self.check.under_min_isr),
        ] {
            let names: Vec<String> = affected
                .partitions
                .iter()
                .take(20)
                .map(ToString::to_string)
                .collect();
            if !names.is_empty() {
                let more = match affected.count - names.len() {
                    0 => String::new(),
                    n => format!(" and {n} more"),
                };
                let _ = writeln!(text, "  {what}: {}{more}", names.join(" "));
            }
        }
        for note in &self.check.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}
