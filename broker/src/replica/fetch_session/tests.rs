use std::fmt::Write as _;

use super::*;

/// A result as a script gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Answer {
    bytes: i64,
    high_watermark: i64,
    log_start_offset: i64,
    error: bool,
    diverges: bool,
}

fn summarize(answer: &Answer) -> FetchSummary {
    FetchSummary {
        has_records: answer.bytes > 0,
        high_watermark: answer.high_watermark,
        log_start_offset: answer.log_start_offset,
        is_error: answer.error,
        must_send: answer.diverges,
    }
}

/// Runs a script against a cache of two sessions; ids are given out as 101, 102, …
///
/// - `fetch SESSION EPOCH [follower] [names] [t-0@OFFSET[:EPOCH]…] [forget=t-0,…]` opens a request and
///   shows the partitions to read;
/// - `answer [t-0=BYTES/HW/START[/diverges]|error…]` closes it (a partition not given has 0/0/0) and
///   shows what is sent;
/// - `tick MS`, `count`.
fn run(script: &str) -> String {
    let cache = Mutex::new(FetchSessionCache::new(2));
    let (mut now, mut next_id, mut out) = (0, 100, String::new());
    let mut open: Option<FetchContext> = None;
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "tick" => now += words[1].parse::<i64>().unwrap(),
            "count" => writeln!(out, "count: {}", cache.lock().n_sessions()).unwrap(),
            "fetch" => {
                let uses_topic_ids = !words.contains(&"names");
                let key = |word: &str| parse_key(word, uses_topic_ids);
                let request = FetchRequestSession {
                    session_id: words[1].parse().unwrap(),
                    session_epoch: words[2].parse().unwrap(),
                    uses_topic_ids,
                    is_from_follower: words.contains(&"follower"),
                    wanted: words[3..]
                        .iter()
                        .filter_map(|word| word.split_once('@'))
                        .map(|(name, offset)| (key(name), want(offset)))
                        .collect(),
                    forgotten: words[3..]
                        .iter()
                        .filter_map(|word| word.strip_prefix("forget="))
                        .flat_map(|names| names.split(','))
                        .map(key)
                        .collect(),
                };
                match cache.lock().open(request, now) {
                    Ok(context) => {
                        let reads: Vec<String> = context
                            .partitions
                            .iter()
                            .map(|(key, want)| format!("{}@{}", show(key), want.fetch_offset))
                            .collect();
                        writeln!(out, "fetch: {}", reads.join(" ")).unwrap();
                        open = Some(context);
                    }
                    Err(code) => writeln!(out, "fetch: {}", code.name()).unwrap(),
                }
            }
            "answer" => {
                let context = open.take().unwrap();
                let given: HashMap<&str, Answer> = words[1..]
                    .iter()
                    .filter_map(|word| word.split_once('='))
                    .map(|(name, answer)| (name, parse_answer(answer)))
                    .collect();
                let none = Answer {
                    bytes: 0,
                    high_watermark: 0,
                    log_start_offset: 0,
                    error: false,
                    diverges: false,
                };
                let results: Vec<(FetchKey, Answer)> = context
                    .partitions
                    .iter()
                    .map(|(key, _)| {
                        (
                            key.clone(),
                            given.get(show(key).as_str()).copied().unwrap_or(none),
                        )
                    })
                    .collect();
                let outcome = context.close(&cache, results, summarize, now, || {
                    next_id += 1;
                    next_id
                });
                let sent: Vec<String> = outcome.results.iter().map(|(key, _)| show(key)).collect();
                let (error, id) = (outcome.error.name(), outcome.session_id);
                writeln!(out, "answer: {error} session {id}: {}", sent.join(" ")).unwrap();
            }
            other => panic!("unknown command {other}"),
        }
    }
    out
}

fn parse_key(word: &str, uses_topic_ids: bool) -> FetchKey {
    let (topic, partition) = word.split_once('-').unwrap();
    let topic = match uses_topic_ids {
        true => FetchTopic::Id(Uuid::from_u128(u128::from(topic.as_bytes()[0]))),
        false => FetchTopic::Name(topic.into()),
    };
    FetchKey {
        topic,
        partition: partition.parse().unwrap(),
    }
}

fn show(key: &FetchKey) -> String {
    let topic = match &key.topic {
        FetchTopic::Name(name) => name.to_string(),
        FetchTopic::Id(id) => char::from_u32(u32::try_from(id.as_u128()).unwrap())
            .unwrap()
            .into(),
    };
    format!("{topic}-{}", key.partition)
}

fn want(text: &str) -> FetchPartition {
    let (offset, epoch) = match text.split_once(':') {
        Some((offset, epoch)) => (offset, Some(epoch.parse().unwrap())),
        None => (text, None),
    };
    FetchPartition {
        fetch_offset: offset.parse().unwrap(),
        log_start_offset: -1,
        max_bytes: 1 << 20,
        current_leader_epoch: epoch,
        last_fetched_epoch: None,
    }
}

