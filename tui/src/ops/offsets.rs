//! New committed offsets of a group: what somebody asks for, what that comes to partition by
//! partition, and the file in which offsets are handed on.
//!
//! A [`ResetRequest`] is what is asked; [`propose`] answers it purely from [`ResetFacts`], which
//! [`prepare_reset`] reads; the answer, [`AlterOffsets`], is the action that is planned, executed
//! and undone. Kafka's own tool is followed: what is asked for is brought between the log's start
//! and its end, a time after the last record is the end, and a shift needs a commit to begin with.
//!
//! Kafka: tools/OffsetsUtils.java, tools/consumer/group/ConsumerGroupCommand.java (4.3).

mod csv;
mod prepare;
mod propose;

use std::collections::BTreeMap;

use kafka_shared::types::TopicPartition;
use serde::{Deserialize, Serialize};

use crate::model::{Committed, Fault, Offsets, Taken};

pub use csv::{parse_csv, read_csv, write_csv};
pub use prepare::{forget_offsets, forget_topic, prepare_reset, read_group, read_groups};
pub use propose::{live_group, propose};

/// Which partitions of a group a reset is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResetScope {
    /// Everything that the group has committed.
    #[default]
    All,
    /// Whole topics, or single partitions of them.
    Topics(Vec<TopicScope>),
}

/// One topic, or some of its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicScope {
    pub topic: String,
    /// `None`: all of them.
    pub partitions: Option<Vec<i32>>,
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResetTo {
    Earliest,
    Latest,
    /// Where it is; the end where nothing is committed.
    Current,
    Offset(i64),
    /// So many records on, or back where negative.
    Shift(i64),
    /// The first record that is not older, in milliseconds since the epoch.
    Time(i64),
    /// As `Time`, so many milliseconds ago.
    Ago(i64),
    /// What a file says; only its partitions.
    File(BTreeMap<TopicPartition, i64>),
    /// Where another group is; only the partitions that it has committed.
    Group(String),
}

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetRequest {
    pub group: String,
    pub scope: ResetScope,
    pub to: ResetTo,
}

/// What a proposal is made from.
#[derive(Clone, Debug, Default)]
pub struct ResetFacts {
    pub committed: Committed,
    /// The other group's, when it is to be copied.
    pub other: Option<Committed>,
    /// Start and end of the topics in question.
    pub offsets: Offsets,
    /// The first offset that is not older, by partition; the end where there is none.
    pub at_time: BTreeMap<TopicPartition, Result<Option<i64>, String>>,
}

/// One committed offset with all that is kept beside it, so that it can be put back as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitAt {
    pub offset: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_epoch: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
}

impl CommitAt {
    /// Only an offset, as a reset commits it.
    pub fn plain(offset: i64) -> Self {
        Self {
            offset,
            ..Self::default()
        }
    }
}

/// The record that would be read next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// Later than the offset asked for where compaction or a transaction left a gap.
    pub offset: i64,
    /// Milliseconds since the epoch; -1 where the producer gave none.
    pub timestamp_ms: i64,
    /// The beginning of it, as text.
    pub key: Option<String>,
    pub value: Option<String>,
}

/// One partition's change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetChange {
    pub topic: String,
    pub partition: i32,
    /// What is committed now; `None`: nothing.
    pub from: Option<CommitAt>,
    /// What shall be; `None` removes the commit.
    pub to: Option<CommitAt>,
    pub log_start: Option<i64>,
    pub log_end: Option<i64>,
    /// What stands at the target, where it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<TargetRecord>,
    /// What was asked for, where the log does not reach so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<i64>,
}

impl OffsetChange {
    pub fn key(&self) -> TopicPartition {
        TopicPartition::new(&self.topic, self.partition)
    }

    pub fn is_change(&self) -> bool {
        self.from != self.to
    }

    /// Offsets that are passed over unread (positive) or read again (negative): at most as many
    /// records. `None` where nothing was or nothing will be committed. What retention removed
    /// already is neither.
    pub fn moved(&self) -> Option<i64> {
        let (from, to) = (self.from.as_ref()?, self.to.as_ref()?);
        let from = from.offset.max(self.log_start.unwrap_or(i64::MIN));
        Some(to.offset.saturating_sub(from))
    }
}

