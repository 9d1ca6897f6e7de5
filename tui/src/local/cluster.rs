//! Local clusters: several nodes under one name, started together.
//!
//! What happens to one node is told for that node; the others go on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kafka_shared::time::{Clock, SystemClock};

use crate::model::{Fault, FaultKind};

use super::layout::{ClusterLayout, Ports};
use super::start::{Job, Program, StartOptions, brokers_seen_by, command, write_json};
use super::{CLUSTER_FILE, DATA_FOLDER, LocalBroker, LocalBrokers, PROPERTIES_FILE, io_fault};

const POLL_MS: u64 = 50;

/// How to start a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterOptions {
    /// `None`: as many as it has; a new one is a broker on its own.
    pub brokers: Option<usize>,
    /// For a new one, dealt out in turn.
    pub racks: Vec<String>,
    /// The installation of Apache Kafka that runs the nodes of a new one.
    pub apache: Option<PathBuf>,
    /// Only these nodes; all of them if empty.
    pub apache_nodes: Vec<i32>,
    /// The port is that of the first broker.
    pub start: StartOptions,
}

/// What became of each broker that something was done with, by name.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    pub done: Vec<LocalBroker>,
    pub faults: Vec<(String, Arc<Fault>)>,
    /// What is worth knowing of those that were done.
    pub notes: Vec<(String, String)>,
}

impl Outcomes {
    /// Sorts what became of each broker.
    pub fn of(results: impl IntoIterator<Item = (String, Result<LocalBroker, Fault>)>) -> Self {
        let mut outcomes = Self::default();
        for (name, result) in results {
            match result {
                Ok(broker) => outcomes.done.push(broker),
                Err(fault) => outcomes.faults.push((name, Arc::new(fault))),
            }
        }
        outcomes
    }

    /// All that were done, or one fault for those that were not.
    ///
    /// # Errors
    /// When one of them failed.
    pub fn all(self) -> Result<Vec<LocalBroker>, Fault> {
        let Some((_, first)) = self.faults.first() else {
            return Ok(self.done);
        };
        if self.faults.len() == 1 && self.done.is_empty() {
            return Err(Fault::clone(first));
        }
        let failed = self
            .faults
            .iter()
            .map(|(name, fault)| format!("{name}: {}", fault.why));
        let failed = failed.collect::<Vec<_>>().join("; ");
        let all = self.faults.len() + self.done.len();
        let why = format!("{} of {all} failed: {failed}", self.faults.len());
        let mut fault = Fault::new(first.kind, first.what.clone(), why);
        fault.hint = first.hint.clone();
        Err(fault)
    }
}

impl LocalBrokers {
    /// Starts a broker on its own, a node of a cluster, or a cluster with all its nodes; what is new
    /// is made. Those that run already are successes. A node that does not come up keeps no other
    /// from running.
    ///
    /// # Errors
    /// When nothing could be started at all.
    pub async fn start_all(&self, name: &str, options: &ClusterOptions) -> Result<Outcomes, Fault> {
        let what = format!("start the local cluster \"{name}\"");
        let one = |result| Outcomes::of([(name.to_owned(), result)]);
        if name.contains('/') {
            let what = format!("start the local broker \"{name}\"");
            refuse_changes(&what, 1, options)?;
            return Ok(one(self.start(name, &options.start).await));
        }
        let folder = self.folder(name)?;
        let layout = Self::read_layout(&folder);
        if let (None, None | Some(1), None) = (&layout, options.brokers, &options.apache) {
            let mut start = options.start.clone();
            let rack = options.racks.first();
            start
                .settings
                .extend(rack.map(|rack| ("broker.rack".to_owned(), rack.clone())));
            return Ok(one(self.start(name, &start).await));
        }
        let mut layout = match layout {
            Some(layout) => {
                refuse_changes(&what, layout.nodes.len(), options)?;
                layout
            }
            None => self.lay_out(&what, name, &folder, options)?,
        };
        if !layout.is_formatted {
            let program = options.start.program.clone();
            prepare(&what, &folder, &layout, &program).await?;
            layout.is_formatted = true;
            write_json(&folder, CLUSTER_FILE, &layout)
                .map_err(|error| io_fault(&what, &folder, &error))?;
        }
        Ok(self.start_nodes(name, &layout, &options.start).await)
    }

    fn lay_out(
        &self,
        what: &str,
        name: &str,
        folder: &Path,
        options: &ClusterOptions,
    ) -> Result<ClusterLayout, Fault> {
        if Self::read_state(folder).is_some() {
            let why = format!("\"{name}\" is a broker on its own");
            return Err(Fault::refused(what, why).with_hint("give the cluster another name"));
        }
        let ports = options.start.port.map_or(Ports::Near, Ports::From);
        let brokers = options.brokers.unwrap_or(1);
        let settings = &options.start.settings;
        let apache = options.apache.as_deref();
        let apache = apache
            .map(|home| super::apache::home(what, home))
            .transpose()?;
        let mut layout = ClusterLayout::new(what, brokers, &options.racks, settings, ports)?;
        let is_named = |id: i32| layout.nodes.iter().any(|node| node.id == id);
        if let Some(id) = options.apache_nodes.iter().find(|id| !is_named(**id)) {
            return Err(Fault::refused(what, format!("there will be no node {id}")));
        }
        for node in &mut layout.nodes {
            let is_wanted =
                options.apache_nodes.is_empty() || options.apache_nodes.contains(&node.id);
            node.apache = apache.clone().filter(|_| is_wanted);
        }
        fs::create_dir_all(folder)
            .and_then(|()| write_json(folder, CLUSTER_FILE, &layout))
            .map_err(|error| io_fault(what, folder, &error))?;
        Ok(layout)
    }

