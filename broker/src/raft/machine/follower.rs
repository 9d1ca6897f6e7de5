//! Those who don't lead: whom they fetch from, and what they do with what they get.
//!
//! At most one fetch is under way, so no offset is written twice. A follower fetches from the
//! leader; while that one doesn't answer, and while no leader is known, any bootstrap server is
//! asked, which answers who leads.
//!
//! Kafka: `KafkaRaftClient.pollFollower`, `pollUnattached`, `pollResigned`,
//! `handleFetchResponse`, `handleFetchSnapshotResponse`, `handleBeginQuorumEpochRequest`,
//! `handleEndQuorumEpochRequest` (4.3).

use kafka_shared::error::ErrorCode;

use super::super::quorum_records::QuorumRecords;
use super::super::rpc::{
    AddRaftVoterRequest, BeginQuorumEpochRequest, CurrentLeader, EndQuorumEpochRequest,
    EpochEndOffset, FetchRecords, FetchRequest, FetchResponse, FetchSnapshotRequest,
    FetchSnapshotResponse, Fetched, QuorumEpochResponse, RemoveRaftVoterRequest, Request,
    SnapshotId, UpdateRaftVoterRequest, UpdateRaftVoterResponse,
};
use super::super::voters::{ReplicaKey, VoterEndpoint, address};
use super::connections::Kind;
use super::responses::Handled;
use super::roles::{Download, Role};
use super::{Output, Peer, Raft};

impl Raft {
    pub(super) fn quorum_epoch_begun(
        &mut self,
        now_ms: i64,
        request: &BeginQuorumEpochRequest,
    ) -> QuorumEpochResponse {
        let seen = self.leader_told(now_ms, request.leader_id, request.epoch, &request.endpoints);
        let error = match seen {
            Err(error) => error,
            Ok(()) if !self.is_meant(request.voter) => ErrorCode::INVALID_VOTER_KEY,
            Ok(()) => ErrorCode::NONE,
        };
        QuorumEpochResponse {
            error,
            leader: self.current_leader(),
        }
    }

    pub(super) fn quorum_epoch_ended(
        &mut self,
        now_ms: i64,
        request: &EndQuorumEpochRequest,
    ) -> QuorumEpochResponse {
        let seen = self.leader_told(now_ms, request.leader_id, request.epoch, &request.endpoints);
        let backoff_ms = self.election_backoff_ms(&request.preferred_candidates);
        if let (Ok(()), Role::Follower(role)) = (seen, &mut self.role)
            && role.leader_id == request.leader_id
        {
            role.fetch_deadline_ms = now_ms.saturating_add(backoff_ms);
        }
        QuorumEpochResponse {
            error: seen.err().unwrap_or(ErrorCode::NONE),
            leader: self.current_leader(),
        }
    }

    fn leader_told(
        &mut self,
        now_ms: i64,
        leader_id: i32,
        epoch: i32,
        endpoints: &[VoterEndpoint],
    ) -> Result<(), ErrorCode> {
        self.validate_voter_request(leader_id, epoch)?;
        let leader = CurrentLeader {
            id: Some(leader_id),
            epoch,
            endpoints: endpoints.to_vec(),
        };
        if self.leader_seen(now_ms, &leader) {
            Ok(())
        } else {
            Err(ErrorCode::UNKNOWN_SERVER_ERROR)
        }
    }

    /// The first of the preferred stands at once, the others one after the other.
    fn election_backoff_ms(&self, preferred: &[ReplicaKey]) -> i64 {
        let max_ms = self.config.election_backoff_max_ms;
        let local = self.config.local;
        let position = preferred.iter().position(|key| key.matches(local));
        match position {
            None if preferred.is_empty() => 0,
            None => max_ms,
            Some(0) => 0,
            Some(position) => {
                let shift = |by: usize| u32::try_from(by).unwrap_or(63).min(62);
                let base_ms = max_ms >> shift(preferred.len() - 1);
                let factor = 1_i64 << shift(position - 1);
                base_ms.saturating_mul(factor).min(max_ms)
            }
        }
    }

    pub(super) fn poll_unattached(&mut self, now_ms: i64) -> i64 {
        let Role::Unattached(role) = &self.role else {
            return now_ms;
        };
        let deadline_ms = role.deadline_ms;
        if !self.may_lead() {
            return self.fetch_from_any(now_ms);
        }
        if self.shutdown_until_ms.is_some() {
            // It stands no more, but looks who is there.
            return self.fetch_from_any(now_ms);
        }
        if now_ms >= deadline_ms {
            self.become_prospective(now_ms);
            return now_ms;
        }
        self.fetch_from_any(now_ms).min(deadline_ms)
    }

