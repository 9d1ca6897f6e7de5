//! A node as the driver runs it: a machine, its disk, and what waits to be appended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::super::machine::{Config, ControlRecord, Input, Output, Raft};
use super::super::quorum_records::QuorumRecord;
use super::super::rpc::{BatchInfo, FetchRecords, FetchResponse, Request, Response, SnapshotId};
use super::super::voters::ReplicaKey;
use super::disk::{Batch, Disk, Snapshot, chain, fetched};
use super::invariants::{Check, Invariants};
use super::world::{Message, Origin, World};
use kafka_shared::error::ErrorCode;
use kafka_shared::schema::metadata::MetadataRecord;

/// Batches in one fetch response at most.
const FETCH_BATCHES: usize = 4;

#[derive(Debug)]
pub(crate) enum Queued {
    Value(u64),
    Records(u64, Arc<[MetadataRecord]>),
    Control(Vec<ControlRecord>),
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) disk: Disk,
    /// `None` while the process is down.
    pub(crate) raft: Option<Raft>,
    /// Counts the processes that have run.
    pub(crate) incarnation: u64,
    pub(crate) leading: Option<i32>,
    queue: VecDeque<Queued>,
    pub(crate) flush_at_ms: Option<i64>,
    pub(crate) paused_until_ms: i64,
    /// A version that knows no pre-votes.
    pub(crate) is_old: bool,
    high_watermark: i64,
    pub(crate) origins: BTreeMap<u64, Origin>,
}

/// What came with a response beside what the machine sees.
#[derive(Debug, Clone, Default)]
pub(crate) struct Payload {
    pub(crate) batches: Vec<Batch>,
    pub(crate) snapshot: Option<Snapshot>,
}

impl Node {
    pub(crate) fn new(config: Config, disk: Disk, is_old: bool) -> Self {
        Self {
            config,
            disk,
            raft: None,
            incarnation: 0,
            leading: None,
            queue: VecDeque::new(),
            flush_at_ms: None,
            paused_until_ms: 0,
            is_old,
            high_watermark: -1,
            origins: BTreeMap::new(),
        }
    }

    pub(crate) fn key(&self) -> ReplicaKey {
        self.config.local
    }

    /// When the node has something to do by itself.
    pub(crate) fn next_ms(&self) -> i64 {
        let Some(raft) = &self.raft else {
            return i64::MAX;
        };
        let flush_ms = self.flush_at_ms.unwrap_or(i64::MAX);
        raft.deadline_ms().min(flush_ms).max(self.paused_until_ms)
    }

    pub(crate) fn enqueue(&mut self, value: u64) {
        self.queue.push_back(Queued::Value(value));
    }

    /// Metadata records, which get one offset each.
    pub(crate) fn enqueue_records(&mut self, value: u64, records: Arc<[MetadataRecord]>) {
        self.queue.push_back(Queued::Records(value, records));
    }

    fn stop(&mut self) {
        self.raft = None;
        self.leading = None;
        self.queue.clear();
        self.flush_at_ms = None;
        self.origins.clear();
        self.high_watermark = -1;
    }
}

impl World {
    pub(crate) fn start_node(&mut self, idx: usize) -> Check {
        let seed = self.rng.next();
        let node = &mut self.nodes[idx];
        let start = node.disk.start();
        node.incarnation += 1;
        node.paused_until_ms = 0;
        let raft = Raft::new(node.config.clone(), start, seed, self.now_ms);
        node.high_watermark = raft.high_watermark();
        node.raft = Some(raft);
        self.carry_out(idx, &Payload::default())?;
        self.check_tables(idx)
    }

    pub(crate) fn crash_node(&mut self, idx: usize) {
        let node = &mut self.nodes[idx];
        if node.raft.is_some() {
            node.disk.crash(&mut self.rng);
            node.stop();
            self.counts.crashes += 1;
            self.trace(idx, || "crash".into());
        }
    }

    /// Gives an input to a node and does all that follows.
    pub(crate) fn step(&mut self, idx: usize, input: Input, payload: &Payload) -> Check {
        let now_ms = self.now_ms;
        self.trace(idx, || format!("<- {input:?}"));
        let Some(raft) = &mut self.nodes[idx].raft else {
            return Ok(());
        };
        raft.step(now_ms, input);
        self.carry_out(idx, payload)?;
        while self.append_queued(idx)? {}
        let Some(raft) = &self.nodes[idx].raft else {
            return Ok(());
        };
        let deadline_ms = raft.deadline_ms();
        Invariants::holds(deadline_ms > now_ms, "time goes on", || {
            format!("node {idx} is due at {deadline_ms} still")
        })?;
        self.check_tables(idx)
    }

