use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{AbortedTransaction, PartitionData};
use kafka_shared::record::batch::BatchHeader;
use kafka_shared::record::builder::{BatchBuilder, empty_batch};
use kafka_shared::record::compression::Compression;
use proptest::prelude::*;

use super::fetch::read;
use super::merge::Merge;
use crate::model::{Fate, Message};

fn message(partition: i32, offset: i64, timestamp_ms: i64) -> Message {
    Message {
        topic: Arc::from("t"),
        partition,
        offset,
        timestamp_ms,
        key: None,
        value: None,
        headers: vec![],
        facts: Default::default(),
    }
}

fn drain(merge: &mut Merge, merged: &mut Vec<Message>) {
    merged.extend(std::iter::from_fn(|| merge.next_ready()));
}

fn finish(merge: &mut Merge, merged: &mut Vec<Message>) {
    merged.extend(std::iter::from_fn(|| merge.next()));
}

fn places(messages: &[Message]) -> Vec<(i32, i64)> {
    messages
        .iter()
        .map(|message| (message.partition, message.offset))
        .collect()
}

#[test]
fn nothing_is_merged_past_a_partition_that_was_not_read_yet() {
    let mut merge = Merge::new([(0, 2), (1, 2)].into_iter());
    let mut merged = Vec::new();
    merge.push(0, vec![message(0, 0, 10), message(0, 1, 30)], 2);
    drain(&mut merge, &mut merged);
    assert_eq!(places(&merged), [], "partition 1 may hold something older");
    assert!(merge.is_wanting(1) && !merge.is_wanting(0) && !merge.is_open(0));
    merge.push(1, vec![message(1, 0, 20)], 1);
    drain(&mut merge, &mut merged);
    assert_eq!(
        places(&merged),
        [(0, 0), (1, 0)],
        "partition 1 goes on after 20"
    );
    merge.close(1);
    drain(&mut merge, &mut merged);
    assert_eq!(places(&merged), [(0, 0), (1, 0), (0, 1)]);
}

#[test]
fn a_partition_keeps_its_order_whatever_its_timestamps_say() {
    let mut merge = Merge::new([(0, 3), (1, 1)].into_iter());
    merge.push(
        0,
        vec![message(0, 0, 50), message(0, 1, 10), message(0, 2, 60)],
        3,
    );
    merge.push(1, vec![message(1, 0, 55)], 1);
    let mut merged = Vec::new();
    drain(&mut merge, &mut merged);
    assert_eq!(places(&merged), [(0, 0), (0, 1), (1, 0), (0, 2)]);
}

#[test]
fn records_beyond_the_end_of_the_start_are_not_shown() {
    let mut merge = Merge::new([(0, 1)].into_iter());
    merge.push(0, vec![message(0, 0, 1), message(0, 1, 2)], 2);
    let mut merged = Vec::new();
    finish(&mut merge, &mut merged);
    assert_eq!(places(&merged), [(0, 0)]);
}

proptest! {
    #[test]
    fn whatever_comes_in_goes_out_once_and_in_its_partitions_order(
        lanes in prop::collection::vec(prop::collection::vec(0..50i64, 0..20), 1..5),
        chunk in 1..7usize,
    ) {
        let ends = lanes.iter().enumerate().map(|(at, lane)| (at as i32, lane.len() as i64));
        let mut merge = Merge::new(ends);
        let mut merged = Vec::new();
        let mut next = vec![0usize; lanes.len()];
        while lanes.iter().enumerate().any(|(at, lane)| next[at] < lane.len()) {
            for (at, lane) in lanes.iter().enumerate() {
                let end = (next[at] + chunk).min(lane.len());
                let records = (next[at]..end).map(|o| message(at as i32, o as i64, lane[o]));
                merge.push(at as i32, records.collect(), end as i64);
                next[at] = end;
            }
            drain(&mut merge, &mut merged);
        }
        finish(&mut merge, &mut merged);
        prop_assert_eq!(merged.len(), lanes.iter().map(Vec::len).sum::<usize>());
        for (partition, lane) in (0..).zip(&lanes) {
            let own = merged.iter().filter(|m| m.partition == partition).map(|m| m.offset);
            let own: Vec<i64> = own.collect();
            prop_assert_eq!(own, (0..lane.len() as i64).collect::<Vec<_>>());
        }
    }
}

fn batch(base_offset: i64, values: &[&str], control: bool) -> Bytes {
    let compression = if control {
        Compression::None
    } else {
        Compression::Zstd
    };
    let mut builder = BatchBuilder::new()
        .with_base_offset(base_offset)
        .with_control(control)
        .with_compression(compression);
    for value in values {
        let key: Option<&[u8]> = control.then_some(&[0, 0, 0, 1]);
        builder
            .append(1, key, Some(value.as_bytes()), &[("h", None)])
            .unwrap();
    }
    builder.build()
}

fn data(parts: &[&[u8]]) -> PartitionData {
    let mut records = BytesMut::new();
    parts
        .iter()
        .for_each(|part| records.extend_from_slice(part));
    PartitionData::default()
        .with_partition_index(3)
        .with_records(Some(records.freeze()))
}

