//! `connect`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::connect::{ConfigDiff, Connector};
use crate::output::{Printable, Table};

/// `connect list`.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectorsJson {
    pub connectors: Vec<ConnectorJson>,
}

/// `connect describe`.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectorJson {
    #[serde(flatten)]
    pub connector: Connector,
    pub tasks_running: usize,
}

pub fn connector(connector: Connector) -> ConnectorJson {
    ConnectorJson {
        tasks_running: connector.n_running(),
        connector,
    }
}

pub fn connectors(all: Vec<Connector>) -> ConnectorsJson {
    ConnectorsJson {
        connectors: all.into_iter().map(connector).collect(),
    }
}

impl Printable for ConnectorsJson {
    fn table(&self) -> String {
        if self.connectors.is_empty() {
            return "there is no connector\n".to_owned();
        }
        let columns = ["CONNECTOR", "TYPE", "STATE", ">RUNNING", ">TASKS", "WORKER"];
        let mut table = Table::new(&columns);
        for row in &self.connectors {
            let connector = &row.connector;
            table.row([
                connector.name.clone(),
                connector.kind.clone(),
                connector.state.clone(),
                row.tasks_running.to_string(),
                connector.tasks.len().to_string(),
                connector.worker.clone(),
            ]);
        }
        table.render()
    }
}

/// The first line of an error, which is the exception with its message.
fn first_line(trace: &str) -> &str {
    trace.lines().next().unwrap_or_default()
}

impl Printable for ConnectorJson {
    fn table(&self) -> String {
        let connector = &self.connector;
        let mut text = format!(
            "Connector {}  type {}  state {}  worker {}\n",
            connector.name, connector.kind, connector.state, connector.worker
        );
        if let Some(trace) = &connector.trace {
            let _ = writeln!(text, "! {}", first_line(trace));
        }
        let mut table = Table::new(&[">TASK", "STATE", "WORKER", "WHY"]);
        for task in &connector.tasks {
            table.row([
                task.id.to_string(),
                task.state.clone(),
                task.worker.clone(),
                first_line(task.trace.as_deref().unwrap_or_default()).to_owned(),
            ]);
        }
        let _ = write!(text, "\n{}\n", table.render());
        for (key, value) in &connector.config {
            let _ = writeln!(text, "{key} = {value}");
        }
        text
    }
}

/// A changed connector.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectChangeJson {
    pub connector: String,
    pub change: &'static str,
    /// Of the configuration, with secrets hidden.
    pub diff: Vec<ConfigDiff>,
    /// What the worker found wrong with it.
    pub problems: Vec<String>,
    pub is_done: bool,
}

impl Printable for ConnectChangeJson {
    fn table(&self) -> String {
        let mut text = String::new();
        for diff in &self.diff {
            let before = diff.before.as_deref().unwrap_or("(none)");
            let after = diff.after.as_deref().unwrap_or("(none)");
            let _ = writeln!(text, "  {}: {before} -> {after}", diff.key);
        }
        for problem in &self.problems {
            let _ = writeln!(text, "! {problem}");
        }
        let _ = match (self.is_done, self.problems.is_empty()) {
            (true, _) => writeln!(text, "{}: {}", self.connector, self.change),
            (false, true) if self.change == "configured" && self.diff.is_empty() => {
                writeln!(text, "{}: nothing to change", self.connector)
            }
            (false, true) => writeln!(text, "{}: would be {}", self.connector, self.change),
            (false, false) => writeln!(text, "nothing was changed"),
        };
        text
    }
}
