//! The thread that owns the metadata log.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::record::batch::batches;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::control::{
    ControlRecord as Record, KRaftVersion, LeaderChange, LeaderChangeVoter,
};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Command, LeaderAndEpoch, Pending, Served, Shared};
use crate::log::fsx;
use crate::metadata::snapshot::{self, SnapshotError};
use crate::raft::machine::{ControlRecord, Input, Output};
use crate::raft::quorum_records::{QuorumRecord, QuorumRecords, voter_set, voters_record};
use crate::raft::quorum_state::{ElectionState, FILE_NAME};
use crate::raft::rpc::{BatchInfo, FetchRecords, Fetched, Response, SnapshotId};
use crate::raft::snapshots::Download;
use crate::raft::store::StoreError;
use crate::raft::transport::Outgoing;

/// Most bytes of records in one response, if the first batch isn't larger.
const READ_BYTES_MAX: i32 = 8 * 1024 * 1024;

/// Who waits for an answer of the machine.
enum Waiter {
    Request(oneshot::Sender<Served>),
    Upgrade(oneshot::Sender<(ErrorCode, Option<String>)>),
}

pub(super) struct Thread {
    shared: Arc<Shared>,
    waiters: HashMap<u64, Waiter>,
    next_token: u64,
    /// The bytes of the answer that the machine is dealing with, with its correlation id.
    received: (u64, Bytes),
    /// This node has become leader in an epoch whose first batch is not written yet.
    opening: Option<i32>,
    download: Option<Download>,
    is_stopping: bool,
    is_done: bool,
}

fn io_error(what: &str) -> impl Fn(std::io::Error) -> StoreError + '_ {
    move |error| StoreError(format!("{what}: {error}"))
}

