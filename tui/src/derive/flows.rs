//! What flows through brokers and topics: from the counts that brokers tell of themselves where
//! they have a metrics endpoint, else from where logs end.

use std::collections::HashMap;

use crate::model::{BrokerMetrics, BrokerReading, ClusterSnapshot, Flow, Topic};

use super::{Total, partition_rate};

/// Growth of a count per second; `None` where no time has passed or it went back, as it does when
/// a broker starts anew.
fn growth(before: Option<f64>, now: Option<f64>, elapsed_ms: i64) -> Option<f64> {
    let grown = now? - before?;
    (elapsed_ms > 0 && grown >= 0.0).then(|| grown * 1_000.0 / elapsed_ms as f64)
}

/// The readings that a rate is between, and the time from one to the other.
fn pair(metrics: &BrokerMetrics) -> Option<(&BrokerReading, &BrokerReading, i64)> {
    let (before, now) = (metrics.before.as_deref()?, metrics.reading.get()?);
    let elapsed_ms = now.taken.monotonic_ms - before.taken.monotonic_ms;
    Some((before, now, elapsed_ms))
}

/// What flows through a broker per second, between its two newest readings; before there are two,
/// the broker's own average over a minute where it tells one.
pub fn broker_flow(metrics: &BrokerMetrics, flow: Flow) -> Option<f64> {
    let of_two = pair(metrics).and_then(|(before, now, elapsed_ms)| {
        growth(before.count(flow).total, now.count(flow).total, elapsed_ms)
    });
    of_two.or_else(|| metrics.reading.get()?.count(flow).one_minute)
}

/// What flows through a topic on one broker per second.
pub fn broker_topic_flow(metrics: &BrokerMetrics, topic: &str, flow: Flow) -> Option<f64> {
    let (before, now, elapsed_ms) = pair(metrics)?;
    let now = now.topic(topic)?.total(flow);
    // A topic that is told for the first time began after the reading before.
    let before = match before.topic(topic) {
        Some(counts) => counts.total(flow),
        None => Some(0.0),
    };
    growth(before, now, elapsed_ms)
}

/// What flows through a topic per second: a part for each broker that tells of it or leads a
/// partition of it. A broker that leads one, was asked and says nothing had nothing of it yet; of
/// one that was not asked yet, or has no endpoint, it is not known.
pub fn topic_flow(snapshot: &ClusterSnapshot, topic: &Topic, flow: Flow) -> Total<f64> {
    let leads = |id: i32| {
        topic
            .partitions
            .iter()
            .any(|partition| partition.leader == id)
    };
    let mut total = Total::new();
    for (id, metrics) in &snapshot.metrics {
        let tells = metrics
            .reading
            .get()
            .is_some_and(|reading| reading.topic(&topic.name).is_some());
        if tells {
            total.add(broker_topic_flow(metrics, &topic.name, flow));
        } else if leads(*id) && metrics.reading.get().is_none() {
            total.add(None);
        }
    }
    let mut silent: Vec<i32> = topic.partitions.iter().map(|of| of.leader).collect();
    silent.sort_unstable();
    silent.dedup();
    silent.retain(|leader| *leader >= 0 && !snapshot.metrics.contains_key(leader));
    silent.iter().for_each(|_| total.add(None));
    match total.n_parts() {
        0 => std::iter::once(None).collect(),
        _ => total,
    }
}

/// A broker's share of what flows through all of them, in percent, as CMAK has it; nothing until
/// all of them have told.
pub fn flow_share_percent(snapshot: &ClusterSnapshot, id: i32, flow: Flow) -> Option<f64> {
    let brokers = snapshot.metadata.get().map(|metadata| &metadata.brokers);
    let mut brokers = brokers.into_iter().flatten();
    if brokers.any(|broker| !snapshot.metrics.contains_key(&broker.id)) {
        return None;
    }
    let own = broker_flow(snapshot.metrics.get(&id)?, flow)?;
    let all: Total<f64> = snapshot
        .metrics
        .values()
        .map(|of| broker_flow(of, flow))
        .collect();
    let all = all.complete().filter(|all| *all > 0.0)?;
    Some(own / all * 100.0)
}

