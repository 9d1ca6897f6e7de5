//! The machine by scripts, and the driver over a log that loses what was not flushed.
//!
//! A script has one input per line: `start …`, `tick MS`, `append END EPOCH`, `flush END`,
//! `request ID EPOCH END LAST_EPOCH`, `vote ID EPOCH yes|no`, `leader ID EPOCH`,
//! `fetch ID OFFSET`, `resign`. The answer is one line per output, indented under its input.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::time::{Clock, SystemClock};
use kafka_shared::types::Uuid;

use super::driver::{AppendError, RaftConfig, RaftHandle, StartError, start};
use super::quorum_records::QuorumRecords;
use super::quorum_state::{ElectionState, FILE_NAME};
use super::state::{Config, Input, LogEnd, Output, Raft, VoteRequest};
use super::store::LogStore;
use super::store::memory::MemoryLog;
use super::voters::{ReplicaKey, VoterEndpoint, VoterNode, VoterSet};

fn key(id: i32) -> ReplicaKey {
    ReplicaKey {
        id,
        directory_id: Uuid::from_u128(1_000 + id.unsigned_abs() as u128),
    }
}

fn endpoint(port: u16) -> VoterEndpoint {
    VoterEndpoint {
        name: "CONTROLLER".into(),
        host: "localhost".into(),
        port,
    }
}

fn voters(ids: &[i32]) -> VoterSet {
    VoterSet::new(ids.iter().map(|id| VoterNode {
        key: key(*id),
        endpoints: vec![endpoint(9093)],
        kraft_version_min: 0,
        kraft_version_max: 1,
    }))
}

struct Script {
    raft: Option<Raft>,
    now_ms: i64,
    out: String,
}

impl Script {
    /// Runs the machine as node 1.
    fn run(script: &str) -> String {
        let mut runner = Self {
            raft: None,
            now_ms: 0,
            out: String::new(),
        };
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            writeln!(runner.out, "{line}").unwrap();
            runner.line(line);
        }
        runner.out
    }

    fn line(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |idx: usize| words[idx].parse::<i64>().unwrap();
        let id = |idx: usize| words[idx].parse::<i32>().unwrap();
        let input = match words[0] {
            "start" => return self.start(&words[1..]),
            "tick" => {
                self.now_ms += number(1);
                Input::Tick
            }
            "append" => Input::Appended(LogEnd {
                end_offset: number(1),
                last_epoch: id(2),
            }),
            "flush" => Input::Flushed {
                end_offset: number(1),
            },
            "request" => Input::VoteRequested(VoteRequest {
                candidate: key(id(1)),
                epoch: id(2),
                log: LogEnd {
                    end_offset: number(3),
                    last_epoch: id(4),
                },
            }),
            "vote" => Input::VoteReceived {
                voter: key(id(1)),
                epoch: id(2),
                is_granted: words[3] == "yes",
            },
            "leader" => Input::LeaderSeen {
                leader_id: id(1),
                epoch: id(2),
            },
            "fetch" => Input::ReplicaFetched {
                replica: key(id(1)),
                offset: number(2),
            },
            "resign" => Input::Resign,
            other => panic!("{other}"),
        };
        self.raft.as_mut().unwrap().step(self.now_ms, input);
        self.outputs();
    }

    /// `start voters=1,2 [epoch=N] [leader=N] [voted=N] [end=N] [last=N]`
    fn start(&mut self, words: &[&str]) {
        let value = |name: &str| {
            words
                .iter()
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let number = |name: &str| value(name).map(|value| value.parse::<i32>().unwrap());
        let ids: Vec<i32> = value("voters")
            .unwrap()
            .split(',')
            .map(|id| id.parse().unwrap())
            .collect();
        let election = ElectionState {
            epoch: number("epoch").unwrap_or(0),
            leader_id: number("leader"),
            voted: number("voted").map(key),
        };
        let log = LogEnd {
            end_offset: i64::from(number("end").unwrap_or(0)),
            last_epoch: number("last").unwrap_or(0),
        };
        let config = Config {
            local: key(1),
            election_timeout_ms: 1_000,
            fetch_timeout_ms: 2_000,
        };
        let raft = Raft::new(config, voters(&ids), election, log, 0, 7, self.now_ms);
        self.raft = Some(raft);
        self.outputs();
    }

    fn outputs(&mut self) {
        let raft = self.raft.as_mut().unwrap();
        while let Some(output) = raft.poll_output() {
            let text = match output {
                Output::PersistElection(e) => {
                    let voted = e.voted.map(|key| key.id);
                    format!(
                        "persist epoch={} leader={:?} voted={voted:?}",
                        e.epoch, e.leader_id
                    )
                }
                Output::RequestVote { voter, epoch, log } => {
                    format!("ask {} epoch={epoch} end={}", voter.id, log.end_offset)
                }
                Output::Vote {
                    candidate,
                    epoch,
                    is_granted,
                } => {
                    let answer = if is_granted { "granted" } else { "refused" };
                    format!("{answer} {} epoch={epoch}", candidate.id)
                }
                Output::BecomeLeader {
                    epoch,
                    epoch_start_offset,
                    granting_voters,
                } => {
                    format!("lead epoch={epoch} from={epoch_start_offset} by={granting_voters:?}")
                }
                Output::StepDown { epoch } => format!("step down epoch={epoch}"),
                Output::HighWatermark(offset) => format!("commit {offset}"),
            };
            writeln!(self.out, "    {text}").unwrap();
        }
    }
}

