//! `groups timeline` and `groups lag`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::derive::{
    Drain, GroupDetail, GroupEvent, LagDetail, TimeBy, Timeline, TimelineSettings, group_detail,
    timeline,
};
use crate::model::{ClusterMetadata, Fault, GroupLook};
use crate::output::{Printable, Table, bytes_text, or_dash};

/// A group's rebalances.
#[derive(Clone, Debug, Serialize)]
pub struct TimelineJson {
    pub group: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub state: Option<String>,
    /// Oldest first.
    pub events: Vec<EventRow>,
    pub members: Vec<OwnerRow>,
    pub read: ReachRow,
}

#[derive(Clone, Debug, Serialize)]
pub struct EventRow {
    /// RFC 3339, in UTC.
    pub time: String,
    #[serde(flatten)]
    pub event: GroupEvent,
    /// The causes in words.
    pub text: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct OwnerRow {
    pub member: String,
    pub partitions: Vec<String>,
}

/// How much of the coordinator's log was read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReachRow {
    /// Of `__consumer_offsets`.
    pub partition: i32,
    pub from_offset: i64,
    pub to_offset: i64,
    pub bytes: u64,
    /// Whether that is all there is; compaction may have removed older records even so.
    pub whole: bool,
    /// From this offset on compaction has removed nothing: what is older is only known as it was.
    pub gapless_from: i64,
    /// RFC 3339, of the oldest record that was read.
    pub oldest: Option<String>,
    /// Records that could not be understood.
    pub unread: u64,
}

pub(super) fn time(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(at) => format!("{at:.3}"),
        Err(_) => ms.to_string(),
    }
}

/// The rebalances of a group that a look found, the newest `max` of them.
///
/// # Errors
/// Why the coordinator's log could not be read.
pub fn group_timeline(look: &GroupLook, id: &str, max: usize) -> Result<TimelineJson, Fault> {
    let log = match &look.log {
        Some(Ok(log)) => log,
        Some(Err(fault)) => return Err(Fault::clone(fault)),
        None => return Err(Fault::not_found("read a group's log", "it was not read")),
    };
    let settings = TimelineSettings {
        session_timeout_ms: look.session_timeout_ms,
        kind: look.group.as_ref().map(|group| group.kind.clone()),
    };
    let Timeline {
        events, members, ..
    } = timeline(log, &settings);
    let first = events.len().saturating_sub(max);
    let row = |event: GroupEvent| EventRow {
        time: time(event.at_ms),
        text: event.causes_text(),
        event,
    };
    let owner = |(member, assignment): (String, Vec<crate::model::TopicAssignment>)| OwnerRow {
        member,
        partitions: assignment
            .iter()
            .flat_map(|owned| {
                owned
                    .partitions
                    .iter()
                    .map(|id| format!("{}-{id}", owned.topic))
            })
            .collect(),
    };
    let reach = &log.reach;
    let state = look.description.as_ref().map(|d| d.state.to_string());
    let listed = look.group.as_ref();
    Ok(TimelineJson {
        group: id.to_owned(),
        kind: listed
            .map(|group| group.kind.to_string())
            .unwrap_or_default(),
        state: state.or_else(|| Some(listed?.state.as_ref()?.to_string())),
        events: events.into_iter().skip(first).map(row).collect(),
        members: members.into_iter().map(owner).collect(),
        read: ReachRow {
            partition: reach.partition,
            from_offset: reach.from_offset,
            to_offset: reach.to_offset,
            bytes: reach.bytes,
            whole: reach.is_whole,
            gapless_from: reach.gapless_from,
            oldest: reach.oldest_ms.map(time),
            unread: reach.unread,
        },
    })
}

impl Printable for TimelineJson {
    fn table(&self) -> String {
        let mut text = format!(
            "Group {}  type {}  state {}\n\n",
            self.group,
            self.kind,
            or_dash(self.state.clone())
        );
        let mut table = Table::new(&[
            "TIME", ">GEN", ">MEMBERS", ">MOVED", ">STILL", ">SILENT", "CAUSE",
        ]);
        for row in &self.events {
            table.row([
                row.time.clone(),
                row.event.generation.to_string(),
                row.event.members.to_string(),
                row.event.moved.len().to_string(),
                or_dash(row.event.still_ms.map(ms_text)),
                or_dash(row.event.silent_ms.map(ms_text)),
                row.text.clone(),
            ]);
        }
        text.push_str(&table.render());
        for row in &self.members {
            let _ = writeln!(text, "{} owns {}", row.member, row.partitions.join(" "));
        }
        let read = &self.read;
        let _ = writeln!(
            text,
            "read __consumer_offsets-{} from {} to {} ({}){}",
            read.partition,
            read.from_offset,
            read.to_offset,
            bytes_text(i64::try_from(read.bytes).unwrap_or(i64::MAX)),
            if read.whole && read.gapless_from == 0 {
                "; nothing is missing"
            } else if read.whole {
                "; of what is older, compaction left how it was"
            } else {
                "; --bytes reads further back"
            },
        );
        if read.unread > 0 {
            let _ = writeln!(text, "{} records could not be understood", read.unread);
        }
        text
    }
}

/// A length of time with its unit.
pub(super) fn ms_text(ms: i64) -> String {
    match ms {
        ..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{:.1}s", ms as f64 / 1e3),
        60_000..3_600_000 => format!("{}m{}s", ms / 60_000, ms / 1_000 % 60),
        3_600_000..86_400_000 => format!("{}h{}m", ms / 3_600_000, ms / 60_000 % 60),
        _ => format!("{}d{}h", ms / 86_400_000, ms / 3_600_000 % 24),
    }
}

