//! The loader's thread over a log whose place a snapshot takes.

use std::time::Duration;

use kafka_shared::schema::metadata::{
    FeatureLevelRecord, MetadataRecord, RemoveTopicRecord, TopicRecord,
};
use kafka_shared::time::SystemClock;
use parking_lot::Mutex;
use uuid::Uuid;

use super::*;
use crate::metadata::MetadataPublisher;
use crate::metadata::batches::encode_batches;
use crate::metadata::snapshot::{Snapshot, SnapshotId, encode, write_file};

/// Batches by base offset, from a start offset on.
#[derive(Default)]
struct Content {
    start_offset: i64,
    batches: Vec<(i64, Bytes)>,
}

struct TestLog {
    content: Mutex<Content>,
    committed: watch::Sender<Committed>,
}

impl TestLog {
    fn new() -> Arc<Self> {
        let committed = Committed {
            high_watermark: 0,
            is_closed: false,
        };
        Arc::new(Self {
            content: Mutex::default(),
            committed: watch::Sender::new(committed),
        })
    }

    fn append(&self, base_offset: i64, records: &[MetadataRecord]) {
        let batches = encode_batches(records, 30, base_offset, 1, 0, true).unwrap();
        let mut content = self.content.lock();
        content
            .batches
            .extend(batches.into_iter().map(|batch| (base_offset, batch)));
    }

    fn restart_at(&self, offset: i64) {
        *self.content.lock() = Content {
            start_offset: offset,
            batches: Vec::new(),
        };
    }

    fn commit(&self, high_watermark: i64) {
        self.committed
            .send_modify(|committed| committed.high_watermark = high_watermark);
    }
}

impl CommittedLog for TestLog {
    fn committed(&self) -> watch::Receiver<Committed> {
        self.committed.subscribe()
    }

    fn read(&self, from: i64, _max_bytes: usize) -> Result<Bytes, String> {
        let content = self.content.lock();
        if from < content.start_offset {
            return Err("out of range".into());
        }
        let batches = content.batches.iter().filter(|(base, _)| *base >= from);
        Ok(batches
            .flat_map(|(_, batch)| batch.to_vec())
            .collect::<Vec<_>>()
            .into())
    }

    fn log_start_offset(&self) -> i64 {
        self.content.lock().start_offset
    }

    fn log_size_bytes(&self) -> u64 {
        0
    }

    fn kraft_state(&self, _end_offset: i64) -> KRaftState {
        KRaftState::default()
    }

    fn snapshot_written(&self, _id: SnapshotId) {}

    fn advance_log_start_offset(&self, _offset: i64) -> Result<(), String> {
        Ok(())
    }
}

/// Notes of every publication the topics that are new and those that are gone.
#[derive(Default)]
struct Notes(Mutex<Vec<(Vec<String>, Vec<String>)>>);

impl MetadataPublisher for Notes {
    fn name(&self) -> &'static str {
        "notes"
    }

    fn on_metadata_update(&self, delta: &MetadataDelta, _image: &Arc<MetadataImage>) {
        let topics = delta.topics().unwrap_or_default();
        let new = topics.changed.values().filter(|topic| topic.is_new);
        let mut new: Vec<_> = new.map(|topic| topic.name.to_string()).collect();
        let gone = topics.deleted.values().map(|topic| topic.name.to_string());
        let mut gone: Vec<_> = gone.collect();
        new.sort();
        gone.sort();
        self.0.lock().push((new, gone));
    }
}

fn topic(number: u128) -> MetadataRecord {
    TopicRecord {
        name: format!("topic-{number}"),
        topic_id: Uuid::from_u128(1_000 + number),
    }
    .into()
}

fn no_topic(number: u128) -> MetadataRecord {
    RemoveTopicRecord {
        topic_id: Uuid::from_u128(1_000 + number),
    }
    .into()
}

fn version() -> MetadataRecord {
    FeatureLevelRecord {
        name: "metadata.version".into(),
        feature_level: 30,
    }
    .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_takes_the_logs_place_is_published_as_one_delta() {
    let dir = tempfile::tempdir().unwrap();
    let (log, handle, notes) = (TestLog::new(), MetadataHandle::default(), Notes::default());
    let notes = Arc::new(notes);
    handle.add_publisher(Arc::clone(&notes) as _);
    log.append(0, &[version(), topic(1), topic(2)]);
    let config = LoaderConfig::new(dir.path().to_path_buf());
    let clock = Arc::new(SystemClock::new());
    start(config, Arc::clone(&log) as _, None, handle.clone(), clock);
    log.commit(3);
    let deadline = Duration::from_secs(30);
    handle.wait_for_offset(2, deadline).await.unwrap();

    // Read and not published, as a transaction is open: the snapshot says how it ended.
    log.append(
        3,
        &[kafka_shared::schema::metadata::BeginTransactionRecord::default().into()],
    );
    log.append(4, &[no_topic(2), topic(9)]);
    log.commit(6);
    while handle.wait_until_loaded(5).await.unwrap() != Some(3) {}
    let snapshot = Snapshot {
        last_contained_log_timestamp_ms: 0,
        kraft: KRaftState::default(),
        records: vec![version(), topic(2), topic(3)],
    };
    let id = SnapshotId {
        end_offset: 50,
        epoch: 1,
    };
    let bytes = encode(&snapshot, 30, 1, 0).unwrap();
    write_file(&dir.path().join(id.file_name()), &bytes).unwrap();
    log.restart_at(50);
    log.append(50, &[topic(4)]);
    log.commit(51);
    let image = handle.wait_for_offset(50, deadline).await.unwrap();
    let mut names: Vec<_> = image
        .topics
        .iter()
        .map(|topic| topic.name.to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["topic-2", "topic-3", "topic-4"]);
    log.append(51, &[no_topic(3)]);
    log.commit(52);
    handle.wait_for_offset(51, deadline).await.unwrap();
    let strings = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let seen = notes.0.lock().clone();
    // One more may have been for what precedes the transaction.
    let seen: Vec<_> = seen
        .into_iter()
        .filter(|(new, gone)| !new.is_empty() || !gone.is_empty())
        .collect();
    assert_eq!(
        seen,
        [
            (strings(&["topic-1", "topic-2"]), vec![]),
            (strings(&["topic-3", "topic-4"]), strings(&["topic-1"])),
            (vec![], strings(&["topic-3"])),
        ]
    );
    log.committed
        .send_modify(|committed| committed.is_closed = true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_begins_beyond_what_was_read_needs_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let (log, handle) = (TestLog::new(), MetadataHandle::default());
    log.restart_at(50);
    log.append(50, &[topic(4)]);
    let config = LoaderConfig::new(dir.path().to_path_buf());
    let clock = Arc::new(SystemClock::new());
    start(config, Arc::clone(&log) as _, None, handle.clone(), clock);
    log.commit(51);
    let waited = handle.wait_for_offset(50, Duration::from_secs(30)).await;
    assert_eq!(
        waited.unwrap_err(),
        crate::metadata::handle::WaitError::Closed
    );
}