impl Thread {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            waiters: HashMap::new(),
            next_token: 0,
            received: (0, Bytes::new()),
            opening: None,
            download: None,
            is_stopping: false,
            is_done: false,
        }
    }

    pub(super) fn run(mut self) {
        let result = self
            .run_until_stopped()
            .and_then(|()| self.shared.store.close());
        if let Err(error) = &result {
            tracing::error!(%error, "the metadata log failed; this node can't go on");
        }
        let mut inbox = self.shared.inbox.lock();
        inbox.epoch = None;
        inbox.is_closed = true;
        inbox.batches.clear();
        // Who waits for one of them is told by that.
        inbox.commands.clear();
        drop(inbox);
        self.waiters.clear();
        if let Some(download) = self.download.take() {
            download.discard();
        }
        self.shared.status.send_modify(|status| {
            status.leading_epoch = None;
            status.failure = result.err().map(|error| error.to_string());
            status.is_closed = true;
        });
        self.shared
            .committed
            .send_modify(|committed| committed.is_closed = true);
    }

    fn run_until_stopped(&mut self) -> Result<(), StoreError> {
        self.carry_out()?;
        while !self.is_done {
            self.wait();
            while let Some(command) = self.next_command() {
                self.execute(command)?;
            }
            // Only now: a command may have ended the leadership, and with it what was queued.
            let batches = self.take_batches();
            if !batches.is_empty() {
                self.append_and_flush(batches)?;
            }
            self.maybe_stop()?;
            self.step(Input::Tick)?;
        }
        Ok(())
    }

    fn now_ms(&self) -> i64 {
        self.shared.clock.monotonic_ms()
    }

    /// Waits for appends or commands, for the machine's deadline, or for the end.
    fn wait(&self) {
        let deadline_ms = self.shared.raft.lock().deadline_ms();
        let mut inbox = self.shared.inbox.lock();
        let is_told_to_stop = inbox.stop_within_ms.is_some() && !self.is_stopping;
        if inbox.batches.is_empty() && inbox.commands.is_empty() && !is_told_to_stop {
            let wait_ms = deadline_ms.saturating_sub(self.now_ms()).clamp(0, 60_000);
            let timeout = Duration::from_millis(wait_ms.unsigned_abs());
            self.shared.wake.wait_for(&mut inbox, timeout);
        }
    }

    fn next_command(&self) -> Option<Command> {
        self.shared.inbox.lock().commands.pop_front()
    }

    fn take_batches(&self) -> VecDeque<Pending> {
        let mut inbox = self.shared.inbox.lock();
        inbox.bytes = 0;
        std::mem::take(&mut inbox.batches)
    }

    fn maybe_stop(&mut self) -> Result<(), StoreError> {
        let stop_within_ms = self.shared.inbox.lock().stop_within_ms;
        match stop_within_ms {
            Some(timeout_ms) if !self.is_stopping => {
                self.is_stopping = true;
                self.step(Input::Shutdown { timeout_ms })
            }
            _ => Ok(()),
        }
    }

    fn step(&mut self, input: Input) -> Result<(), StoreError> {
        let now_ms = self.now_ms();
        self.shared.raft.lock().step(now_ms, input);
        self.carry_out()
    }

    fn token(&mut self, waiter: Waiter) -> u64 {
        self.next_token += 1;
        self.waiters.insert(self.next_token, waiter);
        self.next_token
    }

    fn execute(&mut self, command: Command) -> Result<(), StoreError> {
        match command {
            Command::Request { request, reply } => {
                let token = self.token(Waiter::Request(reply));
                self.step(Input::Request { token, request })
            }
            Command::Answered {
                correlation_id,
                answer: Ok((response, bytes)),
            } => {
                self.received = (correlation_id, bytes);
                let result = self.step(Input::Response {
                    correlation_id,
                    response,
                });
                self.received.1 = Bytes::new();
                result
            }
            Command::Answered {
                correlation_id,
                answer: Err(error),
            } => self.step(Input::SendFailed {
                correlation_id,
                error,
            }),
            Command::UpgradeKRaftVersion {
                epoch,
                version,
                validate_only,
                reply,
            } => {
                let token = self.token(Waiter::Upgrade(reply));
                self.step(Input::UpgradeKRaftVersion {
                    token,
                    epoch,
                    version,
                    validate_only,
                })
            }
            Command::SnapshotCreated(id) => self.step(Input::SnapshotCreated(id)),
            Command::AdvanceLogStart { offset, reply } => {
                let result = self.shared.store.advance_start_offset(offset);
                let start_offset = self.shared.store.start_offset();
                // Who has asked may be gone.
                drop(reply.send(result));
                self.step(Input::LogStartAdvanced { start_offset })
            }
            Command::Resign { epoch } => self.step(Input::Resign { epoch }),
        }
    }

    /// Appends, lets the machine answer who waits for the records, and flushes meanwhile.
    fn append_and_flush(&mut self, batches: VecDeque<Pending>) -> Result<(), StoreError> {
        let end_offset = self.append(batches)?;
        self.carry_out()?;
        self.flushed(end_offset)?;
        self.carry_out()
    }

    fn append(&self, batches: VecDeque<Pending>) -> Result<i64, StoreError> {
        let mut appended = Fetched::default();
        for batch in batches {
            self.shared.store.append(&batch.bytes)?;
            appended.batches.extend(batch.content.batches);
            appended.control.extend(batch.content.control);
        }
        let now_ms = self.now_ms();
        let mut raft = self.shared.raft.lock();
        raft.step(now_ms, Input::Appended(appended));
        Ok(self.shared.store.end().end_offset)
    }

    fn flushed(&self, end_offset: i64) -> Result<(), StoreError> {
        self.shared.store.flush()?;
        let now_ms = self.now_ms();
        let mut raft = self.shared.raft.lock();
        raft.step(now_ms, Input::Flushed { end_offset });
        Ok(())
    }

    fn carry_out(&mut self) -> Result<(), StoreError> {
        loop {
            let Some(output) = self.shared.raft.lock().poll_output() else {
                return Ok(());
            };
            self.carry_out_one(output)?;
        }
    }

    fn carry_out_one(&mut self, output: Output) -> Result<(), StoreError> {
        let store = &self.shared.store;
        match output {
            Output::PersistElection {
                election,
                static_voters,
            } => self.persist(election, static_voters.as_deref())?,
            Output::Send {
                correlation_id,
                to,
                host,
                port,
                request,
            } => self.shared.transport.send(Outgoing {
                correlation_id,
                to,
                host,
                port,
                request,
            }),
            Output::Reply { token, response } => self.reply(token, response)?,
            Output::UpgradeReply {
                token,
                error,
                message,
            } => {
                if let Some(Waiter::Upgrade(reply)) = self.waiters.remove(&token) {
                    // Who has asked may be gone.
                    drop(reply.send((error, message)));
                }
            }
            Output::BecomeLeader {
                epoch,
                epoch_start_offset,
            } => {
                store.begin_epoch(epoch, epoch_start_offset);
                self.opening = Some(epoch);
            }
            Output::AppendControl { epoch, records } => self.append_control(epoch, &records)?,
            Output::StepDown { epoch } => self.step_down(epoch),
            Output::LeaderChanged(leader) => self.shared.status.send_modify(|status| {
                status.leader = LeaderAndEpoch {
                    leader_id: leader.id.unwrap_or(-1),
                    epoch: leader.epoch,
                };
                status.leader_endpoints = leader.endpoints;
            }),
            Output::HighWatermark(offset) => self.high_watermark(offset),
            Output::AppendFetched {
                correlation_id,
                end_offset,
                flush,
            } => {
                debug_assert_eq!(correlation_id, self.received.0);
                store.append_fetched(&below(&self.received.1, end_offset))?;
                if flush {
                    store.flush()?;
                }
            }
            Output::Flush => store.flush()?,
            Output::Truncate { end_offset } => {
                tracing::info!(
                    end_offset,
                    "the leader's log differs from here on; truncating"
                );
                store.truncate(end_offset)?;
            }
            Output::CreateSnapshot(id) => {
                self.drop_download();
                tracing::info!(
                    end_offset = id.end_offset,
                    epoch = id.epoch,
                    "fetching a snapshot"
                );
                let create = Download::create(&self.shared.config.dir, id);
                self.download = Some(create.map_err(io_error("create a snapshot"))?);
            }
            Output::AppendSnapshot { correlation_id } => {
                debug_assert_eq!(correlation_id, self.received.0);
                if let Some(download) = &mut self.download {
                    let append = download.append(&self.received.1);
                    append.map_err(io_error("write a snapshot"))?;
                }
            }
            Output::DropSnapshot(_) => self.drop_download(),
            Output::InstallSnapshot(id) => self.install(id)?,
            Output::Fault(reason) => {
                tracing::error!(%reason, "another node of the metadata quorum contradicts this one");
            }
            Output::ShutdownDone => self.is_done = true,
        }
        Ok(())
    }

    fn persist(
        &self,
        election: ElectionState,
        static_voters: Option<&[i32]>,
    ) -> Result<(), StoreError> {
        let path = self.shared.config.dir.join(FILE_NAME);
        let what = format!("write {}", path.display());
        let content = election.to_file(static_voters);
        fsx::write_atomically(&path, content.as_bytes()).map_err(io_error(&what))
    }

    fn reply(&mut self, token: u64, response: Response) -> Result<(), StoreError> {
        let Some(Waiter::Request(reply)) = self.waiters.remove(&token) else {
            return Ok(());
        };
        if reply.is_closed() {
            return Ok(());
        }
        let mut records = Bytes::new();
        if let Response::Fetch(fetch) = &response
            && let FetchRecords::Read { from, max_bytes } = fetch.records
        {
            let max_bytes = usize::try_from(max_bytes.clamp(1, READ_BYTES_MAX)).unwrap_or(1);
            let end_offset = self.shared.store.end().end_offset;
            records = self.shared.store.read(from, end_offset, max_bytes)?;
        }
        // Who has asked may have gone away.
        drop(reply.send(Served { response, records }));
        Ok(())
    }

    fn high_watermark(&self, offset: i64) {
        self.shared.store.set_high_watermark(offset);
        self.shared
            .status
            .send_modify(|status| status.high_watermark = offset);
        self.shared
            .committed
            .send_modify(|committed| committed.high_watermark = offset);
    }

    fn step_down(&mut self, epoch: i32) {
        self.opening = None;
        let mut inbox = self.shared.inbox.lock();
        inbox.epoch = None;
        inbox.batches.clear();
        inbox.bytes = 0;
        drop(inbox);
        tracing::info!(epoch, "no longer the leader of the metadata quorum");
        self.shared
            .status
            .send_modify(|status| status.leading_epoch = None);
    }

    /// The first batch of an epoch is written at once, and only then are appends taken; later ones
    /// stand in line with the controller's.
    fn append_control(&mut self, epoch: i32, records: &[ControlRecord]) -> Result<(), StoreError> {
        if self.opening == Some(epoch) {
            self.opening = None;
            let base_offset = self.shared.store.end().end_offset;
            let batch = self.control_batch(base_offset, epoch, records)?;
            let end_offset = self.append(VecDeque::from([batch]))?;
            self.flushed(end_offset)?;
            let mut inbox = self.shared.inbox.lock();
            inbox.epoch = Some(epoch);
            inbox.next_offset = end_offset;
            drop(inbox);
            tracing::info!(
                epoch,
                base_offset,
                "became the leader of the metadata quorum"
            );
            self.shared.status.send_modify(|status| {
                status.leading_epoch = Some(epoch);
                status.activation_offset = end_offset - 1;
            });
            return Ok(());
        }
        let mut inbox = self.shared.inbox.lock();
        if inbox.epoch == Some(epoch) {
            let batch = self.control_batch(inbox.next_offset, epoch, records)?;
            inbox.next_offset += records.len() as i64;
            inbox.bytes += batch.bytes.len();
            inbox.batches.push_back(batch);
        }
        Ok(())
    }

    fn control_batch(
        &self,
        base_offset: i64,
        epoch: i32,
        records: &[ControlRecord],
    ) -> Result<Pending, StoreError> {
        let mut batch = BatchBuilder::new()
            .with_base_offset(base_offset)
            .with_leader_epoch(epoch)
            .with_control(true);
        let now_ms = self.shared.clock.wall_ms();
        for record in records {
            batch
                .append_control(now_ms, &encoded(record))
                .map_err(|error| StoreError(error.to_string()))?;
        }
        let quorum_record = |(offset, record): (i64, &ControlRecord)| match record {
            ControlRecord::Quorum(record) => Some((offset, record.clone())),
            ControlRecord::LeaderChange { .. } => None,
        };
        let content = Fetched {
            batches: vec![BatchInfo {
                base_offset,
                next_offset: base_offset + records.len() as i64,
                epoch,
            }],
            control: (base_offset..)
                .zip(records)
                .filter_map(quorum_record)
                .collect(),
        };
        let bytes = batch.build();
        Ok(Pending { bytes, content })
    }

    fn drop_download(&mut self) {
        if let Some(download) = self.download.take() {
            download.discard();
        }
    }

    /// Gives the snapshot its name first: a log without what lies below its start is of no use
    /// without the snapshot, and a snapshot beyond the log's end makes a start empty the log.
    fn install(&mut self, id: SnapshotId) -> Result<(), StoreError> {
        let dir = &self.shared.config.dir;
        let missing = || StoreError("a snapshot to be installed is not there".into());
        let download = self.download.take().ok_or_else(missing)?;
        if download.id() != id {
            return Err(missing());
        }
        // One that was damaged on its way must not get the name: every start would fail on it.
        let content = match snapshot::read_file(download.part()) {
            Ok(content) => content,
            Err(error @ SnapshotError::Damaged { .. }) => {
                tracing::error!(%error, "a snapshot came damaged; fetching it again");
                download.discard();
                self.step_only(Input::SnapshotDamaged);
                return Ok(());
            }
            Err(error) => {
                download.discard();
                return Err(StoreError(error.to_string()));
            }
        };
        download
            .complete(dir)
            .map_err(io_error("complete a snapshot"))?;
        self.shared.store.restart_at(id.end_offset)?;
        let records = QuorumRecords {
            kraft_version: content.kraft.kraft_version,
            voters: content
                .kraft
                .voters
                .as_ref()
                .map(voter_set)
                .unwrap_or_default(),
        };
        tracing::info!(
            end_offset = id.end_offset,
            epoch = id.epoch,
            "installed a snapshot"
        );
        self.step_only(Input::SnapshotInstalled(records));
        Ok(())
    }

    fn step_only(&self, input: Input) {
        let now_ms = self.now_ms();
        self.shared.raft.lock().step(now_ms, input);
    }
}

