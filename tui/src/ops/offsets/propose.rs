//! From what is asked and what is known to new offsets: pure.

use std::collections::BTreeSet;

use kafka_shared::types::TopicPartition;

use crate::model::{
    Cell, ClusterMetadata, Committed, CommittedPartition, Fault, GroupDescription, GroupKind,
    GroupState,
};

use super::{
    AlterOffsets, CommitAt, OffsetChange, ResetFacts, ResetRequest, ResetScope, ResetTo, TopicScope,
};

const WHAT: &str = "reset offsets";

/// Members that are named in a refusal.
const NAMED: usize = 5;

/// Why a group's offsets can't be set now: it has members, or a kind that commits none.
pub fn live_group(what: &str, group: &GroupDescription) -> Option<Fault> {
    if group.kind == GroupKind::Share {
        let why = format!(
            "\"{}\" is a share group, which commits no offsets",
            group.id
        );
        let hint = "kafka-share-groups.sh --reset-offsets sets where it starts";
        return Some(Fault::refused(what, why).with_hint(hint));
    }
    let is_quiet = matches!(group.state, GroupState::Empty | GroupState::Dead);
    if is_quiet && group.members.is_empty() {
        return None;
    }
    let mut names: BTreeSet<String> = BTreeSet::new();
    for member in &group.members {
        let host = member.host.trim_start_matches('/');
        names.insert(match &member.instance_id {
            Some(instance) => format!("{instance} ({}@{host})", member.client_id),
            None => format!("{}@{host}", member.client_id),
        });
    }
    let n = group.members.len();
    let members = if n == 1 { "member" } else { "members" };
    let why = format!(
        "group \"{}\" is live: it is {} with {n} {members}, which would go on from where they \
         are and commit over it",
        group.id, group.state
    );
    let more = names.len().saturating_sub(NAMED);
    let mut list: Vec<String> = names.into_iter().take(NAMED).collect();
    if more > 0 {
        list.push(format!("{more} more"));
    }
    let hint = match list.is_empty() {
        true => "stop its consumers first, and wait until the group is Empty".to_owned(),
        false => format!(
            "stop these first, and wait until the group is Empty: {}",
            list.join(", ")
        ),
    };
    Some(Fault::refused(what, why).with_hint(hint))
}

/// The partitions that a request is for.
///
/// # Errors
/// `NotFound` for a topic or partition that does not exist; a refusal for a group that has
/// committed nothing.
pub(super) fn partitions_of(
    request: &ResetRequest,
    metadata: &ClusterMetadata,
    committed: &Committed,
    other: Option<&Committed>,
) -> Result<BTreeSet<TopicPartition>, Fault> {
    let mut keys = BTreeSet::new();
    match (&request.scope, &request.to) {
        (ResetScope::Topics(topics), _) => {
            for scope in topics {
                let topic = metadata.topic(&scope.topic).ok_or_else(|| {
                    let why = format!("topic \"{}\" does not exist", scope.topic);
                    Fault::not_found(WHAT, why)
                })?;
                let all = || topic.partitions.iter().map(|p| p.id).collect();
                for id in scope.partitions.clone().unwrap_or_else(all) {
                    if topic.partition(id).is_none() {
                        let why = format!("partition {}-{id} does not exist", scope.topic);
                        return Err(Fault::not_found(WHAT, why));
                    }
                    keys.insert(TopicPartition::new(&*topic.name, id));
                }
            }
        }
        (ResetScope::All, ResetTo::File(offsets)) => keys.extend(offsets.keys().cloned()),
        (ResetScope::All, ResetTo::Group(_)) => keys.extend(other.iter().flat_map(|c| keys_of(c))),
        (ResetScope::All, _) => keys.extend(keys_of(committed)),
    }
    if keys.is_empty() {
        let (why, hint) = match &request.to {
            ResetTo::Group(other) => (
                format!("group \"{other}\" has committed nothing"),
                "choose a group that has read something",
            ),
            _ => (
                format!("group \"{}\" has committed nothing", request.group),
                "name the topics that are meant",
            ),
        };
        return Err(Fault::refused(WHAT, why).with_hint(hint));
    }
    Ok(keys)
}

fn keys_of(committed: &Committed) -> impl Iterator<Item = TopicPartition> {
    committed.topics.iter().flat_map(|(topic, partitions)| {
        let known = partitions.iter().filter(|p| p.offset.is_some());
        known.map(|p| TopicPartition::new(&**topic, p.partition))
    })
}

fn commit_at(commit: &CommittedPartition) -> Option<CommitAt> {
    Some(CommitAt {
        offset: commit.offset?,
        leader_epoch: commit.leader_epoch,
        metadata: commit.metadata.as_deref().map(str::to_owned),
    })
}

/// What is committed for a partition.
pub(super) fn committed_at(committed: &Committed, key: &TopicPartition) -> Option<CommitAt> {
    commit_at(committed.partition(&key.topic, key.partition)?)
}