fn drain_text(drain: Drain) -> String {
    match drain {
        Drain::AtEnd => "at the end".to_owned(),
        Drain::In { ms } => ms_text(ms),
        Drain::Never => "never".to_owned(),
    }
}

/// A group's lag in every way.
#[derive(Clone, Debug, Serialize)]
pub struct GroupLagJson {
    pub group: String,
    /// Records, over all partitions with a commit; null where nothing is committed.
    pub lag: Option<i64>,
    /// As `lag`, without what open transactions hold back.
    pub committed_lag: Option<i64>,
    /// How old the oldest is that waits.
    pub lag_ms: Option<i64>,
    pub drain: Option<Drain>,
    /// Burrow's, the worst of all partitions.
    pub verdict: Option<String>,
    pub overtaken_in_ms: Option<i64>,
    pub partitions: Vec<LagDetailRow>,
    /// Why there is no verdict, where the commits could not be read.
    pub missing: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LagDetailRow {
    pub topic: String,
    pub partition: i32,
    pub committed: Option<i64>,
    pub log_start: Option<i64>,
    pub log_end: Option<i64>,
    pub lag: Option<i64>,
    /// Why the lag is not simply a number.
    pub reason: Option<String>,
    pub committed_lag: Option<i64>,
    /// Records that retention removed before they were read.
    pub lost: Option<i64>,
    pub lag_ms: Option<i64>,
    /// What `lag_ms` was told from: the record itself, or points in time around it.
    pub lag_ms_by: Option<TimeBy>,
    /// Records a second.
    pub read_rate: Option<f64>,
    pub write_rate: Option<f64>,
    pub drain: Option<Drain>,
    pub verdict: Option<String>,
    pub rule: Option<&'static str>,
    /// How much of Burrow's window there is, from 0 to 1.
    pub complete: Option<f64>,
    /// Until retention may remove what it has not read.
    pub overtaken_in_ms: Option<i64>,
}

/// The lag of a group that was looked at.
pub fn group_lag_detail(look: &GroupLook, id: &str, metadata: &ClusterMetadata) -> GroupLagJson {
    let detail: GroupDetail = group_detail(look, metadata);
    let row = |detail: &LagDetail| LagDetailRow {
        topic: detail.row.topic.to_string(),
        partition: detail.row.partition,
        committed: detail.row.committed,
        log_start: detail.row.log_start,
        log_end: detail.row.log_end,
        lag: detail.row.lag.records(),
        reason: detail.row.lag.reason(),
        committed_lag: detail.committed_lag,
        lost: detail.row.lost,
        lag_ms: detail.lag_ms.map(|(ms, _)| ms),
        lag_ms_by: detail.lag_ms.map(|(_, by)| by),
        read_rate: detail.read_rate,
        write_rate: detail.write_rate,
        drain: detail.drain,
        verdict: detail
            .judged
            .as_ref()
            .map(|j| j.verdict.as_str().to_owned()),
        rule: detail.judged.as_ref().map(|j| j.rule),
        complete: detail.judged.as_ref().map(|j| j.complete),
        overtaken_in_ms: detail.overtaken_in_ms,
    };
    GroupLagJson {
        group: id.to_owned(),
        lag: detail.lag.records(),
        committed_lag: detail.committed_lag(),
        lag_ms: detail.lag_ms().map(|(ms, _)| ms),
        drain: detail.drain(),
        verdict: detail.worst().map(|(_, j)| j.verdict.as_str().to_owned()),
        overtaken_in_ms: detail.overtaken_in_ms(),
        partitions: detail.partitions.iter().map(row).collect(),
        missing: match &look.log {
            Some(Err(fault)) => Some(fault.to_string()),
            _ => None,
        },
    }
}

impl Printable for GroupLagJson {
    fn table(&self) -> String {
        let mut text = format!(
            "Group {}  lag {}  time {}  drain {}  verdict {}  retention in {}\n\n",
            self.group,
            or_dash(self.lag),
            or_dash(self.lag_ms.map(ms_text)),
            or_dash(self.drain.map(drain_text)),
            or_dash(self.verdict.clone()),
            or_dash(self.overtaken_in_ms.map(ms_text)),
        );
        let mut table = Table::new(&[
            "TOPIC",
            ">PARTITION",
            ">COMMITTED",
            ">END",
            ">LAG",
            ">COMMITTED ONLY",
            ">TIME",
            ">DRAIN",
            "VERDICT",
            ">RETENTION IN",
            "NOTE",
        ]);
        for row in &self.partitions {
            let mark = match row.lag_ms_by {
                Some(TimeBy::Interpolated) => "~",
                _ => "",
            };
            let lost = row.lost.map(|n| format!("{n} records were removed unread"));
            let rule = row.rule.filter(|_| row.verdict.as_deref() != Some("ok"));
            let notes = row.reason.clone().into_iter().chain(lost);
            let notes: Vec<String> = notes.chain(rule.map(str::to_owned)).collect();
            table.row([
                row.topic.clone(),
                row.partition.to_string(),
                or_dash(row.committed),
                or_dash(row.log_end),
                or_dash(row.lag),
                or_dash(row.committed_lag),
                or_dash(row.lag_ms.map(|ms| format!("{mark}{}", ms_text(ms)))),
                or_dash(row.drain.map(drain_text)),
                or_dash(row.verdict.clone()),
                or_dash(row.overtaken_in_ms.map(ms_text)),
                notes.join("; "),
            ]);
        }
        text.push_str(&table.render());
        text.push_str("a time with ~ is interpolated, others are of the record itself\n");
        if let Some(missing) = &self.missing {
            let _ = writeln!(text, "no verdicts: {missing}");
        }
        text
    }
}
