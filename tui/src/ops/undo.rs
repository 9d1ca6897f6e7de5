//! Undoing: what takes a change back is written down before the change is made.
//!
//! An [`Inverse`] is the action that a [`Plan`] names as its inverse, with the cluster that it is
//! for and what the change made of what. The [`Journal`] keeps one file per change. To undo is to
//! plan the inverse like any other action, after a look at whether the cluster still is as the
//! change left it.
//!
//! Any action can be an inverse: it has to be serialisable, its plan has to name each thing that
//! it changes as a [`Change`](super::Change) with the same subject as the plan that it undoes, and
//! `before` and `after` have to be written the same way in both.
//!
//! A change that nothing takes back, or not all of it, is in the journal too, with what of it stays:
//! the undo of an older change says so, and so does the change's own plan.
//!
//! Invariants:
//! - No change that can be undone is sent before its inverse is on the disk.
//! - What a change created is known by its id: nothing else of that name is deleted instead.
//! - What has moved on since is never undone silently: planning refuses and says what it is.
//! - An undo can be undone by naming its file; `undo` without a file goes further back instead.

mod journal;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::{Deserialize, Serialize};

use crate::cluster::ClusterClient;
use kafka_shared::types::uuid_to_base64;

use crate::model::{
    ClusterMetadata, ClusterSnapshot, ConfigResource, Fault, FaultKind, Topic, Update,
};

use super::action::{Action, RunReassign};
use super::execution::BATCH;
use super::plan::{Change, Plan, Report};

pub use journal::{Entry, Journal, Last};

/// Of the file's format.
const VERSION: u32 = 1;

/// Steps of one change that are read for together.
const AT_ONCE: usize = 8;

/// Of what can't be taken back so much is told one by one.
const NAMED_MAX: usize = 3;

/// What a plan writes where an inherited value is not known.
const INHERITED: &str = "(inherited)";

/// What takes one change back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inverse {
    pub version: u32,
    pub cluster_id: Option<String>,
    /// RFC 3339, in UTC.
    pub made_at: String,
    /// The title of the change that this undoes.
    pub change: String,
    /// Whether that change was an undo itself.
    #[serde(default)]
    pub is_undo: bool,
    /// What the change made of what.
    pub changes: Vec<Change>,
    /// What takes the change back; `None` where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Action>,
    /// What of the change nothing takes back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub irrevocable: Vec<String>,
    /// The topics that the change created, with their ids: one that was made anew since under the
    /// same name is not deleted. Without those that brokers told no id of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub created: BTreeMap<String, String>,
}

impl Inverse {
    /// What takes a plan's change back, or says why nothing does; `None` where there is neither.
    pub fn of(plan: &Plan, wall_ms: i64) -> Option<Self> {
        if plan.inverse.is_none() && plan.irrevocable.is_empty() {
            return None;
        }
        Some(Self {
            version: VERSION,
            cluster_id: plan.cluster_id.clone(),
            made_at: timestamp(wall_ms),
            change: plan.title.clone(),
            is_undo: plan.undoes.is_some(),
            changes: plan.changes.clone(),
            undo: plan.inverse.clone(),
            irrevocable: plan.irrevocable.clone(),
            created: BTreeMap::new(),
        })
    }

    /// What to say of what stays, in a line.
    pub fn stays(&self) -> String {
        let more = self.irrevocable.len().saturating_sub(NAMED_MAX);
        let mut told = self.irrevocable[..self.irrevocable.len() - more].join("; ");
        if more > 0 {
            told.push_str(&format!("; and {more} more"));
        }
        told
    }

    /// Whether nothing of the change is left that could be taken back: its topics are gone, or
    /// others have their names by now.
    pub fn is_moot(&self, metadata: &ClusterMetadata) -> bool {
        let steps = self.undo.as_ref().map(Action::steps).unwrap_or_default();
        let is_gone = |name: &str| {
            let topic = metadata.topic(name);
            topic.is_none_or(|topic| self.is_another(topic))
        };
        let is_moot = |step: &Action| match step {
            Action::DeleteTopics(names) => names.iter().all(|name| is_gone(name)),
            Action::AlterConfigs(alter) => match &alter.resource {
                ConfigResource::Topic(name) => is_gone(name),
                _ => false,
            },
            Action::Reassign(reassign) => reassign.target.keys().all(|key| is_gone(&key.topic)),
            Action::RunReassign(run) => {
                let mut partitions = run.reassign.target.keys();
                partitions.all(|key| is_gone(&key.topic))
            }
            Action::CancelReassignments(partitions) => {
                partitions.iter().all(|key| is_gone(&key.topic))
            }
            _ => false,
        };
        !steps.is_empty() && steps.iter().all(is_moot)
    }

