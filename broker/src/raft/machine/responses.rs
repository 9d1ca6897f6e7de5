//! What all responses have in common: news of the leader and its epoch.
//!
//! Kafka: `KafkaRaftClient.maybeHandleCommonResponse` and `maybeTransition` (4.3).

use kafka_shared::error::ErrorCode;

use super::super::rpc::{CurrentLeader, Response};
use super::connections::Kind;
use super::roles::Role;
use super::{Peer, Raft};

/// Whether a response needs no further look.
pub(super) enum Handled {
    /// Done with; whether the peer can be asked again at once.
    Here(bool),
    NotYet,
}

impl Raft {
    pub(super) fn response(
        &mut self,
        now_ms: i64,
        correlation_id: u64,
        result: Result<Response, ErrorCode>,
    ) {
        let Some((peer, kind)) = self.connections.expected(correlation_id) else {
            return;
        };
        if result.is_ok() {
            self.unreachable.remove(&peer);
        }
        let is_good = match result {
            Ok(response) => self.answered(now_ms, correlation_id, peer, kind, response),
            Err(error) => self.send_failed(now_ms, peer, kind, error),
        };
        self.connections.finished(correlation_id, is_good, now_ms);
    }

    fn answered(
        &mut self,
        now_ms: i64,
        correlation_id: u64,
        peer: Peer,
        kind: Kind,
        response: Response,
    ) -> bool {
        match (kind, response) {
            (Kind::Vote, Response::Vote(response)) => self.vote_received(now_ms, peer, &response),
            (Kind::BeginQuorumEpoch, Response::BeginQuorumEpoch(response)) => {
                match self.common_response(now_ms, response.error, &response.leader) {
                    Handled::Here(is_good) => is_good,
                    Handled::NotYet => response.error == ErrorCode::NONE,
                }
            }
            (Kind::EndQuorumEpoch, Response::EndQuorumEpoch(response)) => {
                self.resignation_acked(now_ms, peer, &response)
            }
            (Kind::Fetch, Response::Fetch(response)) => {
                self.fetched(now_ms, correlation_id, response)
            }
            (Kind::FetchSnapshot, Response::FetchSnapshot(response)) => {
                self.snapshot_fetched(now_ms, correlation_id, &response)
            }
            (Kind::UpdateRaftVoter, Response::UpdateRaftVoter(response)) => {
                self.voter_updated(now_ms, &response)
            }
            (Kind::AddRaftVoter, Response::AddRaftVoter(response)) => {
                self.joined(now_ms, response.error, ErrorCode::DUPLICATE_VOTER)
            }
            (Kind::RemoveRaftVoter, Response::RemoveRaftVoter(response)) => {
                self.joined(now_ms, response.error, ErrorCode::VOTER_NOT_FOUND)
            }
            (Kind::ApiVersions, Response::ApiVersions(response)) => {
                self.voter_probed(now_ms, peer, response.error, response.kraft_version)
            }
            (kind, _) => {
                self.fault(format!(
                    "another response than one to {kind:?} from {peer:?}"
                ));
                false
            }
        }
    }

    fn send_failed(&mut self, now_ms: i64, peer: Peer, kind: Kind, error: ErrorCode) -> bool {
        match (kind, error) {
            (Kind::Vote, ErrorCode::UNSUPPORTED_VERSION) => {
                return self.vote_not_understood(now_ms);
            }
            (Kind::ApiVersions, _) => {
                self.voter_probed(now_ms, peer, error, None);
            }
            (_, ErrorCode::NETWORK_EXCEPTION | ErrorCode::BROKER_NOT_AVAILABLE) => {
                if self.shutdown_until_ms.is_some() {
                    self.unreachable.insert(peer);
                }
                self.lost_contact(now_ms, peer);
            }
            (
                _,
                ErrorCode::CLUSTER_AUTHORIZATION_FAILED
                | ErrorCode::INCONSISTENT_CLUSTER_ID
                | ErrorCode::INVALID_REQUEST,
            ) => self.fault(format!("{peer:?} answers {kind:?} with {}", error.name())),
            _ => {}
        }
        false
    }

    /// Learns from a response who leads, and deals with the errors that any response may have.
    pub(super) fn common_response(
        &mut self,
        now_ms: i64,
        error: ErrorCode,
        leader: &CurrentLeader,
    ) -> Handled {
        let is_stale = matches!(
            error,
            ErrorCode::FENCED_LEADER_EPOCH | ErrorCode::NOT_LEADER_OR_FOLLOWER
        );
        if leader.epoch < self.epoch || error == ErrorCode::UNKNOWN_LEADER_EPOCH {
            // The responder is behind.
            return Handled::Here(true);
        }
        if leader.epoch > self.epoch || is_stale {
            return Handled::Here(self.leader_seen(now_ms, leader));
        }
        // A leader whose endpoint is not known is as good as none.
        let has_leader = self.leader_id().is_some() && !matches!(self.role, Role::Unattached(_));
        if leader.id.is_some() && !has_leader {
            // The new follower can use what the leader sent along.
            let is_seen = self.leader_seen(now_ms, leader);
            let is_follower = matches!(self.role, Role::Follower(_));
            let is_done = !is_seen || error != ErrorCode::NONE || !is_follower;
            return if is_done {
                Handled::Here(is_seen)
            } else {
                Handled::NotYet
            };
        }
        match error {
            ErrorCode::BROKER_NOT_AVAILABLE => Handled::Here(false),
            ErrorCode::INVALID_VOTER_KEY => Handled::Here(true),
            ErrorCode::INVALID_REQUEST => {
                self.fault("a request of this node is invalid to another".into());
                Handled::Here(false)
            }
            _ => Handled::NotYet,
        }
    }

    /// Follows what another node says of the leader. Returns whether it can be true.
    pub(super) fn leader_seen(&mut self, now_ms: i64, leader: &CurrentLeader) -> bool {
        if !self.is_consistent(leader) {
            let (id, epoch) = (leader.id, leader.epoch);
            self.fault(format!(
                "leader {id:?} of epoch {epoch} contradicts {:?} of epoch {}",
                self.leader_id(),
                self.epoch,
            ));
            return false;
        }
        let endpoints = self.endpoints_of(leader);
        match leader.id {
            Some(id) if leader.epoch > self.epoch && endpoints.is_empty() => {
                self.become_unattached(now_ms, leader.epoch, Some(id));
            }
            Some(id) if leader.epoch > self.epoch => {
                self.become_follower(now_ms, leader.epoch, id, endpoints);
            }
            None if leader.epoch > self.epoch => {
                self.become_unattached(now_ms, leader.epoch, None);
            }
            // News in the same epoch, or more listeners than were known.
            Some(id)
                if id != self.config.local.id
                    && endpoints.len() > self.current_leader().endpoints.len() =>
            {
                self.become_follower(now_ms, leader.epoch, id, endpoints);
            }
            _ => {}
        }
        true
    }

    fn is_consistent(&self, leader: &CurrentLeader) -> bool {
        match leader.id {
            // Nobody but this node can say that it leads.
            Some(id) if id == self.config.local.id => {
                leader.epoch <= self.epoch && self.leader_id() == Some(id)
            }
            Some(id) => {
                leader.epoch != self.epoch || self.leader_id().is_none_or(|known| known == id)
            }
            None => true,
        }
    }
}
