//! Moves between log directories, step by step, with crashes and failing disks in between.

use std::path::PathBuf;

use kafka_shared::record::builder::BatchBuilder;
use proptest::prelude::*;

use super::super::testing::{NODE, World, batch, directory_id, registration, topic_id};
use super::*;
use crate::log::fsx::faults::{self, Fault};
use crate::log::{AppendContext, AppendOrigin, FetchIsolation};
use crate::metadata::PartitionRegistration;

const MANY: usize = 1 << 20;

fn tp() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn key() -> PartitionKey {
    PartitionKey {
        topic_id: topic_id("t"),
        partition: 0,
    }
}

fn mover(world: &World, max_bytes: usize) -> Mover {
    let replicas = &world.replicas;
    Mover {
        node_id: NODE,
        threads: 1,
        max_bytes,
        moves: Arc::clone(&replicas.moves),
        logs: Arc::clone(&replicas.logs),
        metadata: world.metadata.clone(),
        assignments: Arc::clone(&replicas.directory_assignments),
        clock: world.clock.clone(),
    }
}

/// Lets the moves go on until they rest. Returns how many steps that were.
fn advance(world: &World, max_bytes: usize) -> usize {
    let (mover, mut steps) = (mover(world, max_bytes), 0);
    while (world.replicas.moves.all().iter()).any(|each| mover.advance(each)) {
        steps += 1;
        assert!(steps < 10_000, "it comes to an end");
    }
    steps
}

/// The replica in the first directory of three; with `is_named` the metadata says so.
fn world(is_named: bool) -> World {
    let world = World::start_on(vec!["a", "b", "c"]);
    if is_named {
        world.publish(|image| image.features.metadata_version = DIRECTORY_ASSIGNMENT_SINCE);
    }
    name_directory(&world, 0);
    assert_eq!(place(&world), world.dir().join("a/t-0"));
    world
}

fn registered_in(directory: usize, epoch: i32) -> PartitionRegistration {
    PartitionRegistration {
        directories: [directory_id(directory)].into(),
        partition_epoch: epoch,
        ..registration(NODE, 0, &[NODE])
    }
}

/// Has the metadata say that the replica is in this directory.
fn name_directory(world: &World, directory: usize) {
    let known = world.metadata.image();
    let known = known.topics.partition("t", 0);
    let epoch = known.map_or(0, |registration| registration.partition_epoch + 1);
    world.register("t", 0, registered_in(directory, epoch));
}

fn alter(world: &World, dir: &str) -> Result<(), ErrorCode> {
    world.replicas.alter_log_dir(&tp(), &world.dir().join(dir))
}

fn append(world: &World, values: &[&str]) {
    let partition = world.partition("t", 0);
    let records = batch(values);
    partition
        .append_as_leader(
            &records,
            AppendOrigin::Client,
            1,
            None,
            &AppendContext::default(),
            0,
        )
        .unwrap();
}

fn place(world: &World) -> PathBuf {
    world.partition("t", 0).log().path().to_path_buf()
}

fn bytes_of(log: &Log) -> Vec<u8> {
    let (mut at, mut bytes) = (log.log_start_offset(), Vec::new());
    while at < log.log_end_offset() {
        let read = log.read(at, MANY, FetchIsolation::LogEnd, true).unwrap();
        let read = read.read().unwrap();
        let last = kafka_shared::record::batch::batches(&read)
            .last()
            .unwrap()
            .unwrap();
        at = last.next_offset();
        bytes.extend_from_slice(&read);
    }
    bytes
}

fn content(world: &World) -> Vec<u8> {
    bytes_of(&world.partition("t", 0).log())
}

/// The partition folders in a directory, without what makes them unique.
fn folders(world: &World, dir: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(world.dir().join(dir))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.starts_with("t-0"))
        .map(|name| match (name.split_once('.'), name.rsplit_once('-')) {
            (Some((base, _)), Some((_, suffix))) => format!("{base}-{suffix}"),
            _ => name,
        })
        .collect();
    names.sort();
    names
}

