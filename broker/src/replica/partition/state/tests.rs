use std::fmt::Write as _;

use super::isr::{AlteredIsr, IsrOutcome};
use super::*;

/// Runs a script of events against node 1's state of a partition and returns what each line
/// brought about. The commands:
/// - `register leader=N epoch=E/P replicas=… isr=… [adding=…]`: E leader epoch, P partition epoch;
/// - `append N`: the local log grows to end at N;
/// - `fetch replica=N offset=O [start=S] [epoch=B] [leo=L]`: a follower's fetch;
/// - `commit [min=M] [joiners=…]`, `acks OFFSET [min=M] [since=E]`, `check [EPOCH]`, `low`, `tick MS`;
/// - `expand R [active=E]`, `shrink`: proposals, `!N` being their numbers; `answer N isr=… epoch=E/P`
///   or `answer N error=CODE`.
fn run(script: &str) -> String {
    let mut state = PartitionState::new(1);
    let (mut leo, mut now, mut high_watermark, mut out) = (0, 1000, 0, String::new());
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap();
        let words: Vec<&str> = words.collect();
        let text = |key: &str| {
            words
                .iter()
                .find_map(|w| w.strip_prefix(key)?.strip_prefix('='))
                .unwrap_or("")
        };
        let number = |key: &str, default: i64| text(key).parse().unwrap_or(default);
        let list = |key: &str| -> Vec<i32> {
            text(key)
                .split(',')
                .filter_map(|id| id.parse().ok())
                .collect()
        };
        let plain = || words.first().and_then(|w| w.parse::<i64>().ok());
        let min = usize::try_from(number("min", 1)).unwrap();
        let outcome = match command {
            "register" => {
                let (epoch, partition_epoch) = text("epoch").split_once('/').unwrap();
                let registration = Registration {
                    leader: text("leader").parse().ok(),
                    leader_epoch: epoch.parse().unwrap(),
                    partition_epoch: partition_epoch.parse().unwrap(),
                    replicas: list("replicas"),
                    isr: list("isr"),
                    adding_replicas: list("adding"),
                    removing_replicas: Vec::new(),
                };
                format!("{:?}", state.apply(&registration, leo, now))
            }
            "append" => {
                leo = plain().unwrap();
                continue;
            }
            "tick" => {
                now += plain().unwrap();
                continue;
            }
            "fetch" => {
                let result = state.record_follower_fetch(&FollowerFetch {
                    replica_id: i32::try_from(number("replica", 0)).unwrap(),
                    replica_epoch: number("epoch", -1),
                    registered_epoch: Some(12),
                    fetch_offset: number("offset", 0),
                    log_start_offset: number("start", 0),
                    leader_end_offset: number("leo", leo),
                    now_ms: now,
                });
                match result {
                    Ok(()) => "ok".to_owned(),
                    Err(code) => code.name().to_owned(),
                }
            }
            "commit" => {
                let joiners = list("joiners");
                let active = |id| joiners.contains(&id).then_some(12);
                let offset = state.committed_offset(leo, min, now, 100, active);
                high_watermark = high_watermark.max(offset.unwrap_or(0));
                format!("{offset:?} hw {high_watermark}")
            }
            "acks" => match state.acks_all_outcome(
                plain().unwrap(),
                i32::try_from(number("since", i64::from(state.leading_since_epoch()))).unwrap(),
                high_watermark,
                min,
            ) {
                None => "wait".to_owned(),
                Some(code) => code.name().to_owned(),
            },
            "check" => {
                let epoch = plain().map(|epoch| i32::try_from(epoch).unwrap());
                match state.check_access(epoch, true) {
                    Ok(()) => "ok".to_owned(),
                    Err(code) => code.name().to_owned(),
                }
            }
            "expand" | "shrink" => {
                let proposal = match command {
                    "expand" => {
                        let id = i32::try_from(plain().unwrap()).unwrap();
                        let active = number("active", 12);
                        state.expand_isr(id, high_watermark, (active >= 0).then_some(active), 50)
                    }
                    _ => state.shrink_isr(leo, now, 100, 50),
                };
                proposal.map_or("no".to_owned(), |p| {
                    let (epoch, version) = (p.leader_epoch, p.partition_epoch);
                    format!("!{} {:?} in {epoch}/{version}", p.number, p.isr)
                })
            }
            "answer" => {
                let answer = match text("error").parse() {
                    Ok(code) => Err(ErrorCode(code)),
                    Err(_) => {
                        let (epoch, version) = text("epoch").split_once('/').unwrap();
                        Ok(AlteredIsr {
                            leader_epoch: epoch.parse().unwrap(),
                            partition_epoch: version.parse().unwrap(),
                            isr: list("isr"),
                        })
                    }
                };
                let number = u64::try_from(plain().unwrap()).unwrap();
                match state.on_isr_answer(number, answer) {
                    IsrOutcome::Retry(proposal) => format!("retry !{}", proposal.number),
                    outcome => format!("{outcome:?} {:?}", state.isr()),
                }
            }
            "low" => state
                .low_watermark(number("start", 0), |id| id != 9)
                .to_string(),
            other => panic!("unknown command {other}"),
        };
        writeln!(out, "{command}: {outcome}").unwrap();
    }
    out
}

