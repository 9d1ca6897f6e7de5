//! Classic groups: each rebalance ends with a record of the whole group.

use std::sync::Arc;

use crate::model::{GroupFact, GroupLog, LoggedGroup, LoggedMember};

use super::{
    Cause, GroupEvent, Timeline, Watch, Went, coordinator_moved, grown, moves, name_of, owners,
    readers,
};

pub(super) fn timeline(log: &GroupLog) -> Timeline {
    let mut events: Vec<GroupEvent> = Vec::new();
    let mut watch = Watch::default();
    let mut seen = None;
    let mut before: Option<LoggedGroup> = None;
    let mut removed: Option<LoggedGroup> = None;
    for record in &log.records {
        let moved = coordinator_moved(&mut seen, record.leader_epoch, record.at_ms, events.last());
        events.extend(moved);
        match &record.fact {
            GroupFact::Commit {
                partition,
                offset: Some(_),
                at_ms,
            } => watch.commit(partition, *at_ms, &mut events),
            GroupFact::Classic(Some(now)) => {
                // Where nothing is missing, what was not there before is new.
                let is_new = before.is_none()
                    && log.reach.is_from_the_first()
                    && record.offset >= log.reach.gapless_from;
                let nobody = is_new.then(LoggedGroup::default);
                let before_it = before.as_ref().or(nobody.as_ref());
                let event = compare(before_it, now, record.at_ms, &mut watch);
                events.extend(event);
                before = Some(now.clone());
            }
            GroupFact::Classic(None) if before.is_some() => {
                removed = before.take();
                events.push(GroupEvent {
                    at_ms: record.at_ms,
                    causes: vec![Cause::Deleted],
                    ..GroupEvent::default()
                });
            }
            _ => {}
        }
    }
    events.extend(coordinator_moved(
        &mut seen,
        log.leader_epoch,
        events.last().map_or(0, |event| event.at_ms),
        events.last(),
    ));
    // Only an empty group is deleted: one that has members goes over to a new protocol.
    let members = before
        .or(removed)
        .into_iter()
        .flat_map(|group| group.members);
    Timeline {
        members: members.map(|m| (name_of(&m), m.assignment)).collect(),
        events,
        ..Timeline::default()
    }
}

fn owned(group: &LoggedGroup) -> super::Owners {
    owners(group.members.iter().map(|m| (m, &m.assignment[..])))
}

fn find<'a>(group: &'a LoggedGroup, id: &str) -> Option<&'a LoggedMember> {
    group.members.iter().find(|member| *member.id == *id)
}

fn compare(
    before: Option<&LoggedGroup>,
    now: &LoggedGroup,
    at_ms: i64,
    watch: &mut Watch,
) -> Option<GroupEvent> {
    // A new group is written down before anybody has joined.
    if before.is_none_or(|group| group.generation == 0)
        && now.members.is_empty()
        && now.generation == 0
    {
        return None;
    }
    let owners_now = owned(now);
    let mut event = GroupEvent {
        at_ms,
        generation: now.generation,
        members: now.members.len(),
        // The record is written when the leader has assigned.
        still_ms: now
            .joined_at_ms
            .map(|joined| (at_ms - joined).max(0))
            .filter(|_| !now.members.is_empty()),
        ..GroupEvent::default()
    };
    let empty = LoggedGroup::default();
    match before {
        // A group that begins empty, or is first seen in its later life.
        None if now.members.is_empty() => event.causes.push(Cause::Known),
        None if now.generation > 1 => {
            event.causes.push(Cause::Known);
            event.moved = Vec::new();
        }
        before => {
            let before = before.unwrap_or(&empty);
            let owners_before = owned(before);
            event.moved = moves(&owners_before, &owners_now);
            causes(before, now, &mut event, watch);
            if !before.members.is_empty() && !now.members.is_empty() {
                event.causes.extend(grown(&owners_before, &owners_now));
            }
            if event.causes.is_empty() && before.generation == now.generation {
                // Written again with nothing new in it.
                if event.moved.is_empty() {
                    return None;
                }
            } else if event.causes.is_empty() {
                unchanged(before, now, &mut event);
            }
        }
    }
    watch.owners = readers(&owners_now)
        .map(|(key, id)| (key.clone(), Arc::clone(id)))
        .collect();
    Some(event)
}