fn parse_answer(text: &str) -> Answer {
    if text == "error" {
        return Answer {
            bytes: 0,
            high_watermark: -1,
            log_start_offset: -1,
            error: true,
            diverges: false,
        };
    }
    let (text, diverges) = match text.strip_suffix("/diverges") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let numbers: Vec<i64> = text.split('/').map(|n| n.parse().unwrap()).collect();
    Answer {
        bytes: numbers[0],
        high_watermark: numbers[1],
        log_start_offset: numbers[2],
        error: false,
        diverges,
    }
}

#[track_caller]
fn check(script: &str, expected: &str) {
    let clean = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    assert_eq!(
        clean(run(script).trim()),
        clean(expected.trim()),
        "\nscript: {script}"
    );
}

#[test]
fn a_session_remembers_what_was_asked_and_sends_what_is_new() {
    check(
        "fetch 0 0 a-0@0 a-1@5 b-0@7
         answer a-0=10/4/0
         fetch 101 1 a-0@4
         answer
         fetch 101 2
         answer a-0=0/4/0 b-0=0/1/0
         fetch 101 3
         answer a-0=0/4/0 a-1=0/0/3 b-0=0/1/0",
        "fetch: a-0@0 a-1@5 b-0@7
         answer: NONE session 101: a-0 a-1 b-0
         fetch: a-0@4 a-1@5 b-0@7
         answer: NONE session 101: a-0
         fetch: a-0@4 a-1@5 b-0@7
         answer: NONE session 101: a-0 b-0
         fetch: a-0@4 a-1@5 b-0@7
         answer: NONE session 101: a-1",
    );
}

#[test]
fn a_partition_with_records_goes_to_the_end_of_the_order() {
    check(
        "fetch 0 0 a-0@0 a-1@0 a-2@0
         answer
         fetch 101 1
         answer a-0=100/9/0
         fetch 101 2 a-0@9
         answer a-1=100/9/0 a-0=0/9/0
         fetch 101 3
         answer",
        "fetch: a-0@0 a-1@0 a-2@0
         answer: NONE session 101: a-0 a-1 a-2
         fetch: a-0@0 a-1@0 a-2@0
         answer: NONE session 101: a-0
         fetch: a-1@0 a-2@0 a-0@9
         answer: NONE session 101: a-1
         fetch: a-2@0 a-0@9 a-1@0
         answer: NONE session 101: a-0 a-1",
    );
}

#[test]
fn an_error_is_sent_each_time_and_its_end_too() {
    check(
        "fetch 0 0 a-0@0
         answer
         fetch 101 1
         answer a-0=error
         fetch 101 2
         answer a-0=error
         fetch 101 3
         answer
         fetch 101 4
         answer",
        "fetch: a-0@0
         answer: NONE session 101: a-0
         fetch: a-0@0
         answer: NONE session 101: a-0
         fetch: a-0@0
         answer: NONE session 101: a-0
         fetch: a-0@0
         answer: NONE session 101: a-0
         fetch: a-0@0
         answer: NONE session 101:",
    );
}

#[test]
fn a_high_watermark_that_a_follower_has_not_taken_is_told_again() {
    // Who diverges, fetches again from before, or in a new epoch has dropped the last answer.
    check(
        "fetch 0 0 a-0@5:1
         answer a-0=0/4/0
         fetch 101 1
         answer a-0=0/9/0/diverges
         fetch 101 2
         answer a-0=0/9/0
         fetch 101 3
         answer a-0=0/9/0
         fetch 101 4 a-0@3:1
         answer a-0=0/9/0
         fetch 101 5 a-0@4:1
         answer a-0=0/9/0
         fetch 101 6 a-0@4:2
         answer a-0=0/9/0
         fetch 101 7 a-0@4:2
         answer a-0=0/9/0",
        "fetch: a-0@5
         answer: NONE session 101: a-0
         fetch: a-0@5
         answer: NONE session 101: a-0
         fetch: a-0@5
         answer: NONE session 101: a-0
         fetch: a-0@5
         answer: NONE session 101:
         fetch: a-0@3
         answer: NONE session 101: a-0
         fetch: a-0@4
         answer: NONE session 101:
         fetch: a-0@4
         answer: NONE session 101: a-0
         fetch: a-0@4
         answer: NONE session 101:",
    );
}

