//! The replica manager against real logs in a temporary folder.

use std::time::Duration;

use bytes::Bytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::record::batch;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::types::{TopicPartition, Uuid};

use super::append::{ACKS_ALL, AppendEntry, Appended};
use super::fetch::{FetchParams, FetchedPartition, Records};
use super::fetch_session::{FetchKey, FetchPartition, FetchTopic};
use super::offsets::Asker;
use super::partition::FollowerId;
use super::testing::{NODE, NOW_MS, World, batch, batch_of, registration, topic_id};
use crate::coordinator::PartitionWriter;
use crate::log::{AppendOrigin, FetchIsolation, LogConfig, timestamps};
use crate::metadata::MetadataImage;

const SECOND: Duration = Duration::from_secs(1);

async fn append(world: &World, topic: &str, partition: i32, acks: i16, records: Bytes) -> Appended {
    let partition = world.replicas.partition(topic, partition);
    let entries = [AppendEntry { partition, records }];
    world
        .replicas
        .append_records(acks, SECOND, AppendOrigin::Client, &entries)
        .await
        .remove(0)
}

fn params() -> FetchParams<'static> {
    FetchParams {
        follower: None,
        requires_leader: true,
        place: None,
        isolation: FetchIsolation::HighWatermark,
        max_wait: Duration::ZERO,
        min_bytes: 1,
        max_bytes: 1 << 20,
    }
}

fn want(topic: &str, partition: i32, fetch_offset: i64) -> (FetchKey, FetchPartition) {
    let key = FetchKey {
        topic: FetchTopic::Name(topic.into()),
        partition,
    };
    let wanted = FetchPartition {
        fetch_offset,
        log_start_offset: -1,
        max_bytes: 1 << 20,
        current_leader_epoch: None,
        last_fetched_epoch: None,
    };
    (key, wanted)
}

/// The values of fetched records, in order.
fn values(fetched: &FetchedPartition) -> Vec<String> {
    let Records::File(slice) = &fetched.records else {
        return Vec::new();
    };
    let bytes = slice.read().unwrap();
    let mut values = Vec::new();
    for batch in batch::batches(&bytes) {
        let batch = batch.unwrap();
        batch.check_crc().unwrap();
        let records = kafka_shared::record::iter::records(&batch, 1 << 20).unwrap();
        for record in records.iter() {
            let value = record.unwrap().value.unwrap().to_vec();
            values.push(String::from_utf8(value).unwrap());
        }
    }
    values
}

#[tokio::test]
async fn what_is_appended_is_fetched_with_its_offsets() {
    let world = World::start();
    world.create_topic("t", 2);
    for (records, base_offset) in [(batch(&["a", "b"]), 0), (batch(&["c"]), 2)] {
        let appended = append(&world, "t", 1, ACKS_ALL, records).await;
        assert_eq!(
            (appended.error, appended.base_offset),
            (ErrorCode::NONE, base_offset)
        );
        assert_eq!(
            (appended.log_append_time_ms, appended.log_start_offset),
            (-1, 0)
        );
    }
    let wanted = [want("t", 0, 0), want("t", 1, 0), want("t", 1, 2)];
    let fetched = world.replicas.fetch_records(params(), &wanted).await;
    assert_eq!(fetched[0].high_watermark, 0);
    assert!(values(&fetched[0]).is_empty());
    assert_eq!(
        (fetched[1].high_watermark, fetched[1].last_stable_offset),
        (3, 3)
    );
    assert_eq!(values(&fetched[1]), ["a", "b", "c"]);
    assert_eq!(values(&fetched[2]), ["c"]);
}