#[track_caller]
fn check(script: &str, expected: &str) {
    let clean = |text: &str| {
        text.lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(clean(&run(script)), clean(expected), "\nscript: {script}");
}

#[test]
fn a_single_replica_commits_what_it_appends() {
    check(
        "append 3
         register leader=1 epoch=0/0 replicas=1 isr=1
         append 5
         commit
         acks 5
         acks 6
         commit min=3
         acks 5 min=3",
        "register: Leader { was_leader: false, epoch_start: Some((0, 3)) }
         commit: Some(5) hw 5
         acks: NONE
         acks: wait
         commit: Some(5) hw 5
         acks: NONE",
    );
}

#[test]
fn the_slowest_in_sync_replica_decides_and_others_do_not() {
    check(
        "register leader=1 epoch=4/2 replicas=1,2,3 isr=1,2
         append 10
         commit
         fetch replica=2 offset=6
         fetch replica=3 offset=1
         tick 500
         commit
         acks 6
         acks 7
         fetch replica=2 offset=10
         commit",
        "register: Leader { was_leader: false, epoch_start: Some((4, 0)) }
         commit: None hw 0
         fetch: ok
         fetch: ok
         commit: Some(6) hw 6
         acks: NONE
         acks: wait
         fetch: ok
         commit: Some(10) hw 10",
    );
}

#[test]
fn a_caught_up_replica_that_may_join_holds_the_watermark() {
    check(
        "register leader=1 epoch=0/0 replicas=1,2 isr=1
         append 10
         fetch replica=2 offset=10
         append 20
         commit
         commit joiners=2
         tick 101
         commit joiners=2",
        "register: Leader { was_leader: false, epoch_start: Some((0, 0)) }
         fetch: ok
         commit: Some(20) hw 20
         commit: Some(10) hw 20
         commit: Some(20) hw 20",
    );
}

#[test]
fn a_follower_that_reaches_the_end_of_its_last_fetch_was_caught_up_then() {
    // The third fetch reaches 20, the leader's end at the second one, so the follower counts as
    // caught up at that time (1150), which is 60 ms ago, although the log has moved on to 30.
    check(
        "register leader=1 epoch=0/0 replicas=1,2 isr=1
         tick 150
         append 20
         fetch replica=2 offset=5
         tick 60
         append 30
         fetch replica=2 offset=20
         commit joiners=2
         tick 41
         commit joiners=2",
        "register: Leader { was_leader: false, epoch_start: Some((0, 0)) }
         fetch: ok
         fetch: ok
         commit: Some(20) hw 20
         commit: Some(30) hw 30",
    );
}

#[test]
fn below_min_isr_the_watermark_stands_and_acks_all_fails_after_append() {
    check(
        "register leader=1 epoch=0/0 replicas=1,2,3 isr=1,2
         append 10
         fetch replica=2 offset=10
         commit min=2
         register leader=1 epoch=0/1 replicas=1,2,3 isr=1
         append 12
         commit min=2
         acks 10 min=2
         acks 12 min=2",
        "register: Leader { was_leader: false, epoch_start: Some((0, 0)) }
         fetch: ok
         commit: Some(10) hw 10
         register: Leader { was_leader: true, epoch_start: None }
         commit: None hw 10
         acks: NOT_ENOUGH_REPLICAS_AFTER_APPEND
         acks: wait",
    );
}

#[test]
fn stale_registrations_are_ignored_and_epochs_fence_clients() {
    check(
        "check
         register leader=1 epoch=5/9 replicas=1,2 isr=1,2
         register leader=2 epoch=4/8 replicas=1,2 isr=1,2
         check
         check 4
         check 5
         check 6
         register leader=2 epoch=6/10 replicas=1,2 isr=1,2
         check 6
         check 5
         acks 1
         fetch replica=2 offset=0
         register leader=1 epoch=7/11 replicas=1,2 isr=1,2
         check 7",
        "check: NOT_LEADER_OR_FOLLOWER
         register: Leader { was_leader: false, epoch_start: Some((5, 0)) }
         register: Stale
         check: ok
         check: FENCED_LEADER_EPOCH
         check: ok
         check: UNKNOWN_LEADER_EPOCH
         register: Follower { was_leader: true, is_new_epoch: true }
         check: NOT_LEADER_OR_FOLLOWER
         check: FENCED_LEADER_EPOCH
         acks: NOT_LEADER_OR_FOLLOWER
         fetch: NOT_LEADER_OR_FOLLOWER
         register: Leader { was_leader: false, epoch_start: Some((7, 0)) }
         check: ok",
    );
}

#[test]
fn fetches_of_strangers_and_of_earlier_lives_are_refused() {
    check(
        "register leader=1 epoch=0/0 replicas=1,2 isr=1,2
         fetch replica=3 offset=0
         fetch replica=2 offset=4 epoch=12
         fetch replica=2 offset=1 epoch=11
         fetch replica=2 offset=4
         append 9
         commit",
        "register: Leader { was_leader: false, epoch_start: Some((0, 0)) }
         fetch: UNKNOWN_LEADER_EPOCH
         fetch: ok
         fetch: NOT_LEADER_OR_FOLLOWER
         fetch: ok
         commit: Some(4) hw 4",
    );
}

#[test]
fn a_new_leader_waits_for_the_first_fetch_of_its_isr() {
    // Progress learned under an earlier leadership says nothing after an interval as a follower.
    check(
        "register leader=1 epoch=0/0 replicas=1,2 isr=1,2
         append 8
         fetch replica=2 offset=8
         register leader=2 epoch=1/1 replicas=1,2 isr=1,2
         register leader=1 epoch=2/2 replicas=1,2 isr=1,2
         commit
         fetch replica=2 offset=7
         commit",
        "register: Leader { was_leader: false, epoch_start: Some((0, 0)) }
         fetch: ok
         register: Follower { was_leader: true, is_new_epoch: true }
         register: Leader { was_leader: false, epoch_start: Some((2, 8)) }
         commit: None hw 0
         fetch: ok
         commit: Some(7) hw 7",
    );
}

#[test]
fn the_low_watermark_counts_live_replicas_only() {
    check(
        "register leader=1 epoch=0/0 replicas=1,2,9 isr=1,2,9
         low start=50
         fetch replica=2 offset=60 start=20
         fetch replica=9 offset=60 start=3
         low start=50",
        "register: Leader { was_leader: false, epoch_start: Some((0, 0)) }
         low: -1
         fetch: ok
         fetch: ok
         low: 20",
    );
}

#[test]
fn after_skipped_epochs_nothing_is_known_of_followers() {
    // Another replica may have led in epoch 1, and the follower's log may end earlier since.
    check(
        "register leader=1 epoch=0/0 replicas=1,2 isr=1,2
         append 8
         fetch replica=2 offset=8
         register leader=1 epoch=1/1 replicas=1,2 isr=1,2
         commit
         append 9
         fetch replica=2 offset=9
         register leader=1 epoch=3/3 replicas=1,2 isr=1,2
         append 10
         commit
         fetch replica=2 offset=10
         commit",
        "register: Leader { was_leader: false, epoch_start: Some((0, 0)) }
         fetch: ok
         register: Leader { was_leader: true, epoch_start: Some((1, 8)) }
         commit: Some(8) hw 8
         fetch: ok
         register: Leader { was_leader: true, epoch_start: Some((3, 9)) }
         commit: None hw 8
         fetch: ok
         commit: Some(10) hw 10",
    );
}

#[test]
fn what_was_appended_before_another_replica_led_is_never_acknowledged() {
    check(
        "register leader=1 epoch=0/0 replicas=1,2 isr=1
         append 8
         commit
         acks 8 since=0
         register leader=1 epoch=1/1 replicas=1,2 isr=1
         acks 8 since=0
         register leader=2 epoch=2/2 replicas=1,2 isr=1,2
         register leader=1 epoch=3/3 replicas=1,2 isr=1
         acks 8 since=0
         acks 8 since=3",
        "register: Leader { was_leader: false, epoch_start: Some((0, 0)) }
         commit: Some(8) hw 8
         acks: NONE
         register: Leader { was_leader: true, epoch_start: Some((1, 8)) }
         acks: NONE
         register: Follower { was_leader: true, is_new_epoch: true }
         register: Leader { was_leader: false, epoch_start: Some((3, 8)) }
         acks: NOT_LEADER_OR_FOLLOWER
         acks: NONE",
    );
}

#[test]
fn a_follower_is_let_in_when_it_has_all_that_is_committed_and_all_of_earlier_leaders() {
    check(
        "append 5
         register leader=1 epoch=4/7 replicas=1,2,3 isr=1
         append 9
         commit
         expand 2
         fetch replica=2 offset=4
         expand 2
         fetch replica=2 offset=8
         expand 2
         fetch replica=2 offset=9 epoch=12
         expand 2 active=-1
         expand 2 active=13
         expand 1
         expand 4
         expand 2
         expand 2
         fetch replica=3 offset=9
         expand 3
         shrink",
        "register: Leader { was_leader: false, epoch_start: Some((4, 5)) }
         commit: Some(9) hw 9
         expand: no
         fetch: ok
         expand: no
         fetch: ok
         expand: no
         fetch: ok
         expand: no
         expand: no
         expand: no
         expand: no
         expand: !1 [(1, 50), (2, 12)] in 4/7
         expand: no
         fetch: ok
         expand: no
         shrink: no",
    );
}

#[test]
fn a_replica_that_is_about_to_join_counts_and_one_that_is_about_to_leave_still_counts() {
    check(
        "register leader=1 epoch=0/0 replicas=1,2,3 isr=1,2
         append 4
         fetch replica=2 offset=4
         fetch replica=3 offset=4
         commit
         expand 3
         append 6
         fetch replica=2 offset=6
         commit
         fetch replica=3 offset=6
         commit
         answer 1 isr=1,2,3 epoch=0/1
         tick 500
         append 8
         fetch replica=3 offset=8
         shrink
         commit
         answer 2 isr=1,3 epoch=0/2
         commit
         shrink",
        "register: Leader { was_leader: false, epoch_start: Some((0, 0)) }
         fetch: ok
         fetch: ok
         commit: Some(4) hw 4
         expand: !1 [(1, 50), (2, -1), (3, -1)] in 0/0
         fetch: ok
         commit: Some(4) hw 4
         fetch: ok
         commit: Some(6) hw 6
         answer: Committed [1, 2, 3]
         fetch: ok
         shrink: !2 [(1, 50), (3, -1)] in 0/1
         commit: Some(6) hw 6
         answer: Committed [1, 3]
         commit: Some(8) hw 8
         shrink: no",
    );
}

#[test]
fn answers_to_proposals_are_taken_as_they_are_meant() {
    // Each answer with the next proposal after it: only a settled one lets another one begin.
    for (answer, outcome, next) in [
        ("isr=1,2 epoch=3/5", "Committed [1, 2]", "no"),
        // The leader was elected anew, or the metadata log was faster.
        ("isr=1,2 epoch=4/6", "AwaitsMetadata [1]", "no"),
        ("isr=1,2 epoch=3/3", "AwaitsMetadata [1]", "no"),
        ("error=107", "Reset [1]", "!2 [(1, 50), (2, -1)] in 3/4"),
        ("error=55", "Reset [1]", "!2 [(1, 50), (2, -1)] in 3/4"),
        ("error=3", "AwaitsMetadata [1]", "no"),
        ("error=100", "AwaitsMetadata [1]", "no"),
        ("error=74", "AwaitsMetadata [1]", "no"),
        ("error=95", "AwaitsMetadata [1]", "no"),
        ("error=42", "AwaitsMetadata [1]", "no"),
        ("error=108", "AwaitsMetadata [1]", "no"),
        ("error=41", "retry !1", "no"),
        ("error=-1", "retry !1", "no"),
    ] {
        let script = format!(
            "register leader=1 epoch=3/4 replicas=1,2 isr=1
             fetch replica=2 offset=0
             expand 2
             answer 9 error=107
             answer 1 {answer}
             expand 2"
        );
        let expected = format!(
            "register: Leader {{ was_leader: false, epoch_start: Some((3, 0)) }}
             fetch: ok
             expand: !1 [(1, 50), (2, -1)] in 3/4
             answer: Ignored [1]
             answer: {outcome}
             expand: {next}"
        );
        check(&script, &expected);
    }
}

#[test]
fn metadata_settles_a_proposal_unless_it_is_known_already() {
    check(
        "register leader=1 epoch=3/4 replicas=1,2,3 isr=1
         fetch replica=2 offset=0
         fetch replica=3 offset=0
         expand 2
         answer 1 isr=1,2 epoch=3/5
         expand 3
         register leader=1 epoch=3/5 replicas=1,2,3 isr=1,2
         expand 3
         register leader=1 epoch=3/6 replicas=1,2,3 isr=1,2,3
         answer 2 error=95
         expand 2",
        "register: Leader { was_leader: false, epoch_start: Some((3, 0)) }
         fetch: ok
         fetch: ok
         expand: !1 [(1, 50), (2, -1)] in 3/4
         answer: Committed [1, 2]
         expand: !2 [(1, 50), (2, -1), (3, -1)] in 3/5
         register: Leader { was_leader: true, epoch_start: None }
         expand: no
         register: Leader { was_leader: true, epoch_start: None }
         answer: Ignored [1, 2, 3]
         expand: no",
    );
}
