//! Whether a broker that was restarted is whole again.

use crate::model::{ClusterSnapshot, TopicPartition};

/// A controller that is further behind does not keep up a majority yet.
const VOTER_LAG_MAX: i64 = 100;

/// What a broker that came back still lacks, in words; `None` when it lacks nothing: it serves, it
/// is in sync wherever it has a replica, and it votes if it is a voter.
pub fn still_lacks(snapshot: &ClusterSnapshot, broker: i32) -> Option<String> {
    let Some(metadata) = snapshot.metadata.get() else {
        return Some("the cluster was not read yet".to_owned());
    };
    if let Some(fault) = snapshot.metadata.fault() {
        return Some(format!("the cluster does not answer: {}", fault.why));
    }
    match metadata.broker(broker) {
        None => return Some(format!("broker {broker} is not in the cluster")),
        Some(found) if found.fenced == Some(true) => {
            return Some(format!("broker {broker} is fenced"));
        }
        Some(_) => {}
    }
    let is_out = |partition: &crate::model::Partition| {
        let is_wanted = partition.replicas.contains(&broker) && !partition.adding.contains(&broker);
        is_wanted && !partition.isr.contains(&broker)
    };
    let mut out = metadata.topics.iter().flat_map(|topic| {
        let out = topic.partitions.iter().filter(|p| is_out(p));
        out.map(|p| TopicPartition::new(&topic.name, p.id))
    });
    if let Some(first) = out.next() {
        let more = match out.count() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        return Some(format!("broker {broker} is out of sync in {first}{more}"));
    }
    let quorum = snapshot.quorum.get()?;
    let voter = quorum.voters.iter().find(|voter| voter.id == broker)?;
    let keeps_up = broker == quorum.leader_id || voter.lag.is_some_and(|lag| lag <= VOTER_LAG_MAX);
    (!keeps_up).then(|| format!("controller {broker} is behind the metadata"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::derive::test_topic;
    use crate::model::{Broker, ClusterMetadata, Quorum, QuorumReplica, Taken, Update};

    fn snapshot(isr: &[i32], fenced: bool, voter_lag: Option<i64>) -> ClusterSnapshot {
        let broker = Broker {
            id: 2,
            host: "h".to_owned(),
            port: 9092,
            rack: None,
            fenced: Some(fenced),
        };
        let metadata = ClusterMetadata {
            brokers: vec![broker],
            topics: vec![Arc::new(test_topic(
                "t",
                &[(&[1, 2], isr, 1), (&[1], &[1], 1)],
            ))],
            ..ClusterMetadata::default()
        };
        let voter = QuorumReplica {
            id: 2,
            directory_id: None,
            log_end_offset: 0,
            lag: voter_lag,
            last_fetch_ms: None,
            last_caught_up_ms: None,
        };
        let quorum = Quorum {
            leader_id: 1,
            voters: vec![voter],
            ..Quorum::default()
        };
        let mut snapshot = ClusterSnapshot::default();
        let at = Taken::default();
        snapshot.apply(Update::Metadata(Ok(Arc::new(metadata))), at);
        snapshot.apply(Update::Quorum(Ok(Arc::new(quorum))), at);
        snapshot
    }

    #[test]
    fn a_broker_is_back_when_it_serves_is_in_sync_and_votes() {
        let lacks = |isr: &[i32], fenced, lag| still_lacks(&snapshot(isr, fenced, lag), 2);
        assert_eq!(lacks(&[1, 2], false, Some(0)), None);
        for (found, text) in [
            (lacks(&[1, 2], true, Some(0)), "broker 2 is fenced"),
            (
                lacks(&[1], false, Some(0)),
                "broker 2 is out of sync in t-0",
            ),
            (
                lacks(&[1, 2], false, Some(500)),
                "controller 2 is behind the metadata",
            ),
            (
                lacks(&[1, 2], false, None),
                "controller 2 is behind the metadata",
            ),
            (
                still_lacks(&snapshot(&[1, 2], false, Some(0)), 3),
                "broker 3 is not in the cluster",
            ),
        ] {
            assert_eq!(found.as_deref(), Some(text));
        }
        let unread = still_lacks(&ClusterSnapshot::default(), 2);
        assert_eq!(unread.as_deref(), Some("the cluster was not read yet"));
    }
}
