//! Scripts for the machine: one input per line, and its outputs indented under it.
//!
//! The machine is node 1. Log ends are `OFFSET@EPOCH`. Inputs:
//!
//! ```text
//! start voters=1,2,3 [static] [observer] [epoch=N] [leader=N] [voted=N] [log=0@1,10@4] [end=N]
//!       [snapshot=END@EPOCH] [join]
//! tick MS
//! ask-vote ID EPOCH END@EPOCH [pre] [key=ID]      begin ID EPOCH [key=ID]
//! end ID EPOCH [ID,ID]                            fetch ID EPOCH OFFSET@EPOCH [hw=N] [wait=MS]
//! fetch-snapshot ID EPOCH END@EPOCH POSITION      add ID [late]   remove ID   update ID [max=N]
//! upgrade LEVEL [check]                           resign   shutdown MS
//! append END [voters=1,2] [level=N]               flush END
//! snapshot END@EPOCH                              clean OFFSET    installed [voters=1,2]
//! damaged
//! answer PEER …     to the last request to the peer: `granted|refused [EPOCH] [leader=ID]`,
//!                   `ok|ERROR [EPOCH] [leader=ID] [hw=N] [records=BASE-NEXT@EPOCH[:voters=1,2]]
//!                   [diverge=END@EPOCH] [snapshot=END@EPOCH] [size=N] [bytes=N] [levels=MIN-MAX]`
//! fail PEER ERROR
//! ```
//!
//! What goes to several peers in a row is one line. A script may begin with a role instead of
//! with `start`: see [`super::roles`].

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kafka_shared::error::ErrorCode;
use kafka_shared::types::Uuid;

use super::super::super::quorum_records::{QuorumRecord, QuorumRecords};
use super::super::super::quorum_state::ElectionState;
use super::super::super::rpc::*;
use super::super::super::voters::{ReplicaKey, VoterEndpoint, VoterNode, VoterSet};
use super::super::{Config, Input, Output, Peer, Raft, Start};
use super::{roles, transcript};

pub(super) fn key(id: i32) -> ReplicaKey {
    ReplicaKey {
        id,
        directory_id: Uuid::from_u128(1_000 + id.unsigned_abs() as u128),
    }
}

fn endpoint(id: i32) -> VoterEndpoint {
    VoterEndpoint {
        name: "CONTROLLER".into(),
        host: "localhost".into(),
        port: 9_000 + u16::try_from(id.max(0)).unwrap(),
    }
}

fn voters(ids: &str, is_static: bool) -> VoterSet {
    VoterSet::new(ids.split(',').map(|id| {
        let id = id.parse().unwrap();
        let mut key = key(id);
        if is_static {
            key.directory_id = Uuid::nil();
        }
        VoterNode {
            key,
            endpoints: vec![endpoint(id)],
            kraft_version_min: 0,
            kraft_version_max: i16::from(!is_static),
        }
    }))
}

/// The words of a line: plain ones by position, `name=value` by name.
pub(super) struct Words<'a>(pub(super) Vec<&'a str>);

impl<'a> Words<'a> {
    fn at(&self, idx: usize) -> Option<&'a str> {
        self.0.get(idx).copied().filter(|word| !word.contains('='))
    }

    pub(super) fn named(&self, name: &str) -> Option<&'a str> {
        let value = |word: &&'a str| word.strip_prefix(name)?.strip_prefix('=');
        self.0.iter().find_map(value)
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    fn int(&self, idx: usize) -> i64 {
        self.at(idx).unwrap().parse().unwrap()
    }

    fn id(&self, idx: usize) -> i32 {
        self.at(idx).unwrap().parse().unwrap()
    }

    pub(super) fn number(&self, name: &str, default: i64) -> i64 {
        self.named(name)
            .map_or(default, |value| value.parse().unwrap())
    }
}

/// `OFFSET@EPOCH`
pub(super) fn at(text: &str) -> LogEnd {
    let (offset, epoch) = text.split_once('@').unwrap();
    LogEnd {
        end_offset: offset.parse().unwrap(),
        last_epoch: epoch.parse().unwrap(),
    }
}

fn snapshot_id(text: &str) -> SnapshotId {
    let LogEnd {
        end_offset,
        last_epoch,
    } = at(text);
    SnapshotId {
        epoch: last_epoch,
        end_offset,
    }
}