fn submitted(world: &World) -> Option<Uuid> {
    world.replicas.directory_assignments.unsent_of(&key())
}

#[test]
fn without_directories_in_the_metadata_the_copy_takes_the_logs_place_at_once() {
    let world = world(false);
    for n in 0..20 {
        append(&world, &[&format!("value {n}"), "more"]);
    }
    let before = content(&world);
    let high_watermark = world.partition("t", 0).log().high_watermark();
    assert_eq!(alter(&world, "b"), Ok(()));
    assert_eq!(folders(&world, "b"), ["t-0-future"]);
    assert!(advance(&world, 100) > 15, "a batch at a time");
    assert_eq!(place(&world), world.dir().join("b/t-0"));
    assert_eq!(content(&world), before);
    assert_eq!(
        world.partition("t", 0).log().high_watermark(),
        high_watermark
    );
    assert_eq!(
        (folders(&world, "a"), folders(&world, "b")),
        (vec!["t-0-delete".into()], vec!["t-0".into()])
    );
    assert_eq!(submitted(&world), None);
    append(&world, &["after"]);
    let after = content(&world);
    let world = world.restart();
    world.publish(|_| {});
    assert_eq!(
        (place(&world), content(&world)),
        (world.dir().join("b/t-0"), after)
    );
    assert_eq!(world.partition("t", 0).log().high_watermark(), 41);
}

#[test]
fn the_copy_waits_for_the_metadata_and_takes_along_what_comes_meanwhile() {
    let world = world(true);
    append(&world, &["1", "2"]);
    assert_eq!(alter(&world, "b"), Ok(()));
    advance(&world, MANY);
    assert_eq!(submitted(&world), Some(directory_id(1)));
    assert_eq!(
        place(&world),
        world.dir().join("a/t-0"),
        "not before the controller says so"
    );
    append(&world, &["3"]);
    name_directory(&world, 1);
    // The record names another directory than that of the log: it is no error to be told back.
    assert_eq!(submitted(&world), Some(directory_id(1)));
    append(&world, &["4"]);
    let before = content(&world);
    advance(&world, MANY);
    assert_eq!(
        (place(&world), content(&world)),
        (world.dir().join("b/t-0"), before)
    );
    assert!(world.replicas.log_dir_moves().is_empty());
}

#[test]
fn a_move_to_somewhere_else_is_given_up_and_the_old_directory_told_again() {
    let world = world(true);
    append(&world, &["1"]);
    alter(&world, "b").unwrap();
    advance(&world, MANY);
    assert_eq!(submitted(&world), Some(directory_id(1)));
    alter(&world, "c").unwrap();
    assert_eq!(submitted(&world), Some(directory_id(0)));
    assert_eq!(
        (folders(&world, "b"), folders(&world, "c")),
        (vec!["t-0-delete".into()], vec!["t-0-future".into()])
    );
    advance(&world, MANY);
    name_directory(&world, 2);
    advance(&world, MANY);
    assert_eq!(place(&world), world.dir().join("c/t-0"));
    // Back to where it is: nothing to do.
    alter(&world, "c").unwrap();
    assert!(world.replicas.log_dir_moves().is_empty());
}

