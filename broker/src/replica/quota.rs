//! Replication throttles: how fast data moves to or from replicas that are not in sync.
//!
//! Only the replicas named in `leader.replication.throttled.replicas` and
//! `follower.replication.throttled.replicas` of a topic are counted and held back, and of these only
//! the ones outside of the ISR: a throttle must not push a replica out of it. All their traffic
//! counts, also that of replicas in sync.
//!
//! Kafka: `server/ReplicationQuotaManager.java`, `server/ConfigHandler.scala`,
//! `common/metrics/stats/SimpleRate.java` (4.3), KIP-73.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use arc_swap::ArcSwap;
use kafka_shared::types::TopicPartition;
use parking_lot::Mutex;

/// Bytes per second over the last samples: the mean over the time that the samples cover, at least
/// the length of one.
#[derive(Debug, Clone)]
pub struct Rate {
    n_samples: usize,
    sample_ms: i64,
    /// (start, bytes), ascending.
    samples: VecDeque<(i64, f64)>,
}

impl Rate {
    pub fn new(n_samples: usize, sample_ms: i64) -> Self {
        Self {
            n_samples: n_samples.max(1),
            sample_ms: sample_ms.max(1),
            samples: VecDeque::new(),
        }
    }

    fn forget(&mut self, now_ms: i64) {
        let window_ms = self.sample_ms * i64::try_from(self.n_samples).unwrap_or(i64::MAX);
        while let Some((start_ms, _)) = self.samples.front()
            && now_ms - start_ms >= window_ms
        {
            self.samples.pop_front();
        }
    }

    pub fn record(&mut self, bytes: usize, now_ms: i64) {
        self.forget(now_ms);
        match self.samples.back_mut() {
            Some((start_ms, sum)) if now_ms - *start_ms < self.sample_ms => *sum += bytes as f64,
            _ => self.samples.push_back((now_ms, bytes as f64)),
        }
    }

    pub fn bytes_per_second(&mut self, now_ms: i64) -> f64 {
        self.forget(now_ms);
        let Some((oldest_ms, _)) = self.samples.front() else {
            return 0.0;
        };
        let elapsed_ms = (now_ms - oldest_ms).max(self.sample_ms);
        let total: f64 = self.samples.iter().map(|(_, bytes)| bytes).sum();
        total * 1000.0 / elapsed_ms as f64
    }
}

/// Which replicas of a topic are throttled on this broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThrottledReplicas {
    All,
    /// Those of these partitions.
    Partitions(HashSet<i32>),
}

impl ThrottledReplicas {
    /// Reads a topic's setting: `*`, or `partition:broker` separated by commas. `None` when no
    /// replica of `broker_id` is meant.
    pub fn parse(value: &str, broker_id: i32) -> Option<Self> {
        if value.trim() == "*" {
            return Some(Self::All);
        }
        let partitions: HashSet<i32> = value
            .split(',')
            .filter_map(|entry| {
                let (partition, broker) = entry.trim().split_once(':')?;
                let broker: i32 = broker.trim().parse().ok()?;
                (broker == broker_id).then(|| partition.trim().parse().ok())?
            })
            .collect();
        (!partitions.is_empty()).then_some(Self::Partitions(partitions))
    }

    fn contains(&self, partition: i32) -> bool {
        match self {
            Self::All => true,
            Self::Partitions(partitions) => partitions.contains(&partition),
        }
    }
}

#[derive(Debug)]
struct Bounded {
    rate: Rate,
    /// `None` for no limit.
    bytes_per_second_max: Option<i64>,
}

/// One direction's throttle.
#[derive(Debug)]
pub struct ReplicationQuota {
    throttled: ArcSwap<HashMap<Arc<str>, ThrottledReplicas>>,
    bounded: Mutex<Bounded>,
}

impl ReplicationQuota {
    /// A throttle without a limit. `n_samples` is `replication.quota.window.num`, `sample_ms` that
    /// of `replication.quota.window.size.seconds`.
    pub fn new(n_samples: usize, sample_ms: i64) -> Self {
        Self {
            throttled: ArcSwap::default(),
            bounded: Mutex::new(Bounded {
                rate: Rate::new(n_samples, sample_ms),
                bytes_per_second_max: None,
            }),
        }
    }

