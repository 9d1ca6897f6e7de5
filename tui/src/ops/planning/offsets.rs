//! Plans for committed offsets: each partition from old to new, what is passed over or read again,
//! and the record that would come next.

use std::collections::BTreeSet;

use crate::model::{ClusterMetadata, ClusterSnapshot, Fault, GroupKind};
use crate::ops::action::Action;
use crate::ops::offsets::{AlterOffsets, OffsetChange, live_group, record_text};
use crate::ops::plan::{Danger, Plan};

use super::{bootstrap, count, quote};

/// Command lines for single partitions, where one line can't say it.
const LINES_MAX: usize = 100;

pub(super) fn alter(
    alter: AlterOffsets,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let forgets = alter.only_forgets();
    let title = if forgets {
        format!("delete offsets of group \"{}\"", alter.group)
    } else {
        format!("set the offsets of group \"{}\"", alter.group)
    };
    if alter.group.is_empty() {
        return Err(Fault::refused(title, "no group is named"));
    }
    let described = snapshot.descriptions.get(alter.group.as_str());
    if let Some(group) = described.and_then(|part| part.get()) {
        let refusal = if forgets {
            still_read(&title, &alter, group)
        } else {
            live_group(&title, group)
        };
        if let Some(fault) = refusal {
            return Err(fault);
        }
    }
    let mut plan = Plan::new(
        Action::AlterOffsets(alter.clone()),
        title,
        Danger::Disruptive,
    );
    let (mut skipped, mut again) = (0_i64, 0_i64);
    for change in &alter.changes {
        if !change.is_change() {
            let at = change.to.as_ref().map_or(-1, |to| to.offset);
            let note = format!("{} is at {at} already", change.key());
            plan.not_done.push(note);
            continue;
        }
        match change.moved() {
            Some(n) if n > 0 => skipped = skipped.saturating_add(n),
            Some(n) => again = again.saturating_sub(n),
            None => {}
        }
        let from = committed_now(&alter, change, snapshot).map(|offset| offset.to_string());
        let to = change.to.as_ref().map(|to| to.offset.to_string());
        plan.change(change.key().to_string(), from, to);
        if let Some(told) = plan.changes.last_mut() {
            told.note = note(change);
        }
        if let Some(asked) = change.asked {
            let (start, end) = (change.log_start.unwrap_or(0), change.log_end.unwrap_or(0));
            let key = change.key();
            plan.warnings.push(format!(
                "{key} has the offsets {start} to {end}: {asked} is not among them"
            ));
        }
    }
    plan.not_done.extend(alter.left.iter().cloned());
    sums(&mut plan, &alter, skipped, again, forgets);
    let listed = snapshot.groups.get();
    let group = listed.and_then(|groups| groups.groups.get(alter.group.as_str()));
    let is_streams = group.is_some_and(|group| group.kind == GroupKind::Streams);
    plan.equivalent = equivalent(&alter, metadata, is_streams);
    plan.inverse = Some(Action::AlterOffsets(alter.inverse()));
    Ok(plan)
}

/// What there is to know of the whole.
fn sums(plan: &mut Plan, alter: &AlterOffsets, skipped: i64, again: i64, forgets: bool) {
    let records = |n: i64| count(usize::try_from(n).unwrap_or(usize::MAX), "record");
    if skipped > 0 {
        let text = format!("at most {} will never be read by it", records(skipped));
        plan.warnings.insert(0, text);
    }
    if again > 0 {
        let text = format!("at most {} will be read once more", records(again));
        plan.warnings.insert(0, text);
    }
    if forgets && !plan.is_empty() {
        let text = "its consumers will begin where auto.offset.reset tells them to";
        plan.warnings.push(text.to_owned());
    }
    let mut fresh = alter.changes.iter().filter(|change| change.from.is_none());
    if fresh.all(|change| !change.is_change()) {
        return;
    }
    let n = alter.changes.iter().filter(|change| change.from.is_none());
    let text = format!(
        "nothing was committed for {}",
        count(n.count(), "partition")
    );
    plan.warnings.push(text);
}