fn error(name: &str) -> ErrorCode {
    let all = [
        ErrorCode::NONE,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::BROKER_NOT_AVAILABLE,
        ErrorCode::UNSUPPORTED_VERSION,
        ErrorCode::NETWORK_EXCEPTION,
        ErrorCode::SNAPSHOT_NOT_FOUND,
        ErrorCode::REQUEST_TIMED_OUT,
        ErrorCode::INVALID_REQUEST,
        ErrorCode::INVALID_VOTER_KEY,
        ErrorCode::DUPLICATE_VOTER,
    ];
    let found = all.into_iter().find(|code| code.name() == name);
    found.unwrap_or_else(|| panic!("{name} is not in the list"))
}

pub(super) struct Script {
    raft: Option<Raft>,
    now_ms: i64,
    token: u64,
    sent: BTreeMap<Peer, (u64, Request)>,
    out: String,
}

impl Script {
    fn run(script: &str) -> String {
        let mut runner = Self {
            raft: None,
            now_ms: 1_000,
            token: 0,
            sent: BTreeMap::new(),
            out: String::new(),
        };
        for line in script.lines() {
            writeln!(runner.out, "{line}").unwrap();
            runner.line(line);
        }
        runner.out
    }

    fn line(&mut self, line: &str) {
        let words = Words(line.split_whitespace().collect());
        match words.0[0] {
            "start" => self.start(&words),
            "tick" => {
                self.now_ms += words.int(1);
                self.step(Input::Tick);
            }
            "answer" => self.answer(&words),
            "fail" => {
                let (correlation_id, _) = self.sent[&peer(words.at(1).unwrap())];
                let error = error(words.at(2).unwrap());
                self.step(Input::SendFailed {
                    correlation_id,
                    error,
                });
            }
            "append" => {
                let appended = self.appended(&words);
                self.step(Input::Appended(appended));
            }
            "flush" => self.step(Input::Flushed {
                end_offset: words.int(1),
            }),
            "snapshot" => self.step(Input::SnapshotCreated(snapshot_id(words.0[1]))),
            "clean" => self.step(Input::LogStartAdvanced {
                start_offset: words.int(1),
            }),
            "damaged" => self.step(Input::SnapshotDamaged),
            "installed" => self.step(Input::SnapshotInstalled(QuorumRecords {
                kraft_version: 1,
                voters: voters(words.named("voters").unwrap(), false),
            })),
            "resign" => {
                let epoch = self.raft.as_ref().unwrap().epoch();
                self.step(Input::Resign { epoch });
            }
            "shutdown" => self.step(Input::Shutdown {
                timeout_ms: words.int(1),
            }),
            "upgrade" => {
                let epoch = self.raft.as_ref().unwrap().epoch();
                self.step(Input::UpgradeKRaftVersion {
                    token: 0,
                    epoch,
                    version: i16::try_from(words.int(1)).unwrap(),
                    validate_only: words.has("check"),
                });
            }
            _ => {
                self.token += 1;
                let token = self.token;
                let request = request(&words);
                self.step(Input::Request { token, request });
            }
        }
    }

    fn step(&mut self, input: Input) {
        let raft = self.raft.as_mut().unwrap();
        raft.step(self.now_ms, input);
        assert!(
            raft.deadline_ms() > self.now_ms,
            "the machine does not wait"
        );
        self.outputs();
    }

    fn start(&mut self, words: &Words<'_>) {
        let is_static = words.has("static");
        let is_observer = words.has("observer");
        let set = words.named("voters").map(|ids| voters(ids, is_static));
        let set = set.unwrap_or_default();
        let number = |name: &str| words.named(name).map(|value| value.parse::<i32>().unwrap());
        let epochs = words.named("log").map(|log| {
            let entries = log.split(',').map(at);
            entries
                .map(|entry| (entry.last_epoch, entry.end_offset))
                .collect()
        });
        let snapshot = words.named("snapshot").map(snapshot_id);
        let end_offset = words.number("end", 0);
        let config = Config {
            local: key(1),
            endpoints: vec![endpoint(1)],
            listener_name: "CONTROLLER".into(),
            kraft_version_min: 0,
            kraft_version_max: 1,
            can_become_voter: !is_observer,
            auto_join: words.has("join"),
            bootstrap_servers: if is_static {
                Vec::new()
            } else {
                vec![("boot".into(), 9_000)]
            },
            static_voters: if is_static {
                set.clone()
            } else {
                VoterSet::default()
            },
            election_timeout_ms: 1_000,
            election_backoff_max_ms: 1_000,
            fetch_timeout_ms: 2_000,
            request_timeout_ms: 2_000,
            retry_backoff_ms: 20,
            fetch_max_wait_ms: 500,
            fetch_max_bytes: 1_000,
            fetch_snapshot_max_bytes: 100,
        };
        let formatted = (!is_static).then_some(SnapshotId::BOOTSTRAP);
        let start = Start {
            election: ElectionState {
                epoch: number("epoch").unwrap_or(0),
                leader_id: number("leader"),
                voted: number("voted").map(key),
            },
            log_start_offset: snapshot.map_or(0, |id| id.end_offset),
            log_end_offset: end_offset,
            epochs: epochs.unwrap_or_default(),
            snapshots: snapshot.or(formatted).into_iter().collect(),
            snapshot_records: QuorumRecords {
                kraft_version: i16::from(!is_static),
                voters: if is_static { VoterSet::default() } else { set },
            },
            control: Vec::new(),
        };
        self.raft = Some(Raft::new(config, start, 7, self.now_ms));
        self.outputs();
    }

