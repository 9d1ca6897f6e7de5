//! Reads what a reset is made from, and what stands at the targets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use kafka_shared::types::TopicPartition;

use crate::cluster::ClusterClient;
use crate::model::{
    Cell, ClusterMetadata, ClusterSnapshot, Committed, Fault, Group, GroupKind, Groups, Message,
    Topic, Update,
};

use super::propose::{committed_at, partitions_of};
use super::{
    AlterOffsets, OffsetChange, ResetFacts, ResetRequest, ResetScope, ResetTo, TargetRecord,
    live_group, propose,
};

const WHAT: &str = "reset offsets";

/// Records that are looked at, one of each partition.
const RECORDS_MAX: usize = 100;

/// Topics that are asked about a time at once.
const TOPICS_AT_ONCE: usize = 4;

/// Characters of a record's key and value that are kept.
const TEXT_CHARS_MAX: usize = 120;

/// Reads what a request needs, and answers with the change that it comes to. A group that does
/// not exist yet is made by committing for it.
///
/// # Errors
/// A refusal for a live group, with who has to be stopped; as [`propose`]; what could not be read.
pub async fn prepare_reset(
    client: &ClusterClient,
    request: &ResetRequest,
) -> Result<AlterOffsets, Fault> {
    if request.group.is_empty() {
        return Err(Fault::refused(WHAT, "no group is named"));
    }
    let metadata = client.metadata().await?;
    let groups = client.groups_in(&metadata).await?;
    let group = find(&groups, &request.group)?;
    if let Some(group) = &group {
        refuse_if_live(client, group).await?;
    } else if matches!(
        (&request.scope, &request.to),
        (ResetScope::All, to) if !matches!(to, ResetTo::File(_) | ResetTo::Group(_))
    ) {
        let why = format!("group \"{}\" does not exist", request.group);
        return Err(Fault::not_found(WHAT, why)
            .with_hint("name the topics, and the group is made with their offsets"));
    }
    let other = match &request.to {
        ResetTo::Group(id) => {
            let group = find(&groups, id)?.ok_or_else(|| {
                Fault::not_found(WHAT, format!("group \"{id}\" does not exist"))
                    .with_hint("list the groups to see their names")
            })?;
            Some(committed_of(client, &group).await?)
        }
        _ => None,
    };
    // Committed offsets first, so that a lag made from them can't be negative.
    let mut facts = ResetFacts {
        committed: match &group {
            Some(group) => committed_of(client, group).await?,
            None => Committed::default(),
        },
        other,
        ..ResetFacts::default()
    };
    let keys = partitions_of(request, &metadata, &facts.committed, facts.other.as_ref())?;
    let names: BTreeSet<&Arc<str>> = keys.iter().map(|key| &key.topic).collect();
    let topics: Vec<Arc<Topic>> = names
        .iter()
        .filter_map(|name| metadata.topic(name).cloned())
        .collect();
    let names: Vec<Arc<str>> = topics.iter().map(|topic| Arc::clone(&topic.name)).collect();
    if !names.is_empty() {
        facts.offsets = client.offsets(&metadata, Some(&names)).await?;
    }
    let time_ms = match request.to {
        ResetTo::Time(ms) => Some(ms),
        ResetTo::Ago(ms) => Some(client.now().wall_ms.saturating_sub(ms)),
        _ => None,
    };
    if let Some(time_ms) = time_ms {
        facts.at_time = at_time(client, topics, time_ms).await;
    }
    let mut alter = propose(request, &metadata, &facts)?;
    look_at_targets(client, &metadata, &mut alter).await;
    Ok(alter)
}

/// What removes the commits of a group for some topics, or single partitions of them.
///
/// # Errors
/// `NotFound` when nothing is committed for them.
pub fn forget_offsets(
    group: &str,
    scope: &ResetScope,
    committed: &Committed,
) -> Result<AlterOffsets, Fault> {
    let is_meant = |key: &TopicPartition| match scope {
        ResetScope::All => true,
        ResetScope::Topics(topics) => topics.iter().any(|scope| {
            let ids = scope.partitions.as_ref();
            *scope.topic == *key.topic && ids.is_none_or(|ids| ids.contains(&key.partition))
        }),
    };
    let mut changes = Vec::new();
    for (topic, partitions) in &*committed.topics {
        for partition in partitions {
            let key = TopicPartition::new(&**topic, partition.partition);
            if let (true, Some(from)) = (is_meant(&key), committed_at(committed, &key)) {
                changes.push(OffsetChange {
                    topic: topic.to_string(),
                    partition: key.partition,
                    from: Some(from),
                    to: None,
                    log_start: None,
                    log_end: None,
                    record: None,
                    asked: None,
                });
            }
        }
    }
    if changes.is_empty() {
        let why = format!("group \"{group}\" has committed nothing of that");
        return Err(Fault::not_found("delete offsets", why));
    }
    Ok(AlterOffsets {
        group: group.to_owned(),
        changes,
        taken: Some(committed.taken),
        ..AlterOffsets::default()
    })
}

/// Reads what planning new offsets for a group compares with.
pub async fn read_group(client: &ClusterClient, group: &str) -> Vec<Update> {
    read_groups(client, &[group]).await
}

