//! The leader's side of fetches: validation, long polls, and snapshots.
//!
//! A fetch that finds nothing new is parked until there is more, the high watermark moves, its
//! time is over, or the leadership ends.
//!
//! Kafka: `KafkaRaftClient.handleFetchRequest` and `handleFetchSnapshotRequest` (4.3).

use kafka_shared::error::ErrorCode;

use super::super::rpc::{
    FetchRecords, FetchRequest, FetchResponse, FetchSnapshotRequest, FetchSnapshotResponse,
    Response, SnapshotId,
};
use super::log_table::Validity;
use super::roles::Role;
use super::{Output, Raft};

/// More long polls than any quorum needs; the next one is answered at once.
const PARKED_MAX: usize = 4_096;

/// A fetch that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parked {
    token: u64,
    request: FetchRequest,
    pub(super) deadline_ms: i64,
}

impl Raft {
    pub(super) fn fetch_requested(&mut self, now_ms: i64, token: u64, request: FetchRequest) {
        let response = self.fetch(now_ms, &request);
        let is_new = response.error != ErrorCode::NONE
            || response.records != FetchRecords::None
            || response.diverging_epoch.is_some()
            || response.snapshot_id.is_some()
            || response.high_watermark > request.high_watermark;
        let deadline_ms = now_ms.saturating_add(i64::from(request.max_wait_ms));
        let is_ahead = response.error == ErrorCode::UNKNOWN_LEADER_EPOCH;
        match &mut self.role {
            Role::Leader(leader)
                if !is_new && request.max_wait_ms > 0 && leader.parked.len() < PARKED_MAX =>
            {
                leader.parked.push(Parked {
                    token,
                    request,
                    deadline_ms,
                });
            }
            _ => self.reply_fetch(token, response),
        }
        if is_ahead && self.is_leader() {
            // Differs from Kafka, whose leader goes on. A replica that is no voter can't make others
            // see its greater epoch, and can follow nobody in a lesser one: it would be left behind
            // for ever. A failed candidacy that only it has heard of is enough for that.
            self.become_unattached(now_ms, request.epoch, None);
        }
    }

    fn reply_fetch(&mut self, token: u64, response: FetchResponse) {
        let response = Response::Fetch(response);
        self.outputs.push_back(Output::Reply { token, response });
    }

    fn fetch(&mut self, now_ms: i64, request: &FetchRequest) -> FetchResponse {
        if request.max_wait_ms < 0
            || request.fetch_offset < 0
            || request.last_fetched_epoch < 0
            || request.last_fetched_epoch > request.epoch
        {
            return self.empty_fetch_response(ErrorCode::INVALID_REQUEST);
        }
        if let Err(error) = self.validate_leader_request(request.epoch) {
            return self.empty_fetch_response(error);
        }
        if request.replica.id == self.config.local.id {
            return self.empty_fetch_response(ErrorCode::UNKNOWN_SERVER_ERROR);
        }
        let validity = self
            .log
            .validate(request.fetch_offset, request.last_fetched_epoch);
        if validity == Validity::Valid {
            self.replica_fetched(now_ms, request.replica, request.fetch_offset);
        }
        self.fetch_response(request, validity)
    }

    fn fetch_response(&self, request: &FetchRequest, validity: Validity) -> FetchResponse {
        let mut response = self.empty_fetch_response(ErrorCode::NONE);
        if let Role::Leader(leader) = &self.role {
            response.high_watermark = leader.high_watermark.unwrap_or(-1);
        }
        match validity {
            Validity::Diverging(epoch) => response.diverging_epoch = Some(epoch),
            Validity::Snapshot(id) => response.snapshot_id = Some(id),
            Validity::Valid if request.fetch_offset < self.log.end_offset => {
                response.records = FetchRecords::Read {
                    from: request.fetch_offset,
                    max_bytes: request.max_bytes,
                };
            }
            Validity::Valid => {}
        }
        response
    }

    fn empty_fetch_response(&self, error: ErrorCode) -> FetchResponse {
        FetchResponse {
            error,
            leader: self.current_leader(),
            high_watermark: -1,
            log_start_offset: self.log.start_offset,
            diverging_epoch: None,
            snapshot_id: None,
            records: FetchRecords::None,
        }
    }

    /// Only the leader, and only in the requester's epoch.
    pub(super) fn validate_leader_request(&self, epoch: i32) -> Result<(), ErrorCode> {
        if epoch < self.epoch {
            Err(ErrorCode::FENCED_LEADER_EPOCH)
        } else if epoch > self.epoch {
            Err(ErrorCode::UNKNOWN_LEADER_EPOCH)
        } else if !self.is_leader() {
            Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)
        } else if self.shutdown_until_ms.is_some() {
            Err(ErrorCode::BROKER_NOT_AVAILABLE)
        } else {
            Ok(())
        }
    }

    /// Answers those parked fetches that `is_due` picks.
    pub(super) fn answer_parked(&mut self, mut is_due: impl FnMut(&Parked) -> bool) {
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let due: Vec<Parked> = leader
            .parked
            .extract_if(.., |parked| is_due(parked))
            .collect();
        for parked in due {
            let request = parked.request;
            // The log may have been cleaned meanwhile.
            let validity = self
                .log
                .validate(request.fetch_offset, request.last_fetched_epoch);
            let response = self.fetch_response(&request, validity);
            self.reply_fetch(parked.token, response);
        }
    }

    /// Answers those that wait for records, when there are some.
    pub(super) fn answer_parked_below_end(&mut self) {
        let end_offset = self.log.end_offset;
        self.answer_parked(|parked| parked.request.fetch_offset < end_offset);
    }

    /// This node no longer leads.
    pub(super) fn fail_parked(&mut self, parked: Vec<Parked>) {
        for parked in parked {
            let response = self.empty_fetch_response(ErrorCode::NOT_LEADER_OR_FOLLOWER);
            self.reply_fetch(parked.token, response);
        }
    }

    pub(super) fn snapshot_requested(
        &mut self,
        now_ms: i64,
        request: &FetchSnapshotRequest,
    ) -> FetchSnapshotResponse {
        let mut response = FetchSnapshotResponse {
            error: ErrorCode::NONE,
            leader: self.current_leader(),
            snapshot_id: None,
            size: 0,
            position: request.position,
            bytes: 0,
        };
        let id = request.snapshot_id;
        if let Err(error) = self.validate_leader_request(request.epoch) {
            response.error = error;
        } else if id == SnapshotId::BOOTSTRAP || !self.log.has_snapshot(id) {
            response.error = ErrorCode::SNAPSHOT_NOT_FOUND;
        } else if request.position < 0 {
            response.error = ErrorCode::POSITION_OUT_OF_RANGE;
        } else {
            self.replica_alive(now_ms, request.replica);
            response.snapshot_id = Some(id);
            response.bytes = i64::from(request.max_bytes.max(0));
        }
        response
    }
}
