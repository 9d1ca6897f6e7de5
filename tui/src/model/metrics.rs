//! What brokers tell of themselves over a metrics endpoint.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::resource::{Fault, Resource, Taken};

/// Two readings that are closer together than this give no rate.
const RATE_MS_MIN: i64 = 1_000;

/// Something that a broker counts from its start on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    MessagesIn,
    BytesIn,
    BytesOut,
    BytesRejected,
    FailedProduces,
    FailedFetches,
    /// Seconds of one core.
    Cpu,
}

impl Flow {
    pub const ALL: [Self; 7] = [
        Self::MessagesIn,
        Self::BytesIn,
        Self::BytesOut,
        Self::BytesRejected,
        Self::FailedProduces,
        Self::FailedFetches,
        Self::Cpu,
    ];
    /// Those that are kept of every topic too.
    pub const OF_TOPICS: [Self; 3] = [Self::MessagesIn, Self::BytesIn, Self::BytesOut];
}

/// One of those counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    /// Since the broker started.
    pub total: Option<f64>,
    /// Per second, the broker's own average over the last minute.
    pub one_minute: Option<f64>,
}

/// A topic's counts on one broker. A cluster has many, so they are kept close together.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicCounts {
    pub name: Arc<str>,
    /// Since the broker started, in the order of [`Flow::OF_TOPICS`]; no number where unknown.
    totals: [f64; Flow::OF_TOPICS.len()],
}

impl TopicCounts {
    pub fn new(name: Arc<str>) -> Self {
        Self {
            name,
            totals: [f64::NAN; Flow::OF_TOPICS.len()],
        }
    }

    pub fn total(&self, flow: Flow) -> Option<f64> {
        let at = Flow::OF_TOPICS.iter().position(|of| *of == flow)?;
        Some(self.totals[at]).filter(|total| !total.is_nan())
    }

    /// Adds to what is known; a flow that is not kept of topics is dropped.
    pub fn add(&mut self, flow: Flow, value: f64) {
        if let Some(at) = Flow::OF_TOPICS.iter().position(|of| *of == flow) {
            let known = self.totals[at];
            self.totals[at] = if known.is_nan() { value } else { known + value };
        }
    }
}

/// One page of a broker, as far as it is understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerReading {
    /// When it was asked for.
    pub taken: Taken,
    counts: [Count; Flow::ALL.len()],
    /// Sorted by name. A broker tells of a topic once something was written to or read from it.
    pub topics: Vec<TopicCounts>,
    /// Topics beyond the number that is kept.
    pub topics_left_out: usize,
    pub under_replicated: Option<f64>,
    pub under_min_isr: Option<f64>,
    /// The share of time in which the threads that handle requests have nothing to do; 1 is always.
    pub handlers_idle: Option<f64>,
    /// The same of the threads that move bytes.
    pub network_idle: Option<f64>,
    pub heap_used_bytes: Option<f64>,
    pub heap_max_bytes: Option<f64>,
    /// 99 of 100 requests take no longer, in milliseconds.
    pub produce_p99_ms: Option<f64>,
    /// Of consumers; a fetch waits for records.
    pub fetch_p99_ms: Option<f64>,
    /// Of followers.
    pub follower_p99_ms: Option<f64>,
    /// Figures that were understood.
    pub figures: usize,
    /// Lines that are no samples.
    pub bad_lines: usize,
}

impl BrokerReading {
    /// Nothing is known yet.
    pub fn new(taken: Taken) -> Self {
        Self {
            taken,
            ..Self::default()
        }
    }

    pub fn count(&self, flow: Flow) -> Count {
        self.counts[flow as usize]
    }

    pub fn count_mut(&mut self, flow: Flow) -> &mut Count {
        &mut self.counts[flow as usize]
    }

    pub fn topic(&self, name: &str) -> Option<&TopicCounts> {
        let at = self
            .topics
            .binary_search_by(|topic| (*topic.name).cmp(name));
        self.topics.get(at.ok()?)
    }
}

/// What one broker told, and what it told before.
#[derive(Clone, Debug, Default)]
pub struct BrokerMetrics {
    pub reading: Resource<BrokerReading>,
    /// The newest one that is old enough for rates.
    pub before: Option<Arc<BrokerReading>>,
}

/// What came of asking brokers, by id: only those that have an endpoint.
pub type MetricsRead = Vec<(i32, Result<Arc<BrokerReading>, Arc<Fault>>)>;

impl BrokerMetrics {
    pub(super) fn apply(&mut self, result: Result<Arc<BrokerReading>, Arc<Fault>>, at: Taken) {
        if let (Ok(new), Some(old)) = (&result, self.reading.value()) {
            let apart_ms = new.taken.monotonic_ms - old.taken.monotonic_ms;
            if apart_ms >= RATE_MS_MIN {
                self.before = Some(Arc::clone(old));
            }
        }
        self.reading.apply(result, at);
    }
}