    /// Whether this is not the topic that the change created, but a later one of its name.
    fn is_another(&self, topic: &Topic) -> bool {
        let created = self.created.get(&*topic.name);
        created
            .zip(topic.id)
            .is_some_and(|(created, now)| uuid_to_base64(now) != *created)
    }

    /// Plans to take the change back. `entry` is where this was read from.
    ///
    /// # Errors
    /// Refuses another cluster's, what nothing takes back, and where the cluster is not any more as
    /// the change left it.
    pub fn plan(&self, entry: Option<&Path>, snapshot: &ClusterSnapshot) -> Result<Plan, Fault> {
        let what = format!("undo \"{}\"", self.change);
        let now = snapshot
            .metadata
            .get()
            .and_then(|metadata| metadata.cluster_id.as_deref());
        if let (Some(then), Some(now)) = (self.cluster_id.as_deref(), now)
            && then != now
        {
            let why = format!("it was made on cluster {then}, and this is {now}");
            return Err(Fault::refused(what, why));
        }
        let Some(undo) = self.undo.clone() else {
            let why = format!("it can't be taken back: {}", self.stays());
            return Err(Fault::refused(what, why));
        };
        let topics = snapshot.metadata.get().into_iter();
        let mut topics = topics.flat_map(|metadata| &metadata.topics);
        if let Some(topic) = topics.find(|topic| self.is_another(topic)) {
            let why = format!(
                "topic \"{}\" is another one by now: the one of this change was deleted, and it was \
                 made anew",
                topic.name
            );
            return Err(Fault::refused(what, why));
        }
        let mut plan = super::plan(undo, snapshot)?;
        plan.not_done.extend(self.irrevocable.iter().cloned());
        let moved = self.moved(&plan);
        if let Some(first) = moved.first() {
            let more = match moved.len() {
                1 => String::new(),
                n => format!("; and {} more", n - 1),
            };
            return Err(Fault::refused(what, format!("{first}{more}"))
                .with_hint("somebody changed it since: change it back by hand"));
        }
        if matches!(plan.action, Action::Reassign(_))
            && plan
                .reassignment
                .as_ref()
                .is_some_and(|seen| seen.n_moves() > 0)
        {
            let why = "nothing limits how fast it is copied back, as nothing limited the change: \
                       `kafka-tui undo --throttle RATE` does";
            plan.warnings.push(why.to_owned());
        }
        plan.title = format!("undo: {}", self.change);
        plan.undoes = entry.map(Into::into);
        Ok(plan)
    }

    /// Lets what goes back be moved in batches, throttled; `None` leaves each as it was.
    ///
    /// # Errors
    /// It moves nothing.
    pub fn set_pace(&mut self, throttle: Option<i64>, batch: Option<usize>) -> Result<(), Fault> {
        if throttle.is_none() && batch.is_none() {
            return Ok(());
        }
        let steps = match &mut self.undo {
            Some(Action::Apply(apply)) => &mut apply.steps[..],
            one => one.as_mut_slice(),
        };
        let mut moves = false;
        for step in steps {
            match step {
                Action::Reassign(reassign) => {
                    *step = Action::RunReassign(RunReassign {
                        reassign: std::mem::take(reassign),
                        throttle,
                        batch: batch.unwrap_or(BATCH),
                    });
                    moves = true;
                }
                Action::RunReassign(run) => {
                    run.throttle = throttle.or(run.throttle);
                    run.batch = batch.unwrap_or(run.batch);
                    moves = true;
                }
                _ => {}
            }
        }
        match moves {
            true => Ok(()),
            false => {
                let what = format!("undo \"{}\"", self.change);
                Err(Fault::refused(
                    what,
                    "it moves nothing that could be throttled",
                ))
            }
        }
    }