/// What a request comes to. Partitions that can't be set are left out with their reason; the
/// others don't suffer for them.
///
/// # Errors
/// As [`partitions_of`]; a refusal for a shift where nothing is committed, since Kafka's tool
/// would refuse it too and half a shift is no shift.
pub fn propose(
    request: &ResetRequest,
    metadata: &ClusterMetadata,
    facts: &ResetFacts,
) -> Result<AlterOffsets, Fault> {
    let keys = partitions_of(request, metadata, &facts.committed, facts.other.as_ref())?;
    let mut alter = AlterOffsets {
        group: request.group.clone(),
        arguments: arguments(request),
        taken: Some(facts.committed.taken),
        ..AlterOffsets::default()
    };
    for key in keys {
        let from = committed_at(&facts.committed, &key);
        let (start, end) = match bounds(facts, metadata, &key) {
            Ok(bounds) => bounds,
            Err(why) => {
                alter.left.push(format!("{key}: {why}"));
                continue;
            }
        };
        let wanted = match target(request, facts, &key, from.as_ref(), start, end)? {
            Ok(wanted) => wanted,
            Err(why) => {
                alter.left.push(format!("{key}: {why}"));
                continue;
            }
        };
        let to = wanted.clamp(start, end.max(start));
        alter.changes.push(OffsetChange {
            topic: key.topic.to_string(),
            partition: key.partition,
            // An offset that stays keeps what was committed beside it.
            to: from
                .clone()
                .filter(|from| from.offset == to)
                .or(Some(CommitAt::plain(to))),
            from,
            log_start: Some(start),
            log_end: Some(end),
            record: None,
            asked: (to != wanted).then_some(wanted),
        });
    }
    if let (true, Some(first)) = (alter.changes.is_empty(), alter.left.first()) {
        let why = format!("no partition can be set: {first}");
        return Err(Fault::refused(WHAT, why));
    }
    Ok(alter)
}

/// Where the log of a partition starts and ends, or why that is not known.
fn bounds(
    facts: &ResetFacts,
    metadata: &ClusterMetadata,
    key: &TopicPartition,
) -> Result<(i64, i64), String> {
    let topic = metadata.topic(&key.topic);
    let found = topic.and_then(|topic| topic.partition(key.partition));
    let partition = found.ok_or("it does not exist")?;
    if !partition.has_leader() {
        return Err("it has no leader".to_owned());
    }
    let offsets = facts.offsets.get(&key.topic);
    let offsets = offsets.and_then(|offsets| offsets.partition(key.partition));
    let offsets = offsets.ok_or("its offsets are not known")?;
    match (offsets.start, offsets.end) {
        (Cell::Known(start), Cell::Known(end)) => Ok((start, end)),
        (Cell::Failed(error), _) | (_, Cell::Failed(error)) => Err(error.name()),
        _ => Err("its offsets are not known".to_owned()),
    }
}

/// The offset asked for, before it is brought into the log; the inner error is one partition's.
fn target(
    request: &ResetRequest,
    facts: &ResetFacts,
    key: &TopicPartition,
    from: Option<&CommitAt>,
    start: i64,
    end: i64,
) -> Result<Result<i64, String>, Fault> {
    Ok(Ok(match &request.to {
        ResetTo::Earliest => start,
        ResetTo::Latest => end,
        ResetTo::Current => from.map_or(end, |from| from.offset),
        ResetTo::Offset(offset) => *offset,
        ResetTo::Shift(by) => match from {
            Some(from) => from.offset.saturating_add(*by),
            None => {
                let why = format!("nothing is committed for {key}, so nothing can be shifted");
                let hint = "name only partitions with a commit, or give an offset or a time";
                return Err(Fault::refused(WHAT, why).with_hint(hint));
            }
        },
        ResetTo::Time(_) | ResetTo::Ago(_) => match facts.at_time.get(key) {
            Some(Ok(Some(offset))) => *offset,
            // Every record is older.
            Some(Ok(None)) => end,
            Some(Err(why)) => return Ok(Err(why.clone())),
            None => return Ok(Err("nobody said what stands there at that time".to_owned())),
        },
        ResetTo::File(offsets) => match offsets.get(key) {
            Some(offset) => *offset,
            None => return Ok(Err("the file does not name it".to_owned())),
        },
        ResetTo::Group(other) => {
            let commits = facts.other.as_ref();
            match commits.and_then(|commits| committed_at(commits, key)) {
                Some(commit) => commit.offset,
                None => {
                    let why = format!("group \"{other}\" has committed nothing for it");
                    return Ok(Err(why));
                }
            }
        }
    }))
}

/// What kafka-consumer-groups is given to do the same.
fn arguments(request: &ResetRequest) -> Vec<String> {
    let word = |word: &str| word.to_owned();
    let to = match &request.to {
        ResetTo::Earliest => vec![word("--to-earliest")],
        ResetTo::Latest => vec![word("--to-latest")],
        ResetTo::Current => vec![word("--to-current")],
        ResetTo::Offset(offset) => vec![word("--to-offset"), offset.to_string()],
        ResetTo::Shift(by) => vec![word("--shift-by"), by.to_string()],
        ResetTo::Time(ms) => match jiff::Timestamp::from_millisecond(*ms) {
            Ok(at) => vec![
                word("--to-datetime"),
                at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            ],
            Err(_) => return Vec::new(),
        },
        ResetTo::Ago(ms) => vec![word("--by-duration"), format!("PT{}S", ms / 1000)],
        ResetTo::File(_) => vec![word("--from-file"), word("FILE")],
        // Kafka's tool can't copy a group.
        ResetTo::Group(_) => return Vec::new(),
    };
    let scope = match &request.scope {
        ResetScope::All if matches!(request.to, ResetTo::File(_)) => Vec::new(),
        ResetScope::All => vec![word("--all-topics")],
        ResetScope::Topics(topics) => {
            let text = |scope: &TopicScope| match &scope.partitions {
                None => scope.topic.clone(),
                Some(ids) => {
                    let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
                    format!("{}:{}", scope.topic, ids.join(","))
                }
            };
            let words = topics.iter().map(text);
            words.flat_map(|text| [word("--topic"), text]).collect()
        }
    };
    [vec![word("--reset-offsets")], to, scope].concat()
}
