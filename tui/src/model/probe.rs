//! What came of trying a connection out.

use serde::Serialize;

/// A connection that works, and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    pub cluster_id: Option<String>,
    pub brokers: usize,
    /// Those that this user may see.
    pub topics: usize,
    pub security_protocol: String,
    pub sasl_mechanism: Option<String>,
    /// Whom the broker takes this program for, where this side knows.
    pub user: Option<String>,
    /// What this user may do to the cluster; `None` where the cluster doesn't tell.
    pub operations: Option<Vec<String>>,
    pub took_ms: i64,
}

impl Probe {
    /// What this user can't see for want of a right, if that is known.
    pub fn lack(&self) -> Option<&'static str> {
        let may = self.operations.as_ref()?;
        let may_describe = may.iter().any(|name| name == "describe" || name == "alter");
        (!may_describe).then_some(
            "this user may not describe the cluster: what it may not see is missing everywhere",
        )
    }
}