/// Who came, went, came back or asked for something else.
fn causes(before: &LoggedGroup, now: &LoggedGroup, event: &mut GroupEvent, watch: &mut Watch) {
    let (mut joined, mut left, mut failed, mut gone) = (vec![], vec![], vec![], vec![]);
    let (mut restarted, mut other) = (vec![], vec![]);
    for member in &now.members {
        match find(before, &member.id) {
            Some(old) => {
                let sorted = |topics: &[Arc<str>]| {
                    let mut topics = topics.to_vec();
                    topics.sort_unstable();
                    topics
                };
                if sorted(&old.subscribed) != sorted(&member.subscribed) {
                    other.push(name_of(member));
                }
            }
            None if let Some(old) = replaces(before, member) => {
                restarted.push(name_of(member));
                event
                    .evidence
                    .extend(taken_over(old, member, event.at_ms, watch));
            }
            None => joined.push(name_of(member)),
        }
    }
    for member in &before.members {
        let is_back = member.instance_id.is_some() && replaces(now, member).is_some();
        if find(now, &member.id).is_some() || is_back {
            continue;
        }
        let session_ms = member.session_timeout_ms.unwrap_or(45_000);
        // Its absence showed when the others were asked to join again.
        let gone_ms = now.joined_at_ms.unwrap_or(event.at_ms);
        // When all had joined that was before, its session began; from the next rebalance on it
        // may also be given up because it does not join again in time.
        let heard_ms = before.joined_at_ms;
        let limit_ms = member.rebalance_timeout_ms.unwrap_or(session_ms);
        let is_sure = limit_ms >= session_ms;
        let (went, evidence) = watch.went(&member.id, session_ms, gone_ms, heard_ms, is_sure);
        event
            .evidence
            .extend(evidence.map(|text| format!("{}: {text}", name_of(member))));
        match went {
            Went::Left => left.push(name_of(member)),
            Went::Failed => failed.push(name_of(member)),
            Went::Unknown => gone.push(name_of(member)),
        }
        watch.forget(&member.id);
    }
    let mut add = |members: Vec<String>, cause: fn(Vec<String>) -> Cause| {
        if !members.is_empty() {
            event.causes.push(cause(members));
        }
    };
    add(joined, |members| Cause::Joined { members });
    add(left, |members| Cause::Left { members });
    add(failed, |members| Cause::Failed { members });
    add(gone, |members| Cause::Gone { members });
    add(restarted, |members| Cause::StaticRestart { members });
    add(other, |members| Cause::Subscription { members });
    let protocols = [&before.protocol, &now.protocol];
    if before.protocol != now.protocol && protocols.iter().all(|name| !name.is_empty()) {
        event.causes.push(Cause::Assignor {
            from: before.protocol.to_string(),
            to: now.protocol.to_string(),
        });
    }
}

/// What is known of a change of the client behind an instance. The record is the same whether the
/// client restarted or another one uses its instance id too, which shuts the first one out.
fn taken_over(old: &LoggedMember, new: &LoggedMember, at_ms: i64, watch: &Watch) -> Vec<String> {
    let name = name_of(new);
    let mut told = Vec::new();
    if (&old.client_id, &old.host) != (&new.client_id, &new.host) {
        let place =
            |m: &LoggedMember| format!("{}@{}", m.client_id, m.host.trim_start_matches('/'));
        told.push(format!(
            "{name}: it was {}, and is {}",
            place(old),
            place(new)
        ));
    }
    if let Some(trail) = watch.trails.get(&old.id).filter(|trail| trail.count > 0) {
        let seconds = (at_ms - trail.last_ms).max(0) as f64 / 1e3;
        told.push(format!(
            "{name}: the client before had committed {seconds:.1} s before; one that still ran was \
             shut out, for two can't have one instance id"
        ));
    }
    told
}

/// The member of a group with the same instance and another id.
fn replaces<'a>(group: &'a LoggedGroup, member: &LoggedMember) -> Option<&'a LoggedMember> {
    let instance = member.instance_id.as_ref()?;
    let mut members = group.members.iter();
    members.find(|m| m.instance_id.as_ref() == Some(instance) && m.id != member.id)
}

/// A rebalance among the same members for the same topics.
fn unchanged(before: &LoggedGroup, now: &LoggedGroup, event: &mut GroupEvent) {
    if now.protocol.contains("cooperative") && !event.moved.is_empty() {
        event.causes.push(Cause::SecondStep);
    } else if before.leader != now.leader {
        let name = |group: &LoggedGroup| {
            find(group, &group.leader).map_or_else(|| group.leader.to_string(), name_of)
        };
        event.causes.push(Cause::GroupLeader {
            from: name(before),
            to: name(now),
        });
    }
}