    pub(super) fn poll_resigned(&mut self, now_ms: i64) -> i64 {
        let Role::Resigned(role) = &self.role else {
            return now_ms;
        };
        let deadline_ms = role.deadline_ms;
        let (unacked, preferred) = (role.unacked.clone(), role.preferred.clone());
        let mut next_ms = i64::MAX;
        for id in unacked {
            let sent_ms = self.send_to_voter(now_ms, id, Kind::EndQuorumEpoch, |raft| {
                Request::EndQuorumEpoch(EndQuorumEpochRequest {
                    leader_id: raft.config.local.id,
                    epoch: raft.epoch,
                    preferred_candidates: preferred.clone(),
                    endpoints: raft.config.endpoints.clone(),
                })
            });
            next_ms = next_ms.min(sent_ms);
        }
        if self.shutdown_until_ms.is_some() {
            return next_ms;
        }
        if now_ms >= deadline_ms {
            // In its own epoch it would still be taken for the leader, by itself too.
            let epoch = self.epoch.saturating_add(1);
            self.become_unattached(now_ms, epoch, None);
            return now_ms;
        }
        next_ms.min(deadline_ms)
    }

    pub(super) fn resignation_acked(
        &mut self,
        now_ms: i64,
        peer: Peer,
        response: &QuorumEpochResponse,
    ) -> bool {
        match self.common_response(now_ms, response.error, &response.leader) {
            Handled::Here(is_good) => return is_good,
            Handled::NotYet if response.error != ErrorCode::NONE => return false,
            Handled::NotYet => {}
        }
        if let (Peer::Node(id), Role::Resigned(role)) = (peer, &mut self.role) {
            role.unacked.remove(&id);
        }
        true
    }

    pub(super) fn poll_follower(&mut self, now_ms: i64) -> i64 {
        let Role::Follower(role) = &self.role else {
            return now_ms;
        };
        let fetch_deadline_ms = role.fetch_deadline_ms;
        let is_update_due = now_ms >= role.update_deadline_ms;
        if now_ms >= fetch_deadline_ms && self.may_lead() {
            self.become_prospective(now_ms);
            return now_ms;
        }
        if !self.is_voter() {
            let may_join = is_update_due
                && self.config.can_become_voter
                && self.config.auto_join
                && self.log.kraft_version() > 0;
            let election_ms = if self.may_lead() {
                fetch_deadline_ms
            } else {
                i64::MAX
            };
            return if may_join {
                self.ask_to_join(now_ms)
            } else {
                self.fetch_from_best(now_ms)
            }
            .min(election_ms);
        }
        let next_ms = if is_update_due && self.has_to_update_leader() {
            self.update_leader(now_ms)
        } else {
            if is_update_due {
                self.wait_before_update(now_ms);
            }
            self.fetch_from_best(now_ms)
        };
        next_ms.min(fetch_deadline_ms)
    }

    /// Whether the voter set says something wrong of this voter. A static quorum writes it nowhere,
    /// so every new leader has to be told.
    fn has_to_update_leader(&self) -> bool {
        match &self.role {
            Role::Follower(_) if self.log.kraft_version() > 0 => {
                self.log.voters().needs_update(&self.local_voter())
            }
            Role::Follower(role) => !role.has_updated_leader,
            _ => false,
        }
    }

    fn wait_before_update(&mut self, now_ms: i64) {
        let deadline_ms = now_ms.saturating_add(self.config.fetch_timeout_ms);
        if let Role::Follower(role) = &mut self.role {
            role.update_deadline_ms = deadline_ms;
        }
    }

    fn leader_address(&self) -> Option<(Peer, (String, u16))> {
        match &self.role {
            Role::Follower(role) => {
                let address = address(&role.endpoints, &self.config.listener_name)?;
                Some((Peer::Node(role.leader_id), address))
            }
            _ => None,
        }
    }

    /// Asks the leader for a change of the voter set.
    fn ask_leader(&mut self, now_ms: i64, kind: Kind, request: Request) -> i64 {
        let Some((leader, address)) = self.leader_address() else {
            return self.fetch_from_any(now_ms);
        };
        let (is_sent, until_ms) = self.send(now_ms, leader, address, kind, |_| request);
        if is_sent {
            self.wait_before_update(now_ms);
        }
        until_ms
    }