/// Why offsets can't be removed: a member reads their topic.
fn still_read(
    what: &str,
    alter: &AlterOffsets,
    group: &crate::model::GroupDescription,
) -> Option<Fault> {
    let topics: BTreeSet<&str> = alter.changes.iter().map(|c| c.topic.as_str()).collect();
    for member in &group.members {
        let owned = member.assignment.iter().map(|owned| &owned.topic);
        let mut read = member.subscribed.iter().chain(owned);
        if let Some(topic) = read.find(|topic| topics.contains(&***topic)) {
            let host = member.host.trim_start_matches('/');
            let why = format!("{}@{host} reads topic \"{topic}\"", member.client_id);
            return Some(Fault::refused(what, why).with_hint("stop it first"));
        }
    }
    None
}

/// What is committed: as the change was made from, or as a snapshot that is newer says.
fn committed_now(
    alter: &AlterOffsets,
    change: &OffsetChange,
    snapshot: &ClusterSnapshot,
) -> Option<i64> {
    let then = change.from.as_ref().map(|from| from.offset);
    let read = snapshot.committed.get(alter.group.as_str());
    let Some(now) = read.and_then(|part| part.get()) else {
        // A group that is nowhere has committed nothing.
        let listed = snapshot.groups.get();
        let is_gone = listed.is_some_and(|groups| {
            groups.faults.is_empty() && !groups.groups.contains_key(alter.group.as_str())
        });
        return then.filter(|_| !is_gone);
    };
    if alter.taken.is_some_and(|taken| taken >= now.taken) {
        return then;
    }
    match now.partition(&change.topic, change.partition) {
        Some(commit) if commit.error.is_some() => then,
        Some(commit) => commit.offset,
        None => None,
    }
}

/// What a change means: `skips 20; next: 2026-11-21T14:00:00Z key value`.
fn note(change: &OffsetChange) -> Option<String> {
    let to = change.to.as_ref()?;
    let mut words = Vec::new();
    match change.moved() {
        Some(n) if n > 0 => words.push(format!("skips {n}")),
        Some(n) if n < 0 => words.push(format!("re-reads {}", n.unsigned_abs())),
        _ => {}
    }
    if let Some(record) = &change.record {
        words.push(format!("next: {}", record_text(record)));
    } else if change.log_end == Some(to.offset) {
        words.push("the end".to_owned());
    }
    (!words.is_empty()).then(|| words.join("; "))
}

/// Streams groups have a tool of their own, which names its arguments otherwise.
fn equivalent(alter: &AlterOffsets, metadata: &ClusterMetadata, is_streams: bool) -> Vec<String> {
    let (tool, topic, all_topics) = match is_streams {
        true => (
            "kafka-streams-groups.sh",
            "--input-topic",
            "--all-input-topics",
        ),
        false => ("kafka-consumer-groups.sh", "--topic", "--all-topics"),
    };
    let tool = format!(
        "{tool} {} --group {}",
        bootstrap(metadata),
        quote(&alter.group)
    );
    let changes = alter.changes.iter().filter(|change| change.is_change());
    if !alter.arguments.is_empty() {
        let word = |word: &String| match word.as_str() {
            "--topic" => topic.to_owned(),
            "--all-topics" => all_topics.to_owned(),
            word => quote(word),
        };
        let words: Vec<String> = alter.arguments.iter().map(word).collect();
        return vec![format!("{tool} {} --execute", words.join(" "))];
    }
    let mut lines = BTreeSet::new();
    for change in changes.take(LINES_MAX) {
        lines.insert(match &change.to {
            Some(to) => format!(
                "{tool} --reset-offsets {topic} {} --to-offset {} --execute",
                quote(&format!("{}:{}", change.topic, change.partition)),
                to.offset
            ),
            None => format!("{tool} --delete-offsets {topic} {}", quote(&change.topic)),
        });
    }
    lines.into_iter().collect()
}
