//! Changes of the voter set and of kraft.version, by the leader.
//!
//! A change takes one control record. It is in force once it is in the log, and the next one has to
//! wait until it is committed, so that of two sets that may be in force any two majorities have a
//! voter in common. It has to wait too until a record of the leader's epoch is committed, as the log
//! may hold a change of an earlier leader.
//!
//! Kafka: `raft/internals/{Add,Remove,Update}VoterHandler.java`, `KRaftVersionUpgrade.java`,
//! `LeaderState.maybeAppendUpgradedKRaftVersion` (4.3), KIP-853.

use kafka_shared::error::ErrorCode;

use super::super::quorum_records::QuorumRecord;
use super::super::rpc::{
    AddRaftVoterRequest, RemoveRaftVoterRequest, Request, Response, UpdateRaftVoterRequest,
    UpdateRaftVoterResponse, VoterChangeResponse,
};
use super::super::voters::{ReplicaKey, VoterEndpoint, VoterNode, VoterSet, address};
use super::connections::Kind;
use super::roles::Role;
use super::{ControlRecord, Output, Peer, Raft};

/// A change that somebody waits for.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    change: Change,
    /// `None` once the answer is given.
    token: Option<u64>,
    /// Where the record is, once it is in the log.
    offset: Option<i64>,
    deadline_ms: i64,
}

#[derive(Debug, Clone)]
enum Change {
    /// The new voter is asked for the levels of kraft.version that it knows, and only then added.
    Add {
        voter: ReplicaKey,
        endpoints: Vec<VoterEndpoint>,
        ack_when_committed: bool,
        is_probed: bool,
    },
    Remove,
}

impl Pending {
    pub(super) fn appended_at(&mut self, offset: i64) {
        self.offset.get_or_insert(offset);
    }
}

/// How far a quorum of static voters is from kraft.version 1.
#[derive(Debug, Clone)]
pub(super) enum Upgrade {
    /// Nothing to do.
    None,
    /// What the voters have told of themselves.
    Voters(VoterSet),
    /// The level is on its way to the log.
    Version(i16),
}

/// Why a change can't be made.
type Refusal = (ErrorCode, String);

