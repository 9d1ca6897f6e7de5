//! What flows through brokers and topics, as it stands on their screens: what the brokers tell of
//! themselves where they have a metrics endpoint, else messages by where logs end.

use std::collections::HashMap;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::cells;
use crate::derive::{self, Total};
use crate::model::{BrokerMetrics, BrokerReading, Flow, Topic};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::Part;
use crate::ui::widgets::frame;

/// Notices of brokers whose endpoints fail; more of them would hide the list.
const NOTICES_MAX: usize = 3;

/// One broker's figures.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// Per second.
    pub messages: Total<f64>,
    pub bytes_in: Option<f64>,
    pub bytes_out: Option<f64>,
    pub handlers_idle: Option<f64>,
    /// Used of the heap, in percent.
    pub heap_percent: Option<f64>,
    /// The broker tells them; else the messages are by where logs end.
    pub is_told: bool,
    /// The newest attempt to ask failed.
    pub is_old: bool,
}

/// The figures of many brokers.
pub struct Traffics<'a> {
    cx: &'a Cx<'a>,
    by_leader: HashMap<i32, Total<f64>>,
}

impl<'a> Traffics<'a> {
    pub fn new(cx: &'a Cx<'a>, mut ids: impl Iterator<Item = i32>) -> Self {
        let tells = |id: i32| told(cx, id).is_some();
        // A walk over all partitions, which is of no use where every broker tells.
        let by_leader = match ids.all(tells) {
            true => HashMap::new(),
            false => derive::leader_rates(cx.snapshot),
        };
        Self { cx, by_leader }
    }

    pub fn of(&self, id: i32) -> Traffic {
        let Some((metrics, reading)) = told(self.cx, id) else {
            return Traffic {
                messages: self.by_leader.get(&id).copied().unwrap_or_default(),
                ..Traffic::default()
            };
        };
        let flow = |flow| derive::broker_flow(metrics, flow);
        let heap = reading.heap_used_bytes.zip(reading.heap_max_bytes);
        Traffic {
            messages: std::iter::once(flow(Flow::MessagesIn)).collect(),
            bytes_in: flow(Flow::BytesIn),
            bytes_out: flow(Flow::BytesOut),
            handlers_idle: reading.handlers_idle,
            heap_percent: heap
                .filter(|(_, max)| *max > 0.0)
                .map(|(used, max)| used / max * 100.0),
            is_told: true,
            is_old: metrics.reading.fault().is_some(),
        }
    }
}

fn told<'a>(cx: &Cx<'a>, id: i32) -> Option<(&'a BrokerMetrics, &'a BrokerReading)> {
    let metrics = cx.snapshot.metrics.get(&id)?;
    Some((metrics, metrics.reading.get()?))
}

/// Where the messages per second of the list come from, for its title.
pub fn source(told: usize, of: usize) -> String {
    match told {
        0 => "messages/s by log ends".to_owned(),
        n if n == of => "rates by metrics".to_owned(),
        n => format!("rates by metrics of {n}, others by log ends"),
    }
}

/// The endpoints that fail, with the age of what stands there.
pub fn parts(cx: &Cx<'_>, only: Option<i32>) -> Vec<Part> {
    let wanted = cx.snapshot.metrics.iter();
    let wanted = wanted.filter(|(id, _)| only.is_none_or(|only| only == **id));
    let failing = wanted.filter_map(|(id, metrics)| {
        let fault = metrics.reading.fault()?;
        let mut fault = crate::model::Fault::clone(fault);
        if only.is_none() {
            fault.why = format!("broker {id}: {}", fault.why);
        }
        Some(Part {
            name: "metrics",
            taken: metrics.reading.taken(),
            fault: Some(Arc::new(fault)),
        })
    });
    failing.take(NOTICES_MAX).collect()
}

/// A number that is dim where it is old.
pub fn cell(text: Option<String>, traffic: &Traffic, cx: &Cx<'_>) -> Span<'static> {
    match text {
        None if traffic.is_told => cells::dim(format::UNKNOWN, cx),
        None => cells::dim(format::NONE, cx),
        Some(text) if traffic.is_old => cells::dim(text, cx),
        Some(text) => cells::plain(text, cx),
    }
}

/// Bytes a second.
#[allow(
    clippy::cast_possible_truncation,
    reason = "a fraction of a byte is not shown"
)]
pub fn bytes_rate(per_second: f64) -> String {
    format!("{}/s", format::bytes(per_second.round() as i64))
}

pub fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

fn or_unknown(text: Option<String>) -> String {
    text.unwrap_or_else(|| format::UNKNOWN.to_owned())
}

