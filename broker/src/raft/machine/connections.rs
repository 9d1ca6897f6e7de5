//! One request at a time to each node: which wait for their answer, and which back off.
//!
//! Kafka: `raft/RequestManager.java` (4.3).

use std::collections::BTreeMap;

use super::Peer;

/// What kind of request waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Vote,
    BeginQuorumEpoch,
    EndQuorumEpoch,
    Fetch,
    FetchSnapshot,
    AddRaftVoter,
    RemoveRaftVoter,
    UpdateRaftVoter,
    ApiVersions,
}

#[derive(Debug, Clone, Copy)]
enum Connection {
    Waiting {
        correlation_id: u64,
        kind: Kind,
        until_ms: i64,
    },
    BackingOff {
        until_ms: i64,
    },
}

/// See the module. A node without an entry is ready.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    request_timeout_ms: i64,
    retry_backoff_ms: i64,
    next_correlation_id: u64,
    by_peer: BTreeMap<Peer, Connection>,
}

impl Connections {
    pub(super) fn new(request_timeout_ms: i64, retry_backoff_ms: i64) -> Self {
        Self {
            request_timeout_ms,
            retry_backoff_ms,
            next_correlation_id: 0,
            by_peer: BTreeMap::new(),
        }
    }

    /// Forgets everything: answers that still come are not expected any more.
    pub(super) fn reset_all(&mut self) {
        self.by_peer.clear();
    }

    pub(super) fn reset(&mut self, peer: Peer) {
        self.by_peer.remove(&peer);
    }

    /// Until when nothing can be sent to the peer; `None` if it is ready.
    pub(super) fn busy_until(&self, peer: Peer, now_ms: i64) -> Option<i64> {
        let until_ms = match self.by_peer.get(&peer)? {
            Connection::Waiting { until_ms, .. } | Connection::BackingOff { until_ms } => *until_ms,
        };
        (now_ms < until_ms).then_some(until_ms)
    }

    pub(super) fn has_timed_out(&self, peer: Peer, now_ms: i64) -> bool {
        matches!(
            self.by_peer.get(&peer),
            Some(Connection::Waiting { until_ms, .. }) if now_ms >= *until_ms
        )
    }

    pub(super) fn is_backing_off(&self, peer: Peer, now_ms: i64) -> bool {
        matches!(
            self.by_peer.get(&peer),
            Some(Connection::BackingOff { until_ms }) if now_ms < *until_ms
        )
    }

    /// Until when the answer to any request is waited for. Forgets what has timed out.
    pub(super) fn any_in_flight(&mut self, now_ms: i64) -> Option<i64> {
        self.by_peer.retain(|_, connection| match connection {
            Connection::Waiting { until_ms, .. } | Connection::BackingOff { until_ms } => {
                now_ms < *until_ms
            }
        });
        let waits = self
            .by_peer
            .values()
            .filter_map(|connection| match connection {
                Connection::Waiting { until_ms, .. } => Some(*until_ms),
                Connection::BackingOff { .. } => None,
            });
        waits.min()
    }

    /// Notes a request; returns its correlation id, and until when its answer is waited for.
    pub(super) fn sent(&mut self, peer: Peer, kind: Kind, now_ms: i64) -> (u64, i64) {
        self.next_correlation_id += 1;
        let until_ms = now_ms.saturating_add(self.request_timeout_ms);
        let connection = Connection::Waiting {
            correlation_id: self.next_correlation_id,
            kind,
            until_ms,
        };
        self.by_peer.insert(peer, connection);
        (self.next_correlation_id, until_ms)
    }

    /// Which request is answered by this; `None` if nobody waits for it.
    pub(super) fn expected(&self, id: u64) -> Option<(Peer, Kind)> {
        self.by_peer
            .iter()
            .find_map(|(peer, connection)| match connection {
                Connection::Waiting {
                    correlation_id,
                    kind,
                    ..
                } if *correlation_id == id => Some((*peer, *kind)),
                _ => None,
            })
    }

    /// The answer has been dealt with; after a bad one the peer is left alone for a while.
    pub(super) fn finished(&mut self, id: u64, is_good: bool, now_ms: i64) {
        let Some((peer, _)) = self.expected(id) else {
            return;
        };
        if is_good {
            self.reset(peer);
        } else {
            self.back_off(peer, now_ms);
        }
    }

    /// Leaves a peer alone for a while.
    pub(super) fn back_off(&mut self, peer: Peer, now_ms: i64) {
        let until_ms = now_ms.saturating_add(self.retry_backoff_ms);
        self.by_peer
            .insert(peer, Connection::BackingOff { until_ms });
    }
}
