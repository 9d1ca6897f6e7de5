//! Folders with hand-written metadata logs.

use std::sync::Arc;

use kafka_shared::{
    record::control::{KRaftVersion, KRaftVersionFeature, Voter, Voters},
    schema::metadata::{AbortTransactionRecord, BeginTransactionRecord, NoOpRecord},
    types::Uuid,
};

use super::*;
use crate::metadata::{
    MetadataDelta,
    batches::{encode_batches, encode_control_batch},
    snapshot::{KRaftState, Snapshot, SnapshotId},
};

const OWN: Uuid = Uuid::from_u128(77);

fn level(name: &str, feature_level: i16) -> MetadataRecord {
    FeatureLevelRecord {
        name: name.to_owned(),
        feature_level,
    }
    .into()
}

fn voters(voters: &[(i32, Uuid)]) -> Voters {
    let voter = |(voter_id, voter_directory_id): &(i32, Uuid)| Voter {
        voter_id: *voter_id,
        voter_directory_id: *voter_directory_id,
        endpoints: Vec::new(),
        kraft_version_feature: KRaftVersionFeature {
            min_supported_version: 0,
            max_supported_version: 1,
        },
    };
    Voters {
        version: 0,
        voters: voters.iter().map(voter).collect(),
    }
}

/// A folder with these files; the log begins at offset 0.
#[derive(Default)]
struct Folder {
    bootstrap: Vec<MetadataRecord>,
    snapshot: Option<(i64, Vec<MetadataRecord>)>,
    kraft: KRaftState,
    log: Vec<u8>,
}

impl Folder {
    fn standalone() -> Self {
        Self {
            bootstrap: vec![level(METADATA_VERSION, 30)],
            kraft: KRaftState {
                kraft_version: 1,
                voters: Some(voters(&[(1, OWN)])),
            },
            ..Self::default()
        }
    }

    fn log(mut self, offset: i64, records: &[MetadataRecord]) -> Self {
        for batch in encode_batches(records, 30, offset, 1, 0, true).unwrap() {
            self.log.extend_from_slice(&batch);
        }
        self
    }

    /// What the check says, after it was seen to leave everything as it is.
    fn checked(&self) -> String {
        let dir = tempfile::tempdir().unwrap();
        let metadata = metadata_dir(dir.path());
        std::fs::create_dir(&metadata).unwrap();
        let write = |path: &Path, kraft: KRaftState, records: &[MetadataRecord]| {
            let content = Snapshot {
                last_contained_log_timestamp_ms: 0,
                kraft,
                records: records.to_vec(),
            };
            std::fs::write(path, snapshot::encode(&content, 30, 0, 0).unwrap()).unwrap();
        };
        let bootstrap = dir.path().join(BOOTSTRAP_FILE);
        write(&bootstrap, KRaftState::default(), &self.bootstrap);
        let first = SnapshotId::BOOTSTRAP.file_name();
        write(&metadata.join(first), self.kraft.clone(), &[]);
        if let Some((end_offset, records)) = &self.snapshot {
            let epoch = 1;
            let id = SnapshotId {
                end_offset: *end_offset,
                epoch,
            };
            write(&metadata.join(id.file_name()), self.kraft.clone(), records);
        }
        let log = names::file(&metadata, 0, names::LOG);
        std::fs::write(&log, &self.log).unwrap();
        let before = content(dir.path());
        let outcome = check(dir.path());
        assert_eq!(content(dir.path()), before);
        outcome.map_or_else(|error| format!("{error:#}"), |()| String::new())
    }
}

