//! The world of one seed: nodes with disks, the network between them, and the time.

use kafka_shared::error::ErrorCode;
use kafka_shared::types::Uuid;

use super::super::machine::{Config, Input};
use super::super::quorum_records::QuorumRecords;
use super::super::rpc::{ApiVersionsResponse, Request, Response, SnapshotId, VoteRequest};
use super::super::voters::{ReplicaKey, VoterEndpoint, VoterNode, VoterSet};
use super::disk::{Disk, Snapshot};
use super::invariants::{Check, Invariants};
use super::node::{Node, Payload};
use crate::simulation::{Network, Rng, Weather};

const LISTENER: &str = "CONTROLLER";
const FIRST_PORT: u16 = 10_000;

/// What travels.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Request {
        correlation_id: u64,
        /// The process that asks: an answer finds no other.
        incarnation: u64,
        request: Request,
    },
    Response {
        correlation_id: u64,
        incarnation: u64,
        response: Response,
        payload: Payload,
    },
    /// The connection could not be made.
    Failure {
        correlation_id: u64,
        incarnation: u64,
        error: ErrorCode,
    },
}

/// Who waits for a reply.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// Node, incarnation and correlation id; `None` for an administrator, who doesn't care.
    pub(crate) node: Option<(usize, u64, u64)>,
    pub(crate) vote: Option<VoteRequest>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now_ms: i64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network<Message>,
    pub(crate) invariants: Invariants,
    pub(crate) tokens: u64,
    /// Bytes of a snapshot in one response.
    pub(crate) chunk_size: i64,
    /// In how many of 10,000 cases a node crashes between two outputs.
    pub(crate) crash_rate: u64,
    pub(crate) counts: Counts,
    is_traced: bool,
}

/// How often what happened, to see that a simulation is worth something.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) elections: u64,
    pub(crate) committed: u64,
    pub(crate) crashes: u64,
    pub(crate) truncations: u64,
    pub(crate) installs: u64,
    pub(crate) voter_changes: u64,
    pub(crate) upgrades: u64,
    pub(crate) shutdowns: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.elections += other.elections;
        self.committed += other.committed;
        self.crashes += other.crashes;
        self.truncations += other.truncations;
        self.installs += other.installs;
        self.voter_changes += other.voter_changes;
        self.upgrades += other.upgrades;
        self.shutdowns += other.shutdowns;
    }
}

/// How a world begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) voters: usize,
    /// Controllers that are no voters yet.
    pub(crate) candidates: usize,
    /// Brokers.
    pub(crate) observers: usize,
    /// kraft.version 0, with the voters in the configuration.
    pub(crate) is_static: bool,
    pub(crate) auto_join: bool,
    /// Some nodes know no pre-votes.
    pub(crate) has_old: bool,
    /// The voters know no bootstrap servers but the voters of the log.
    pub(crate) has_bootstrap: bool,
}

fn endpoint(idx: usize) -> VoterEndpoint {
    VoterEndpoint {
        name: LISTENER.into(),
        host: "host".into(),
        port: FIRST_PORT + u16::try_from(idx).unwrap(),
    }
}

fn key(idx: usize) -> ReplicaKey {
    ReplicaKey {
        id: i32::try_from(idx).unwrap() + 1,
        directory_id: Uuid::from_u128(1_000 + idx as u128),
    }
}

fn voters(shape: &Shape) -> VoterSet {
    VoterSet::new((0..shape.voters).map(|idx| {
        let mut key = key(idx);
        if shape.is_static {
            key.directory_id = Uuid::nil();
        }
        VoterNode {
            key,
            endpoints: vec![endpoint(idx)],
            kraft_version_min: 0,
            kraft_version_max: i16::from(!shape.is_static),
        }
    }))
}

fn config(idx: usize, shape: &Shape) -> Config {
    let nodes = shape.voters + shape.candidates + shape.observers;
    let is_controller = idx < shape.voters + shape.candidates;
    let servers = (0..nodes).filter(|_| !shape.is_static && shape.has_bootstrap);
    Config {
        local: key(idx),
        endpoints: if is_controller {
            vec![endpoint(idx)]
        } else {
            Vec::new()
        },
        listener_name: LISTENER.into(),
        kraft_version_min: 0,
        kraft_version_max: 1,
        can_become_voter: is_controller,
        auto_join: shape.auto_join,
        bootstrap_servers: servers
            .map(|idx| ("host".to_owned(), endpoint(idx).port))
            .collect(),
        static_voters: if shape.is_static {
            voters(shape)
        } else {
            VoterSet::default()
        },
        election_timeout_ms: 1_000,
        election_backoff_max_ms: 1_000,
        fetch_timeout_ms: 2_000,
        request_timeout_ms: 2_000,
        retry_backoff_ms: 20,
        fetch_max_wait_ms: 500,
        fetch_max_bytes: 1 << 20,
        fetch_snapshot_max_bytes: 1 << 20,
    }
}

fn disk(idx: usize, shape: &Shape) -> Disk {
    let mut disk = Disk::default();
    if !shape.is_static {
        let is_voter = idx < shape.voters;
        let records = QuorumRecords {
            kraft_version: 1,
            voters: if is_voter {
                voters(shape)
            } else {
                VoterSet::default()
            },
        };
        if is_voter || !shape.has_bootstrap {
            let voters = voters(shape);
            let snapshot = Snapshot {
                records: QuorumRecords { voters, ..records },
                chain: 0,
                size: 1,
            };
            disk.snapshots.insert(SnapshotId::BOOTSTRAP, snapshot);
        }
    }
    disk
}