    /// Starts all nodes at once, since none is ready without a majority of them.
    async fn start_nodes(
        &self,
        name: &str,
        layout: &ClusterLayout,
        options: &StartOptions,
    ) -> Outcomes {
        let starts = layout.nodes.iter().map(|node| async move {
            let name = format!("{name}/{}", node.id);
            let started = self.start(&name, options).await;
            (name, started)
        });
        let mut results = join_all(starts).await;
        wait_until_joined(&mut results, options.wait_ms).await;
        Outcomes::of(results)
    }
}

/// An existing cluster is started as it is.
fn refuse_changes(what: &str, nodes: usize, options: &ClusterOptions) -> Result<(), Fault> {
    let start = &options.start;
    let why = match options.brokers {
        Some(n) if n != nodes => format!("it has {nodes} brokers and not {n}"),
        _ if start.port.is_some()
            || !start.settings.is_empty()
            || !options.racks.is_empty()
            || options.apache.is_some() =>
        {
            "its ports, racks and settings are in the files of its nodes".to_owned()
        }
        _ => return Ok(()),
    };
    Err(Fault::refused(what, why).with_hint("start it without these options"))
}

/// Writes the nodes' files and formats their folders.
async fn prepare(
    what: &str,
    folder: &Path,
    layout: &ClusterLayout,
    program: &Program,
) -> Result<(), Fault> {
    for node in &layout.nodes {
        let own = folder.join(format!("node-{}", node.id));
        write_node(layout, node.id, &own).map_err(|error| io_fault(what, &own, &error))?;
    }
    let (what, folder) = (what.to_owned(), folder.to_owned());
    let (layout, program) = (layout.clone(), program.clone());
    let formatted = kafka_shared::task::spawn_blocking("local-format", move || {
        for node in &layout.nodes {
            let own = folder.join(format!("node-{}", node.id));
            let command = match &node.apache {
                Some(home) => Ok(super::apache::command(home, Job::Format, &own)),
                None => command(&program, Job::Format),
            };
            format_with(&what, &own, &layout, command)?;
        }
        Ok(())
    });
    let broken = |_| Fault::new(FaultKind::Failed, "format", "the task broke: see the log");
    formatted.await.map_err(broken)?
}

/// Makes a node's folder with its file of properties.
pub(crate) fn write_node(layout: &ClusterLayout, id: i32, folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let node = layout.nodes.iter().find(|node| node.id == id);
    let node = node.ok_or(std::io::ErrorKind::NotFound)?;
    let text = layout.properties(node, &folder.join(DATA_FOLDER));
    fs::write(folder.join(PROPERTIES_FILE), text)
}

/// Formats the data folder of the node in that folder.
pub(crate) fn format_node(
    what: &str,
    folder: &Path,
    layout: &ClusterLayout,
    program: &Program,
) -> Result<(), Fault> {
    format_with(what, folder, layout, command(program, Job::Format))
}

fn format_with(
    what: &str,
    folder: &Path,
    layout: &ClusterLayout,
    command: std::io::Result<std::process::Command>,
) -> Result<(), Fault> {
    let failed = |why: String| Fault::new(FaultKind::Failed, what, why);
    let mut command = command.map_err(|error| failed(error.to_string()))?;
    command.args(layout.format_arguments(&folder.join(PROPERTIES_FILE)));
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(format!("format a node: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(failed(format!(
        "format {}: {}",
        folder.display(),
        words.trim()
    )))
}

/// Waits until every broker that came up knows all the others; who does not in time has failed.
async fn wait_until_joined(results: &mut [(String, Result<LocalBroker, Fault>)], wait_ms: u64) {
    let started: Vec<(i32, u16)> = results
        .iter()
        .filter_map(|(_, result)| result.as_ref().ok())
        .map(|broker| (broker.node_id, broker.port))
        .collect();
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let mut missing: Vec<i32> = started.iter().map(|(id, _)| *id).collect();
    while !missing.is_empty() {
        let answers = join_all(started.iter().map(|(_, port)| brokers_seen_by(*port))).await;
        missing.retain(|id| !answers.iter().all(|seen| seen.contains(id)));
        if clock.monotonic().saturating_sub(begun) > Duration::from_millis(wait_ms) {
            break;
        }
        if !missing.is_empty() {
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    }
    for (name, result) in results {
        if result
            .as_ref()
            .is_ok_and(|broker| missing.contains(&broker.node_id))
        {
            let what = format!("start the local broker \"{name}\"");
            let why = "it runs, but the others of its cluster do not know it";
            *result = Err(Fault::new(FaultKind::Failed, what, why));
        }
    }
}
