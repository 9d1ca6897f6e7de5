//! Several logs in several folders, over starts and stops.

use kafka_shared::error::ErrorCode;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::time::MockClock;
use kafka_shared::types::random_uuid;

use super::super::AppendOrigin;
use super::*;

struct Fixture {
    root: tempfile::TempDir,
    clock: Arc<MockClock>,
}

impl Fixture {
    fn new() -> Self {
        let clock = Arc::new(MockClock::new(1_700_000_000_000));
        Self {
            root: tempfile::tempdir().unwrap(),
            clock,
        }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn config(&self, dirs: &[&str]) -> LogManagerConfig {
        LogManagerConfig::new(dirs.iter().map(|name| self.dir(name)).collect())
    }

    fn open(&self, dirs: &[&str]) -> (Arc<LogManager>, LoadSummary) {
        let manager = LogManager::open(self.config(dirs), self.clock.clone()).unwrap();
        let summary = manager.load_logs(&|_| Arc::new(LogConfig::default()));
        (manager, summary)
    }
}

fn tp(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

fn create(manager: &LogManager, topic: &str, partition: i32) -> Arc<Log> {
    let id = Uuid::from_u128(1000 + topic.len() as u128);
    manager
        .create_log(&tp(topic, partition), id, Arc::default(), None)
        .unwrap()
}

fn append(log: &Log, count: i64) {
    for _ in 0..count {
        let mut builder = BatchBuilder::new();
        builder.append(1, None, Some(b"v"), &[]).unwrap();
        log.append_as_leader(&builder.build(), 0, AppendOrigin::Client)
            .unwrap();
    }
}

#[test]
fn logs_come_back_with_their_offsets_after_a_clean_shutdown() {
    let fixture = Fixture::new();
    let (manager, summary) = fixture.open(&["a"]);
    assert_eq!(
        summary,
        LoadSummary {
            logs: 0,
            unclean_dirs: 1,
            failed: 0
        }
    );
    assert_eq!(manager.previous_broker_epoch(), None);
    for partition in 0..5 {
        let log = create(&manager, "t", partition);
        append(&log, 3 + i64::from(partition));
        log.update_high_watermark(2);
        log.maybe_increment_log_start_offset(1).unwrap();
    }
    assert!(manager.shutdown(7));
    let (manager, summary) = fixture.open(&["a"]);
    assert_eq!(
        summary,
        LoadSummary {
            logs: 5,
            unclean_dirs: 0,
            failed: 0
        }
    );
    let twice = LogManager::open(fixture.config(&["a"]), fixture.clock.clone()).unwrap_err();
    assert_eq!(
        twice.kind(),
        io::ErrorKind::WouldBlock,
        "also refused within one process"
    );
    assert_eq!(manager.previous_broker_epoch(), Some(7));
    for partition in 0..5 {
        let log = manager.log(&tp("t", partition)).unwrap();
        let end = 3 + i64::from(partition);
        assert_eq!((log.log_start_offset(), log.high_watermark()), (1, 2));
        assert_eq!((log.log_end_offset(), log.recovery_point()), (end, end));
        assert_eq!(log.topic_id(), Some(Uuid::from_u128(1001)));
    }
    drop(manager);
    let (manager, summary) = fixture.open(&["a"]);
    assert_eq!(
        summary,
        LoadSummary {
            logs: 5,
            unclean_dirs: 1,
            failed: 0
        },
        "killed, not shut down"
    );
    assert_eq!(manager.previous_broker_epoch(), None);
    assert_eq!(manager.log(&tp("t", 4)).unwrap().log_end_offset(), 7);
}

#[test]
fn a_folder_in_use_is_refused_by_name() {
    let fixture = Fixture::new();
    std::fs::create_dir_all(fixture.dir("a")).unwrap();
    // A POSIX lock is the process's own, so another process has to hold it.
    let script = "import fcntl,sys\nf=open(sys.argv[1],'w')\nfcntl.lockf(f,fcntl.LOCK_EX)\n\
                  print('held',flush=True)\nsys.stdin.read()";
    let holder = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(fixture.dir("a").join(".lock"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut holder) = holder else {
        println!("skipped: there is no python3 to hold the lock");
        return;
    };
    let mut held = [0; 5];
    io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut held).unwrap();
    let error = LogManager::open(fixture.config(&["a"]), fixture.clock.clone()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(error.to_string().contains("in use"), "{error}");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    fixture.open(&["a"]);
}

#[test]
fn new_logs_go_where_the_fewest_are_or_where_the_controller_says() {
    let fixture = Fixture::new();
    let mut ids = Vec::new();
    for name in ["a", "b"] {
        let id = random_uuid();
        std::fs::create_dir_all(fixture.dir(name)).unwrap();
        MetaProperties::new("c", 1, id)
            .write(&fixture.dir(name))
            .unwrap();
        ids.push(id);
    }
    let (manager, _) = fixture.open(&["a", "b"]);
    for partition in 0..6 {
        create(&manager, "t", partition);
    }
    let in_dir = |id| {
        let logs = manager.logs();
        logs.iter()
            .filter(|log| manager.directory_id(log) == Some(id))
            .count()
    };
    assert_eq!((in_dir(ids[0]), in_dir(ids[1])), (3, 3));
    for partition in 10..14 {
        let tp = tp("t", partition);
        manager
            .create_log(&tp, Uuid::from_u128(1001), Arc::default(), Some(ids[1]))
            .unwrap();
    }
    assert_eq!((in_dir(ids[0]), in_dir(ids[1])), (3, 7));
    let unknown = manager.create_log(
        &tp("x", 0),
        random_uuid(),
        Arc::default(),
        Some(random_uuid()),
    );
    assert_eq!(unknown.unwrap_err().code(), ErrorCode::LOG_DIR_NOT_FOUND);
    let dirs = manager.dirs();
    assert!(
        dirs.iter()
            .all(|dir| dir.total_bytes > 0 && dir.usable_bytes >= 0 && !dir.is_offline)
    );
}

#[test]
fn a_deleted_partition_leaves_at_once_and_its_folder_later() {
    let fixture = Fixture::new();
    let (manager, _) = fixture.open(&["a"]);
    let log = create(&manager, "t", 0);
    append(&log, 2);
    manager.checkpoint_recovery_points();
    let deleted = manager.delete_log(&tp("t", 0)).unwrap().unwrap();
    manager.checkpoint_after_removal();
    assert!(manager.log(&tp("t", 0)).is_none());
    assert!(manager.delete_log(&tp("t", 0)).unwrap().is_none());
    let folder = deleted.path();
    assert!(folder.is_dir() && folder.to_string_lossy().ends_with("-delete"));
    let text = std::fs::read_to_string(fixture.dir("a").join(checkpoint::RECOVERY_POINT)).unwrap();
    assert_eq!(text, "0\n0\n");
    let again = create(&manager, "t", 0);
    assert_eq!(
        again.log_end_offset(),
        0,
        "a topic of the same name starts empty"
    );
    fixture.clock.advance_ms(59_999);
    manager.cleanup_expired();
    assert!(folder.is_dir());
    fixture.clock.advance_ms(1);
    manager.cleanup_expired();
    assert!(!folder.exists());
}

#[test]
fn folders_marked_for_deletion_go_after_a_restart_and_strays_stay() {
    let fixture = Fixture::new();
    let (manager, _) = fixture.open(&["a"]);
    for partition in 0..3 {
        append(&create(&manager, "t", partition), 1);
    }
    let deleted = manager.delete_log(&tp("t", 0)).unwrap().unwrap().path();
    let stray = manager.set_aside_stray(&tp("t", 1)).unwrap().unwrap();
    assert!(manager.shutdown(1));
    std::fs::create_dir_all(fixture.dir("a").join("lost+found")).unwrap();
    std::fs::create_dir_all(fixture.dir("a").join("__cluster_metadata-0")).unwrap();
    let (manager, summary) = fixture.open(&["a"]);
    assert_eq!(
        summary,
        LoadSummary {
            logs: 1,
            unclean_dirs: 0,
            failed: 0
        }
    );
    fixture.clock.advance_ms(60_000);
    manager.cleanup_expired();
    assert!(!deleted.exists() && stray.is_dir());
    assert!(fixture.dir("a").join("lost+found").is_dir());
}

#[test]
fn a_damaged_log_takes_only_its_folder_out_of_service() {
    let fixture = Fixture::new();
    let (manager, _) = fixture.open(&["a", "b"]);
    for partition in 0..4 {
        append(&create(&manager, "t", partition), 1);
    }
    let bad = manager.log(&tp("t", 0)).unwrap();
    let (bad_dir, bad_path) = (bad.dir().path().to_owned(), bad.path());
    assert!(manager.shutdown(1));
    std::fs::write(bad_path.join("partition.metadata"), b"nonsense").unwrap();
    let manager = LogManager::open(fixture.config(&["a", "b"]), fixture.clock.clone()).unwrap();
    let failures = manager.watch_failures();
    let summary = manager.load_logs(&|_| Arc::default());
    assert!(summary.failed >= 1);
    assert_eq!(*failures.borrow(), std::slice::from_ref(&bad_dir));
    let online: Vec<_> = manager
        .dirs()
        .into_iter()
        .filter(|dir| !dir.is_offline)
        .collect();
    assert_eq!(online.len(), 1);
    assert_ne!(online[0].path, bad_dir);
    assert!(!manager.shutdown(2));
    assert_eq!(clean_shutdown::broker_epoch(&bad_dir), None);
    assert_eq!(clean_shutdown::broker_epoch(&online[0].path), Some(2));
}

#[test]
fn truncation_lowers_the_recovery_point_on_disk() {
    let fixture = Fixture::new();
    let (manager, _) = fixture.open(&["a"]);
    let log = create(&manager, "t", 0);
    append(&log, 5);
    log.flush(false).unwrap();
    manager.checkpoint_recovery_points();
    let saved = || {
        let path = fixture.dir("a").join(checkpoint::RECOVERY_POINT);
        checkpoint::read_offsets(&path).unwrap()[&tp("t", 0)]
    };
    assert_eq!(saved(), 5);
    assert!(manager.truncate_log(&log, 2).unwrap());
    assert_eq!(saved(), 2);
    manager.restart_log(&log, 50, None).unwrap();
    assert_eq!(log.log_end_offset(), 50);
}

#[test]
fn the_same_folder_under_two_names_is_refused() {
    let fixture = Fixture::new();
    let error = LogManager::open(fixture.config(&["a", "./a"]), fixture.clock.clone()).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
}

#[test]
fn whoever_still_holds_a_deleted_log_does_not_take_the_folder_out_of_service() {
    let fixture = Fixture::new();
    let (manager, _) = fixture.open(&["a"]);
    let log = create(&manager, "t", 0);
    append(&log, 3);
    let before = log
        .read(0, 1000, super::super::FetchIsolation::LogEnd, true)
        .unwrap();
    manager.delete_log(&tp("t", 0)).unwrap();
    assert!(log.flush(true).is_ok(), "the files are still there");
    fixture.clock.advance_ms(60_000);
    manager.cleanup_expired();
    log.assign_epoch_start_offset(7, 3);
    assert!(log.flush_if_needed(0).is_err());
    assert!(log.roll(None).is_err() && log.close().is_err());
    assert!(!log.dir().is_offline());
    assert_eq!(before.read().unwrap().len(), before.len());
    create(&manager, "t", 1);
}

#[test]
fn flushing_beside_retention_finds_every_file_or_none() {
    let fixture = Fixture::new();
    let (manager, _) = fixture.open(&["a"]);
    let config = Arc::new(LogConfig {
        segment_bytes: 200,
        retention_bytes: 0,
        ..LogConfig::default()
    });
    let log = manager
        .create_log(&tp("t", 0), random_uuid(), config, None)
        .unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                log.flush(true).unwrap();
                let start = log.log_start_offset();
                match log.read(start, 1000, super::super::FetchIsolation::LogEnd, true) {
                    Ok(_) | Err(LogError::OffsetOutOfRange { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for _ in 0..200 {
            append(&log, 1);
            log.update_high_watermark(log.log_end_offset());
            log.delete_old_segments().unwrap();
            fixture.clock.advance_ms(60_000);
            manager.cleanup_expired();
        }
        done.store(true, Ordering::Release);
    });
    assert!(!log.dir().is_offline());
}