    fn update_leader(&mut self, now_ms: i64) -> i64 {
        let local = self.local_voter();
        let request = Request::UpdateRaftVoter(UpdateRaftVoterRequest {
            epoch: self.epoch,
            voter: local.key,
            endpoints: local.endpoints,
            kraft_version_min: local.kraft_version_min,
            kraft_version_max: local.kraft_version_max,
        });
        self.ask_leader(now_ms, Kind::UpdateRaftVoter, request)
    }

    /// Wants to become a voter. An earlier self with another disk has to go first.
    fn ask_to_join(&mut self, now_ms: i64) -> i64 {
        let local = self.config.local;
        match self.log.voters().get(local.id).map(|voter| voter.key) {
            Some(voter) => {
                let request = Request::RemoveRaftVoter(RemoveRaftVoterRequest { voter });
                self.ask_leader(now_ms, Kind::RemoveRaftVoter, request)
            }
            None => {
                let request = Request::AddRaftVoter(AddRaftVoterRequest {
                    voter: local,
                    endpoints: self.config.endpoints.clone(),
                    ack_when_committed: false,
                });
                self.ask_leader(now_ms, Kind::AddRaftVoter, request)
            }
        }
    }

    /// The leader has answered the wish to join; `already` is the error of what is so already.
    pub(super) fn joined(&mut self, now_ms: i64, error: ErrorCode, already: ErrorCode) -> bool {
        let is_good =
            error == ErrorCode::NONE || error == ErrorCode::REQUEST_TIMED_OUT || error == already;
        if is_good {
            self.wait_before_update(now_ms);
        }
        is_good
    }

    pub(super) fn voter_updated(
        &mut self,
        now_ms: i64,
        response: &UpdateRaftVoterResponse,
    ) -> bool {
        if let Some(is_good) = self.leader_answered(now_ms, response.error, &response.leader) {
            return is_good;
        }
        // A leader of before kraft.version can do nothing with it.
        let is_good =
            response.error == ErrorCode::NONE || response.error == ErrorCode::UNSUPPORTED_VERSION;
        if let (true, Role::Follower(role)) = (is_good, &mut self.role) {
            role.has_updated_leader = true;
            self.reset_fetch_timeout(now_ms);
        }
        is_good
    }

    /// Fetches from the leader, or asks others for the leader while that one doesn't answer.
    fn fetch_from_best(&mut self, now_ms: i64) -> i64 {
        let Some((leader, address)) = self.leader_address() else {
            return self.fetch_from_any(now_ms);
        };
        if self.connections.has_timed_out(leader, now_ms) {
            self.connections.reset(leader);
            return self.fetch_from_any(now_ms);
        }
        if self.connections.is_backing_off(leader, now_ms) {
            return self.fetch_from_any(now_ms);
        }
        if let Some(until_ms) = self.connections.any_in_flight(now_ms) {
            return until_ms;
        }
        let download = match &self.role {
            Role::Follower(role) => role.download,
            _ => None,
        };
        let (_, until_ms) = match download {
            Some(download) => {
                let request = self.snapshot_request(download);
                self.send(now_ms, leader, address, Kind::FetchSnapshot, |_| request)
            }
            None => self.send(now_ms, leader, address, Kind::Fetch, Self::fetch_request),
        };
        until_ms
    }

    /// The nodes to ask for the leader, with where they are.
    pub(super) fn bootstrap(&self) -> Vec<(Peer, (String, u16))> {
        let servers = &self.config.bootstrap_servers;
        if !servers.is_empty() {
            let servers = servers.iter().cloned().enumerate();
            return servers
                .map(|(idx, address)| (Peer::Bootstrap(idx), address))
                .collect();
        }
        let local_id = self.config.local.id;
        let listener = &self.config.listener_name;
        let voters = self.log.voters();
        let others = voters.ids().into_iter().filter(|id| *id != local_id);
        others
            .filter_map(|id| Some((Peer::Node(id), voters.address(id, listener)?)))
            .collect()
    }

    /// Fetches from a random bootstrap server, unless a request is under way.
    fn fetch_from_any(&mut self, now_ms: i64) -> i64 {
        if let Some(until_ms) = self.connections.any_in_flight(now_ms) {
            return until_ms;
        }
        let servers = self.bootstrap();
        let first = usize::try_from(self.random_below(servers.len() as u64)).unwrap_or(0);
        let mut next_ms = i64::MAX;
        for idx in 0..servers.len() {
            let (peer, address) = servers[(first + idx) % servers.len()].clone();
            let (is_sent, until_ms) =
                self.send(now_ms, peer, address, Kind::Fetch, Self::fetch_request);
            if is_sent {
                return until_ms;
            }
            next_ms = next_ms.min(until_ms);
        }
        next_ms
    }