#[track_caller]
fn check(script: &str) {
    let given: String = script
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.strip_prefix("        ").unwrap_or(line).to_owned() + "\n")
        .collect();
    let inputs: String = given
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.to_owned() + "\n")
        .collect();
    let expected = given;
    assert_eq!(Script::run(&inputs), expected, "\n{}", Script::run(&inputs));
}

#[test]
fn the_only_voter_elects_itself_at_once_and_commits_only_what_is_flushed() {
    check(
        "
        start voters=1 epoch=3 leader=1 end=10 last=3
            persist epoch=4 leader=Some(1) voted=None
            lead epoch=4 from=10 by=[1]
        append 11 4
        append 15 4
        flush 11
            commit 11
        flush 15
            commit 15
        flush 15
        ",
    );
}

#[test]
fn an_epoch_in_the_log_beyond_the_file_is_never_used_again() {
    check(
        "
        start voters=1 epoch=2 voted=1 end=10 last=7
            persist epoch=8 leader=Some(1) voted=None
            lead epoch=8 from=10 by=[1]
        ",
    );
    check(
        "
        start voters=1,2,3 epoch=2 leader=1 end=10 last=7
            persist epoch=7 leader=None voted=None
        ",
    );
}

#[test]
fn a_former_leader_neither_votes_nor_leads_again_in_its_epoch() {
    check(
        "
        start voters=1,2,3 epoch=5 leader=1 end=10 last=5
        request 2 5 10 5
            refused 2 epoch=5
        tick 3000
            persist epoch=6 leader=None voted=Some(1)
            ask 2 epoch=6 end=10
            ask 3 epoch=6 end=10
        vote 2 6 no
        vote 2 6 yes
        vote 3 6 yes
            persist epoch=6 leader=Some(1) voted=None
            lead epoch=6 from=10 by=[1, 3]
        ",
    );
}

#[test]
fn one_vote_per_epoch_and_only_for_a_log_that_holds_all_that_can_be_committed() {
    check(
        "
        start voters=1,2,3 epoch=5 end=10 last=4
            persist epoch=5 leader=None voted=None
        request 2 5 9 4
            refused 2 epoch=5
        request 2 5 20 3
            refused 2 epoch=5
        request 2 5 10 4
            persist epoch=5 leader=None voted=Some(2)
            granted 2 epoch=5
        request 3 5 99 5
            refused 3 epoch=5
        request 2 5 10 4
            granted 2 epoch=5
        request 3 6 10 4
            persist epoch=6 leader=None voted=None
            persist epoch=6 leader=None voted=Some(3)
            granted 3 epoch=6
        request 2 5 99 9
            refused 2 epoch=6
        ",
    );
}

#[test]
fn a_majority_has_to_have_flushed_a_record_of_the_epoch() {
    check(
        "
        start voters=1,2,3 epoch=5 voted=1 end=10 last=5
            persist epoch=5 leader=None voted=Some(1)
            ask 2 epoch=5 end=10
            ask 3 epoch=5 end=10
        vote 2 5 yes
            persist epoch=5 leader=Some(1) voted=None
            lead epoch=5 from=10 by=[1, 2]
        append 12 5
        fetch 2 10
        flush 12
        fetch 3 10
        fetch 9 12
        fetch 2 11
            commit 11
        fetch 2 12
            commit 12
        fetch 3 11
        ",
    );
}

#[test]
fn a_leader_that_sees_a_greater_epoch_steps_down() {
    check(
        "
        start voters=1 end=0
            persist epoch=1 leader=Some(1) voted=None
            lead epoch=1 from=0 by=[1]
        vote 2 4 no
            step down epoch=1
            persist epoch=4 leader=None voted=None
        leader 2 4
            persist epoch=4 leader=Some(2) voted=None
        leader 2 4
        ",
    );
    check(
        "
        start voters=2,3 epoch=4 leader=2 end=0
        tick 5000
            persist epoch=4 leader=None voted=None
        leader 3 5
            persist epoch=5 leader=Some(3) voted=None
        ",
    );
}

fn config(dir: &Path) -> RaftConfig {
    RaftConfig {
        local: key(1),
        endpoints: vec![endpoint(9093)],
        dir: dir.to_path_buf(),
        election_timeout_ms: 1_000,
        fetch_timeout_ms: 2_000,
    }
}

fn open(dir: &Path, log: &Arc<MemoryLog>) -> RaftHandle {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store: Arc<dyn LogStore> = Arc::clone(log) as Arc<dyn LogStore>;
    let snapshot = (
        0,
        QuorumRecords {
            kraft_version: 1,
            voters: voters(&[1]),
        },
    );
    start(config(dir), store, snapshot, clock).unwrap()
}

