use std::fmt::Write as _;

use kafka_shared::types::Uuid;

use super::*;

fn key(partition: i32) -> PartitionKey {
    PartitionKey {
        topic_id: Uuid::from_u128(1000),
        partition,
    }
}

/// Runs a script of events against a fetcher and returns what each line brought about. Partitions
/// are numbers; the leader keeps a session 7. The commands:
/// - `add P epoch=E end=N [last=L] [hw=H]`, `remove P`, `tick MS`, `throttle P…`;
/// - `ask`: the next request, as `P@offset/epoch/last`, forgotten ones as `-P`;
/// - `answer P… [session=S] [error=CODE]`: the answer as a whole; `lost`: there is none; `restart`;
/// - `judge P [error=CODE] [diverging=E/N]`;
/// - `appended P end=N [last=L] [hw=H]`, `truncated P end=N [last=L]`, `truncations`.
fn run(script: &str) -> String {
    let mut state = FetcherState::new(1000);
    let (mut now, mut throttled, mut out) = (0i64, Vec::<i32>::new(), String::new());
    let lines = script.lines().map(str::trim).filter(|l| !l.is_empty());
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let text = |name: &str| {
            words
                .iter()
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
        let epoch = |name: &str| number(name).map(|epoch| i32::try_from(epoch).unwrap());
        let numbers: Vec<i32> = words[1..].iter().filter_map(|w| w.parse().ok()).collect();
        let first = || key(numbers[0]);
        let position = || LogPosition {
            log_start_offset: 0,
            high_watermark: number("hw").unwrap_or(0),
            log_end_offset: number("end").unwrap_or(0),
            latest_epoch: epoch("last"),
        };
        let outcome = match words[0] {
            "add" => {
                let topic_partition = TopicPartition::new("t", numbers[0]);
                state.add(
                    first(),
                    topic_partition,
                    epoch("epoch").unwrap(),
                    position(),
                );
                continue;
            }
            "remove" => {
                state.remove(first());
                continue;
            }
            "tick" => {
                now += i64::from(numbers[0]);
                continue;
            }
            "throttle" => {
                throttled = numbers;
                state.refresh(|_| None);
                continue;
            }
            "lost" => {
                state.on_failure(now);
                continue;
            }
            "restart" => {
                state.restart_session();
                continue;
            }
            "ask" => match state.request(now, |tp| throttled.contains(&tp.partition)) {
                None => format!("nothing, due {:?}", state.next_due_ms()),
                Some(request) => {
                    let mut text = format!("{}/{}", request.session_id, request.session_epoch);
                    for (key, w) in request.wanted {
                        let last = w.last_fetched_epoch.unwrap_or(-1);
                        let (offset, epoch) = (w.fetch_offset, w.leader_epoch);
                        write!(text, " {}@{offset}/{epoch}/{last}", key.partition).unwrap();
                    }
                    for key in request.forgotten {
                        write!(text, " -{}", key.partition).unwrap();
                    }
                    text
                }
            },
            "answer" => {
                let error = ErrorCode(i16::try_from(number("error").unwrap_or(0)).unwrap());
                let session = i32::try_from(number("session").unwrap_or(7)).unwrap();
                let keys = numbers.iter().map(|partition| key(*partition));
                format!("{:?}", state.on_response(error, session, keys, now))
            }
            "judge" => {
                let diverging = text("diverging").and_then(|text| text.split_once('/'));
                let answer = Answer {
                    error: ErrorCode(i16::try_from(number("error").unwrap_or(0)).unwrap()),
                    diverging_epoch: diverging
                        .map(|(epoch, end)| (epoch.parse().unwrap(), end.parse().unwrap())),
                };
                match state.judge(first(), answer, now) {
                    Verdict::Nothing => "nothing".to_owned(),
                    Verdict::Append(wanted) => format!("append at {}", wanted.fetch_offset),
                    Verdict::Diverging { .. } => "diverging".to_owned(),
                    Verdict::OutOfRange(_) => "out of range".to_owned(),
                }
            }
            "appended" => {
                let (end, hw) = (number("end").unwrap(), number("hw").unwrap_or(0));
                state.appended(first(), end, epoch("last"), hw, 0);
                continue;
            }
            "truncated" => state.truncated(first(), position()).to_string(),
            "truncations" => {
                let truncations = state.truncations(now);
                let offsets: Vec<String> = truncations
                    .iter()
                    .map(|t| format!("{}@{}", t.key.partition, t.offset))
                    .collect();
                offsets.join(" ")
            }
            other => panic!("unknown command {other}"),
        };
        writeln!(out, "{}: {outcome}", words[0]).unwrap();
    }
    out
}