    /// What the machine believes of the log is so.
    fn check_tables(&self, idx: usize) -> Check {
        let node = &self.nodes[idx];
        let Some(raft) = &node.raft else {
            return Ok(());
        };
        let (end, disk_end) = (raft.log_end().end_offset, node.disk.end_offset());
        Invariants::holds(end == disk_end, "log table", || {
            format!("node {idx} ends at {disk_end}, its machine at {end}")
        })?;
        let records = node.disk.quorum_records(i64::MAX);
        let (voters, of_machine) = (&records.voters, raft.quorum_records(i64::MAX));
        Invariants::holds(records == of_machine, "voters follow the log", || {
            format!(
                "node {idx} has {:?}, its machine {:?}",
                voters.ids(),
                of_machine
            )
        })
    }

    fn carry_out(&mut self, idx: usize, payload: &Payload) -> Check {
        loop {
            let Some(raft) = &mut self.nodes[idx].raft else {
                return Ok(());
            };
            let Some(output) = raft.poll_output() else {
                return Ok(());
            };
            self.trace(idx, || format!("-> {output:?}"));
            self.output(idx, output, payload)?;
            if self.crash_in_between() {
                self.crash_node(idx);
            }
        }
    }

    fn output(&mut self, idx: usize, output: Output, payload: &Payload) -> Check {
        let key = self.nodes[idx].key();
        let node = &mut self.nodes[idx];
        match output {
            Output::PersistElection { election, .. } => node.disk.election = election,
            Output::Send {
                correlation_id,
                port,
                request,
                ..
            } => self.send_request(idx, correlation_id, port, request),
            Output::Reply { token, response } => self.reply(idx, token, response)?,
            Output::UpgradeReply { error, .. } => {
                self.counts.upgrades += u64::from(error == ErrorCode::NONE);
            }
            Output::BecomeLeader {
                epoch,
                epoch_start_offset,
            } => {
                assert_eq!(epoch_start_offset, node.disk.end_offset());
                node.leading = Some(epoch);
                self.counts.elections += 1;
                self.invariants.one_leader_per_epoch(epoch, key)?;
                self.invariants
                    .leader_completeness(key, &self.nodes[idx].disk, epoch)?;
            }
            Output::AppendControl { records, .. } => {
                let is_first = matches!(records[0], ControlRecord::LeaderChange { .. });
                node.queue.push_back(Queued::Control(records));
                if is_first {
                    // The driver writes it before it does anything else.
                    self.append_queued(idx)?;
                }
            }
            Output::StepDown { .. } => {
                node.leading = None;
                node.queue.clear();
            }
            Output::LeaderChanged(_) => {}
            Output::HighWatermark(offset) => self.high_watermark(idx, offset)?,
            Output::AppendFetched {
                end_offset, flush, ..
            } => {
                self.append_fetched(idx, &payload.batches, end_offset)?;
                if flush {
                    self.nodes[idx].disk.flush();
                }
            }
            Output::Flush => node.disk.flush(),
            Output::Truncate { end_offset } => {
                self.counts.truncations += u64::from(end_offset < node.disk.end_offset());
                node.disk.truncate(end_offset);
            }
            Output::CreateSnapshot(id) => node.disk.part = Some((id, 0)),
            Output::AppendSnapshot { .. } => {
                let part = node.disk.part.as_mut().expect("a download has begun");
                part.1 += self.chunk_size;
            }
            Output::DropSnapshot(_) => node.disk.part = None,
            Output::InstallSnapshot(id) => return self.install(idx, id, payload),
            Output::Fault(reason) => {
                return Err(format!("nobody says what can't be: node {idx}: {reason}"));
            }
            Output::ShutdownDone => {
                node.disk.flush();
                node.stop();
                self.counts.shutdowns += 1;
            }
        }
        Ok(())
    }

    fn install(&mut self, idx: usize, id: SnapshotId, payload: &Payload) -> Check {
        let snapshot = payload.snapshot.clone().expect("the last piece has come");
        let records = snapshot.records.clone();
        let disk = &mut self.nodes[idx].disk;
        disk.part = None;
        disk.snapshots.insert(id, snapshot);
        if self.crash_in_between() {
            // The file is there, and the log as it was.
            self.crash_node(idx);
            return Ok(());
        }
        self.nodes[idx].disk.install(id);
        self.counts.installs += 1;
        let now_ms = self.now_ms;
        if let Some(raft) = &mut self.nodes[idx].raft {
            raft.step(now_ms, Input::SnapshotInstalled(records));
        }
        Ok(())
    }