    /// What is not as the change left it, by the plan that would take it back. A reassignment
    /// compares for itself, because replicas are on their way for a while.
    fn moved(&self, undo: &Plan) -> Vec<String> {
        let steps = self.undo.iter().flat_map(Action::steps);
        let compares_itself: BTreeSet<String> = steps
            .filter_map(|step| match step {
                Action::Reassign(reassign) => Some(&reassign.target),
                Action::RunReassign(run) => Some(&run.reassign.target),
                _ => None,
            })
            .flat_map(|target| target.keys().map(ToString::to_string))
            .collect();
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        // The first one of a name counts.
        let now = undo.changes.iter().rev();
        let now: HashMap<&str, &Change> = now.map(|now| (&*now.subject, now)).collect();
        let moved = |change: &Change| {
            let now = now.get(&*change.subject)?;
            if compares_itself.contains(&change.subject) {
                return None;
            }
            let is_known = change.after.as_deref() != Some(INHERITED);
            (is_known && now.before != change.after).then(|| {
                let (is, was) = (value(&now.before), value(&change.after));
                format!(
                    "{} is {is} now, and the change made it {was}",
                    change.subject
                )
            })
        };
        self.changes.iter().filter_map(moved).collect()
    }
}

/// A time as files say it: RFC 3339, in UTC.
pub fn timestamp(wall_ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(wall_ms) {
        Ok(at) => format!("{at:.3}"),
        Err(_) => wall_ms.to_string(),
    }
}

/// Reads what planning this inverse compares with. What can't be read is a failure within its
/// part of the snapshot, and the plan says less.
pub async fn read(client: &ClusterClient, action: &Action) -> Vec<Update> {
    let steps = action.steps().iter().map(|step| read_one(client, step));
    let steps: Vec<_> = steps.collect();
    let updates: Vec<Vec<Update>> = stream::iter(steps).buffered(AT_ONCE).collect().await;
    updates.into_iter().flatten().collect()
}

async fn read_one(client: &ClusterClient, action: &Action) -> Vec<Update> {
    match action {
        Action::AlterConfigs(alter) => {
            let configs = client.configs(&alter.resource).await;
            let configs = configs.map(Arc::new).map_err(Arc::new);
            vec![Update::Configs(alter.resource.clone(), configs)]
        }
        Action::AlterOffsets(alter) => super::offsets::read_group(client, &alter.group).await,
        Action::DeleteGroups(ids) => {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            super::offsets::read_groups(client, &ids).await
        }
        Action::Reassign(_) | Action::RunReassign(_) | Action::CancelReassignments(_) => {
            let running = client.reassignments().await;
            vec![Update::Reassignments(
                running.map(Arc::new).map_err(Arc::new),
            )]
        }
        Action::Security(action) => vec![client.read_for(action).await],
        Action::Quorum(_) => {
            let (quorum, features) = tokio::join!(client.quorum(), client.features());
            vec![
                Update::Quorum(quorum.map(Arc::new).map_err(Arc::new)),
                Update::Features(features.map(Arc::new).map_err(Arc::new)),
            ]
        }
        _ => Vec::new(),
    }
}

/// Executes a plan like [`execute`](super::execute), with its inverse written first.
///
/// # Errors
/// As [`execute`](super::execute), and when the inverse can't be written: then nothing is changed.
pub async fn make(client: &ClusterClient, plan: &Plan, journal: &Journal) -> Result<Report, Fault> {
    client.refuse_if_read_only(&plan.title)?;
    let wall_ms = client.now().wall_ms;
    let entry = match Inverse::of(plan, wall_ms).filter(|_| !plan.is_empty()) {
        Some(inverse) => journal.write(&inverse, wall_ms)?,
        None => None,
    };
    let done = super::execute(client, plan).await;
    let any_done = done
        .as_ref()
        .is_ok_and(|report| report.items.iter().any(|item| item.outcome.is_ok()));
    // What was tried and came to nothing leaves nothing to undo; an answer that was lost may have.
    let all_refused = done.as_ref().is_ok_and(|report| {
        let mut faults = report.faults();
        !any_done && faults.all(|(_, fault)| fault.kind == FaultKind::Refused)
    });
    if all_refused && let Some(entry) = &entry {
        journal.forget(entry);
    }
    if let (Ok(report), Some(entry)) = (&done, &entry)
        && !report.created.is_empty()
    {
        journal.note_created(entry, &report.created);
    }
    if any_done && let Some(undone) = &plan.undoes {
        journal.mark_undone(undone)?;
    }
    let mut report = done?;
    report.undo_file = entry.filter(|_| !all_refused && plan.inverse.is_some());
    Ok(report)
}

#[cfg(test)]
mod tests;