#[track_caller]
fn check(script: &str, expected: &str) {
    let clean = |text: &str| {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(clean(&run(script)), clean(expected), "\nscript: {script}");
}

#[test]
fn records_move_a_partition_on_and_only_that_is_told() {
    check(
        "ask
         add 0 epoch=3 end=5 last=2
         add 1 epoch=3 end=0 last=1
         ask
         answer 0 1
         judge 0
         appended 0 end=9 last=3 hw=9
         judge 1
         appended 1 end=0
         ask
         answer 0
         judge 0
         appended 0 end=9 hw=9
         ask",
        "ask: nothing, due None
         ask: 0/0 0@5/3/2 1@0/3/1
         answer: Process
         judge: append at 5
         judge: append at 0
         ask: 7/1 0@9/3/3
         answer: Process
         judge: append at 9
         ask: 7/2",
    );
}

#[test]
fn whoever_had_records_comes_last_in_the_next_full_request() {
    check(
        "add 0 epoch=1 end=0 last=0
         add 1 epoch=1 end=0 last=0
         ask
         answer 0 1 session=0
         judge 0
         appended 0 end=5 last=1
         ask",
        "ask: 0/0 0@0/1/0 1@0/1/0
         answer: Process
         judge: append at 0
         ask: 0/0 1@0/1/0 0@5/1/1",
    );
}

#[test]
fn an_answer_to_what_is_no_longer_asked_is_dropped() {
    check(
        "add 0 epoch=3 end=5 last=2
         add 1 epoch=3 end=5 last=2
         add 2 epoch=3 end=5 last=2
         ask
         add 0 epoch=4 end=5 last=2
         remove 1
         truncated 2 end=3 last=2
         answer 0 1 2
         judge 0
         judge 1
         judge 2
         judge 9
         ask",
        "ask: 0/0 0@5/3/2 1@5/3/2 2@5/3/2
         truncated: true
         answer: Process
         judge: nothing
         judge: nothing
         judge: nothing
         judge: nothing
         ask: 7/1 0@5/4/2 2@3/3/2 -1",
    );
}

#[test]
fn a_partition_of_the_same_epoch_goes_on_as_it_is() {
    check(
        "add 0 epoch=3 end=5 last=2
         ask
         add 0 epoch=3 end=4 last=1
         answer 0
         judge 0",
        "ask: 0/0 0@5/3/2
         answer: Process
         judge: append at 5",
    );
}

#[test]
fn a_log_without_epochs_is_cut_to_its_high_watermark_first() {
    check(
        "add 0 epoch=3 end=5 hw=2
         ask
         truncations
         truncated 0 end=2
         truncations
         ask",
        "ask: nothing, due None
         truncations: 0@2
         truncated: true
         truncations:
         ask: 0/0 0@2/3/-1",
    );
}

#[test]
fn errors_of_one_partition_do_not_hold_up_another() {
    check(
        "add 0 epoch=3 end=5 last=2
         add 1 epoch=3 end=5 last=2
         add 2 epoch=3 end=5 last=2
         add 3 epoch=3 end=5 last=2
         ask
         answer 0 1 2 3
         judge 0 error=6
         judge 1 error=74
         judge 2 error=-1
         judge 3
         appended 3 end=6 last=3
         ask
         answer 3
         tick 24
         ask
         answer
         tick 1
         ask
         answer 0
         judge 0 error=75
         ask
         answer
         tick 49
         ask
         answer
         tick 1
         ask
         answer
         tick 925
         ask",
        "ask: 0/0 0@5/3/2 1@5/3/2 2@5/3/2 3@5/3/2
         answer: Process
         judge: nothing
         judge: nothing
         judge: nothing
         judge: append at 5
         ask: 7/1 3@6/3/3 -0 -1 -2
         answer: Process
         ask: 7/2
         answer: Process
         ask: 7/3 0@5/3/2
         answer: Process
         judge: nothing
         ask: 7/4 -0
         answer: Process
         ask: 7/5
         answer: Process
         ask: 7/6 0@5/3/2
         answer: Process
         ask: 7/7 2@5/3/2",
    );
}

#[test]
fn a_leader_that_does_not_answer_is_asked_again_after_the_backoff() {
    check(
        "add 0 epoch=3 end=5 last=2
         ask
         lost
         ask
         tick 999
         ask
         tick 1
         ask
         answer error=-1
         ask
         tick 1000
         ask",
        "ask: 0/0 0@5/3/2
         ask: nothing, due Some(1000)
         ask: nothing, due Some(1000)
         ask: 0/0 0@5/3/2
         answer: BackOff
         ask: nothing, due Some(2000)
         ask: 0/0 0@5/3/2",
    );
}

#[test]
fn a_lost_session_begins_anew_at_once() {
    check(
        "add 0 epoch=3 end=5 last=2
         add 1 epoch=3 end=5 last=2
         ask
         answer 0 1
         ask
         answer error=70
         ask",
        "ask: 0/0 0@5/3/2 1@5/3/2
         answer: Process
         ask: 7/1
         answer: AskAgain
         ask: 0/0 0@5/3/2 1@5/3/2",
    );
}

#[test]
fn a_throttled_partition_is_left_out_unless_it_is_in_sync() {
    check(
        "add 0 epoch=3 end=5 last=2
         add 1 epoch=3 end=5 last=2
         ask
         answer 0 1
         judge 0
         appended 0 end=6 last=3 hw=6
         judge 1
         appended 1 end=6 last=3 hw=9
         throttle 0 1
         ask
         answer
         throttle
         ask",
        "ask: 0/0 0@5/3/2 1@5/3/2
         answer: Process
         judge: append at 5
         judge: append at 5
         ask: 7/1 0@6/3/3 -1
         answer: Process
         ask: 7/2 1@6/3/3",
    );
}

#[test]
fn after_an_answer_that_was_not_taken_over_the_leader_tells_everything_again() {
    check(
        "add 0 epoch=3 end=5 last=2
         add 1 epoch=3 end=5 last=2
         ask
         answer 0 1
         ask
         add 0 epoch=4 end=5 last=2
         answer 0
         judge 0
         restart
         ask",
        "ask: 0/0 0@5/3/2 1@5/3/2
         answer: Process
         ask: 7/1
         answer: Process
         judge: nothing
         ask: 7/0 1@5/3/2 0@5/4/2",
    );
}

#[test]
fn a_departing_log_is_cut_to_where_it_agrees() {
    // (leader's epoch and end, own epoch and end, own log end) → where to cut
    for (leader, own, log_end, expected) in [
        // Both know the epoch: the shorter one decides.
        ((3, 10), Some((3, 15)), 20, 10),
        ((3, 15), Some((3, 10)), 20, 10),
        ((3, 15), Some((3, 20)), 12, 12),
        // The follower doesn't: to the end of its epoch before, and asked again.
        ((3, 15), Some((2, 8)), 20, 8),
        ((3, 15), Some((2, 30)), 20, 20),
        // The follower has no epochs that far back.
        ((3, 15), None, 20, 15),
        ((3, 25), None, 20, 20),
    ] {
        let offset = truncation_offset(leader, own, log_end);
        assert_eq!(offset, expected, "{leader:?} {own:?} {log_end}");
    }
}

/// A log as far as epochs go: the epoch of each record, and what is remembered of the leaders.
#[derive(Debug, Clone, Default)]
struct ModelLog {
    records: Vec<i32>,
    epochs: Vec<(i32, i64)>,
}

impl ModelLog {
    fn end(&self) -> i64 {
        i64::try_from(self.records.len()).unwrap()
    }

    fn lead(&mut self, epoch: i32) {
        let end = self.end();
        self.epochs.retain(|(_, start)| *start < end);
        self.epochs.push((epoch, end));
    }

    fn append(&mut self, epoch: i32) {
        if self.epochs.last().is_none_or(|(last, _)| *last != epoch) {
            self.lead(epoch);
        }
        self.records.push(epoch);
    }

    fn truncate(&mut self, offset: i64) {
        self.records.truncate(usize::try_from(offset).unwrap());
        let end = self.end();
        self.epochs.retain(|(_, start)| *start < end);
    }

    fn latest(&self) -> Option<i32> {
        self.epochs.last().map(|(epoch, _)| *epoch)
    }

    fn end_offset_for(&self, epoch: i32) -> Option<(i32, i64)> {
        if self.latest() == Some(epoch) {
            return Some((epoch, self.end()));
        }
        let higher = self.epochs.iter().position(|(e, _)| *e > epoch)?;
        let floor = higher
            .checked_sub(1)
            .map_or(epoch, |idx| self.epochs[idx].0);
        Some((floor, self.epochs[higher].1))
    }

    /// What this leader answers to a follower: nothing, or where the logs depart.
    fn diverging(&self, follower: &ModelLog) -> Result<Option<(i32, i64)>, ErrorCode> {
        let Some(last) = follower.latest() else {
            return match follower.end() > self.end() {
                true => Err(ErrorCode::OFFSET_OUT_OF_RANGE),
                false => Ok(None),
            };
        };
        let (epoch, end) = self
            .end_offset_for(last)
            .ok_or(ErrorCode::OFFSET_OUT_OF_RANGE)?;
        Ok((epoch < last || end < follower.end()).then_some((epoch, end)))
    }
}

/// Brings a follower to where it agrees with the leader, as a fetcher does.
fn reconcile(leader: &ModelLog, follower: &mut ModelLog) {
    for _ in 0..100 {
        match leader.diverging(follower) {
            Ok(None) => return,
            Ok(Some(answer)) => {
                let own = follower.end_offset_for(answer.0);
                let offset = truncation_offset(answer, own, follower.end());
                follower.truncate(offset);
            }
            Err(_) => {
                assert!(leader.end() < follower.end(), "{leader:?} {follower:?}");
                follower.truncate(leader.end());
            }
        }
    }
    panic!("no agreement: {leader:?} {follower:?}");
}

proptest::proptest! {
    /// Whoever is elected, cleanly or not, and however far the others have come: a follower keeps
    /// exactly what its log has in common with the leader's.
    #[test]
    fn a_follower_keeps_what_its_log_has_in_common_with_the_leaders(
        steps in proptest::collection::vec((0usize..3, 0usize..3, 0usize..6), 1..60)
    ) {
        let mut logs = vec![ModelLog::default(); 3];
        let (mut leader, mut epoch) = (0, 0);
        logs[0].lead(0);
        for (what, who, count) in steps {
            match what {
                0 => {
                    (leader, epoch) = (who, epoch + 1);
                    logs[leader].lead(epoch);
                }
                1 => (0..count).for_each(|_| logs[leader].append(epoch)),
                _ if who != leader => {
                    let leading = logs[leader].clone();
                    let follower = &mut logs[who];
                    let n_common = leading
                        .records
                        .iter()
                        .zip(&follower.records)
                        .take_while(|(a, b)| a == b)
                        .count();
                    reconcile(&leading, follower);
                    proptest::prop_assert_eq!(follower.records.len(), n_common);
                    for epoch in leading.records[n_common..].iter().take(count) {
                        follower.append(*epoch);
                    }
                }
                _ => {}
            }
        }
    }
}