#[test]
fn batches_are_read_from_the_wanted_offset_on_with_their_markers() {
    let (first, marker, second) = (
        batch(5, &["a", "b", "c"], false),
        batch(8, &["x"], true),
        batch(9, &["d"], false),
    );
    let cut = &second[..second.len() - 1];
    let topic: Arc<str> = Arc::from("t");
    let fetched = read(&topic, 6, &data(&[&first, &marker, cut]), true).unwrap();
    assert_eq!(places(&fetched.messages), [(3, 6), (3, 7), (3, 8)]);
    let controls = fetched.messages.iter().map(|m| m.facts.control.is_some());
    assert_eq!(controls.collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(fetched.messages[0].facts.compression, "zstd");
    assert_eq!(fetched.next_offset, 9, "the cut batch comes again");
    assert_eq!(fetched.messages[0].value.as_deref(), Some(&b"b"[..]));
    assert_eq!(&*fetched.messages[0].headers[0].key, "h");
    let fetched = read(&topic, 9, &data(&[&second]), true).unwrap();
    assert_eq!(
        (places(&fetched.messages), fetched.next_offset),
        (vec![(3, 9)], 10)
    );
    let nothing = read(&topic, 9, &data(&[]), true).unwrap();
    assert_eq!((nothing.next_offset, nothing.bytes), (9, 0));
}

#[test]
fn a_damaged_batch_is_told_with_its_offset() {
    let mut damaged = BytesMut::from(&batch(5, &["a"], false)[..]);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let why = read(&Arc::from("t"), 5, &data(&[&damaged]), true).unwrap_err();
    assert!(
        why.starts_with("offset 5: ") && why.contains("checksum"),
        "{why}"
    );
}

/// A transactional batch of one record for each value; a marker if there are none.
fn transactional(base_offset: i64, producer: i64, values: &[&str], commits: bool) -> Bytes {
    let mut builder = BatchBuilder::new()
        .with_base_offset(base_offset)
        .with_producer(producer, 0, 0)
        .with_control(values.is_empty())
        .with_transactional(true);
    for value in values {
        builder
            .append(1, None, Some(value.as_bytes()), &[])
            .unwrap();
    }
    if values.is_empty() {
        let key = [0, 0, 0, u8::from(commits)];
        builder
            .append(1, Some(&key), Some(&[0, 0, 0, 0, 0, 7]), &[])
            .unwrap();
    }
    builder.build()
}

#[test]
fn aborted_and_open_transactions_are_told_apart_and_markers_say_what_they_are() {
    let log = [
        transactional(0, 1, &["aborted"], false),
        transactional(1, 2, &["committed"], false),
        transactional(2, 1, &[], false),
        transactional(3, 1, &["committed"], false),
        transactional(4, 2, &[], true),
        transactional(5, 1, &[], true),
        transactional(6, 1, &["open"], false),
        batch(7, &["no transaction"], false),
        transactional(8, 3, &["decided, behind an open one"], false),
        transactional(9, 3, &[], true),
    ];
    let parts: Vec<&[u8]> = log.iter().map(|batch| &batch[..]).collect();
    let aborted = AbortedTransaction::default()
        .with_producer_id(1.into())
        .with_first_offset(0);
    let answer = data(&parts)
        .with_high_watermark(10)
        .with_last_stable_offset(6)
        .with_aborted_transactions(Some(vec![aborted]));
    let fetched = read(&Arc::from("t"), 0, &answer, false).unwrap();
    let seen: Vec<String> = fetched
        .messages
        .iter()
        .map(|message| match &message.facts.control {
            Some(control) => control.text(),
            None => message.facts.transaction.word().to_owned(),
        })
        .collect();
    let (commit, abort) = (
        "commit marker, coordinator epoch 7",
        "abort marker, coordinator epoch 7",
    );
    let expected = [
        "aborted",
        "committed",
        abort,
        "committed",
        commit,
        commit,
        "open",
        "",
        "committed",
        commit,
    ];
    assert_eq!(seen, expected);
    // One that was aborted between two answers, the second of which names none.
    let log = [
        transactional(6, 1, &["dropped"], false),
        transactional(7, 1, &[], false),
    ];
    let parts: Vec<&[u8]> = log.iter().map(|batch| &batch[..]).collect();
    let answer = data(&parts)
        .with_high_watermark(8)
        .with_last_stable_offset(8);
    let fetched = read(&Arc::from("t"), 6, &answer, false).unwrap();
    assert_eq!(fetched.messages[0].facts.transaction, Fate::Aborted);
    let waiting = data(&[]).with_high_watermark(8).with_last_stable_offset(6);
    let at = |offset| read(&Arc::from("t"), offset, &waiting, true).unwrap();
    assert!(at(6).is_at_open_transaction && !at(8).is_at_open_transaction);
}

#[test]
fn offsets_that_compaction_took_away_are_counted_before_the_next_record_and_after_the_last() {
    let mut builder = BatchBuilder::new().with_base_offset(10);
    builder.append_at(12, 1, None, Some(b"a"), &[]).unwrap();
    builder.append_at(15, 1, None, Some(b"b"), &[]).unwrap();
    let batch = builder.build();
    let topic: Arc<str> = Arc::from("t");
    let fetched = read(&topic, 10, &data(&[&batch]), true).unwrap();
    let gaps: Vec<i64> = fetched
        .messages
        .iter()
        .map(|m| m.facts.gap_before)
        .collect();
    assert_eq!((gaps, fetched.gap_after), (vec![2, 2], 0));
    let mut header = BatchHeader::parse(&batch).unwrap();
    header.base_offset = 20;
    let empty = empty_batch(&header);
    let fetched = read(&topic, 16, &data(&[&empty]), true).unwrap();
    assert!(fetched.messages.is_empty());
    assert_eq!(fetched.gap_after, fetched.next_offset - 16);
}