    /// One batch up to the offset.
    fn appended(&self, words: &Words<'_>) -> Fetched {
        let raft = self.raft.as_ref().unwrap();
        let base_offset = raft.log_end().end_offset;
        let mut control = Vec::new();
        if let Some(level) = words.named("level") {
            control.push((
                base_offset,
                QuorumRecord::KRaftVersion(level.parse().unwrap()),
            ));
        }
        if let Some(ids) = words.named("voters") {
            control.push((base_offset, QuorumRecord::Voters(voters(ids, false))));
        }
        Fetched {
            batches: vec![BatchInfo {
                base_offset,
                next_offset: words.int(1),
                epoch: raft.epoch(),
            }],
            control,
        }
    }

    fn answer(&mut self, words: &Words<'_>) {
        let (correlation_id, request) = self.sent[&peer(words.at(1).unwrap())].clone();
        let outcome = words.at(2).unwrap();
        let epoch = self.raft.as_ref().unwrap().epoch();
        let epoch = words.at(3).map_or(epoch, |epoch| epoch.parse().unwrap());
        let leader_id = words.named("leader").map(|id| id.parse().unwrap());
        let leader = CurrentLeader {
            id: leader_id,
            epoch,
            endpoints: leader_id.map(endpoint).into_iter().collect(),
        };
        let error = match outcome {
            "granted" | "refused" | "ok" => ErrorCode::NONE,
            name => error(name),
        };
        let response = match request {
            Request::Vote(_) => Response::Vote(VoteResponse {
                error,
                leader,
                vote_granted: outcome == "granted",
            }),
            Request::BeginQuorumEpoch(_) => {
                Response::BeginQuorumEpoch(QuorumEpochResponse { error, leader })
            }
            Request::EndQuorumEpoch(_) => {
                Response::EndQuorumEpoch(QuorumEpochResponse { error, leader })
            }
            Request::Fetch(_) => Response::Fetch(fetch_response(words, error, leader)),
            Request::FetchSnapshot(request) => Response::FetchSnapshot(FetchSnapshotResponse {
                error,
                leader,
                snapshot_id: Some(request.snapshot_id),
                size: words.number("size", 0),
                position: words.number("position", request.position),
                bytes: words.number("bytes", 0),
            }),
            Request::AddRaftVoter(_) => Response::AddRaftVoter(VoterChangeResponse {
                error,
                message: None,
            }),
            Request::RemoveRaftVoter(_) => Response::RemoveRaftVoter(VoterChangeResponse {
                error,
                message: None,
            }),
            Request::UpdateRaftVoter(_) => {
                Response::UpdateRaftVoter(UpdateRaftVoterResponse { error, leader })
            }
            Request::ApiVersions => Response::ApiVersions(ApiVersionsResponse {
                error,
                kraft_version: words.named("levels").map(|levels| {
                    let (min, max) = levels.split_once('-').unwrap();
                    (min.parse().unwrap(), max.parse().unwrap())
                }),
            }),
        };
        self.step(Input::Response {
            correlation_id,
            response,
        });
    }

    fn outputs(&mut self) {
        let mut said = Vec::new();
        while let Some(output) = self.raft.as_mut().unwrap().poll_output() {
            if let Output::Send {
                correlation_id,
                to,
                request,
                ..
            } = &output
            {
                self.sent.insert(*to, (*correlation_id, request.clone()));
            }
            said.push(output);
        }
        for line in transcript::lines(&said) {
            writeln!(self.out, "    {line}").unwrap();
        }
    }
}

fn peer(text: &str) -> Peer {
    text.parse().map_or(Peer::Bootstrap(0), Peer::Node)
}