impl Raft {
    pub(super) fn requested_kraft_version(&self) -> Option<i16> {
        match &self.role {
            Role::Leader(leader) => match leader.upgrade {
                Upgrade::Version(version) => Some(version),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn add_voter(&mut self, now_ms: i64, token: u64, request: AddRaftVoterRequest) {
        if let Err((error, message)) = self.try_add_voter(now_ms, token, request) {
            self.outputs
                .push_back(reply_add(token, error, Some(message)));
        }
    }

    fn try_add_voter(
        &mut self,
        now_ms: i64,
        token: u64,
        request: AddRaftVoterRequest,
    ) -> Result<(), Refusal> {
        self.validate_leader_request(self.epoch)
            .map_err(|error| (error, error.message().to_owned()))?;
        let voter = request.voter;
        if voter.id < 0 || voter.directory_id.is_nil() {
            return Err((
                ErrorCode::INVALID_REQUEST,
                "a voter has an id and a directory id".into(),
            ));
        }
        let listener = self.config.listener_name.clone();
        let Some(address) = address(&request.endpoints, &listener) else {
            return Err((
                ErrorCode::INVALID_REQUEST,
                format!("the voter has no endpoint for the listener {listener}"),
            ));
        };
        let voters = self.changeable_voters(now_ms)?;
        if voters.get(voter.id).is_some() {
            return Err((
                ErrorCode::DUPLICATE_VOTER,
                format!(
                    "node {} is one of the voters {:?} already",
                    voter.id,
                    voters.ids()
                ),
            ));
        }
        let (is_sent, deadline_ms) = self.send(
            now_ms,
            Peer::Node(voter.id),
            address,
            Kind::ApiVersions,
            |_| Request::ApiVersions,
        );
        if !is_sent {
            return Err((
                ErrorCode::REQUEST_TIMED_OUT,
                format!("node {} can't be asked right now", voter.id),
            ));
        }
        self.set_pending(Pending {
            change: Change::Add {
                voter,
                endpoints: request.endpoints,
                ack_when_committed: request.ack_when_committed,
                is_probed: false,
            },
            token: Some(token),
            offset: None,
            deadline_ms,
        });
        Ok(())
    }

    /// The voter set, if it may be changed now.
    fn changeable_voters(&mut self, now_ms: i64) -> Result<VoterSet, Refusal> {
        let not_now = |what: &str| (ErrorCode::REQUEST_TIMED_OUT, what.to_owned());
        self.expire_voter_change(now_ms);
        let Role::Leader(leader) = &self.role else {
            return Err((ErrorCode::NOT_LEADER_OR_FOLLOWER, "not the leader".into()));
        };
        if leader.pending.is_some() || leader.voters_queued {
            return Err(not_now("the change of another voter is not done yet"));
        }
        let Some(high_watermark) = leader.high_watermark else {
            return Err(not_now("the new leader has committed nothing yet"));
        };
        if self.log.kraft_version() == 0 {
            return Err((
                ErrorCode::UNSUPPORTED_VERSION,
                "voters can't be changed at kraft.version 0".into(),
            ));
        }
        match self.log.voters_offset() {
            Some(offset) if offset < high_watermark => Ok(self.log.voters().clone()),
            _ => Err(not_now(
                "the last change of the voters is not committed yet",
            )),
        }
    }

    fn set_pending(&mut self, pending: Pending) {
        if let Role::Leader(leader) = &mut self.role {
            leader.pending = Some(pending);
        }
    }

    fn take_pending(&mut self) -> Option<Pending> {
        match &mut self.role {
            Role::Leader(leader) => leader.pending.take(),
            _ => None,
        }
    }

    /// The voter to be added has told its levels of kraft.version, or has not.
    pub(super) fn voter_probed(
        &mut self,
        now_ms: i64,
        peer: Peer,
        error: ErrorCode,
        levels: Option<(i16, i16)>,
    ) -> bool {
        let is_awaited = match &self.role {
            Role::Leader(leader) => leader.pending.as_ref().is_some_and(|pending| {
                matches!(
                    &pending.change,
                    Change::Add { voter, is_probed: false, .. } if Peer::Node(voter.id) == peer
                )
            }),
            _ => false,
        };
        if !is_awaited {
            return true;
        }
        let Some(mut pending) = self.take_pending() else {
            return true;
        };
        match self.add_probed(now_ms, &mut pending, error, levels) {
            Ok(()) => self.set_pending(pending),
            Err((error, message)) => self.finish(pending, error, Some(message)),
        }
        error == ErrorCode::NONE
    }

    fn add_probed(
        &mut self,
        now_ms: i64,
        pending: &mut Pending,
        error: ErrorCode,
        levels: Option<(i16, i16)>,
    ) -> Result<(), Refusal> {
        let Change::Add {
            voter,
            endpoints,
            ack_when_committed,
            is_probed,
        } = &mut pending.change
        else {
            return Ok(());
        };
        if error != ErrorCode::NONE {
            return Err((
                ErrorCode::REQUEST_TIMED_OUT,
                format!(
                    "node {} answers ApiVersions with {}",
                    voter.id,
                    error.name()
                ),
            ));
        }
        let kraft_version = self.log.kraft_version();
        let (min, max) = levels.unwrap_or((0, 0));
        if !(min..=max).contains(&kraft_version) {
            return Err((
                ErrorCode::INVALID_REQUEST,
                format!(
                    "node {} knows kraft.version {min} to {max}, and {kraft_version} is in use",
                    voter.id
                ),
            ));
        }
        let is_caught_up = match &self.role {
            Role::Leader(leader) => leader.is_caught_up(*voter, now_ms),
            _ => false,
        };
        if !is_caught_up {
            return Err((
                ErrorCode::REQUEST_TIMED_OUT,
                format!("node {} has not caught up with the leader", voter.id),
            ));
        }
        *is_probed = true;
        let voters = self.log.voters().with(VoterNode {
            key: *voter,
            endpoints: endpoints.clone(),
            kraft_version_min: min,
            kraft_version_max: max,
        });
        if !*ack_when_committed && let Some(token) = pending.token.take() {
            self.outputs
                .push_back(reply_add(token, ErrorCode::NONE, None));
        }
        self.append_voters(voters);
        Ok(())
    }

    fn append_voters(&mut self, voters: VoterSet) {
        self.append_control(vec![ControlRecord::Quorum(QuorumRecord::Voters(voters))]);
    }

    pub(super) fn remove_voter(
        &mut self,
        now_ms: i64,
        token: u64,
        request: RemoveRaftVoterRequest,
    ) {
        if let Err((error, message)) = self.try_remove_voter(now_ms, token, request.voter) {
            self.outputs
                .push_back(reply_remove(token, error, Some(message)));
        }
    }

    fn try_remove_voter(
        &mut self,
        now_ms: i64,
        token: u64,
        voter: ReplicaKey,
    ) -> Result<(), Refusal> {
        self.validate_leader_request(self.epoch)
            .map_err(|error| (error, error.message().to_owned()))?;
        if voter.id < 0 || voter.directory_id.is_nil() {
            return Err((
                ErrorCode::INVALID_REQUEST,
                "a voter has an id and a directory id".into(),
            ));
        }
        let voters = self.changeable_voters(now_ms)?;
        let Some(rest) = voters.without(voter) else {
            return Err((
                ErrorCode::VOTER_NOT_FOUND,
                format!(
                    "{voter:?} can't be removed from the voters {:?}: it is none of them, or the last",
                    voters.ids()
                ),
            ));
        };
        self.append_voters(rest);
        self.set_pending(Pending {
            change: Change::Remove,
            token: Some(token),
            offset: None,
            deadline_ms: now_ms.saturating_add(self.config.request_timeout_ms),
        });
        Ok(())
    }

    pub(super) fn update_voter(
        &mut self,
        now_ms: i64,
        request: UpdateRaftVoterRequest,
    ) -> UpdateRaftVoterResponse {
        let error = self.try_update_voter(now_ms, request).err();
        UpdateRaftVoterResponse {
            error: error.unwrap_or(ErrorCode::NONE),
            leader: self.current_leader(),
        }
    }

    fn try_update_voter(
        &mut self,
        now_ms: i64,
        request: UpdateRaftVoterRequest,
    ) -> Result<(), ErrorCode> {
        self.validate_leader_request(request.epoch)?;
        let (min, max) = (request.kraft_version_min, request.kraft_version_max);
        let kraft_version = self.log.kraft_version();
        let is_valid = request.voter.id >= 0
            && !request.voter.directory_id.is_nil()
            && address(&request.endpoints, &self.config.listener_name).is_some()
            && min >= 0
            && max >= min;
        if !is_valid {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let voter = VoterNode {
            key: request.voter,
            endpoints: request.endpoints,
            kraft_version_min: min,
            kraft_version_max: max,
        };
        if kraft_version == 0 {
            self.note_static_voter(voter)?;
        } else {
            let voters = self.changeable_voters(now_ms).map_err(|(error, _)| error)?;
            if !(min..=max).contains(&kraft_version) {
                return Err(ErrorCode::INVALID_REQUEST);
            }
            let voters = voters.updated(voter).ok_or(ErrorCode::VOTER_NOT_FOUND)?;
            if voters != *self.log.voters() {
                self.append_voters(voters);
            }
        }
        self.replica_alive(now_ms, request.voter);
        Ok(())
    }

    /// What a static voter tells of itself is kept for the upgrade.
    fn note_static_voter(&mut self, voter: VoterNode) -> Result<(), ErrorCode> {
        let Role::Leader(leader) = &mut self.role else {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        };
        let Upgrade::Voters(voters) = &mut leader.upgrade else {
            return Err(ErrorCode::REQUEST_TIMED_OUT);
        };
        if leader.high_watermark.is_none() {
            return Err(ErrorCode::REQUEST_TIMED_OUT);
        }
        if voter.kraft_version_min > 0 {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if voters.get(voter.key.id).is_none() {
            return Err(ErrorCode::VOTER_NOT_FOUND);
        }
        *voters = voters.with(voter);
        Ok(())
    }

    pub(super) fn upgrade(&mut self, token: u64, epoch: i32, version: i16, validate_only: bool) {
        let (error, message) = match self.try_upgrade(epoch, version, validate_only) {
            Ok(()) => (ErrorCode::NONE, None),
            Err((error, message)) => (error, Some(message)),
        };
        self.outputs.push_back(Output::UpgradeReply {
            token,
            error,
            message,
        });
    }

    fn try_upgrade(
        &mut self,
        epoch: i32,
        version: i16,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        let invalid = |what: String| (ErrorCode::INVALID_UPDATE_VERSION, what);
        let current = self.log.kraft_version();
        let ids = self.log.voters().ids();
        let Role::Leader(leader) = &mut self.role else {
            return Err((ErrorCode::NOT_CONTROLLER, "not the leader".into()));
        };
        if epoch != self.epoch {
            return Err((
                ErrorCode::NOT_CONTROLLER,
                format!("epoch {epoch} is not the leader's epoch {}", self.epoch),
            ));
        }
        let voters = match &leader.upgrade {
            Upgrade::Version(requested) if *requested == version => return Ok(()),
            Upgrade::Version(requested) => {
                return Err(invalid(format!(
                    "kraft.version {requested} is on its way, {version} can't follow"
                )));
            }
            _ if current == version => return Ok(()),
            Upgrade::Voters(voters) if version == 1 => voters.clone(),
            _ => {
                return Err(invalid(format!(
                    "kraft.version can't be changed from {current} to {version}"
                )));
            }
        };
        if !voters.supports(version) || voters.ids() != ids {
            return Err(invalid(format!(
                "not all voters are known to support kraft.version {version}"
            )));
        }
        if voters.iter().any(|voter| voter.key.directory_id.is_nil()) {
            return Err(invalid(
                "the directories of some voters are not known".into(),
            ));
        }
        if validate_only {
            return Ok(());
        }
        leader.upgrade = Upgrade::Version(version);
        self.append_control(vec![
            ControlRecord::Quorum(QuorumRecord::KRaftVersion(version)),
            ControlRecord::Quorum(QuorumRecord::Voters(voters)),
        ]);
        Ok(())
    }

    /// Gives up on a change that takes too long; its record may be committed still. Returns when
    /// the one that waits is due.
    pub(super) fn expire_voter_change(&mut self, now_ms: i64) -> i64 {
        let deadline_ms = match &self.role {
            Role::Leader(leader) => leader.pending.as_ref().map(|pending| pending.deadline_ms),
            _ => None,
        };
        match deadline_ms {
            Some(deadline_ms) if now_ms >= deadline_ms => {
                if let Some(pending) = self.take_pending() {
                    self.finish(pending, ErrorCode::REQUEST_TIMED_OUT, None);
                }
                i64::MAX
            }
            Some(deadline_ms) => deadline_ms,
            None => i64::MAX,
        }
    }

    fn finish(&mut self, pending: Pending, error: ErrorCode, message: Option<String>) {
        if let Some(token) = pending.token {
            self.outputs.push_back(match pending.change {
                Change::Add { .. } => reply_add(token, error, message),
                Change::Remove => reply_remove(token, error, message),
            });
        }
    }

    pub(super) fn fail_voter_change(&mut self, pending: Pending) {
        self.finish(pending, ErrorCode::NOT_LEADER_OR_FOLLOWER, None);
    }

    /// Everything below the high watermark is committed, maybe a change too.
    pub(super) fn voter_change_committed(&mut self, high_watermark: i64) {
        let voters_offset = self.log.voters_offset();
        let is_voter = self.is_voter();
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        // Differs from Kafka: a removed leader leaves although nobody waits for the answer.
        if !is_voter && voters_offset.is_some_and(|offset| offset < high_watermark) {
            leader.leave();
        }
        let offset = leader.pending.as_ref().and_then(|pending| pending.offset);
        if offset.is_some_and(|offset| offset < high_watermark)
            && let Some(pending) = self.take_pending()
        {
            self.finish(pending, ErrorCode::NONE, None);
        }
    }
}

fn reply_add(token: u64, error: ErrorCode, message: Option<String>) -> Output {
    Output::Reply {
        token,
        response: Response::AddRaftVoter(VoterChangeResponse { error, message }),
    }
}

fn reply_remove(token: u64, error: ErrorCode, message: Option<String>) -> Output {
    Output::Reply {
        token,
        response: Response::RemoveRaftVoter(VoterChangeResponse { error, message }),
    }
}
