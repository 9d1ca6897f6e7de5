//! `clusters`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clusters::Entry;
use crate::model::{Fault, Probe};
use crate::output::{Printable, Table, or_dash};

use super::yes;

/// `clusters list`.
#[derive(Clone, Debug, Serialize)]
pub struct ClustersJson {
    /// The file that they are saved in.
    pub config: String,
    pub clusters: Vec<ClusterRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ClusterRow {
    pub name: String,
    pub is_default: bool,
    #[serde(flatten)]
    pub entry: Entry,
    /// Secrets are hidden.
    pub settings: BTreeMap<String, String>,
    /// Whether commands only show their changes unless `--execute` is given: as `dry_run` says, else
    /// by `danger`.
    pub is_dry_by_default: bool,
}

impl ClusterRow {
    /// What the connection is secured by, as far as the entry itself says.
    fn security(&self) -> String {
        let protocol = self.settings.get("security.protocol");
        match (protocol, &self.entry.properties) {
            (Some(protocol), _) => protocol.clone(),
            (None, Some(path)) => path.display().to_string(),
            (None, None) => "PLAINTEXT".to_owned(),
        }
    }
}

impl Printable for ClustersJson {
    fn table(&self) -> String {
        let mut table = Table::new(&[
            "NAME",
            "BROKERS",
            "SECURITY",
            "DANGER",
            "DRY RUN",
            "READ-ONLY",
            "DEFAULT",
            "CLUSTER ID",
        ]);
        for row in &self.clusters {
            table.row(vec![
                row.name.clone(),
                row.entry.bootstrap.clone(),
                row.security(),
                row.entry.danger.name().to_owned(),
                yes(row.is_dry_by_default),
                yes(row.entry.read_only),
                yes(row.is_default),
                or_dash(row.entry.cluster_id.as_ref()),
            ]);
        }
        table.render()
    }
}

/// `clusters add`, `clusters edit` and `clusters remove`.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterDoneJson {
    pub name: String,
    /// `saved`, `changed`, `unchanged` or `removed`.
    pub done: &'static str,
    pub config: String,
    /// What answered, where it was asked.
    pub probe: Option<Probe>,
}

impl Printable for ClusterDoneJson {
    fn table(&self) -> String {
        let mut text = format!("{}: {} in {}\n", self.name, self.done, self.config);
        if let Some(probe) = &self.probe {
            text.push_str(&format!("{}\n", told(probe)));
        }
        text
    }
}

/// What a connection leads to, in a line.
fn told(probe: &Probe) -> String {
    let user = probe.user.as_ref().map(|user| format!(" as {user}"));
    format!(
        "cluster {} with {} brokers over {}{}, {} ms{}",
        or_dash(probe.cluster_id.as_ref()),
        probe.brokers,
        probe.security_protocol,
        user.unwrap_or_default(),
        probe.took_ms,
        probe
            .lack()
            .map(|lack| format!("; {lack}"))
            .unwrap_or_default(),
    )
}

/// `clusters test`.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterTestJson {
    pub clusters: Vec<ClusterTestRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ClusterTestRow {
    pub name: String,
    pub ok: bool,
    pub probe: Option<Probe>,
    pub error: Option<Fault>,
}

impl ClusterTestJson {
    pub fn new(results: Vec<(String, Result<Probe, Fault>)>) -> Self {
        let row = |(name, result): (String, Result<Probe, Fault>)| ClusterTestRow {
            name,
            ok: result.is_ok(),
            error: result.as_ref().err().cloned(),
            probe: result.ok(),
        };
        Self {
            clusters: results.into_iter().map(row).collect(),
        }
    }
}

impl Printable for ClusterTestJson {
    fn table(&self) -> String {
        let mut table = Table::new(&["NAME", "OK", "WHAT"]);
        for row in &self.clusters {
            let what = match (&row.probe, &row.error) {
                (Some(probe), _) => told(probe),
                (None, Some(fault)) => fault.why.clone(),
                (None, None) => String::new(),
            };
            let ok = if row.ok { "yes" } else { "NO" };
            table.row(vec![row.name.clone(), ok.to_owned(), what]);
        }
        table.render()
    }
}
