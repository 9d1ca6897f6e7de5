//! `wait`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::derive::Value;
use crate::output::Printable;

/// `wait`.
#[derive(Clone, Debug, Serialize)]
pub struct WaitJson {
    pub condition: String,
    /// Whether it held in the end.
    pub holds: bool,
    pub waited_ms: u64,
    /// The last values of its words; `null` for what is not known.
    pub values: BTreeMap<String, Value>,
}

impl Printable for WaitJson {
    fn table(&self) -> String {
        let seconds = self.waited_ms as f64 / 1_000.0;
        if self.holds {
            format!("'{}' holds, after {seconds:.1} s\n", self.condition)
        } else {
            format!("'{}' does not hold after {seconds:.1} s\n", self.condition)
        }
    }
}