fn fetch_response(words: &Words<'_>, error: ErrorCode, leader: CurrentLeader) -> FetchResponse {
    let diverging_epoch = words.named("diverge").map(at).map(|end| EpochEndOffset {
        epoch: end.last_epoch,
        end_offset: end.end_offset,
    });
    FetchResponse {
        error,
        leader,
        high_watermark: words.number("hw", -1),
        log_start_offset: 0,
        diverging_epoch,
        snapshot_id: words.named("snapshot").map(snapshot_id),
        records: match words.named("records") {
            None => FetchRecords::None,
            Some(text) => FetchRecords::Fetched(records(text)),
        },
    }
}

/// `BASE-NEXT@EPOCH[:1,2]`, the latter the voters.
fn records(text: &str) -> Fetched {
    let (batch, ids) = text
        .split_once(':')
        .map_or((text, None), |(a, b)| (a, Some(b)));
    let (base, end) = batch.split_once('-').unwrap();
    let base_offset = base.parse().unwrap();
    let end = at(end);
    let set = |ids| (base_offset, QuorumRecord::Voters(voters(ids, false)));
    Fetched {
        batches: vec![BatchInfo {
            base_offset,
            next_offset: end.end_offset,
            epoch: end.last_epoch,
        }],
        control: ids.map(set).into_iter().collect(),
    }
}

fn request(words: &Words<'_>) -> Request {
    let id = words.id(1);
    let voter = words.named("key").map(|id| key(id.parse().unwrap()));
    let epoch = words
        .at(2)
        .and_then(|epoch| epoch.parse().ok())
        .unwrap_or(0);
    match words.0[0] {
        "ask-vote" => Request::Vote(VoteRequest {
            candidate: key(id),
            epoch,
            voter,
            log: at(words.0[3]),
            pre_vote: words.has("pre"),
        }),
        "begin" => Request::BeginQuorumEpoch(BeginQuorumEpochRequest {
            leader_id: id,
            epoch,
            voter,
            endpoints: vec![endpoint(id)],
        }),
        "end" => {
            let preferred = words
                .at(3)
                .map(|ids| ids.split(',').map(|id| key(id.parse().unwrap())));
            Request::EndQuorumEpoch(EndQuorumEpochRequest {
                leader_id: id,
                epoch,
                preferred_candidates: preferred.into_iter().flatten().collect(),
                endpoints: vec![endpoint(id)],
            })
        }
        "fetch" => {
            let end = at(words.0[3]);
            Request::Fetch(FetchRequest {
                replica: key(id),
                epoch,
                fetch_offset: end.end_offset,
                last_fetched_epoch: end.last_epoch,
                high_watermark: words.number("hw", -1),
                max_wait_ms: i32::try_from(words.number("wait", 500)).unwrap(),
                max_bytes: 1_000,
            })
        }
        "fetch-snapshot" => Request::FetchSnapshot(FetchSnapshotRequest {
            replica: key(id),
            epoch,
            snapshot_id: snapshot_id(words.0[3]),
            position: words.int(4),
            max_bytes: 100,
        }),
        "add" => Request::AddRaftVoter(AddRaftVoterRequest {
            voter: key(id),
            endpoints: vec![endpoint(id)],
            ack_when_committed: words.has("late"),
        }),
        "remove" => Request::RemoveRaftVoter(RemoveRaftVoterRequest { voter: key(id) }),
        "update" => Request::UpdateRaftVoter(UpdateRaftVoterRequest {
            epoch: i32::try_from(words.number("epoch", 1)).unwrap(),
            voter: key(id),
            endpoints: vec![
                endpoint(id),
                VoterEndpoint {
                    name: "NEW".into(),
                    ..endpoint(id)
                },
            ],
            kraft_version_min: 0,
            kraft_version_max: i16::try_from(words.number("max", 1)).unwrap(),
        }),
        other => panic!("{other}"),
    }
}

/// Runs the inputs of a script and compares all of it.
#[track_caller]
pub(super) fn check(script: &str) {
    let lines = script.lines().filter(|line| !line.trim().is_empty());
    let lines: Vec<_> = lines
        .map(|line| line.strip_prefix("        ").unwrap_or(line).trim_end())
        .flat_map(roles::expanded)
        .collect();
    let inputs: Vec<_> = lines
        .iter()
        .filter(|line| !line.starts_with(' '))
        .map(String::as_str)
        .collect();
    let found = Script::run(&inputs.join("\n"));
    assert_eq!(found, lines.join("\n") + "\n", "\n{found}");
}