/// Records per second written to the partitions that each broker leads, between the two newest
/// reads of their ends; a part per partition.
pub fn leader_rates(snapshot: &ClusterSnapshot) -> HashMap<i32, Total<f64>> {
    let mut rates: HashMap<i32, Total<f64>> = HashMap::new();
    let Some(metadata) = snapshot.metadata.get() else {
        return rates;
    };
    let offsets = snapshot.offsets.get();
    for topic in &metadata.topics {
        let now = offsets.and_then(|all| all.get(&topic.name));
        let before = snapshot.offsets_before.get(&topic.name);
        let pair = now
            .zip(before)
            .filter(|(now, before)| now.topic_id == before.topic_id);
        for partition in topic
            .partitions
            .iter()
            .filter(|partition| partition.has_leader())
        {
            let rate = pair.and_then(|(now, before)| {
                let elapsed_ms = now.taken.monotonic_ms - before.taken.monotonic_ms;
                let older = before.partition(partition.id)?;
                partition_rate(older, now.partition(partition.id)?, elapsed_ms)
            });
            rates.entry(partition.leader).or_default().add(rate);
        }
    }
    rates
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Fault, Taken, TopicCounts, Update};

    fn taken(ms: i64) -> Taken {
        Taken {
            monotonic_ms: ms,
            wall_ms: ms,
        }
    }

    fn reading(ms: i64, bytes_in: f64, of_topic: Option<f64>) -> Arc<BrokerReading> {
        let mut reading = BrokerReading::new(taken(ms));
        reading.count_mut(Flow::BytesIn).total = Some(bytes_in);
        reading.count_mut(Flow::BytesIn).one_minute = Some(7.0);
        if let Some(value) = of_topic {
            let mut counts = TopicCounts::new("t".into());
            counts.add(Flow::BytesIn, value);
            reading.topics.push(counts);
        }
        Arc::new(reading)
    }

    fn told(readings: &[(i32, i64, f64, Option<f64>)]) -> ClusterSnapshot {
        let mut snapshot = ClusterSnapshot::default();
        let mut times: Vec<i64> = readings.iter().map(|of| of.1).collect();
        times.sort_unstable();
        times.dedup();
        for ms in times {
            let at = readings.iter().filter(|of| of.1 == ms);
            let results = at.map(|(id, ms, all, topic)| (*id, Ok(reading(*ms, *all, *topic))));
            snapshot.apply(Update::Metrics(results.collect()), taken(ms));
        }
        snapshot
    }

    #[test]
    fn rates_are_between_two_readings_that_are_far_enough_apart() {
        for (readings, wanted) in [
            (&[(1, 0, 100.0, None)][..], Some(7.0)),
            (&[(1, 0, 100.0, None), (1, 2_000, 300.0, None)], Some(100.0)),
            // Too close to the second: the first is what it is compared with.
            (
                &[
                    (1, 0, 100.0, None),
                    (1, 2_000, 300.0, None),
                    (1, 2_500, 350.0, None),
                ],
                Some(100.0),
            ),
            // The broker started anew.
            (&[(1, 0, 100.0, None), (1, 2_000, 3.0, None)], Some(7.0)),
        ] {
            let snapshot = told(readings);
            let flow = broker_flow(&snapshot.metrics[&1], Flow::BytesIn);
            assert_eq!(flow, wanted, "{readings:?}");
        }
    }

    #[test]
    fn topics_are_summed_over_brokers_and_a_missing_one_is_told() {
        let topic = crate::derive::test_topic("t", &[(&[1, 2], &[1, 2], 1), (&[3], &[3], 3)]);
        let mut snapshot = told(&[
            (1, 0, 0.0, Some(50.0)),
            (2, 0, 0.0, None),
            (1, 1_000, 10.0, Some(80.0)),
            (2, 1_000, 30.0, Some(5.0)),
        ]);
        let flow = topic_flow(&snapshot, &topic, Flow::BytesIn);
        // Broker 3 leads a partition and was not asked.
        assert_eq!((flow.complete(), flow.partial()), (None, Some(35.0)));
        assert_eq!(flow_share_percent(&snapshot, 1, Flow::BytesIn), Some(25.0));
        let refused = Arc::new(Fault::refused("read metrics", "no"));
        let known = (1, Ok(reading(2_000, 20.0, Some(90.0))));
        let all = vec![known, (3, Err(refused))];
        snapshot.apply(Update::Metrics(all), taken(2_000));
        let flow = topic_flow(&snapshot, &topic, Flow::BytesIn);
        assert_eq!((flow.complete(), flow.partial()), (None, Some(10.0)));
        assert_eq!(flow_share_percent(&snapshot, 1, Flow::BytesIn), None);
        let nobody = topic_flow(&ClusterSnapshot::default(), &topic, Flow::BytesIn);
        assert_eq!(nobody.partial(), None);
    }
}