    /// Sets the limit in bytes per second; `None` for none.
    pub fn set_limit(&self, bytes_per_second_max: Option<i64>) {
        self.bounded.lock().bytes_per_second_max = bytes_per_second_max;
    }

    /// Says which replicas of a topic are throttled.
    pub fn set_throttled(&self, topic: &Arc<str>, replicas: Option<ThrottledReplicas>) {
        let known = self.throttled.load();
        if known.get(topic) == replicas.as_ref() {
            return;
        }
        let mut next = HashMap::clone(&known);
        match replicas {
            Some(replicas) => next.insert(Arc::clone(topic), replicas),
            None => next.remove(topic),
        };
        self.throttled.store(Arc::new(next));
    }

    /// Whether any replica is throttled.
    pub fn is_in_use(&self) -> bool {
        !self.throttled.load().is_empty()
    }

    pub fn is_throttled(&self, topic_partition: &TopicPartition) -> bool {
        let throttled = self.throttled.load();
        !throttled.is_empty()
            && throttled
                .get(&topic_partition.topic)
                .is_some_and(|replicas| replicas.contains(topic_partition.partition))
    }

    /// Whether more than the limit has passed lately.
    pub fn is_exceeded(&self, now_ms: i64) -> bool {
        let mut bounded = self.bounded.lock();
        let Some(limit) = bounded.bytes_per_second_max else {
            return false;
        };
        bounded.rate.bytes_per_second(now_ms) > limit as f64
    }

    /// Counts bytes of throttled replicas.
    pub fn record(&self, bytes: usize, now_ms: i64) {
        if bytes > 0 {
            self.bounded.lock().rate.record(bytes, now_ms);
        }
    }
}

/// The throttles of both directions.
#[derive(Debug)]
pub struct ReplicationQuotas {
    /// Of data that followers fetch from this broker.
    pub leader: ReplicationQuota,
    /// Of data that this broker fetches from leaders.
    pub follower: ReplicationQuota,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_mean_over_the_samples() {
        let mut rate = Rate::new(3, 1000);
        assert_eq!(rate.bytes_per_second(0), 0.0);
        rate.record(500, 0);
        // A single moment counts as one sample's time.
        assert_eq!(rate.bytes_per_second(10), 500.0);
        rate.record(1500, 900);
        rate.record(2000, 1000);
        assert_eq!(rate.bytes_per_second(2000), 2000.0);
        // The first sample is gone, the second one covers two seconds.
        assert_eq!(rate.bytes_per_second(3000), 1000.0);
        assert_eq!(rate.bytes_per_second(4000), 0.0);
    }

    #[test]
    fn the_setting_names_partitions_of_this_broker() {
        let partitions =
            |ids: &[i32]| Some(ThrottledReplicas::Partitions(ids.iter().copied().collect()));
        for (value, expected) in [
            ("*", Some(ThrottledReplicas::All)),
            ("", None),
            ("none", None),
            ("0:1,1:2, 2:1", partitions(&[0, 2])),
            ("1:2", None),
        ] {
            assert_eq!(ThrottledReplicas::parse(value, 1), expected, "{value}");
        }
    }

    #[test]
    fn only_named_replicas_are_throttled_and_only_above_the_limit() {
        let quota = ReplicationQuota::new(11, 1000);
        let topic: Arc<str> = "t".into();
        let tp = |partition| TopicPartition::new("t", partition);
        assert!(!quota.is_throttled(&tp(0)));
        quota.set_throttled(&topic, ThrottledReplicas::parse("0:1", 1));
        assert!(quota.is_throttled(&tp(0)) && !quota.is_throttled(&tp(1)));
        quota.record(10_000, 0);
        assert!(!quota.is_exceeded(100));
        quota.set_limit(Some(5000));
        assert!(quota.is_exceeded(100));
        assert!(!quota.is_exceeded(2500));
        quota.set_throttled(&topic, None);
        assert!(!quota.is_throttled(&tp(0)) && !quota.is_in_use());
    }
}