#[tokio::test]
async fn topics_are_found_by_id_and_strangers_are_told_apart() {
    let world = World::start();
    world.create_topic("t", 1);
    world.register("elsewhere", 0, registration(2, 0, &[2]));
    let (id, unknown) = (topic_id("t"), Uuid::from_u128(4711));
    let code = |result: Result<_, ErrorCode>| result.map(|_: std::sync::Arc<_>| ()).unwrap_err();
    let replicas = &world.replicas;
    assert_eq!(replicas.partition_by_id(id, 0).unwrap().topic_id(), id);
    assert_eq!(
        code(replicas.partition_by_id(unknown, 0)),
        ErrorCode::UNKNOWN_TOPIC_ID
    );
    for result in [
        replicas.partition_by_id(id, 1),
        replicas.partition("t", 1),
        replicas.partition("t", -1),
        replicas.partition("u", 0),
    ] {
        assert_eq!(code(result), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    let elsewhere = code(replicas.partition("elsewhere", 0));
    assert_eq!(elsewhere, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let elsewhere = code(replicas.partition_by_id(topic_id("elsewhere"), 0));
    assert_eq!(elsewhere, ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[tokio::test]
async fn limits_hold_but_for_the_first_batch() {
    let world = World::start();
    world.create_topic("t", 2);
    let one = batch(&["0123456789"]);
    for partition in [0, 0, 0, 1] {
        append(&world, "t", partition, 1, one.clone()).await;
    }
    let fetch = async |max_bytes: usize, partition_max_bytes: i32| {
        let mut wanted = [want("t", 0, 0), want("t", 1, 0)];
        for (_, wanted) in &mut wanted {
            wanted.max_bytes = partition_max_bytes;
        }
        let params = FetchParams {
            max_bytes,
            ..params()
        };
        let fetched = world.replicas.fetch_records(params, &wanted).await;
        fetched
            .iter()
            .map(|fetched| values(fetched).len())
            .collect::<Vec<_>>()
    };
    let size = one.len();
    assert_eq!(fetch(1, 1).await, [1, 0]);
    assert_eq!(fetch(1 << 20, 1).await, [1, 0]);
    assert_eq!(
        fetch(1 << 20, i32::try_from(2 * size).unwrap()).await,
        [2, 1]
    );
    assert_eq!(fetch(3 * size, 1 << 20).await, [3, 0]);
    assert_eq!(fetch(3 * size + size, 1 << 20).await, [3, 1]);
    assert_eq!(fetch(1 << 20, -1).await, [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_waits_for_enough_bytes_or_until_its_time_is_up() {
    let world = World::start();
    world.create_topic("t", 2);
    let wanted = [want("t", 0, 0), want("t", 1, 0)];
    let size = batch(&["x"]).len();
    let waiting = FetchParams {
        max_wait: 10 * SECOND,
        min_bytes: 2 * size,
        ..params()
    };
    let before = tokio::time::Instant::now();
    let (fetched, ()) = tokio::join!(world.replicas.fetch_records(waiting, &wanted), async {
        append(&world, "t", 0, 1, batch(&["x"])).await;
        tokio::time::sleep(SECOND).await;
        append(&world, "t", 1, 1, batch(&["y"])).await;
    });
    assert_eq!(before.elapsed(), SECOND);
    assert_eq!(
        (values(&fetched[0]), values(&fetched[1])),
        (vec!["x".into()], vec!["y".into()])
    );

    let wanted = [want("t", 0, 1)];
    let waiting = FetchParams {
        max_wait: 5 * SECOND,
        ..params()
    };
    let before = tokio::time::Instant::now();
    let fetched = world.replicas.fetch_records(waiting, &wanted).await;
    assert_eq!(before.elapsed(), 5 * SECOND);
    assert_eq!(
        (fetched[0].error, fetched[0].high_watermark),
        (ErrorCode::NONE, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_partition_does_not_cut_the_wait_for_others_short() {
    let world = World::start();
    world.create_topic("t", 1);
    let waiting = FetchParams {
        max_wait: 5 * SECOND,
        ..params()
    };
    for (wanted, waits) in [
        (vec![want("gone", 0, 0), want("t", 0, 0)], true),
        (vec![want("gone", 0, 0)], false),
        (vec![want("gone", 0, 0), want("t", 0, 7)], false),
    ] {
        let before = tokio::time::Instant::now();
        let fetched = world.replicas.fetch_records(waiting, &wanted).await;
        assert_eq!(fetched[0].error, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!(before.elapsed() == 5 * SECOND, waits, "{wanted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_fetch_learns_of_lost_leadership_and_of_deletion() {
    let world = World::start();
    for (topic, is_deleted, requires_leader, error) in [
        ("a", false, true, ErrorCode::NOT_LEADER_OR_FOLLOWER),
        ("b", true, true, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        ("c", true, false, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ] {
        world.create_topic(topic, 1);
        let wanted = [want(topic, 0, 0)];
        let max_wait = 60 * SECOND;
        let waiting = FetchParams {
            max_wait,
            requires_leader,
            ..params()
        };
        let before = tokio::time::Instant::now();
        let (fetched, ()) = tokio::join!(world.replicas.fetch_records(waiting, &wanted), async {
            tokio::task::yield_now().await;
            match is_deleted {
                true => world.delete_topic(topic),
                false => world.register(topic, 0, registration(2, 1, &[NODE, 2])),
            }
        });
        assert!(before.elapsed() < SECOND, "{topic}");
        assert_eq!(fetched[0].error, error, "{topic}");
    }
}

#[tokio::test]
async fn offsets_outside_the_log_and_wrong_epochs_are_errors() {
    let world = World::start();
    world.register("t", 0, registration(NODE, 5, &[NODE]));
    append(&world, "t", 0, 1, batch(&["a"])).await;
    for (fetch_offset, epoch, error) in [
        (0, None, ErrorCode::NONE),
        (1, Some(5), ErrorCode::NONE),
        (2, None, ErrorCode::OFFSET_OUT_OF_RANGE),
        (-1, None, ErrorCode::OFFSET_OUT_OF_RANGE),
        (0, Some(4), ErrorCode::FENCED_LEADER_EPOCH),
        (0, Some(6), ErrorCode::UNKNOWN_LEADER_EPOCH),
    ] {
        let mut wanted = want("t", 0, fetch_offset);
        wanted.1.current_leader_epoch = epoch;
        let waiting = FetchParams {
            max_wait: Duration::from_millis(1),
            ..params()
        };
        let fetched = world.replicas.fetch_records(waiting, &[wanted]).await;
        assert_eq!(fetched[0].error, error, "{fetch_offset} {epoch:?}");
    }
}

#[tokio::test]
async fn acks_all_needs_min_insync_replicas() {
    let world = World::start();
    world.register("t", 0, registration(NODE, 0, &[NODE, 2]));
    world.configure(
        "t",
        LogConfig {
            min_insync_replicas: 2,
            ..LogConfig::default()
        },
    );
    let refused = append(&world, "t", 0, ACKS_ALL, batch(&["a"])).await;
    assert_eq!(refused.error, ErrorCode::NOT_ENOUGH_REPLICAS);
    let appended = append(&world, "t", 0, 1, batch(&["a"])).await;
    assert_eq!((appended.error, appended.base_offset), (ErrorCode::NONE, 0));
    assert_eq!(world.partition("t", 0).log().high_watermark(), 0);

    world.configure("t", LogConfig::default());
    assert_eq!(world.partition("t", 0).log().high_watermark(), 1);
    assert_eq!(
        append(&world, "t", 0, ACKS_ALL, batch(&["b"])).await.error,
        ErrorCode::NONE
    );
}

#[tokio::test(start_paused = true)]
async fn acks_all_waits_for_the_follower_that_is_in_sync() {
    let world = World::start();
    let mut both = registration(NODE, 3, &[NODE, 2]);
    both.isr = [NODE, 2].into();
    world.register("t", 0, both);
    let timed_out = append(&world, "t", 0, ACKS_ALL, batch(&["a"])).await;
    assert_eq!(
        (timed_out.error, timed_out.base_offset),
        (ErrorCode::REQUEST_TIMED_OUT, 0)
    );

    let follower = FetchParams {
        follower: Some(FollowerId { id: 2, epoch: -1 }),
        isolation: FetchIsolation::LogEnd,
        ..params()
    };
    let fetch = async |offset: i64, last_fetched_epoch: i32| {
        let mut wanted = want("t", 0, offset);
        wanted.1.last_fetched_epoch = Some(last_fetched_epoch);
        wanted.1.current_leader_epoch = Some(3);
        world
            .replicas
            .fetch_records(follower, &[wanted])
            .await
            .remove(0)
    };
    let (appended, ()) = tokio::join!(append(&world, "t", 0, ACKS_ALL, batch(&["b"])), async {
        let fetched = fetch(0, 3).await;
        assert_eq!(
            (fetched.high_watermark, values(&fetched)),
            (0, vec!["a".into(), "b".into()])
        );
        let partition = world.partition("t", 0);
        assert_eq!(partition.log().high_watermark(), 0);
        fetch(2, 3).await;
        assert_eq!(partition.log().high_watermark(), 2);
    });
    assert_eq!((appended.error, appended.base_offset), (ErrorCode::NONE, 1));

    for (offset, epoch, error, diverging_epoch) in [
        (2, 3, ErrorCode::NONE, None),
        (2, 2, ErrorCode::NONE, Some((2, 0))),
        (9, 3, ErrorCode::NONE, Some((3, 2))),
        (2, 4, ErrorCode::OFFSET_OUT_OF_RANGE, None),
    ] {
        let fetched = fetch(offset, epoch).await;
        assert_eq!(
            (fetched.error, fetched.diverging_epoch),
            (error, diverging_epoch),
            "{epoch}"
        );
    }
}

#[tokio::test]
async fn duplicates_return_the_offset_of_the_first_append_also_after_a_restart() {
    let mut world = World::start();
    world.create_topic("t", 1);
    let produced = |sequence| {
        batch_of(
            BatchBuilder::new().with_producer(77, 0, sequence),
            &["a", "b"],
        )
    };
    assert_eq!(append(&world, "t", 0, 1, produced(0)).await.base_offset, 0);
    for _ in 0..2 {
        let again = append(&world, "t", 0, ACKS_ALL, produced(0)).await;
        assert_eq!((again.error, again.base_offset), (ErrorCode::NONE, 0));
        let gap = append(&world, "t", 0, 1, produced(4)).await;
        assert_eq!(gap.error, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        world = world.restart();
    }
    assert_eq!(append(&world, "t", 0, 1, produced(2)).await.base_offset, 2);
    assert_eq!(world.partition("t", 0).log().log_end_offset(), 4);
}

#[tokio::test]
async fn a_restart_keeps_records_and_high_watermark_and_sets_strays_aside() {
    let world = World::start();
    world.create_topic("kept", 1);
    world.create_topic("gone", 1);
    append(&world, "kept", 0, 1, batch(&["a", "b"])).await;
    let world = world.restart_after(|image| {
        image.topics.remove(topic_id("gone"));
    });
    let fetched = world
        .replicas
        .fetch_records(params(), &[want("kept", 0, 0)])
        .await;
    assert_eq!(
        (values(&fetched[0]), fetched[0].high_watermark),
        (vec!["a".into(), "b".into()], 2)
    );
    let names: Vec<String> = std::fs::read_dir(world.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("gone"))
        .collect();
    assert!(
        names.iter().all(|name| name.ends_with("-stray")) && names.len() == 1,
        "{names:?}"
    );
}

#[tokio::test]
async fn an_image_that_does_not_know_the_broker_takes_nothing_from_it() {
    let world = World::start();
    world.create_topic("t", 1);
    append(&world, "t", 0, 1, batch(&["a"])).await;
    let image = world.metadata.image();
    let world = world.restart_after(|image| {
        image.topics.remove(topic_id("t"));
        image.cluster.brokers.clear();
    });
    assert!(world.replicas.partition("t", 0).is_err());
    world.publish(|next| *next = MetadataImage::clone(&image));
    let fetched = world
        .replicas
        .fetch_records(params(), &[want("t", 0, 0)])
        .await;
    assert_eq!(values(&fetched[0]), ["a"]);
}

#[tokio::test]
async fn a_deleted_topic_makes_room_for_another_of_its_name() {
    let world = World::start();
    world.create_topic("t", 1);
    append(&world, "t", 0, 1, batch(&["old"])).await;
    world.delete_topic("t");
    assert!(world.replicas.partition("t", 0).is_err());
    world.publish(|image| {
        let id = Uuid::from_u128(987_654_321);
        let mut topic = crate::metadata::topics::TopicImage::new(id, "t".into());
        topic.insert(0, std::sync::Arc::new(registration(NODE, 0, &[NODE])));
        image.topics.insert(topic);
    });
    assert_eq!(
        append(&world, "t", 0, 1, batch(&["new"])).await.base_offset,
        0
    );
    let fetched = world
        .replicas
        .fetch_records(params(), &[want("t", 0, 0)])
        .await;
    assert_eq!(values(&fetched[0]), ["new"]);
}

#[tokio::test]
async fn offsets_are_found_by_time_and_deleted_records_move_the_start() {
    let world = World::start();
    world.create_topic("t", 1);
    for (time, value) in [(100, "a"), (300, "b"), (200, "c")] {
        let mut builder = BatchBuilder::new();
        builder
            .append(time, None, Some(value.as_bytes()), &[])
            .unwrap();
        append(&world, "t", 0, 1, builder.build()).await;
    }
    let partition = world.partition("t", 0);
    let client = Asker::Client(FetchIsolation::HighWatermark);
    let offset = |timestamp| {
        let found = partition
            .offset_for_timestamp(timestamp, client, None)
            .unwrap();
        found.map(|found| (found.offset, found.timestamp))
    };
    for (timestamp, expected) in [
        (timestamps::LATEST, Some((3, -1))),
        (timestamps::EARLIEST, Some((0, -1))),
        (timestamps::EARLIEST_LOCAL, Some((0, -1))),
        (timestamps::MAX, Some((1, 300))),
        (100, Some((0, 100))),
        (101, Some((1, 300))),
        (301, None),
    ] {
        assert_eq!(offset(timestamp), expected, "{timestamp}");
    }
    let delete = async |offset| {
        let partition = world.replicas.partition("t", 0);
        world
            .replicas
            .delete_records(SECOND, vec![(partition, offset)])
            .await
            .remove(0)
    };
    assert_eq!(delete(4).await, Err(ErrorCode::OFFSET_OUT_OF_RANGE));
    assert_eq!(delete(-2).await, Err(ErrorCode::OFFSET_OUT_OF_RANGE));
    assert_eq!(delete(1).await, Ok(1));
    assert_eq!(offset(timestamps::EARLIEST), Some((1, -1)));
    assert_eq!(delete(0).await, Ok(1));
    assert_eq!(delete(-1).await, Ok(3));
    let fetched = world
        .replicas
        .fetch_records(params(), &[want("t", 0, 1)])
        .await;
    assert_eq!(fetched[0].error, ErrorCode::OFFSET_OUT_OF_RANGE);

    world.configure(
        "t",
        LogConfig {
            compact: true,
            delete: false,
            ..LogConfig::default()
        },
    );
    assert_eq!(delete(3).await, Err(ErrorCode::POLICY_VIOLATION));
}

#[tokio::test]
async fn a_new_leader_does_not_answer_with_less_than_may_be_committed() {
    let world = World::start();
    world.create_topic("t", 1);
    append(&world, "t", 0, 1, batch(&["a"])).await;
    let mut behind = registration(NODE, 1, &[NODE, 2]);
    behind.isr = [NODE, 2].into();
    let partition = world.partition("t", 0);
    let latest = |asker| {
        partition
            .offset_for_timestamp(timestamps::LATEST, asker, Some(1))
            .map(|o| o.unwrap().offset)
    };
    world.register("t", 0, behind);
    let client = Asker::Client(FetchIsolation::HighWatermark);
    assert_eq!(latest(client), Ok(1));
    partition.log().update_high_watermark(0);
    assert_eq!(latest(client), Err(ErrorCode::OFFSET_NOT_AVAILABLE));
    assert_eq!(latest(Asker::Follower), Ok(1));
    let by_time = partition.offset_for_timestamp(NOW_MS, client, None);
    assert_eq!(by_time, Err(ErrorCode::OFFSET_NOT_AVAILABLE));
}

#[tokio::test]
async fn a_coordinator_appends_in_its_epoch_and_follows_the_high_watermark() {
    let world = World::start();
    world.register("__consumer_offsets", 3, registration(NODE, 7, &[NODE]));
    let tp = TopicPartition::new("__consumer_offsets", 3);
    let writer: &dyn PartitionWriter = &*world.replicas;
    let mut watched = writer.high_watermark(&tp).unwrap();
    assert_eq!(*watched.borrow_and_update(), 0);
    let records = || bytes::BytesMut::from(&batch(&["a", "b"])[..]);
    assert_eq!(writer.append(&tp, 7, records()).unwrap(), 2);
    assert_eq!(*watched.borrow_and_update(), 2);
    let stale = writer.append(&tp, 6, records()).unwrap_err();
    assert_eq!(stale.code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let range = writer.log_range(&tp).unwrap();
    assert_eq!((range.log_start_offset, range.log_end_offset), (0, 2));
    assert_eq!(batch::batches(&writer.read(&tp, 1, 1).unwrap()).count(), 1);
    assert!(writer.read(&tp, 2, 1000).unwrap().is_empty());

    world.register("__consumer_offsets", 3, registration(2, 8, &[NODE, 2]));
    assert!(
        watched.changed().await.is_err(),
        "the sender goes with the leadership"
    );
    assert!(writer.high_watermark(&tp).is_err());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_log_directory_that_fails_is_answered_at_once() {
    let world = World::start();
    world.create_topic("t", 1);
    // Another replica that is in sync keeps the high watermark where it is.
    let mut two = registration(NODE, 0, &[NODE, 2]);
    two.isr = [NODE, 2].into();
    world.register("two", 0, two);
    let begun = tokio::time::Instant::now();
    let poll = FetchParams {
        max_wait: 100 * SECOND,
        ..params()
    };
    let wanted = [want("t", 0, 0)];
    let fetching = world.replicas.fetch_records(poll, &wanted);
    let appending = append(&world, "two", 0, ACKS_ALL, batch(&["a"]));
    let failing = async {
        let partition = world.replicas.partition("t", 0).unwrap();
        let error = std::io::Error::other("the disk is gone");
        drop(partition.log().dir().fail("read", &error));
        world.replicas.on_failed_dirs();
    };
    let (fetched, appended, ()) = tokio::join!(fetching, appending, failing);
    assert_eq!(fetched[0].error, ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(appended.error, ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