impl World {
    pub(crate) fn new(seed: u64, shape: &Shape, weather: Weather, is_traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let nodes = shape.voters + shape.candidates + shape.observers;
        let nodes = (0..nodes).map(|idx| {
            let is_old = shape.has_old && rng.percent(30);
            Node::new(config(idx, shape), disk(idx, shape), is_old)
        });
        Self {
            nodes: nodes.collect(),
            chunk_size: rng.between(1, 400),
            rng,
            now_ms: 1_000,
            network: Network::new(weather),
            invariants: Invariants::default(),
            tokens: 0,
            crash_rate: 0,
            counts: Counts::default(),
            is_traced,
        }
    }

    pub(crate) fn trace(&self, idx: usize, text: impl FnOnce() -> String) {
        if self.is_traced {
            let node = &self.nodes[idx];
            let role = node.raft.as_ref().map_or("down", |raft| raft.role_name());
            let epoch = node.raft.as_ref().map_or(0, |raft| raft.epoch());
            println!("{:>7} {idx} {role} {epoch} {}", self.now_ms, text());
        }
    }

    pub(crate) fn crash_in_between(&mut self) -> bool {
        self.crash_rate > 0 && self.rng.next() % 10_000 < self.crash_rate
    }

    /// When something happens next.
    pub(crate) fn next_ms(&self) -> i64 {
        let nodes_ms = self.nodes.iter().map(Node::next_ms).min();
        let network_ms = self.network.next_ms();
        nodes_ms
            .into_iter()
            .chain(network_ms)
            .min()
            .unwrap_or(i64::MAX)
    }

    /// Moves on to what happens next, but not beyond this time.
    pub(crate) fn run_until(&mut self, end_ms: i64) -> Check {
        loop {
            let node_ms = self
                .nodes
                .iter()
                .map(Node::next_ms)
                .min()
                .unwrap_or(i64::MAX);
            let network_ms = self.network.next_ms().unwrap_or(i64::MAX);
            let next_ms = node_ms.min(network_ms);
            if next_ms > end_ms {
                self.now_ms = end_ms;
                return Ok(());
            }
            self.now_ms = self.now_ms.max(next_ms);
            if network_ms <= node_ms {
                if let Some(delivery) = self.network.receive(self.now_ms) {
                    self.arrived(delivery)?;
                }
                continue;
            }
            for idx in 0..self.nodes.len() {
                if self.nodes[idx].next_ms() <= self.now_ms {
                    self.flush_if_due(idx)?;
                    self.step(idx, Input::Tick, &Payload::default())?;
                }
            }
        }
    }

    fn arrived(&mut self, delivery: crate::simulation::Delivery<Message>) -> Check {
        let until_ms = self.nodes[delivery.to].paused_until_ms;
        if until_ms > self.now_ms {
            // The process gets no time; the message waits in its socket.
            self.network.delay(delivery, until_ms);
            return Ok(());
        }
        self.receive(delivery.from, delivery.to, delivery.message)
    }

    pub(crate) fn send_request(
        &mut self,
        from: usize,
        correlation_id: u64,
        port: u16,
        request: Request,
    ) {
        let to = usize::from(port - FIRST_PORT);
        let incarnation = self.nodes[from].incarnation;
        let is_pre_vote = matches!(&request, Request::Vote(vote) if vote.pre_vote);
        let failure = |error| Message::Failure {
            correlation_id,
            incarnation,
            error,
        };
        let (from_to, message) = if is_pre_vote && self.nodes[to].is_old {
            ((to, from), failure(ErrorCode::UNSUPPORTED_VERSION))
        } else if matches!(request, Request::ApiVersions) {
            let is_up = self.nodes[to].raft.is_some();
            let response = Message::Response {
                correlation_id,
                incarnation,
                response: Response::ApiVersions(ApiVersionsResponse {
                    error: ErrorCode::NONE,
                    kraft_version: Some((0, 1)),
                }),
                payload: Payload::default(),
            };
            let failed = failure(ErrorCode::NETWORK_EXCEPTION);
            ((to, from), if is_up { response } else { failed })
        } else {
            let request = Message::Request {
                correlation_id,
                incarnation,
                request,
            };
            ((from, to), request)
        };
        let (from, to) = from_to;
        self.network
            .send(&mut self.rng, self.now_ms, from, to, message);
    }

    /// Nobody listens at the node: mostly the other side is told.
    pub(crate) fn refuse(&mut self, by: usize, to: usize, incarnation: u64, correlation_id: u64) {
        if self.rng.percent(70) {
            let message = Message::Failure {
                correlation_id,
                incarnation,
                error: ErrorCode::NETWORK_EXCEPTION,
            };
            self.network
                .send(&mut self.rng, self.now_ms, by, to, message);
        }
    }

    pub(crate) fn send_response(
        &mut self,
        from: usize,
        origin: Origin,
        response: Response,
        payload: Payload,
    ) {
        let Some((to, incarnation, correlation_id)) = origin.node else {
            return;
        };
        let message = Message::Response {
            correlation_id,
            incarnation,
            response,
            payload,
        };
        self.network
            .send(&mut self.rng, self.now_ms, from, to, message);
    }

    pub(crate) fn leaders(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|idx| self.nodes[*idx].leading.is_some())
            .collect()
    }
}
