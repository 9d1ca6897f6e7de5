//! Votes, asked for and given.
//!
//! Kafka: `KafkaRaftClient.handleVoteRequest` and `handleVoteResponse` (4.3), KIP-996.

use kafka_shared::error::ErrorCode;

use super::super::rpc::{Request, VoteRequest, VoteResponse};
use super::super::voters::ReplicaKey;
use super::connections::Kind;
use super::responses::Handled;
use super::roles::{Role, Votes};
use super::{Peer, Raft};

impl Raft {
    pub(super) fn vote_requested(&mut self, now_ms: i64, request: &VoteRequest) -> VoteResponse {
        let (error, vote_granted) = match self.vote(now_ms, request) {
            Ok(is_granted) => (ErrorCode::NONE, is_granted),
            Err(error) => (error, false),
        };
        VoteResponse {
            error,
            leader: self.current_leader(),
            vote_granted,
        }
    }

    fn vote(&mut self, now_ms: i64, request: &VoteRequest) -> Result<bool, ErrorCode> {
        let VoteRequest { log, epoch, .. } = *request;
        // A candidate has never seen a leader in its new epoch. A prospective has not raised its
        // epoch, and may have records of it.
        let is_illegal = if request.pre_vote {
            log.last_epoch > epoch
        } else {
            log.last_epoch >= epoch
        };
        if log.end_offset < 0 || log.last_epoch < 0 || is_illegal {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        self.validate_voter_request(request.candidate.id, epoch)?;
        if epoch > self.epoch {
            self.become_unattached(now_ms, epoch, None);
        }
        if !self.is_meant(request.voter) {
            return Err(ErrorCode::INVALID_VOTER_KEY);
        }
        let is_up_to_date = log.is_up_to_date_with(self.log.end());
        let is_granted = if request.pre_vote {
            self.would_vote(is_up_to_date)
        } else {
            self.may_vote(request.candidate, is_up_to_date)
        };
        if is_granted && !request.pre_vote && self.voted.is_none() {
            self.give_vote(now_ms, request.candidate);
        }
        if !is_granted && request.pre_vote {
            self.ask_again(request.candidate);
        }
        Ok(is_granted)
    }

    /// A voter that asks for pre-votes hears of no leader itself, whatever it has answered before.
    ///
    /// Differs from Kafka, where an answer stands for the whole election: of two followers that
    /// notice one after the other that the leader is gone, the first may be the only one that can
    /// win, and would begin anew only after an election time-out and a fetch time-out.
    fn ask_again(&mut self, voter: ReplicaKey) {
        if let Role::Prospective(role) = &mut self.role {
            role.votes.reopen(voter);
        }
    }

    /// A leader is a good reason to refuse, as long as this node hears of it.
    fn would_vote(&self, is_up_to_date: bool) -> bool {
        match &self.role {
            Role::Leader(_) => false,
            Role::Follower(role) => is_up_to_date && !role.has_fetched,
            _ => is_up_to_date,
        }
    }

    fn may_vote(&self, candidate: ReplicaKey, is_up_to_date: bool) -> bool {
        let leader_id = match &self.role {
            Role::Unattached(role) => role.leader_id,
            Role::Prospective(role) => role.leader_id,
            _ => return false,
        };
        match self.voted {
            Some(voted) => voted.matches(candidate),
            None => {
                let is_other = candidate.id != self.config.local.id;
                is_other && leader_id.is_none() && is_up_to_date
            }
        }
    }

    /// Whoever gets the vote has as good a chance as this node, which waits anew.
    fn give_vote(&mut self, now_ms: i64, candidate: ReplicaKey) {
        let deadline = self.election_deadline(now_ms);
        let votes = Votes::new(self.log.voters(), self.config.local);
        self.voted = Some(candidate);
        match &mut self.role {
            Role::Unattached(role) if role.deadline_ms < i64::MAX => role.deadline_ms = deadline,
            Role::Prospective(role) => {
                role.deadline_ms = deadline;
                role.votes = votes;
            }
            _ => {}
        }
        self.persist();
    }

    /// What Vote, BeginQuorumEpoch and EndQuorumEpoch have in common.
    pub(super) fn validate_voter_request(&self, sender: i32, epoch: i32) -> Result<(), ErrorCode> {
        if epoch < self.epoch {
            Err(ErrorCode::FENCED_LEADER_EPOCH)
        } else if sender < 0 {
            Err(ErrorCode::INVALID_REQUEST)
        } else {
            Ok(())
        }
    }

    /// Whether the sender means this very replica.
    pub(super) fn is_meant(&self, voter: Option<ReplicaKey>) -> bool {
        voter.is_none_or(|key| key.matches(self.config.local))
    }

    pub(super) fn vote_received(
        &mut self,
        now_ms: i64,
        peer: Peer,
        response: &VoteResponse,
    ) -> bool {
        match self.common_response(now_ms, response.error, &response.leader) {
            Handled::Here(is_good) => return is_good,
            Handled::NotYet => {}
        }
        if response.error != ErrorCode::NONE {
            return false;
        }
        let (Peer::Node(id), Role::Prospective(role) | Role::Candidate(role)) =
            (peer, &mut self.role)
        else {
            return true;
        };
        role.votes.record(id, response.vote_granted);
        if !response.vote_granted {
            self.try_again_soon(now_ms);
        }
        self.election_progressed(now_ms);
        true
    }

    /// Two candidates may have taken each other's votes.
    ///
    /// Differs from Kafka, where both wait for a whole election time-out if a third voter doesn't
    /// answer. What comes next is a pre-vote, which one that can't win loses.
    fn try_again_soon(&mut self, now_ms: i64) {
        let quarter = (self.config.election_timeout_ms / 4).max(1).unsigned_abs();
        let wait = quarter / 4 + self.random_below(quarter);
        let soon_ms = now_ms.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX));
        if let Role::Candidate(role) = &mut self.role {
            role.deadline_ms = role.deadline_ms.min(soon_ms);
        }
    }

    /// A vote can't be asked for in this way: the voter knows no pre-votes.
    pub(super) fn vote_not_understood(&mut self, now_ms: i64) -> bool {
        let is_prospective = matches!(self.role, Role::Prospective(_));
        if is_prospective {
            self.become_candidate(now_ms);
        }
        is_prospective
    }

    /// Goes on if the election is won. One that is lost is dealt with by the next poll.
    pub(super) fn election_progressed(&mut self, now_ms: i64) {
        match &self.role {
            Role::Prospective(role) if role.votes.is_won() => self.become_candidate(now_ms),
            Role::Candidate(role) if role.votes.is_won() => {
                let granting = role.votes.granting();
                self.become_leader(now_ms, granting);
            }
            _ => {}
        }
    }

    pub(super) fn poll_nominee(&mut self, now_ms: i64) -> i64 {
        let is_shutting_down = self.shutdown_until_ms.is_some();
        let (role, pre_vote) = match &self.role {
            Role::Prospective(role) => (role, true),
            Role::Candidate(role) => (role, false),
            _ => return i64::MAX,
        };
        let deadline_ms = role.deadline_ms;
        let is_lost = role.votes.is_lost();
        let open = role.votes.open();
        let is_over = now_ms >= deadline_ms && !is_shutting_down;
        match pre_vote {
            true if is_lost || is_over => {
                self.give_up_nomination(now_ms);
                return now_ms;
            }
            false if is_over => {
                self.become_prospective(now_ms);
                return now_ms;
            }
            _ => {}
        }
        let mut next_ms = if is_shutting_down {
            i64::MAX
        } else {
            deadline_ms
        };
        if !is_lost {
            for voter in open {
                next_ms = next_ms.min(self.ask_for_vote(now_ms, voter, pre_vote));
            }
        }
        next_ms
    }

    fn ask_for_vote(&mut self, now_ms: i64, voter: ReplicaKey, pre_vote: bool) -> i64 {
        self.send_to_voter(now_ms, voter.id, Kind::Vote, |raft| {
            raft.ensure_flushed();
            Request::Vote(VoteRequest {
                candidate: raft.config.local,
                epoch: raft.epoch,
                voter: Some(voter),
                log: raft.log.end(),
                pre_vote,
            })
        })
    }

    /// A prospective goes back to where it came from.
    fn give_up_nomination(&mut self, now_ms: i64) {
        let Role::Prospective(role) = &self.role else {
            return;
        };
        let (leader_id, endpoints) = (role.leader_id, role.endpoints.clone());
        match leader_id {
            Some(id) if !endpoints.is_empty() && id != self.config.local.id => {
                self.become_follower(now_ms, self.epoch, id, endpoints);
            }
            _ => self.become_unattached(now_ms, self.epoch, leader_id),
        }
    }
}