fn one_record(base_offset: i64, epoch: i32) -> Result<Vec<Bytes>, std::convert::Infallible> {
    let mut batch = BatchBuilder::new()
        .with_base_offset(base_offset)
        .with_leader_epoch(epoch);
    batch.append(0, None, Some(b"value"), &[]).unwrap();
    Ok(vec![batch.build()])
}

async fn leading_epoch(raft: &RaftHandle) -> i32 {
    let mut status = raft.status();
    let leading = status.wait_for(|status| status.leading_epoch.is_some());
    let leading = tokio::time::timeout(Duration::from_secs(20), leading);
    leading.await.unwrap().unwrap().leading_epoch.unwrap()
}

async fn committed(raft: &RaftHandle, offset: i64) {
    let mut status = raft.status();
    let wait = status.wait_for(|status| status.high_watermark > offset);
    drop(
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .unwrap()
            .unwrap(),
    );
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_crash_and_offsets_and_epochs_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let raft = open(dir.path(), &log);
    let epoch = leading_epoch(&raft).await;
    let mut last = 0;
    for _ in 0..50 {
        last = raft
            .append(epoch, |offset| one_record(offset, epoch))
            .unwrap();
    }
    committed(&raft, last).await;
    // The crash: what was appended and not flushed is gone, and nobody was told otherwise.
    let after = Arc::new(log.crash());
    let high_watermark = raft.status().borrow().high_watermark;
    assert!(after.end().end_offset >= high_watermark);
    raft.shutdown().await;

    let raft = open(dir.path(), &after);
    let next_epoch = leading_epoch(&raft).await;
    assert_eq!(next_epoch, epoch + 1);
    committed(&raft, last).await;
    let stale = raft.append(epoch, |offset| one_record(offset, epoch));
    assert!(matches!(stale, Err(AppendError::NotLeader(_))));
    // Voters stand in the log once; a new epoch begins with the leader's name only.
    let first = raft
        .append(next_epoch, |offset| one_record(offset, next_epoch))
        .unwrap();
    assert_eq!(first, last + 2);
    raft.shutdown().await;
    let text = std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
    assert_eq!(ElectionState::from_json(&text).unwrap().epoch, next_epoch);
}

#[tokio::test]
async fn nothing_is_committed_when_the_disk_fails_and_the_node_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let raft = open(dir.path(), &log);
    let epoch = leading_epoch(&raft).await;
    let activation_offset = raft.status().borrow().activation_offset;
    committed(&raft, activation_offset).await;
    let before = raft.status().borrow().high_watermark;
    log.fail_flush();
    raft.append(epoch, |offset| one_record(offset, epoch))
        .unwrap();
    let mut status = raft.status();
    let failed = status.wait_for(|status| status.is_closed);
    let failed = tokio::time::timeout(Duration::from_secs(20), failed)
        .await
        .unwrap()
        .unwrap()
        .clone();
    assert!(failed.failure.unwrap().contains("no space left"));
    assert_eq!(
        (failed.high_watermark, failed.leading_epoch),
        (before, None)
    );
    assert!(
        raft.append(epoch, |offset| one_record(offset, epoch))
            .is_err()
    );
}

#[tokio::test]
async fn a_quorum_that_this_version_cant_run_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let refuse = |ids: &[i32]| {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let snapshot = (
            0,
            QuorumRecords {
                kraft_version: 1,
                voters: voters(ids),
            },
        );
        start(
            config(dir.path()),
            Arc::new(MemoryLog::default()),
            snapshot,
            clock,
        )
        .unwrap_err()
    };
    assert!(matches!(refuse(&[]), StartError::NoVoters(_)));
    assert!(matches!(refuse(&[2]), StartError::NotAVoter { .. }));
    assert!(matches!(refuse(&[1, 2, 3]), StartError::TooManyVoters(3)));
    std::fs::write(dir.path().join(FILE_NAME), "{").unwrap();
    assert!(matches!(refuse(&[1]), StartError::QuorumState { .. }));
}

#[tokio::test]
async fn a_voter_that_has_moved_says_so_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let raft = open(dir.path(), &log);
    leading_epoch(&raft).await;
    raft.shutdown().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let snapshot = (
        0,
        QuorumRecords {
            kraft_version: 1,
            voters: voters(&[1]),
        },
    );
    let moved = RaftConfig {
        endpoints: vec![endpoint(19_093)],
        ..config(dir.path())
    };
    let raft = start(
        moved,
        Arc::clone(&log) as Arc<dyn LogStore>,
        snapshot,
        clock,
    )
    .unwrap();
    leading_epoch(&raft).await;
    assert_eq!(raft.voters().get(1).unwrap().endpoints, [endpoint(19_093)]);
    // Below the record the old address is in force.
    assert_eq!(raft.quorum_records(3).voters, voters(&[1]));
    raft.shutdown().await;
}
