//! Folders written by Apache Kafka 4.3.1 (see `tests/golden/PROVENANCE.txt`), opened and written by us.

use super::super::manager::{LogManager, LogManagerConfig};
use super::*;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/log-dir")
}

/// A copy of the golden folder in a temporary one.
fn copied() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    copy_dir(&golden(), root.path());
    root
}

fn manage(root: &Path) -> Arc<LogManager> {
    let clock = Arc::new(MockClock::new(1_795_231_400_000));
    let manager = LogManager::open(LogManagerConfig::new(vec![root.to_owned()]), clock).unwrap();
    manager.load_logs(&|_| Arc::new(LogConfig::default()));
    manager
}

fn log(manager: &LogManager, topic: &str) -> Arc<Log> {
    manager.log(&TopicPartition::new(topic, 0)).unwrap()
}

fn expected_plain() -> Vec<(i64, String)> {
    (17..60)
        .map(|offset| (offset, format!("value number {}", offset + 1)))
        .collect()
}

#[test]
fn a_folder_of_kafka_opens_with_its_offsets_and_records() {
    let root = copied();
    let manager = manage(root.path());
    assert_eq!(manager.previous_broker_epoch(), Some(12));
    let plain = log(&manager, "plain");
    assert_eq!(
        (
            plain.log_start_offset(),
            plain.high_watermark(),
            plain.log_end_offset()
        ),
        (17, 60, 60)
    );
    assert_eq!(
        (plain.number_of_segments(), plain.recovery_point()),
        (2, 60)
    );
    assert_eq!(plain.latest_epoch(), Some(0));
    assert_eq!(read_all(&plain), expected_plain());
    assert_eq!(read_from(&plain, 50, 100), expected_plain()[33..]);

    let stamped = log(&manager, "stamped");
    let values: Vec<_> = (0..40).map(|i| (i, format!("record {}", i + 1))).collect();
    assert_eq!(read_all(&stamped), values);

    let txn = log(&manager, "txn");
    assert_eq!((txn.last_stable_offset(), txn.log_end_offset()), (35, 35));
    let data = txn
        .read(0, 1 << 20, FetchIsolation::TxnCommitted, true)
        .unwrap();
    let aborted: Vec<_> = data
        .aborted_transactions
        .unwrap()
        .iter()
        .map(|t| {
            (
                t.producer_id,
                t.first_offset,
                t.last_offset,
                t.last_stable_offset,
            )
        })
        .collect();
    assert_eq!(aborted, [(1, 0, 22, 23)]);
    let producers = txn.active_producers();
    assert_eq!(producers.len(), 1);
    assert_eq!(
        (producers[0].producer_id, producers[0].producer_epoch),
        (1, 4)
    );
}

#[test]
fn opening_and_closing_changes_no_byte_of_a_partition() {
    let root = copied();
    assert!(manage(root.path()).shutdown(12));
    for partition in ["plain-0", "stamped-0", "txn-0"] {
        for entry in std::fs::read_dir(golden().join(partition)).unwrap() {
            let name = entry.unwrap().file_name();
            let before = std::fs::read(golden().join(partition).join(&name)).unwrap();
            let after = std::fs::read(root.path().join(partition).join(&name)).unwrap();
            assert_eq!(after, before, "{partition}/{name:?}");
        }
        let count = |path: PathBuf| std::fs::read_dir(path).unwrap().count();
        assert_eq!(
            count(root.path().join(partition)),
            count(golden().join(partition))
        );
    }
    for file in [checkpoint::LOG_START, clean_shutdown::FILE] {
        let (before, after) = (golden().join(file), root.path().join(file));
        assert_eq!(
            std::fs::read(after).unwrap(),
            std::fs::read(before).unwrap(),
            "{file}"
        );
    }
    for file in [checkpoint::RECOVERY_POINT, checkpoint::HIGH_WATERMARK] {
        let read = |root: &Path| checkpoint::read_offsets(&root.join(file)).unwrap();
        assert_eq!(read(root.path()), read(&golden()), "{file}");
    }
}

