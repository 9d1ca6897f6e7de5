//! What the command line prints: tables for people, JSON for programs, errors in three parts.
//!
//! The JSON shapes are a promise: fields are added, never renamed or removed. A number that is not
//! known is `null`, never 0, and a total that lacks a part is `null` too. `shapes` holds them.

mod prometheus;
mod shapes;
mod table;

use std::fmt::Write as _;

use clap::ValueEnum;
use serde::Serialize;

use crate::model::{Fault, FaultKind};

pub use prometheus::{Detail, Histories, METRICS, metrics};
pub use shapes::*;
pub use table::Table;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// One JSON document; fields are added in later versions, never renamed or removed.
    Json,
    /// JSON in lines: one for each message, else one for the whole document.
    Jsonl,
}

/// Something that can be printed both ways.
pub trait Printable: Serialize {
    fn table(&self) -> String;

    fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
        text.push('\n');
        text
    }

    fn json_line(&self) -> String {
        let mut text = serde_json::to_string(self)
            .unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
        text.push('\n');
        text
    }

    fn print(&self, format: Format) -> String {
        match format {
            Format::Table => self.table(),
            Format::Json => self.json(),
            Format::Jsonl => self.json_line(),
        }
    }
}

/// The exit code of a question whose answer is no.
pub const EXIT_NO: u8 = 8;

/// Exit codes. `--help` documents them from here.
pub const EXIT_CODES: [(u8, &str); 9] = [
    (0, "done"),
    (1, "failed"),
    (2, "the command line is wrong"),
    (3, "not found"),
    (
        4,
        "refused: read-only, invalid, not confirmed, not authorised",
    ),
    (5, "the cluster can't be reached, or did not answer in time"),
    (6, "exists already"),
    (7, "the cluster is too old for it"),
    (
        EXIT_NO,
        "the answer is no: what was asked about does not hold",
    ),
];

/// The exit code of a failure.
pub fn exit_code(fault: &Fault) -> u8 {
    match fault.kind {
        FaultKind::Failed => 1,
        FaultKind::NotFound => 3,
        FaultKind::Refused => 4,
        FaultKind::Unreachable => 5,
        FaultKind::AlreadyExists => 6,
        FaultKind::Unsupported => 7,
    }
}

/// An error as it goes to stderr: what, why, what to do.
pub fn error_text(fault: &Fault) -> String {
    let mut text = format!("error: {}: {}\n", fault.what, fault.why);
    if let Some(hint) = &fault.hint {
        let _ = writeln!(text, "hint: {hint}");
    }
    text
}

/// A number of bytes in the largest unit that leaves at least one digit before the point.
pub fn bytes_text(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value.abs() < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// A cell that may be unknown.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests;
