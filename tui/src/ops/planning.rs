//! Turns an action into a plan: pure, from what is known of the cluster.
//!
//! What is not known is not guessed: a plan made without sizes or configurations says less, and
//! the broker has the last word.

mod apply;
mod configs;
mod groups;
mod offsets;
mod partitions;
mod quorum;
mod runs;
mod security;
mod topics;
mod transactions;
mod transfer;

use std::collections::BTreeMap;

use crate::model::{ClusterMetadata, ClusterSnapshot, Fault, FaultKind, Topic};

use super::action::Action;
use super::plan::{Change, Danger, Plan};

pub use topics::topic_name_fault;

/// Plans an action.
///
/// # Errors
/// A refusal when the action can't be done on this cluster, `NotFound` and `AlreadyExists` when
/// its object is missing or there already, `Unreachable` before the cluster's metadata is known.
pub fn plan(action: Action, snapshot: &ClusterSnapshot) -> Result<Plan, Fault> {
    let metadata = snapshot.metadata.get().ok_or_else(|| {
        let why = "the cluster has not answered yet";
        Fault::new(FaultKind::Unreachable, "plan the change", why)
    })?;
    let mut plan = plan_of(action, snapshot, metadata)?;
    plan.cluster_id = metadata.cluster_id.as_deref().map(str::to_owned);
    Ok(plan)
}

fn plan_of(
    action: Action,
    snapshot: &ClusterSnapshot,
    metadata: &ClusterMetadata,
) -> Result<Plan, Fault> {
    match action {
        Action::CreateTopic(create) => topics::create(create, metadata),
        Action::DeleteTopics(names) => topics::delete(names, metadata, snapshot),
        Action::AddPartitions(add) => partitions::add(add, metadata),
        Action::AlterConfigs(alter) => configs::alter(alter, metadata, snapshot),
        Action::Produce(message) => topics::produce(message, metadata),
        Action::Reassign(reassign) => partitions::reassign(reassign, metadata, snapshot),
        Action::CancelReassignments(list) => partitions::cancel(list, metadata, snapshot),
        Action::RunReassign(run) => runs::reassign(run, metadata, snapshot),
        Action::OrderRun(orders) => runs::order(orders, metadata),
        Action::ClearThrottles(left) => runs::clear(left),
        Action::AddPartitionsToMany(list) => runs::add_to_many(list, metadata),
        Action::ElectPreferredLeaders(list) => partitions::elect(list, metadata),
        Action::DeleteGroups(ids) => groups::delete(ids, metadata, snapshot),
        Action::AlterOffsets(alter) => offsets::alter(alter, metadata, snapshot),
        Action::Security(action) => security::plan(action, metadata, snapshot),
        Action::AbortTransaction(abort) => transactions::abort(abort, metadata, snapshot),
        Action::Quorum(action) => quorum::plan(action, metadata, snapshot),
        Action::Transfer(moving) => transfer::transfer(moving, metadata),
        Action::Apply(steps) => apply::apply(steps, metadata, snapshot),
    }
}

impl Plan {
    pub(super) fn new(action: Action, title: impl Into<String>, danger: Danger) -> Self {
        Self {
            action,
            title: title.into(),
            danger,
            typed_confirmation: None,
            changes: Vec::new(),
            warnings: Vec::new(),
            not_done: Vec::new(),
            equivalent: Vec::new(),
            inverse: None,
            irrevocable: Vec::new(),
            cluster_id: None,
            undoes: None,
            reassignment: None,
            topic_ids: BTreeMap::new(),
        }
    }

    pub(super) fn change(
        &mut self,
        subject: impl Into<String>,
        before: Option<String>,
        after: Option<String>,
    ) {
        self.changes.push(Change {
            subject: subject.into(),
            before,
            after,
            note: None,
        });
    }
}

/// A broker's address for the command lines that are shown.
fn bootstrap(metadata: &ClusterMetadata) -> String {
    match metadata
        .brokers
        .iter()
        .find(|broker| broker.fenced != Some(true))
    {
        Some(broker) => format!("--bootstrap-server {}:{}", broker.host, broker.port),
        None => "--bootstrap-server HOST:PORT".to_owned(),
    }
}

/// Quotes a word for a POSIX shell where it needs it.
pub(super) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn find_topic<'a>(
    metadata: &'a ClusterMetadata,
    what: &str,
    name: &str,
) -> Result<&'a Topic, Fault> {
    let found = metadata.topic(name).map(|topic| &**topic);
    found.ok_or_else(|| {
        Fault::not_found(what, format!("topic \"{name}\" does not exist"))
            .with_hint("list the topics to see their names; they are case-sensitive")
    })
}

/// What to say where a setting wants more replicas in sync than there are.
fn more_in_sync_than_replicas(name: &str, value: &str, replicas: usize) -> Option<String> {
    let wanted: usize = value.parse().ok()?;
    (name == "min.insync.replicas" && wanted > replicas).then(|| {
        format!(
            "with {} and {wanted} to be in sync, nothing can be written with acks=all",
            count(replicas, "replica")
        )
    })
}

fn join(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

/// `1 record`, `2 records`.
fn count(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

#[cfg(test)]
mod tests;