#[test]
fn the_same_batches_make_the_same_files_as_in_kafka() {
    for (partition, segment_bytes, index_interval_bytes) in [
        ("plain-0", 3000, 200),
        ("stamped-0", 1 << 30, 4096),
        ("txn-0", 1 << 30, 4096),
    ] {
        let mut fixture = Fixture::with(|config| {
            config.segment_bytes = segment_bytes;
            config.index_interval_bytes = index_interval_bytes;
        });
        fixture
            .context
            .producer_id_expiration_ms
            .store(i64::MAX, std::sync::atomic::Ordering::Relaxed);
        let source = golden().join(partition);
        let topic_id = partition_metadata::read(&source).unwrap();
        fixture.config.segment_ms = i64::MAX;
        let log = fixture
            .open_with(LogOpenOptions {
                topic_id,
                clean: true,
                ..LogOpenOptions::default()
            })
            .unwrap();
        let mut names: Vec<_> = std::fs::read_dir(&source)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        for name in names
            .iter()
            .filter(|name| name.to_string_lossy().ends_with(".log"))
        {
            let bytes = std::fs::read(source.join(name)).unwrap();
            for batch in batches(&bytes) {
                log.append_as_follower(batch.unwrap().bytes(), 0).unwrap();
            }
        }
        log.close().unwrap();
        for name in names {
            // Kafka's file of `plain` was rewritten when the log start moved.
            if partition == "plain-0" && name == "leader-epoch-checkpoint" {
                continue;
            }
            let theirs = std::fs::read(source.join(&name)).unwrap();
            let ours = std::fs::read(fixture.path().join(&name)).unwrap();
            assert_eq!(ours, theirs, "{partition}/{name:?}");
        }
    }
}

#[test]
fn after_a_crash_of_kafka_its_preallocated_indexes_are_made_anew() {
    let root = copied();
    std::fs::remove_file(root.path().join(clean_shutdown::FILE)).unwrap();
    std::fs::remove_file(root.path().join(checkpoint::RECOVERY_POINT)).unwrap();
    let plain = root.path().join("plain-0");
    for (name, size) in [
        ("00000000000000000051.index", 10_485_760),
        ("00000000000000000051.timeindex", 10_485_756),
    ] {
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(plain.join(name))
            .unwrap();
        file.set_len(size).unwrap();
    }
    std::fs::remove_file(plain.join("00000000000000000060.snapshot")).unwrap();
    let manager = manage(root.path());
    assert_eq!(manager.previous_broker_epoch(), None);
    assert_eq!(read_all(&log(&manager, "plain")), expected_plain());
    let txn = log(&manager, "txn")
        .collect_aborted_transactions(0, 35)
        .unwrap();
    assert_eq!(
        txn.iter()
            .map(|t| (t.first_offset, t.last_offset))
            .collect::<Vec<_>>(),
        [(0, 22)]
    );
    assert!(manager.shutdown(13));
    // `plain` was made with index entries every 200 bytes; at the default interval there are none.
    let index = std::fs::read(plain.join("00000000000000000051.index")).unwrap();
    let times = std::fs::read(plain.join("00000000000000000051.timeindex")).unwrap();
    assert_eq!((index.len(), times.len()), (0, 12));
    for name in ["00000000000000000060.snapshot", "00000000000000000051.log"] {
        let before = std::fs::read(golden().join("plain-0").join(name)).unwrap();
        assert_eq!(std::fs::read(plain.join(name)).unwrap(), before, "{name}");
    }
    let name = "00000000000000000000.txnindex";
    let before = std::fs::read(golden().join("txn-0").join(name)).unwrap();
    assert_eq!(
        std::fs::read(root.path().join("txn-0").join(name)).unwrap(),
        before
    );
}

#[test]
fn a_marker_with_an_untrimmed_index_still_finds_every_record() {
    let root = copied();
    let plain = root.path().join("plain-0");
    let path = plain.join("00000000000000000051.index");
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    let manager = manage(root.path());
    let plain = log(&manager, "plain");
    assert_eq!(plain.log_end_offset(), 60);
    assert_eq!(read_all(&plain), expected_plain());
}