#[test]
fn what_cannot_be_moved_is_refused_as_kafka_does() {
    let world = world(true);
    let outside = world.replicas.alter_log_dir(&tp(), Path::new("/somewhere"));
    assert_eq!(outside, Err(ErrorCode::LOG_DIR_NOT_FOUND));
    let long = TopicPartition::new("x".repeat(249), 0);
    let too_long = world.replicas.alter_log_dir(&long, &world.dir().join("b"));
    assert_eq!(too_long, Err(ErrorCode::INVALID_TOPIC_EXCEPTION));
    world
        .replicas
        .logs()
        .set_cordoned(&[world.dir().join("c").display().to_string()]);
    assert_eq!(
        alter(&world, "c"),
        Err(ErrorCode::INVALID_REPLICA_ASSIGNMENT)
    );
    // A replica that comes later is made where it was to be.
    let later = TopicPartition::new("later", 0);
    let absent = world.replicas.alter_log_dir(&later, &world.dir().join("b"));
    assert_eq!(absent, Err(ErrorCode::REPLICA_NOT_AVAILABLE));
    world.register("later", 0, registered_in(0, 0));
    assert_eq!(
        world.partition("later", 0).log().dir().path(),
        world.dir().join("b")
    );
    // While a directory is lost, it may hold a copy.
    let error = std::io::Error::other("lost");
    world.register("other", 0, registered_in(2, 0));
    drop(world.partition("other", 0).log().dir().fail("read", &error));
    assert_eq!(alter(&world, "c"), Err(ErrorCode::KAFKA_STORAGE_ERROR));
    assert_eq!(alter(&world, "b"), Err(ErrorCode::KAFKA_STORAGE_ERROR));
}

#[test]
fn a_throttled_move_rests_until_the_rate_has_sunk() {
    let world = world(false);
    for _ in 0..10 {
        append(&world, &["a value of some length"]);
    }
    world.replicas.moves.quota.set_limit(Some(200));
    alter(&world, "b").unwrap();
    let mut seconds = 0;
    while !world.replicas.log_dir_moves().is_empty() {
        advance(&world, 100);
        world.clock.advance_ms(1000);
        seconds += 1;
        assert!(seconds < 100);
    }
    assert!(seconds >= 3, "about 900 bytes took {seconds} s");
    assert_eq!(place(&world), world.dir().join("b/t-0"));
}

#[test]
fn deleted_records_stay_deleted_when_the_copy_is_not_told_before_the_swap() {
    let world = world(false);
    append(&world, &["1"]);
    append(&world, &["2"]);
    alter(&world, "b").unwrap();
    let partition = world.partition("t", 0);
    let future = partition.future_log().unwrap();
    while partition
        .copy_to_future(world.replicas.logs(), &future, MANY)
        .unwrap()
        != CopyStep::CaughtUp
    {}
    assert_eq!(partition.delete_records(1).unwrap(), 1);
    assert_eq!(
        partition.low_watermark(|_| true),
        Ok(0),
        "the copy still has the record"
    );
    assert!(
        partition
            .replace_by_future(world.replicas.logs(), &future)
            .unwrap()
    );
    assert_eq!(partition.log().log_start_offset(), 1);
    assert_eq!(partition.low_watermark(|_| true), Ok(1));
}

#[test]
fn a_dropped_replica_takes_its_copy_along() {
    let world = world(true);
    append(&world, &["1"]);
    alter(&world, "b").unwrap();
    world.delete_topic("t");
    assert!(world.replicas.log_dir_moves().is_empty());
    assert_eq!(
        (folders(&world, "a"), folders(&world, "b")),
        (vec!["t-0-delete".into()], vec!["t-0-delete".into()])
    );
}

#[test]
fn a_disk_that_fails_ends_the_move_and_the_log_serves_on() {
    let world = world(true);
    append(&world, &["1"]);
    alter(&world, "b").unwrap();
    advance(&world, MANY);
    append(&world, &["2"]);
    faults::set(&world.dir().join("b"), Some(Fault::Broken));
    advance(&world, MANY);
    faults::set(&world.dir().join("b"), None);
    world.replicas.on_failed_dirs();
    assert!(world.replicas.log_dir_moves().is_empty());
    assert_eq!(
        submitted(&world),
        Some(directory_id(0)),
        "it stays where it was"
    );
    append(&world, &["3"]);
    assert_eq!(world.partition("t", 0).log().log_end_offset(), 3);
}