/// All files with their bytes.
fn content(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(content(&path));
        } else {
            files.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn what_this_broker_can_do_is_let_pass_wherever_it_stands() {
    let passes = |folder: Folder| assert_eq!(folder.checked(), "");
    passes(Folder::standalone());
    let lowered = [level("group.version", 1), level("group.version", 0)];
    passes(Folder::standalone().log(0, &lowered));
    // The log below the snapshot does not count, nor does bootstrap.checkpoint beside records.
    let mut folder = Folder::standalone().log(0, &[level("group.version", 1)]);
    folder.bootstrap.push(level("share.version", 1));
    folder.snapshot = Some((1, vec![level(METADATA_VERSION, 30)]));
    passes(folder);
    let aborted = [
        level(METADATA_VERSION, 30),
        BeginTransactionRecord::default().into(),
        level("group.version", 1),
        AbortTransactionRecord::default().into(),
    ];
    passes(Folder::standalone().log(0, &aborted));
    let mut torn = Folder::standalone().log(0, &[level("group.version", 1)]);
    torn.log.pop();
    passes(torn);
}

#[test]
fn levels_that_this_broker_does_not_have_are_named_with_what_to_do() {
    let mut formatted = Folder::standalone();
    formatted.bootstrap.push(level("group.version", 1));
    formatted.bootstrap.push(level("transaction.version", 2));
    let why = formatted.checked();
    for part in [
        "was left as it is",
        "group.version is at level 1, which this broker does not have; transaction.version is at \
         level 2",
        "kafka-features.sh --bootstrap-server HOST:PORT downgrade --feature group.version=0 \
         --feature transaction.version=0",
        "kafka-storage.sh format --feature group.version=0",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let mut snapshot = Folder::standalone();
    snapshot.snapshot = Some((9, vec![level("share.version", 1)]));
    assert!(snapshot.checked().contains("share.version is at level 1"));
    let above = |mut folder: Folder| {
        folder.snapshot = Some((1, vec![level(METADATA_VERSION, 30)]));
        folder.log(1, &[level("streams.version", 1)]).checked()
    };
    let noop = [NoOpRecord::default().into()];
    let why = above(Folder::standalone().log(0, &noop));
    assert!(why.contains("streams.version is at level 1"), "{why}");
    for (name, at, said) in [
        (
            METADATA_VERSION,
            31,
            "metadata.version is at level 31, this broker works at 7 (3.3-IV3) to 30",
        ),
        (
            METADATA_VERSION,
            6,
            "metadata.version is at level 6, this broker works at 7",
        ),
        (
            "eligible.leader.replicas.version",
            2,
            "this broker works at 0 to 1",
        ),
        (
            "new.version",
            1,
            "new.version is at level 1, which is unknown here",
        ),
    ] {
        let why = Folder::standalone().log(0, &[level(name, at)]).checked();
        assert!(why.contains(said), "{name}: {why}");
    }
    let newer = ControlRecord::KRaftVersion(KRaftVersion {
        version: 0,
        kraft_version: 2,
    });
    let mut folder = Folder::standalone();
    folder.log = encode_control_batch(&[newer], 0, 1, 0).to_vec();
    let why = folder.checked();
    assert!(why.contains("kraft.version is at level 2"), "{why}");
}

#[test]
fn records_of_types_that_are_unknown_here_do_not_hide_the_level() {
    let mut value = level(METADATA_VERSION, 31).encode(0).unwrap();
    let mut batch = kafka_shared::record::builder::BatchBuilder::new();
    batch.append(0, None, Some(&value), &[]).unwrap();
    value[1] = 99;
    batch.append(0, None, Some(&value), &[]).unwrap();
    let mut folder = Folder::standalone();
    folder.log = batch.build().to_vec();
    let why = folder.checked();
    assert!(why.contains("metadata.version is at level 31"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_controller_is_told_when_its_cluster_takes_on_what_it_lacks() {
    let image = |levels: &[(&str, i16)]| {
        let mut delta = MetadataDelta::new(&Arc::default());
        for (name, feature_level) in levels {
            delta.replay(&level(name, *feature_level)).unwrap();
        }
        MetadataHandle::new(delta.into_next())
    };
    let fine = image(&[(METADATA_VERSION, 30), ("group.version", 0)]);
    let waited = tokio::time::timeout(Duration::from_secs(3600), outgrown(&fine));
    assert!(waited.await.is_err(), "nothing is lacking");
    let lacking = image(&[(METADATA_VERSION, 30), ("group.version", 1), ("new", 2)]);
    let why = outgrown(&lacking).await;
    for part in [
        "group.version is at level 1",
        "new is at level 2",
        "downgrade",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
}