/// What is known of one broker, a line each: the text and whether a person should look at it.
pub fn broker_lines(id: i32, cx: &Cx<'_>) -> Vec<(String, bool)> {
    let Some((metrics, reading)) = told(cx, id) else {
        let rate = Traffics::new(cx, [id].into_iter()).of(id).messages;
        let rate = format::total(&rate, format::rate);
        let why = match cx.snapshot.metrics.contains_key(&id) {
            true => "its metrics were not read",
            false => "no metrics endpoint",
        };
        let text = format!("messages {rate} by the log ends of what it leads; {why}");
        return vec![(text, false)];
    };
    let flow = |flow| derive::broker_flow(metrics, flow);
    let with_share = |kind: Flow, show: fn(f64) -> String| {
        let share = derive::flow_share_percent(cx.snapshot, id, kind);
        let share = share.map(|share| format!(" ({share:.3}%)"));
        format!(
            "{}{}",
            or_unknown(flow(kind).map(show)),
            share.unwrap_or_default()
        )
    };
    let mut lines = vec![(
        format!(
            "metrics of {}  messages {}  in {}  out {}",
            format::clock_ms(reading.taken.wall_ms),
            with_share(Flow::MessagesIn, format::rate),
            with_share(Flow::BytesIn, bytes_rate),
            with_share(Flow::BytesOut, bytes_rate),
        ),
        false,
    )];
    lines.extend(trouble(reading, &flow));
    lines.extend(load(reading, &flow));
    if reading.bad_lines > 0 {
        let n = format::plural(reading.bad_lines, "line");
        lines.push((format!("{n} of its page can't be read"), true));
    }
    lines
}

/// What should be zero.
fn trouble(reading: &BrokerReading, flow: &impl Fn(Flow) -> Option<f64>) -> Option<(String, bool)> {
    let whole = |n: Option<f64>| n.map(|n| format!("{n:.0}"));
    let all = [
        (
            "under-replicated",
            reading.under_replicated,
            whole(reading.under_replicated),
        ),
        (
            "under min ISR",
            reading.under_min_isr,
            whole(reading.under_min_isr),
        ),
        (
            "rejected",
            flow(Flow::BytesRejected),
            flow(Flow::BytesRejected).map(bytes_rate),
        ),
        (
            "failed produces",
            flow(Flow::FailedProduces),
            flow(Flow::FailedProduces).map(format::rate),
        ),
        (
            "failed fetches",
            flow(Flow::FailedFetches),
            flow(Flow::FailedFetches).map(format::rate),
        ),
    ];
    let is_bad = all.iter().any(|(_, n, _)| n.is_some_and(|n| n > 0.0));
    line(all.map(|(what, _, text)| (what, text))).map(|text| (text, is_bad))
}

/// How busy it is.
fn load(reading: &BrokerReading, flow: &impl Fn(Flow) -> Option<f64>) -> Option<(String, bool)> {
    let ms = |ms: Option<f64>| ms.map(|ms| format!("{ms:.1} ms"));
    let heap = reading.heap_used_bytes.map(|used| {
        let of = reading
            .heap_max_bytes
            .map(|max| format!(" of {}", whole_bytes(max)));
        format!("{}{}", whole_bytes(used), of.unwrap_or_default())
    });
    let all = [
        ("handlers idle", reading.handlers_idle.map(percent)),
        ("network idle", reading.network_idle.map(percent)),
        (
            "cpu",
            flow(Flow::Cpu).map(|cores| format!("{cores:.2} cores")),
        ),
        ("heap", heap),
        ("p99 produce", ms(reading.produce_p99_ms)),
        ("fetch", ms(reading.fetch_p99_ms)),
        ("follower", ms(reading.follower_p99_ms)),
    ];
    let is_busy = reading.handlers_idle.is_some_and(|idle| idle < 0.3)
        || reading.network_idle.is_some_and(|idle| idle < 0.3);
    line(all).map(|text| (text, is_busy))
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a fraction of a byte is not shown"
)]
fn whole_bytes(n: f64) -> String {
    format::bytes(n.round() as i64)
}

fn line<const N: usize>(all: [(&str, Option<String>); N]) -> Option<String> {
    let known = all
        .into_iter()
        .filter_map(|(what, text)| Some(format!("{what} {}", text?)));
    let known: Vec<String> = known.collect();
    (!known.is_empty()).then(|| known.join("  "))
}

/// A topic's line, where brokers tell.
pub fn topic_line(topic: &Topic, cx: &Cx<'_>) -> Option<String> {
    // A recording knows no endpoints, only what they told.
    if cx.target.metrics.is_none() && cx.snapshot.metrics.is_empty() {
        return None;
    }
    let flow = |flow| derive::topic_flow(cx.snapshot, topic, flow);
    Some(format!(
        "by metrics  messages {}  in {}  out {}",
        format::total(&flow(Flow::MessagesIn), format::rate),
        format::total(&flow(Flow::BytesIn), bytes_rate),
        format::total(&flow(Flow::BytesOut), bytes_rate),
    ))
}

/// Draws lines one below the other; how many rows they took.
pub fn draw(lines: &[(String, Style)], area: Rect, buffer: &mut Buffer) -> u16 {
    let mut n = 0;
    for (text, style) in lines {
        for part in format::wrap(text, usize::from(area.width.saturating_sub(2))) {
            if n == area.height {
                return n;
            }
            let width = area.width.saturating_sub(1);
            frame::text(&part, *style, area.x + 1, area.y + n, width, buffer);
            n += 1;
        }
    }
    n
}