/// The batches below this offset.
fn below(bytes: &Bytes, end_offset: i64) -> Bytes {
    let mut len = 0;
    for batch in batches(bytes) {
        match batch {
            Ok(batch) if batch.next_offset() <= end_offset => len += batch.size_in_bytes(),
            _ => break,
        }
    }
    bytes.slice(..len)
}

/// The record as Kafka writes it. A LeaderChange at its version 0 has no directories.
fn encoded(record: &ControlRecord) -> Record {
    let voters = |ids: &[i32]| -> Vec<_> {
        let voter = |id: &i32| LeaderChangeVoter {
            voter_id: *id,
            voter_directory_id: Uuid::nil(),
        };
        ids.iter().map(voter).collect()
    };
    match record {
        ControlRecord::LeaderChange {
            leader_id,
            voters: all,
            granting_voters,
        } => Record::LeaderChange(LeaderChange {
            version: 0,
            leader_id: *leader_id,
            voters: voters(all),
            granting_voters: voters(granting_voters),
        }),
        ControlRecord::Quorum(QuorumRecord::KRaftVersion(version)) => {
            Record::KRaftVersion(KRaftVersion {
                version: 0,
                kraft_version: *version,
            })
        }
        ControlRecord::Quorum(QuorumRecord::Voters(voters)) => {
            Record::Voters(voters_record(voters))
        }
    }
}