    fn fetch_request(&mut self) -> Request {
        if self.may_lead() || self.config.can_become_voter {
            // The leader takes the offset for an acknowledgement.
            self.ensure_flushed();
        }
        let end = self.log.end();
        Request::Fetch(FetchRequest {
            replica: self.config.local,
            epoch: self.epoch,
            fetch_offset: end.end_offset,
            last_fetched_epoch: end.last_epoch,
            high_watermark: self.high_watermark,
            max_wait_ms: self.config.fetch_max_wait_ms,
            max_bytes: self.config.fetch_max_bytes,
        })
    }

    fn snapshot_request(&self, download: Download) -> Request {
        Request::FetchSnapshot(FetchSnapshotRequest {
            replica: self.config.local,
            epoch: self.epoch,
            snapshot_id: download.id,
            position: download.position,
            max_bytes: self.config.fetch_snapshot_max_bytes,
        })
    }

    fn reset_fetch_timeout(&mut self, now_ms: i64) {
        self.leader_heard(now_ms, self.config.fetch_timeout_ms);
    }

    fn leader_heard(&mut self, now_ms: i64, patience_ms: i64) {
        let deadline_ms = now_ms.saturating_add(patience_ms);
        if let Role::Follower(role) = &mut self.role {
            role.fetch_deadline_ms = deadline_ms;
            role.has_fetched = true;
        }
    }

    /// Whether the answer to a request to the leader is done with, and a good one.
    ///
    /// Differs from Kafka, where an answer without news is good: a node without a leader asks again
    /// without a pause, as fast as the network goes.
    fn leader_answered(
        &mut self,
        now_ms: i64,
        error: ErrorCode,
        leader: &CurrentLeader,
    ) -> Option<bool> {
        let role_changes = self.role_changes;
        match self.common_response(now_ms, error, leader) {
            Handled::Here(is_good) => Some(is_good && role_changes != self.role_changes),
            Handled::NotYet => None,
        }
    }

    pub(super) fn fetched(
        &mut self,
        now_ms: i64,
        correlation_id: u64,
        response: FetchResponse,
    ) -> bool {
        if let Some(is_good) = self.leader_answered(now_ms, response.error, &response.leader) {
            return is_good;
        }
        if response.error != ErrorCode::NONE || !matches!(self.role, Role::Follower(_)) {
            return false;
        }
        let mut patience_ms = self.config.fetch_timeout_ms;
        let is_good = if let Some(epoch) = response.diverging_epoch {
            self.truncate(epoch)
        } else if let Some(id) = response.snapshot_id {
            self.start_download(id)
        } else {
            if let FetchRecords::Fetched(fetched) = &response.records {
                self.append_fetched(correlation_id, fetched);
            }
            if response.high_watermark <= self.log.end_offset {
                patience_ms = self.patience_ms();
            }
            let high_watermark = response.high_watermark.min(self.log.end_offset);
            self.advance_local_high_watermark(high_watermark);
            true
        };
        if is_good {
            self.leader_heard(now_ms, patience_ms);
        }
        is_good
    }

    /// How long a follower that has all that is committed waits for the leader.
    ///
    /// Differs from Kafka, where it is the whole fetch time-out. A leader parks a fetch for a known
    /// time, and what it then sends is little, so silence tells more of it than while there is a
    /// lot to fetch. The pre-vote sees to it that a leader that others hear of stays.
    /// A random part keeps two followers, whose fetches end at the same time, from standing for
    /// election at the same time.
    fn patience_ms(&mut self) -> i64 {
        let timeout_ms = self.config.fetch_timeout_ms;
        let jitter = self.random_below((timeout_ms / 4).max(1).unsigned_abs());
        let after_park_ms = (timeout_ms / 4).saturating_add(i64::try_from(jitter).unwrap_or(0));
        timeout_ms.min(after_park_ms.saturating_add(i64::from(self.config.fetch_max_wait_ms)))
    }

    /// A node can't be reached. If it is the leader, it may be gone.
    ///
    /// Differs from Kafka, where a follower waits for the whole fetch time-out even when the leader's
    /// host refuses connections. The pre-vote sees to it that a leader that others hear of stays.
    pub(super) fn lost_contact(&mut self, now_ms: i64, peer: Peer) {
        let timeout_ms = self.config.fetch_timeout_ms;
        let jitter = self.random_below((timeout_ms / 4).max(1).unsigned_abs());
        let wait_ms = (timeout_ms / 8).saturating_add(i64::try_from(jitter).unwrap_or(0));
        if let Role::Follower(role) = &mut self.role
            && peer == Peer::Node(role.leader_id)
        {
            let deadline_ms = now_ms.saturating_add(wait_ms);
            role.fetch_deadline_ms = role.fetch_deadline_ms.min(deadline_ms);
        }
    }

