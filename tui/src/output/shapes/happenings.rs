//! `changes`.

use serde::Serialize;

use crate::model::{Happening, Weight};
use crate::output::Printable;
use crate::times;

/// `changes --replay`.
#[derive(Clone, Debug, Serialize)]
pub struct ChangesJson {
    /// What was recorded, for people.
    pub cluster: String,
    /// Milliseconds since the epoch.
    pub from_ms: Option<i64>,
    pub to_ms: Option<i64>,
    /// Whether these are the differences between two moments, and not what happened in between.
    pub is_diff: bool,
    pub changes: Vec<Happening>,
}

/// One change for people: when, how it is meant, what.
pub fn happening_line(happening: &Happening) -> String {
    let sign = match happening.weight {
        Weight::Good => '+',
        Weight::Info => ' ',
        Weight::Warning => '?',
        Weight::Bad => '!',
    };
    let time = times::timestamp_ms(happening.at.wall_ms);
    format!("{time} {sign} {}\n", happening.text)
}

impl Printable for ChangesJson {
    fn table(&self) -> String {
        if self.changes.is_empty() {
            return match self.is_diff {
                true => "nothing is different\n".to_owned(),
                false => "nothing changed\n".to_owned(),
            };
        }
        self.changes.iter().map(happening_line).collect()
    }
}