/// As [`read_group`], of several.
pub async fn read_groups(client: &ClusterClient, ids: &[&str]) -> Vec<Update> {
    let groups = match client.groups().await {
        Ok(groups) => groups,
        Err(fault) => return vec![Update::Groups(Err(Arc::new(fault)))],
    };
    let found = ids.iter().filter_map(|id| groups.groups.get(*id));
    let listed: Vec<Arc<Group>> = found.cloned().collect();
    let (described, committed) =
        tokio::join!(client.describe_groups(&listed), client.committed(&listed));
    vec![
        Update::Groups(Ok(Arc::new(groups))),
        Update::Descriptions(described),
        Update::Committed(committed),
    ]
}

/// A group by its id; `None` when it is nowhere.
fn find(groups: &Groups, id: &str) -> Result<Option<Arc<Group>>, Fault> {
    let found = groups.groups.get(id).cloned();
    match groups.faults.iter().next() {
        Some((broker, fault)) if found.is_none() => {
            let why = format!(
                "group \"{id}\" is not listed, and broker {broker}, which may know it, gave no \
                 list: {}",
                fault.why
            );
            Err(Fault::new(fault.kind, WHAT, why))
        }
        _ => Ok(found),
    }
}

async fn refuse_if_live(client: &ClusterClient, group: &Arc<Group>) -> Result<(), Fault> {
    let described = client.describe_groups(std::slice::from_ref(group)).await;
    match described.into_iter().next() {
        Some((_, Ok(described))) => live_group(WHAT, &described).map_or(Ok(()), Err),
        // The list says of these groups all that can be had.
        Some((_, Err(_))) if group.kind == GroupKind::Streams => match &group.state {
            Some(state) if state.as_str() != "Empty" => {
                let why = format!("streams group \"{}\" is live: it is {state}", group.id);
                Err(Fault::refused(WHAT, why).with_hint("stop its applications first"))
            }
            _ => Ok(()),
        },
        Some((_, Err(fault))) => Err(Fault::clone(&fault)),
        None => Ok(()),
    }
}

async fn committed_of(client: &ClusterClient, group: &Arc<Group>) -> Result<Committed, Fault> {
    let committed = client.committed(std::slice::from_ref(group)).await;
    match committed.into_iter().next() {
        Some((_, Ok(committed))) => Ok(Committed::clone(&committed)),
        Some((_, Err(fault))) => Err(Fault::clone(&fault)),
        None => Ok(Committed::default()),
    }
}

type AtTime = BTreeMap<TopicPartition, Result<Option<i64>, String>>;

async fn at_time(client: &ClusterClient, topics: Vec<Arc<Topic>>, time_ms: i64) -> AtTime {
    let ask = async |topic: Arc<Topic>| {
        let answer = client.offsets_for_time(&topic, time_ms).await;
        let of = |id: i32| match &answer {
            Err(fault) => Err(fault.why.clone()),
            Ok(cells) => match cells.get(&id).copied().unwrap_or_default() {
                Cell::Known(offset) => Ok(Some(offset)),
                Cell::Unknown => Ok(None),
                Cell::Failed(error) => Err(error.name()),
            },
        };
        let partitions = topic.partitions.iter();
        let found: Vec<_> = partitions
            .map(|p| (TopicPartition::new(&*topic.name, p.id), of(p.id)))
            .collect();
        found
    };
    let answers = stream::iter(topics.into_iter().map(ask)).buffer_unordered(TOPICS_AT_ONCE);
    let answers: Vec<Vec<_>> = answers.collect().await;
    answers.into_iter().flatten().collect()
}

/// Reads the record that each changed partition would go on with, of so many partitions.
async fn look_at_targets(
    client: &ClusterClient,
    metadata: &ClusterMetadata,
    alter: &mut AlterOffsets,
) {
    let wanted = alter.changes.iter().filter_map(|change| {
        let to = change.to.as_ref().filter(|_| change.is_change())?.offset;
        (Some(to) < change.log_end).then(|| (change.key(), to))
    });
    let wanted: Vec<_> = wanted.take(RECORDS_MAX).collect();
    let found = client.records_at(metadata, wanted).await;
    for change in &mut alter.changes {
        if let Some(Ok(Some(message))) = found.get(&change.key()) {
            change.record = Some(target_record(message));
        }
    }
}

fn target_record(message: &Message) -> TargetRecord {
    let text = |bytes: &bytes::Bytes| -> String {
        let head = bytes.get(..bytes.len().min(4 * TEXT_CHARS_MAX));
        let text = String::from_utf8_lossy(head.unwrap_or_default());
        text.chars().take(TEXT_CHARS_MAX).collect()
    };
    TargetRecord {
        offset: message.offset,
        timestamp_ms: message.timestamp_ms,
        key: message.key.as_ref().map(text),
        value: message.value.as_ref().map(text),
    }
}

/// What removes the commits of a group for a topic, by what a snapshot knows.
///
/// # Errors
/// `NotFound` when nothing is committed for it, or it is not known.
pub fn forget_topic(
    snapshot: &ClusterSnapshot,
    group: &str,
    topic: &str,
) -> Result<AlterOffsets, Fault> {
    let committed = snapshot.committed.get(group).and_then(|part| part.get());
    let committed = committed.cloned().unwrap_or_default();
    let scope = ResetScope::Topics(vec![super::TopicScope {
        topic: topic.to_owned(),
        partitions: None,
    }]);
    forget_offsets(group, &scope, &committed)
}