    fn append_fetched(&mut self, idx: usize, batches: &[Batch], end_offset: i64) -> Check {
        let key = self.nodes[idx].key();
        for batch in batches {
            let disk = &mut self.nodes[idx].disk;
            let is_new = batch.info.base_offset >= disk.end_offset();
            if is_new && batch.info.next_offset <= end_offset {
                let mut batch = batch.clone();
                batch.chain = chain(disk.end_chain(), batch.info, batch.value);
                self.invariants.log_matching(key, &batch)?;
                disk.append(batch);
            }
        }
        Ok(())
    }

    fn high_watermark(&mut self, idx: usize, offset: i64) -> Check {
        let node = &mut self.nodes[idx];
        let key = node.key();
        let old = std::mem::replace(&mut node.high_watermark, offset);
        Invariants::high_watermark_monotone(key, old, offset)?;
        let node = &self.nodes[idx];
        let epoch = node.raft.as_ref().map_or(0, Raft::epoch);
        if let (Some(raft), Some(_)) = (&node.raft, node.leading) {
            let disks = self.nodes.iter().map(|node| (node.key(), &node.disk));
            let voters = raft.voters();
            self.invariants
                .high_watermark_durable(&node.disk, offset, voters, disks)?;
        }
        self.invariants
            .no_committed_record_lost(key, &node.disk, old, offset, epoch)
    }

    /// Appends what waits on a leader. Returns whether there was any.
    fn append_queued(&mut self, idx: usize) -> Result<bool, String> {
        let node = &mut self.nodes[idx];
        let (Some(epoch), false) = (node.leading, node.queue.is_empty()) else {
            return Ok(false);
        };
        let key = node.key();
        let mut batches = Vec::new();
        while let Some(queued) = node.queue.pop_front() {
            let batch = next_batch(&node.disk, epoch, queued, &mut self.rng);
            self.invariants.log_matching(key, &batch)?;
            node.disk.append(batch.clone());
            batches.push(batch);
        }
        self.check_voter_changes(idx, &batches)?;
        let is_change = |batch: &&Batch| !batch.control.is_empty();
        self.counts.voter_changes += batches.iter().filter(is_change).count() as u64;
        let now_ms = self.now_ms;
        let delay_ms = if self.rng.percent(50) {
            0
        } else {
            self.rng.between(0, 40)
        };
        let node = &mut self.nodes[idx];
        node.flush_at_ms.get_or_insert(now_ms + delay_ms);
        if let Some(raft) = &mut node.raft {
            let appended = Input::Appended(fetched(&batches));
            raft.step(now_ms, appended);
        }
        self.carry_out(idx, &Payload::default())?;
        self.flush_if_due(idx)?;
        Ok(true)
    }

    fn check_voter_changes(&self, idx: usize, batches: &[Batch]) -> Check {
        let disk = &self.nodes[idx].disk;
        for (offset, record) in batches.iter().flat_map(|batch| &batch.control) {
            let old = disk.quorum_records(*offset);
            if let (QuorumRecord::Voters(new), false) = (record, old.voters.is_empty()) {
                Invariants::voters_change_one_by_one(&old.voters, new)?;
            }
        }
        Ok(())
    }

    pub(crate) fn flush_if_due(&mut self, idx: usize) -> Check {
        let now_ms = self.now_ms;
        let node = &mut self.nodes[idx];
        if node.flush_at_ms.is_none_or(|at_ms| at_ms > now_ms) {
            return Ok(());
        }
        node.flush_at_ms = None;
        node.disk.flush();
        let end_offset = node.disk.end_offset();
        if let Some(raft) = &mut node.raft {
            raft.step(now_ms, Input::Flushed { end_offset });
        }
        self.carry_out(idx, &Payload::default())
    }

    /// The node has made a snapshot, and may let go of what is before it.
    pub(crate) fn snapshot_taken(
        &mut self,
        idx: usize,
        id: SnapshotId,
        is_cleaning: bool,
    ) -> Check {
        let nothing = Payload::default();
        self.step(idx, Input::SnapshotCreated(id), &nothing)?;
        let disk = &mut self.nodes[idx].disk;
        if !is_cleaning || id.end_offset <= disk.start_offset {
            return Ok(());
        }
        // A start within the part that may be lost would be no start.
        disk.flush();
        disk.clean(id);
        let start_offset = id.end_offset;
        self.step(idx, Input::LogStartAdvanced { start_offset }, &nothing)
    }