#[test]
fn a_rename_that_fails_leaves_the_log_in_service() {
    let world = world(false);
    append(&world, &["1"]);
    alter(&world, "b").unwrap();
    let future = world.partition("t", 0).future_log().unwrap();
    let moved = world
        .partition("t", 0)
        .copy_to_future(world.replicas.logs(), &future, MANY);
    assert_eq!(moved.unwrap(), CopyStep::CaughtUp);
    faults::set(&world.dir().join("b"), Some(Fault::Broken));
    let swapped = world
        .partition("t", 0)
        .replace_by_future(world.replicas.logs(), &future);
    faults::set(&world.dir().join("b"), None);
    assert_eq!(swapped.unwrap_err().code(), ErrorCode::KAFKA_STORAGE_ERROR);
    append(&world, &["2"]);
    assert_eq!(place(&world), world.dir().join("a/t-0"));
    assert_eq!(folders(&world, "a"), ["t-0"]);
}

#[test]
fn a_crash_while_copying_or_waiting_goes_on_with_the_copy() {
    for is_agreed in [false, true] {
        let world = world(true);
        for n in 0..10 {
            append(&world, &[&format!("value {n}")]);
        }
        alter(&world, "b").unwrap();
        let partition = world.partition("t", 0);
        let future = partition.future_log().unwrap();
        for _ in 0..4 {
            drop(partition.copy_to_future(world.replicas.logs(), &future, 1));
        }
        assert_eq!(future.log_end_offset(), 4);
        let before = content(&world);
        drop((partition, future));
        // The controller may have been told already. The copy lacks records, so the log stays.
        let world = world.crash(|_, _| {});
        if is_agreed {
            name_directory(&world, 1);
        } else {
            world.publish(|_| {});
        }
        assert_eq!(place(&world), world.dir().join("a/t-0"));
        assert_eq!(
            world
                .partition("t", 0)
                .future_log()
                .unwrap()
                .log_end_offset(),
            4
        );
        advance(&world, MANY);
        if !is_agreed {
            assert_eq!(submitted(&world), Some(directory_id(1)));
            name_directory(&world, 1);
            advance(&world, MANY);
        }
        assert_eq!(
            (place(&world), content(&world)),
            (world.dir().join("b/t-0"), before)
        );
    }
}

/// Everything that a crash in the middle of the swap can leave, by Kafka's order of renames and ours.
#[test]
fn a_crash_between_the_renames_loses_nothing() {
    for is_ours in [true, false] {
        let world = world(true);
        append(&world, &["1", "2", "3"]);
        alter(&world, "b").unwrap();
        advance(&world, MANY);
        let before = content(&world);
        let world = world.crash(|dir, image| {
            let find = |dir: PathBuf| {
                let mut entries = std::fs::read_dir(dir)
                    .unwrap()
                    .map(|entry| entry.unwrap().path());
                entries
                    .find(|path| path.display().to_string().contains("/t-0"))
                    .unwrap()
            };
            let (old, new) = (find(dir.join("a")), find(dir.join("b")));
            if is_ours {
                let deleted = old.with_file_name(names::delete_dir(&tp()));
                crate::log::fsx::rename(&old, &deleted).unwrap();
            } else {
                crate::log::fsx::rename(&new, &new.with_file_name("t-0")).unwrap();
            }
            let mut topic = crate::metadata::topics::TopicImage::clone(
                image.topics.by_id(topic_id("t")).unwrap(),
            );
            topic.insert(0, Arc::new(registered_in(1, 9)));
            image.topics.insert(topic);
        });
        world.publish(|_| {});
        // The first image makes the replica, so it has to be another one than that of the start.
        name_directory(&world, 1);
        assert_eq!(
            (place(&world), content(&world)),
            (world.dir().join("b/t-0"), before)
        );
        let left = if is_ours { "t-0-delete" } else { "t-0-stray" };
        assert_eq!(folders(&world, "a"), [left]);
        assert!(world.replicas.log_dir_moves().is_empty());
        append(&world, &["4"]);
        assert_eq!(world.partition("t", 0).log().log_end_offset(), 4);
    }
}