/// New committed offsets for a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlterOffsets {
    pub group: String,
    /// By topic and partition, also what stays as it is.
    pub changes: Vec<OffsetChange>,
    /// What was left out, with the reason.
    #[serde(default)]
    pub left: Vec<String>,
    /// What Kafka's own tool is given to do the same, without the address; empty where it has no
    /// way to.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// When the committed offsets that it starts from were read; `None` for one from a file.
    #[serde(skip)]
    pub taken: Option<Taken>,
}

impl AlterOffsets {
    /// What puts everything back, by what is committed now.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let back = |change: &OffsetChange| OffsetChange {
            from: change.to.clone(),
            to: change.from.clone(),
            record: None,
            asked: None,
            ..change.clone()
        };
        let changes = self.changes.iter().filter(|change| change.is_change());
        Self {
            group: self.group.clone(),
            changes: changes.map(back).collect(),
            left: Vec::new(),
            arguments: Vec::new(),
            taken: None,
        }
    }

    /// Whether it only removes commits, which a group with members may do for topics that they
    /// don't read.
    pub fn only_forgets(&self) -> bool {
        let mut changes = self.changes.iter().filter(|change| change.is_change());
        changes.all(|change| change.to.is_none())
    }
}

/// Reads `orders`, `orders:0,3` or several of them with spaces or semicolons between; nothing is
/// everything.
///
/// # Errors
/// When a partition is no number, with the part in question.
pub fn parse_scope<'a>(parts: impl IntoIterator<Item = &'a str>) -> Result<ResetScope, Fault> {
    let mut topics = Vec::new();
    let parts = parts
        .into_iter()
        .flat_map(|text| text.split([' ', ';']))
        .filter(|part| !part.is_empty());
    for part in parts {
        let wrong = || {
            let why = format!("\"{part}\" names no topic and partitions");
            Fault::refused("read which partitions are meant", why)
                .with_hint("write TOPIC for all of a topic, TOPIC:0,3 for some")
        };
        let (topic, ids) = match part.rsplit_once(':') {
            None => (part, None),
            Some((topic, ids)) => {
                let ids: Result<Vec<i32>, _> = ids.split(',').map(str::parse).collect();
                (topic, Some(ids.map_err(|_| wrong())?))
            }
        };
        let is_wrong = |ids: &Vec<i32>| ids.is_empty() || ids.iter().any(|id| *id < 0);
        if topic.is_empty() || ids.as_ref().is_some_and(is_wrong) {
            return Err(wrong());
        }
        topics.push(TopicScope {
            topic: topic.to_owned(),
            partitions: ids,
        });
    }
    Ok(match topics.is_empty() {
        true => ResetScope::All,
        false => ResetScope::Topics(topics),
    })
}

/// A date and time as Kafka's tool takes it, `2026-11-21T14:00:00.000`, in UTC where it names no
/// zone; or milliseconds since the epoch.
pub fn parse_datetime(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(ms) = text.parse::<i64>() {
        return (ms >= 0).then_some(ms);
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

/// A length of time in milliseconds: `PT1H30M` as Kafka's tool takes it, or `90m`, `2h 30m`, `1d`.
pub fn parse_duration(text: &str) -> Option<i64> {
    let span: jiff::Span = text.trim().parse().ok()?;
    let day = jiff::SpanRelativeTo::days_are_24_hours();
    let total = span.total((jiff::Unit::Millisecond, day)).ok()?;
    (0.0..1e15).contains(&total).then_some(total as i64)
}

/// A record in short.
pub fn record_text(record: &TargetRecord) -> String {
    let time = match jiff::Timestamp::from_millisecond(record.timestamp_ms) {
        Ok(at) if record.timestamp_ms >= 0 => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        _ => "no time".to_owned(),
    };
    let mut text = time;
    if let Some(key) = &record.key {
        text.push_str(&format!(" {key}"));
    }
    match &record.value {
        Some(value) => text.push_str(&format!(" {value}")),
        None => text.push_str(" (tombstone)"),
    }
    text
}

#[cfg(test)]
mod tests;