    fn truncate(&mut self, leader: EpochEndOffset) -> bool {
        let end_offset = self.log.truncation_offset(leader);
        if end_offset < self.high_watermark || leader.end_offset < self.high_watermark {
            self.fault(format!(
                "the leader's epoch {} ends at {}, and {} is committed",
                leader.epoch, leader.end_offset, self.high_watermark
            ));
            return false;
        }
        self.log.truncate(end_offset);
        self.outputs.push_back(Output::Truncate { end_offset });
        true
    }

    fn append_fetched(&mut self, correlation_id: u64, fetched: &Fetched) {
        if !self.log.append(fetched, self.epoch) {
            return;
        }
        // The new records may make this node a voter.
        let flush = self.may_lead() || self.config.can_become_voter;
        let end_offset = self.log.end_offset;
        if flush {
            self.log.flushed_offset = end_offset;
        }
        self.outputs.push_back(Output::AppendFetched {
            correlation_id,
            end_offset,
            flush,
        });
    }

    fn start_download(&mut self, id: SnapshotId) -> bool {
        let is_possible = id.end_offset >= self.high_watermark.max(0) && id.epoch >= 0;
        if !is_possible {
            self.fault(format!(
                "the leader offers {id:?}, and {} is committed",
                self.high_watermark
            ));
            return false;
        }
        let Role::Follower(role) = &mut self.role else {
            return false;
        };
        let is_under_way = role.download.is_some_and(|download| download.id == id);
        if is_under_way || self.log.has_snapshot(id) {
            return true;
        }
        if let Some(old) = role.download.replace(Download { id, position: 0 }) {
            self.outputs.push_back(Output::DropSnapshot(old.id));
        }
        self.outputs.push_back(Output::CreateSnapshot(id));
        true
    }

    pub(super) fn snapshot_fetched(
        &mut self,
        now_ms: i64,
        correlation_id: u64,
        response: &FetchSnapshotResponse,
    ) -> bool {
        if let Some(is_good) = self.leader_answered(now_ms, response.error, &response.leader) {
            return is_good;
        }
        let Role::Follower(role) = &mut self.role else {
            return false;
        };
        let Some(download) = &mut role.download else {
            return false;
        };
        let id = download.id;
        let is_gone = response.error == ErrorCode::SNAPSHOT_NOT_FOUND
            || (response.error == ErrorCode::NONE && response.snapshot_id.is_none());
        if is_gone {
            // The leader has a newer one.
            role.download = None;
            self.outputs.push_back(Output::DropSnapshot(id));
            self.reset_fetch_timeout(now_ms);
            return true;
        }
        if response.error != ErrorCode::NONE {
            return false;
        }
        let rest = response.size - download.position;
        let is_next = response.snapshot_id == Some(id) && response.position == download.position;
        if !is_next || response.bytes < 0 || response.bytes > rest {
            // Starts again, rather than have a file of unknown content.
            role.download = None;
            self.outputs.push_back(Output::DropSnapshot(id));
            self.fault(format!("another piece of {id:?} than the next one"));
            return false;
        }
        download.position += response.bytes;
        let is_complete = download.position == response.size;
        if is_complete {
            role.download = None;
        }
        self.outputs
            .push_back(Output::AppendSnapshot { correlation_id });
        if is_complete {
            self.installing = Some(id);
            self.outputs.push_back(Output::InstallSnapshot(id));
        }
        self.reset_fetch_timeout(now_ms);
        true
    }

    /// Fetches the snapshot anew, after a pause: the leader's own may be damaged.
    ///
    // Differs from Kafka, which installs what came and fails on it.
    pub(super) fn snapshot_damaged(&mut self, now_ms: i64) {
        let Some(id) = self.installing.take() else {
            return;
        };
        if let Some((leader, _)) = self.leader_address() {
            self.connections.back_off(leader, now_ms);
        }
        self.fault(format!("{id:?} came damaged"));
    }

    pub(super) fn snapshot_installed(&mut self, now_ms: i64, records: &QuorumRecords) {
        let Some(id) = self.installing.take() else {
            return;
        };
        self.log.install(id, records);
        self.advance_local_high_watermark(id.end_offset);
        self.reset_fetch_timeout(now_ms);
    }
}