#[test]
fn a_copy_of_nothing_is_set_aside() {
    let world = world(true);
    append(&world, &["1"]);
    alter(&world, "b").unwrap();
    let world = world.crash(|_, image| {
        image.topics.remove(topic_id("t"));
    });
    world.publish(|_| {});
    assert_eq!(
        (folders(&world, "a"), folders(&world, "b")),
        (vec!["t-0-stray".into()], vec!["t-0-stray".into()])
    );
    assert!(world.replicas.logs().future_logs().is_empty());
}

/// What happens to a log while it is copied.
#[derive(Debug, Clone)]
enum Event {
    Append(usize),
    NewEpoch,
    Truncate(usize),
    RaiseStart(usize),
    Copy,
    Restart,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (1usize..4).prop_map(Event::Append),
        1 => Just(Event::NewEpoch),
        2 => (1usize..6).prop_map(Event::Truncate),
        1 => (1usize..4).prop_map(Event::RaiseStart),
        5 => Just(Event::Copy),
        1 => Just(Event::Restart),
    ];
    prop::collection::vec(event, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_to_the_log_the_copy_becomes_the_same(events in events()) {
        let world = world(false);
        alter(&world, "b").unwrap();
        let partition = world.partition("t", 0);
        let (logs, future) = (world.replicas.logs(), partition.future_log().unwrap());
        let log = Arc::clone(&partition.log());
        let (mut epoch, mut next, mut bases) = (0, 0, Vec::new());
        for event in events {
            match event {
                Event::Append(count) => {
                    let mut builder = BatchBuilder::new()
                        .with_base_offset(log.log_end_offset())
                        .with_leader_epoch(epoch);
                    for _ in 0..count {
                        next += 1;
                        let value = format!("value {next}");
                        builder.append(1, None, Some(value.as_bytes()), &[]).unwrap();
                    }
                    bases.push(log.log_end_offset());
                    log.append_as_follower(&builder.build(), epoch).unwrap();
                }
                Event::NewEpoch => {
                    epoch += 1;
                    log.assign_epoch_start_offset(epoch, log.log_end_offset());
                }
                Event::Truncate(count) => {
                    let at = bases.len().saturating_sub(count);
                    bases.retain(|base| *base >= log.high_watermark());
                    let Some(end) = bases.get(at.min(bases.len().saturating_sub(1))).copied() else {
                        continue;
                    };
                    bases.retain(|base| *base < end);
                    logs.truncate_log(&log, end).unwrap();
                    // Only a new leader has a follower cut its log.
                    epoch += 1;
                    log.assign_epoch_start_offset(epoch, log.log_end_offset());
                }
                Event::RaiseStart(count) => {
                    let start = log.log_start_offset() + count as i64;
                    log.update_high_watermark(start.max(log.high_watermark()));
                    drop(log.maybe_increment_log_start_offset(start.min(log.high_watermark())));
                }
                Event::Copy => drop(partition.copy_to_future(logs, &future, 1).unwrap()),
                Event::Restart => {
                    bases.clear();
                    logs.restart_log(&log, log.log_end_offset() + 2, None).unwrap();
                    epoch += 1;
                    log.assign_epoch_start_offset(epoch, log.log_end_offset());
                }
            }
        }
        let mut steps = 0;
        while partition.copy_to_future(logs, &future, 1).unwrap() != CopyStep::CaughtUp {
            steps += 1;
            prop_assert!(steps < 1000);
        }
        prop_assert_eq!(bytes_of(&future), bytes_of(&log));
        prop_assert_eq!(future.log_end_offset(), log.log_end_offset());
        prop_assert!(future.log_start_offset() <= log.log_start_offset().max(future.first_segment_base_offset()));
        prop_assert!(partition.replace_by_future(logs, &future).unwrap());
        prop_assert_eq!(partition.log().latest_epoch(), log.latest_epoch());
    }
}
