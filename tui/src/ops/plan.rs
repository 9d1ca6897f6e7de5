//! A plan: what an action would change, told so that a person can decide; and what came of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kafka_shared::types::{Uuid, uuid_to_base64};
use serde::{Deserialize, Serialize};

use crate::cluster::CreatedTopic;
use crate::model::Fault;

use super::action::Action;
use super::reassign::Preview;

/// How hard a change is to undo; decides how it is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Danger {
    /// Adds or changes something that can be set back.
    Safe,
    /// Moves data or leadership, or can't be taken back although nothing is lost.
    Disruptive,
    /// Destroys data.
    Destructive,
}

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub subject: String,
    pub before: Option<String>,
    pub after: Option<String>,
    /// What there is to know of it, beside the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What an action would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub action: Action,
    /// One line, for example `create topic "orders"`.
    pub title: String,
    pub danger: Danger,
    /// Text that a person must type to confirm; only for what destroys data.
    pub typed_confirmation: Option<String>,
    /// Empty when everything is already as wanted.
    pub changes: Vec<Change>,
    /// What to know before saying yes.
    pub warnings: Vec<String>,
    /// What this will leave as it is, where one could expect otherwise.
    pub not_done: Vec<String>,
    /// The command lines of Kafka's own tools that do the same.
    pub equivalent: Vec<String>,
    /// The action that undoes this one, where there is one. It is written to the journal before
    /// the change is made: see [`undo`](super::undo).
    pub inverse: Option<Action>,
    /// What of it nothing takes back, for example `topic "orders" keeps 6 partitions`.
    pub irrevocable: Vec<String>,
    /// The cluster that this was planned for.
    pub cluster_id: Option<String>,
    /// The file of the change that this one undoes.
    pub undoes: Option<PathBuf>,
    /// The proposal in detail, for reassignments.
    pub reassignment: Option<Preview>,
    /// The ids of the topics that it deletes, where they are known: a topic that was made anew
    /// under the name since then is another one.
    pub topic_ids: BTreeMap<String, Uuid>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Plan {
    /// Names the file of a reassignment in the lines of Kafka's own tools.
    pub fn name_file(&mut self, path: &Path) {
        let named = format!(
            "{PLAN_FILE} {}",
            super::planning::quote(&path.to_string_lossy())
        );
        for line in &mut self.equivalent {
            *line = line.replace(&format!("{PLAN_FILE} plan.json"), &named);
        }
    }
}

/// How Kafka's tool is told which file to read.
const PLAN_FILE: &str = "--reassignment-json-file";

/// What became of one item of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ItemReport {
    pub subject: String,
    /// What was done, or why not.
    #[serde(flatten, serialize_with = "outcome")]
    pub outcome: Result<String, Fault>,
}

fn outcome<S: serde::Serializer>(
    outcome: &Result<String, Fault>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap;
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("ok", &outcome.is_ok())?;
    match outcome {
        Ok(done) => map.serialize_entry("detail", done)?,
        Err(fault) => map.serialize_entry("error", fault)?,
    }
    map.end()
}

/// What became of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    pub items: Vec<ItemReport>,
    /// What undoes it, for `kafka-tui undo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo_file: Option<PathBuf>,
    /// The topics that were created, with their ids.
    #[serde(skip)]
    pub created: BTreeMap<String, String>,
}

impl Report {
    pub fn add(&mut self, subject: impl Into<String>, outcome: Result<String, Fault>) {
        self.items.push(ItemReport {
            subject: subject.into(),
            outcome,
        });
    }

    /// Notes what became of a topic that was to be created.
    pub fn add_topic(
        &mut self,
        subject: impl Into<String>,
        name: &str,
        outcome: Result<CreatedTopic, Fault>,
    ) {
        if let Ok(CreatedTopic { id: Some(id), .. }) = &outcome {
            self.created.insert(name.to_owned(), uuid_to_base64(*id));
        }
        self.add(subject, outcome.map(|created| created.told));
    }

    /// Adds what became of another part of the same plan.
    pub fn append(&mut self, other: Self) {
        self.items.extend(other.items);
        self.created.extend(other.created);
    }

    pub fn faults(&self) -> impl Iterator<Item = (&str, &Fault)> {
        self.items
            .iter()
            .filter_map(|item| Some((&*item.subject, item.outcome.as_ref().err()?)))
    }

    pub fn is_success(&self) -> bool {
        self.faults().next().is_none()
    }
}

/// What reading the cluster again says about a plan that was executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Verification {
    /// The cluster is as planned.
    Done,
    /// It is on the way; `detail` says how far.
    InProgress { detail: String },
    /// It is not as planned.
    Differs { detail: String },
}