#[test]
fn partitions_are_added_changed_and_forgotten() {
    check(
        "fetch 0 0 a-0@0 a-1@0
         answer
         fetch 101 1 c-0@3 a-0@2 forget=a-1,z-9
         answer
         fetch 101 2 forget=a-0,c-0
         answer
         count
         fetch 101 3
         fetch 0 0
         answer",
        "fetch: a-0@0 a-1@0
         answer: NONE session 101: a-0 a-1
         fetch: a-0@2 c-0@3
         answer: NONE session 101: c-0
         fetch:
         answer: NONE session 0:
         count: 0
         fetch: FETCH_SESSION_ID_NOT_FOUND
         fetch:
         answer: NONE session 102:",
    );
}

#[test]
fn wrong_ids_epochs_and_ways_to_name_topics_are_refused() {
    check(
        "fetch 55 1 a-0@0
         fetch 0 0 a-0@0
         answer
         fetch 101 2
         fetch 101 0 names a-0@0
         answer
         fetch 101 1
         fetch 102 1
         fetch 102 1 names
         answer
         fetch 102 1 names
         fetch 102 -1 names a-0@0
         answer
         count",
        "fetch: FETCH_SESSION_ID_NOT_FOUND
         fetch: a-0@0
         answer: NONE session 101: a-0
         fetch: INVALID_FETCH_SESSION_EPOCH
         fetch: a-0@0
         answer: NONE session 102: a-0
         fetch: FETCH_SESSION_ID_NOT_FOUND
         fetch: FETCH_SESSION_TOPIC_ID_ERROR
         fetch: a-0@0
         answer: NONE session 102:
         fetch: INVALID_FETCH_SESSION_EPOCH
         fetch: a-0@0
         answer: NONE session 0: a-0
         count: 0",
    );
}

#[test]
fn a_full_cache_makes_room_for_the_stale_the_old_and_small_and_the_follower() {
    check(
        "fetch 0 0 a-0@0 a-1@0
         answer
         fetch 0 0 b-0@0
         answer
         fetch 0 0 c-0@0 c-1@0 c-2@0
         answer
         tick 100000
         fetch 101 1
         answer
         tick 30000
         fetch 0 0 d-0@0
         answer
         fetch 102 1
         count
         fetch 101 2
         answer
         fetch 0 0 e-0@0
         answer
         fetch 0 0 e-0@0 e-1@0 e-2@0
         answer
         fetch 0 0 follower f-0@0
         answer
         fetch 0 0 follower g-0@0
         answer
         fetch 0 0 follower h-0@0
         answer
         count",
        "fetch: a-0@0 a-1@0
         answer: NONE session 101: a-0 a-1
         fetch: b-0@0
         answer: NONE session 102: b-0
         fetch: c-0@0 c-1@0 c-2@0
         answer: NONE session 0: c-0 c-1 c-2
         fetch: a-0@0 a-1@0
         answer: NONE session 101:
         fetch: d-0@0
         answer: NONE session 103: d-0
         fetch: FETCH_SESSION_ID_NOT_FOUND
         count: 2
         fetch: a-0@0 a-1@0
         answer: NONE session 101:
         fetch: e-0@0
         answer: NONE session 0: e-0
         fetch: e-0@0 e-1@0 e-2@0
         answer: NONE session 104: e-0 e-1 e-2
         fetch: f-0@0
         answer: NONE session 105: f-0
         fetch: g-0@0
         answer: NONE session 106: g-0
         fetch: h-0@0
         answer: NONE session 0: h-0
         count: 2",
    );
}

#[test]
fn a_partition_named_twice_is_read_once_with_its_last_wish() {
    check(
        "fetch 0 -1 a-0@1 a-1@2 a-0@3
         answer",
        "fetch: a-0@3 a-1@2
         answer: NONE session 0: a-0 a-1",
    );
}

#[test]
fn an_answer_that_was_overtaken_is_an_error() {
    let cache = Mutex::new(FetchSessionCache::new(2));
    let request = |session_id, session_epoch| FetchRequestSession {
        session_id,
        session_epoch,
        uses_topic_ids: true,
        is_from_follower: false,
        wanted: vec![(parse_key("a-0", true), want("0"))],
        forgotten: Vec::new(),
    };
    let answer = |context: FetchContext| {
        let results: Vec<(FetchKey, Answer)> = context
            .partitions
            .iter()
            .map(|(key, _)| (key.clone(), parse_answer("1/1/0")))
            .collect();
        context.close(&cache, results, summarize, 0, || i32::MIN + 7)
    };
    let context = cache.lock().open(request(0, 0), 0).unwrap();
    assert_eq!(answer(context).session_id, 7);
    let slow = cache.lock().open(request(7, 1), 0).unwrap();
    let fast = cache.lock().open(request(7, 2), 0).unwrap();
    assert_eq!(answer(slow).error, ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    assert_eq!(answer(fast).error, ErrorCode::NONE);
    assert_eq!(next_epoch(i32::MAX), 1);
}