    /// Adds the bytes to the machine's answer and sends it.
    fn reply(&mut self, idx: usize, token: u64, mut response: Response) -> Check {
        let Some(origin) = self.nodes[idx].origins.remove(&token) else {
            return Err(format!("one reply per request: another one for {token}"));
        };
        let key = self.nodes[idx].key();
        if let (Response::Vote(vote), Some(request)) = (&response, &origin.vote)
            && vote.vote_granted
            && !request.pre_vote
        {
            let (epoch, candidate) = (request.epoch, request.candidate);
            self.invariants.one_vote_per_epoch(key, epoch, candidate)?;
        }
        let mut payload = Payload::default();
        match &mut response {
            Response::Fetch(response) => self.read_records(idx, response, &mut payload),
            Response::FetchSnapshot(response) if response.error == ErrorCode::NONE => {
                let id = response.snapshot_id.expect("there is no error");
                if let Some(snapshot) = self.nodes[idx].disk.snapshots.get(&id) {
                    response.size = snapshot.size;
                    response.bytes = self.chunk_size.min(snapshot.size - response.position);
                    payload.snapshot = Some(snapshot.clone());
                } else {
                    response.error = ErrorCode::SNAPSHOT_NOT_FOUND;
                }
            }
            _ => {}
        }
        self.send_response(idx, origin, response, payload);
        Ok(())
    }

    fn read_records(&self, idx: usize, response: &mut FetchResponse, payload: &mut Payload) {
        if let FetchRecords::Read { from, .. } = response.records {
            payload.batches = self.nodes[idx].disk.read(from, FETCH_BATCHES);
            response.records = FetchRecords::Fetched(fetched(&payload.batches));
        }
    }

    /// A message has arrived.
    pub(crate) fn receive(&mut self, from: usize, to: usize, message: Message) -> Check {
        if self.nodes[to].raft.is_none() {
            if let Message::Request {
                correlation_id,
                incarnation,
                ..
            } = message
            {
                self.refuse(to, from, incarnation, correlation_id);
            }
            return Ok(());
        }
        match message {
            Message::Request {
                correlation_id,
                incarnation,
                request,
            } => self.receive_request(from, to, incarnation, correlation_id, request),
            Message::Response {
                correlation_id,
                incarnation,
                response,
                payload,
            } if incarnation == self.nodes[to].incarnation => {
                let input = Input::Response {
                    correlation_id,
                    response,
                };
                self.step(to, input, &payload)
            }
            Message::Failure {
                correlation_id,
                incarnation,
                error,
            } if incarnation == self.nodes[to].incarnation => {
                let input = Input::SendFailed {
                    correlation_id,
                    error,
                };
                self.step(to, input, &Payload::default())
            }
            _ => Ok(()),
        }
    }

    fn receive_request(
        &mut self,
        from: usize,
        to: usize,
        incarnation: u64,
        correlation_id: u64,
        request: Request,
    ) -> Check {
        let origin = Origin {
            node: Some((from, incarnation, correlation_id)),
            vote: match &request {
                Request::Vote(request) => Some(*request),
                _ => None,
            },
        };
        self.give_request(to, origin, request)
    }

    pub(crate) fn give_request(&mut self, to: usize, origin: Origin, request: Request) -> Check {
        self.tokens += 1;
        let token = self.tokens;
        self.nodes[to].origins.insert(token, origin);
        self.step(to, Input::Request { token, request }, &Payload::default())
    }
}

fn next_batch(disk: &Disk, epoch: i32, queued: Queued, rng: &mut crate::simulation::Rng) -> Batch {
    let base_offset = disk.end_offset();
    let mut metadata: Arc<[MetadataRecord]> = Arc::new([]);
    let (count, control, value) = match queued {
        Queued::Value(value) => (rng.between(1, 3), Vec::new(), value),
        Queued::Records(value, records) => {
            metadata = Arc::clone(&records);
            (i64::try_from(records.len()).unwrap(), Vec::new(), value)
        }
        Queued::Control(records) => {
            let with_offsets = records.iter().zip(base_offset..);
            let control = with_offsets.filter_map(|(record, offset)| match record {
                ControlRecord::Quorum(record) => Some((offset, record.clone())),
                ControlRecord::LeaderChange { .. } => None,
            });
            let control: Vec<_> = control.collect();
            (i64::try_from(records.len()).unwrap(), control, 0)
        }
    };
    let info = BatchInfo {
        base_offset,
        next_offset: base_offset + count,
        epoch,
    };
    Batch {
        info,
        control,
        value,
        records: metadata,
        chain: chain(disk.end_chain(), info, value),
    }
}
