//! Images against the files of a real Kafka, and against themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use kafka_shared::record::control::ControlRecord;
use kafka_shared::schema::metadata as records;
use kafka_shared::schema::metadata::MetadataRecord;
use proptest::prelude::*;
use uuid::Uuid;

use super::batches::{BatchContent, MetadataBatch, decode_batches, encode_batches};
use super::delta::MetadataDelta;
use super::features::{ELR_VERSION, METADATA_VERSION, SUPPORTED};
use super::format::{
    DirectoryKind, FormatError, FormatOptions, InitialQuorum, InitialVoter, format, read_bootstrap,
};
use super::image::MetadataImage;
use super::loader::{BatchLoader, Publication, joined};
use super::snapshot::{self, KRaftState, Snapshot, SnapshotId};
use super::{ConfigResource, ResourceType};

mod partitions;

fn golden(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/tests/golden")
        .join(name);
    std::fs::read(path).unwrap()
}

fn batches(bytes: &[u8]) -> Vec<MetadataBatch> {
    decode_batches(bytes).map(|batch| batch.unwrap()).collect()
}

/// Loads batches as one commit after the other; returns what was published.
fn load(batches: &[MetadataBatch]) -> Vec<Publication> {
    let mut loader = BatchLoader::new(&MetadataImage::default());
    let mut publications = Vec::new();
    for batch in batches {
        loader.load(batch, &mut publications).unwrap();
        publications.extend(loader.flush());
    }
    publications
}

fn image_of(batches: &[MetadataBatch]) -> Arc<MetadataImage> {
    Arc::clone(&load(batches).last().unwrap().image)
}

fn records_of(image: &MetadataImage) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    image.write_records(&mut |record| records.push(record));
    records
}

fn replayed(records: &[MetadataRecord]) -> MetadataImage {
    let mut delta = MetadataDelta::new(&MetadataImage::default().into());
    for record in records {
        delta.replay(record).unwrap();
    }
    delta.into_next()
}

#[test]
fn kafkas_metadata_log_becomes_the_image_of_kafkas_snapshot() {
    let log = batches(&golden("cluster_metadata.log"));
    let until_snapshot: Vec<_> = log
        .iter()
        .filter(|batch| batch.last_offset < 167)
        .cloned()
        .collect();
    let from_log = image_of(&until_snapshot);
    let id = SnapshotId {
        end_offset: 167,
        epoch: 1,
    };
    let snapshot = snapshot::decode(&golden("cluster_metadata_167_1.checkpoint")).unwrap();
    let from_snapshot = snapshot::image_of(&snapshot, id).unwrap();
    assert!(
        from_log.same_content(&from_snapshot),
        "{from_log:#?}\n{from_snapshot:#?}"
    );
    assert!(from_log.topics.len() > 2 && !from_log.acls.is_empty() && !from_log.scram.is_empty());
    assert_eq!(from_log.features.metadata_version, 30);
    assert_eq!(from_log.offset(), 166);
}

#[test]
fn our_snapshot_of_kafkas_image_has_the_records_of_kafkas_snapshot() {
    let bytes = golden("cluster_metadata_167_1.checkpoint");
    let theirs = snapshot::decode(&bytes).unwrap();
    let image = snapshot::image_of(
        &theirs,
        SnapshotId {
            end_offset: 167,
            epoch: 1,
        },
    )
    .unwrap();
    let ours = snapshot::encode_image(&image, &theirs.kraft, 1, 0).unwrap();
    let decoded = snapshot::decode(&ours).unwrap();
    // Kafka's order within one kind of records is that of a hash map.
    let sorted = |snapshot: &Snapshot| {
        let mut records = snapshot.records.clone();
        for record in &mut records {
            match record {
                MetadataRecord::RegisterBroker(r) => r.features.sort_by(|a, b| a.name.cmp(&b.name)),
                MetadataRecord::RegisterController(r) => {
                    r.features.sort_by(|a, b| a.name.cmp(&b.name));
                }
                _ => {}
            }
        }
        let mut records: Vec<_> = records.iter().map(|r| format!("{r:?}")).collect();
        records.sort();
        records
    };
    assert_eq!(sorted(&decoded), sorted(&theirs));
    assert_eq!(decoded.kraft, theirs.kraft);
    let times = |s: &Snapshot| s.last_contained_log_timestamp_ms;
    assert_eq!(times(&decoded), times(&theirs));
    let kinds = |snapshot: &Snapshot| {
        let mut kinds: Vec<_> = snapshot.records.iter().map(MetadataRecord::name).collect();
        kinds.dedup();
        kinds.retain(|kind| !kind.starts_with("Topic") && !kind.starts_with("Partition"));
        kinds
    };
    assert_eq!(kinds(&decoded), kinds(&theirs));
}

#[test]
fn formatted_files_have_what_kafkas_have() {
    let dir = tempfile::tempdir().unwrap();
    let options = FormatOptions {
        cluster_id: "bXCdYd2BTe2RpH20eEkfFg".into(),
        node_id: 1,
        dirs: vec![dir.path().join("a"), dir.path().join("b")],
        metadata_log_dir: dir.path().join("a"),
        quorum: InitialQuorum::Voters(vec![InitialVoter {
            id: 1,
            host: "localhost".into(),
            port: 29093,
            directory_id: kafka_shared::types::random_uuid(),
        }]),
        release_version: None,
        controller_listener: "CONTROLLER".into(),
        feature_levels: Vec::new(),
        ignore_formatted: false,
    };
    let formatted = format(&options, 1_700_000_000_000).unwrap();
    assert_eq!(formatted.len(), 2);
    let read = |path: &str| std::fs::read(dir.path().join(path)).unwrap();
    let checkpoint = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
    let ours = batches(&read(&format!("a/{checkpoint}")));
    let theirs = batches(&golden("cluster_metadata_0_0.checkpoint"));
    assert!(!dir.path().join("b").join(checkpoint).exists());
    // Equal but for times, ids and addresses, which the lengths don't depend on.
    let shape = |batches: &[MetadataBatch]| -> Vec<(i64, i64, usize)> {
        batches
            .iter()
            .map(|b| (b.base_offset, b.last_offset, b.epoch as usize))
            .collect()
    };
    assert_eq!(shape(&ours), shape(&theirs));
    let voters = |batches: &[MetadataBatch]| match &batches[0].content {
        BatchContent::Control(records) => match &records[2] {
            ControlRecord::Voters(voters) => voters.voters[0].clone(),
            other => panic!("{other:?}"),
        },
        BatchContent::Records(_) => panic!("records"),
    };
    let (our_voter, their_voter) = (voters(&ours), voters(&theirs));
    let kinds: Vec<_> = formatted.iter().map(|dir| dir.kind).collect();
    assert_eq!(
        kinds,
        [DirectoryKind::DynamicMetadataVoter, DirectoryKind::Data]
    );
    assert_eq!(our_voter.voter_directory_id, formatted[0].directory_id);
    assert_eq!(
        our_voter.kraft_version_feature,
        their_voter.kraft_version_feature
    );
    assert_eq!(our_voter.endpoints[0].name, their_voter.endpoints[0].name);

    let theirs = snapshot::decode(&golden("bootstrap.checkpoint")).unwrap();
    let ours = snapshot::decode(&read("b/bootstrap.checkpoint")).unwrap();
    let levels = |snapshot: &Snapshot| -> Vec<(String, i16)> {
        let level = |record: &MetadataRecord| match record {
            MetadataRecord::FeatureLevel(record) => (record.name.clone(), record.feature_level),
            other => panic!("{other:?}"),
        };
        snapshot.records.iter().map(level).collect()
    };
    // What is not implemented is not finalized; all else is as in Kafka, in its order.
    let implemented: Vec<_> = levels(&theirs)
        .into_iter()
        .filter(|(name, _)| {
            SUPPORTED
                .iter()
                .any(|f| f.name == name && f.default_level > 0)
        })
        .collect();
    assert_eq!(levels(&ours), implemented);
    assert_eq!(read_bootstrap(&dir.path().join("b")).unwrap(), ours.records);

    assert!(matches!(
        format(&options, 0),
        Err(FormatError::AlreadyFormatted(_))
    ));
    let again = FormatOptions {
        ignore_formatted: true,
        ..options.clone()
    };
    assert_eq!(format(&again, 0).unwrap(), []);
    let other = FormatOptions {
        node_id: 2,
        ..again
    };
    assert!(matches!(
        format(&other, 0),
        Err(FormatError::OtherNode { .. })
    ));
}

#[test]
fn an_incomplete_or_damaged_snapshot_is_refused() {
    let bytes = golden("cluster_metadata_167_1.checkpoint");
    for len in 0..bytes.len() {
        assert!(
            snapshot::decode(&bytes[..len]).is_err(),
            "{len} bytes are no snapshot"
        );
    }
    for at in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        if at % 64 > 8 {
            // Offsets and epochs stand outside of the checksum; everything else is noticed.
            drop(snapshot::decode(&damaged));
        }
    }
    assert_eq!(
        SnapshotId::parse("00000000000000000167-0000000001.checkpoint.part"),
        None
    );
    assert_eq!(SnapshotId::parse("167-1.checkpoint"), None);
    let id = SnapshotId {
        end_offset: 167,
        epoch: 1,
    };
    assert_eq!(SnapshotId::parse(&id.file_name()), Some(id));
}

fn batch(base_offset: i64, records: Vec<MetadataRecord>) -> MetadataBatch {
    let encoded = encode_batches(&records, 30, base_offset, 1, 5_000, true).unwrap();
    batches(&encoded[0]).remove(0)
}

fn topic(name: &str) -> MetadataRecord {
    let topic_id = Uuid::from_u128(1_000 + name.bytes().map(u128::from).sum::<u128>());
    records::TopicRecord {
        name: name.into(),
        topic_id,
    }
    .into()
}

fn names(image: &MetadataImage) -> Vec<&str> {
    image.topics.iter().map(|topic| &*topic.name).collect()
}

#[test]
fn a_transaction_is_published_when_it_ends_and_never_when_it_is_aborted() {
    let begin = || MetadataRecord::from(records::BeginTransactionRecord::default());
    let end = || MetadataRecord::from(records::EndTransactionRecord::default());
    let abort = || MetadataRecord::from(records::AbortTransactionRecord::default());
    let mut loader = BatchLoader::new(&MetadataImage::default());
    let mut published = Vec::new();
    loader
        .load(
            &batch(0, vec![topic("a"), begin(), topic("b")]),
            &mut published,
        )
        .unwrap();
    // What precedes the beginning is published, though the batch isn't over.
    assert_eq!(published.len(), 1);
    assert_eq!(names(&published[0].image), ["a"]);
    assert_eq!(published[0].image.offset(), 0);
    assert!(!published[0].image.provenance.is_batch_aligned);
    assert!(loader.flush().is_none());
    assert_eq!(
        (loader.transaction_start_offset(), loader.last_offset()),
        (Some(1), 2)
    );
    loader
        .load(&batch(3, vec![topic("c"), end()]), &mut published)
        .unwrap();
    let ended = loader.flush().unwrap();
    assert_eq!(names(&ended.image), ["a", "b", "c"]);
    assert!(ended.image.provenance.is_batch_aligned && ended.image.offset() == 4);

    loader
        .load(&batch(5, vec![begin(), topic("d")]), &mut published)
        .unwrap();
    loader
        .load(&batch(7, vec![topic("e"), abort()]), &mut published)
        .unwrap();
    let aborted = loader.flush().unwrap();
    assert_eq!(
        (names(&aborted.image), aborted.image.offset()),
        (vec!["a", "b", "c"], 8)
    );
    assert!(aborted.delta.is_empty());

    let mut nothing = Vec::new();
    assert!(loader.load(&batch(9, vec![end()]), &mut nothing).is_err());
}

#[test]
fn the_first_publication_is_of_all_that_is_committed() {
    let begin = MetadataRecord::BeginTransaction(records::BeginTransactionRecord::default());
    let end = MetadataRecord::EndTransaction(records::EndTransactionRecord::default());
    let mut loader = BatchLoader::new(&MetadataImage::default());
    let mut publications = Vec::new();
    for batch in [
        batch(0, vec![topic("a")]),
        batch(1, vec![begin, topic("b"), end]),
    ] {
        loader.load(&batch, &mut publications).unwrap();
    }
    publications.extend(loader.flush());
    assert_eq!(publications.len(), 2);
    let first = joined(publications).unwrap();
    assert_eq!(names(&first.image), ["a", "b"]);
    assert_eq!(first.delta.topics().unwrap().changed.len(), 2);
    assert_eq!(first.image.offset(), 3);
}

#[test]
fn a_record_that_contradicts_the_image_is_an_error() {
    let base = Arc::new(replayed(&[topic("a")]));
    let unknown = Uuid::from_u128(77);
    let bad: Vec<MetadataRecord> = vec![
        topic("a"),
        records::RemoveTopicRecord { topic_id: unknown }.into(),
        records::PartitionRecord {
            topic_id: unknown,
            partition_id: 0,
            ..Default::default()
        }
        .into(),
        records::PartitionChangeRecord {
            topic_id: unknown,
            partition_id: 0,
            ..Default::default()
        }
        .into(),
        records::UnregisterBrokerRecord {
            broker_id: 1,
            broker_epoch: 4,
        }
        .into(),
        records::BrokerRegistrationChangeRecord {
            broker_id: 1,
            ..Default::default()
        }
        .into(),
        records::ClearElrRecord {
            topic_name: "nope".into(),
        }
        .into(),
        records::RemoveAccessControlEntryRecord { id: unknown }.into(),
        records::ConfigRecord {
            resource_type: 3,
            ..Default::default()
        }
        .into(),
    ];
    for record in bad {
        let mut delta = MetadataDelta::new(&base);
        assert!(delta.replay(&record).is_err(), "{record:?}");
    }
}

#[test]
fn epochs_follow_from_what_a_partition_change_names() {
    let topic_id = match topic("a") {
        MetadataRecord::Topic(record) => record.topic_id,
        _ => unreachable!(),
    };
    let partition = records::PartitionRecord {
        topic_id,
        partition_id: 0,
        replicas: vec![1, 2],
        isr: vec![1, 2],
        leader: 1,
        leader_epoch: 4,
        partition_epoch: 9,
        directories: vec![Uuid::from_u128(501), Uuid::from_u128(502)],
        ..Default::default()
    };
    let base = Arc::new(replayed(&[topic("a"), partition.into()]));
    let change = |change: &dyn Fn(&mut records::PartitionChangeRecord)| {
        let mut record = records::PartitionChangeRecord {
            topic_id,
            partition_id: 0,
            ..Default::default()
        };
        change(&mut record);
        let mut delta = MetadataDelta::new(&base);
        delta.replay(&record.into()).unwrap();
        let local = delta.local_changes(1).unwrap();
        let partition = Arc::clone(delta.next().topics.partition("a", 0).unwrap());
        (
            partition.leader_epoch,
            partition.partition_epoch,
            local.elected_leaders.len(),
            local,
        )
    };
    let (leader_epoch, partition_epoch, elected, local) = change(&|r| r.isr = Some(vec![1]));
    assert_eq!(
        (leader_epoch, partition_epoch, elected, local.leaders.len()),
        (4, 10, 0, 1)
    );
    // Naming the same leader again starts a new epoch.
    let (leader_epoch, partition_epoch, elected, _) = change(&|r| r.leader = 1);
    assert_eq!((leader_epoch, partition_epoch, elected), (5, 10, 1));
    let (.., local) = change(&|r| r.leader = 2);
    assert_eq!((local.leaders.len(), local.followers.len()), (0, 1));
    let (.., local) = change(&|r| {
        r.replicas = Some(vec![2]);
        r.directories = Some(vec![Uuid::from_u128(502)]);
        r.leader = 2;
        r.isr = Some(vec![2]);
    });
    let deleted: Vec<_> = local
        .deletes
        .iter()
        .map(|(tp, d)| (tp.to_string(), d.is_topic_deleted))
        .collect();
    assert_eq!(deleted, [("a-0".to_owned(), false)]);
}

/// Something that may happen to a cluster.
#[derive(Debug, Clone)]
enum Op {
    Create(u8, u8),
    Delete(u8),
    Change(u8, u8, i32),
    Config(u8, u8, Option<u8>),
    Broker(u8),
    Fence(u8, bool),
    Unregister(u8),
    Feature(u8, i16),
    Quota(u8, Option<u8>),
    Acl(u8, bool),
    ProducerIds(u16),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => (0u8..8, 1u8..5).prop_map(|(t, p)| Op::Create(t, p)),
        1 => (0u8..8).prop_map(Op::Delete),
        3 => (0u8..8, 0u8..5, -2i32..3).prop_map(|(t, p, l)| Op::Change(t, p, l)),
        2 => (0u8..8, 0u8..3, proptest::option::of(0u8..3)).prop_map(|(t, k, v)| Op::Config(t, k, v)),
        1 => (0u8..4).prop_map(Op::Broker),
        1 => (0u8..4, any::<bool>()).prop_map(|(b, f)| Op::Fence(b, f)),
        1 => (0u8..4).prop_map(Op::Unregister),
        1 => (0u8..3, 0i16..3).prop_map(|(f, l)| Op::Feature(f, l)),
        1 => (0u8..3, proptest::option::of(0u8..9)).prop_map(|(e, v)| Op::Quota(e, v)),
        1 => (0u8..4, any::<bool>()).prop_map(|(a, add)| Op::Acl(a, add)),
        1 => any::<u16>().prop_map(Op::ProducerIds),
    ];
    proptest::collection::vec(op, 0..60)
}

/// The records of an operation, if it makes sense for the image.
fn op_records(op: &Op, image: &MetadataImage, next_id: &mut u128) -> Vec<MetadataRecord> {
    let name = |t: &u8| format!("topic-{t}");
    let id_of = |t: &u8| image.topics.id_of(&name(t));
    let resource = |t: &u8| ConfigResource::topic(name(t));
    match op {
        Op::Create(t, partitions) if id_of(t).is_none() => {
            *next_id += 1;
            let topic_id = Uuid::from_u128(1_000 + *next_id);
            let mut all = vec![
                records::TopicRecord {
                    name: name(t),
                    topic_id,
                }
                .into(),
            ];
            all.extend((0..i32::from(*partitions)).map(|partition_id| {
                records::PartitionRecord {
                    topic_id,
                    partition_id,
                    replicas: vec![1, 2],
                    isr: vec![1, 2],
                    leader: 1,
                    leader_epoch: 0,
                    partition_epoch: 0,
                    directories: vec![Uuid::from_u128(501); 2],
                    ..Default::default()
                }
                .into()
            }));
            all
        }
        Op::Delete(t) => id_of(t)
            .map(|topic_id| records::RemoveTopicRecord { topic_id }.into())
            .into_iter()
            .collect(),
        Op::Change(t, p, leader) => {
            let partition = image.topics.partition(&name(t), i32::from(*p));
            let change = partition.and(id_of(t)).map(|topic_id| {
                records::PartitionChangeRecord {
                    topic_id,
                    partition_id: i32::from(*p),
                    leader: *leader,
                    isr: (*leader > 0).then(|| vec![*leader]),
                    eligible_leader_replicas: (*leader == 2).then(|| vec![1]),
                    ..Default::default()
                }
                .into()
            });
            change.into_iter().collect()
        }
        Op::Config(t, k, v) if id_of(t).is_some() => vec![
            records::ConfigRecord {
                resource_type: ResourceType::Topic.id(),
                resource_name: resource(t).name.to_string(),
                name: format!("key-{k}"),
                value: v.map(|v| v.to_string()),
            }
            .into(),
        ],
        Op::Broker(b) => {
            *next_id += 1;
            vec![
                records::RegisterBrokerRecord {
                    broker_id: i32::from(*b),
                    broker_epoch: *next_id as i64,
                    incarnation_id: Uuid::from_u128(*next_id),
                    log_dirs: vec![Uuid::from_u128(600 + u128::from(*b))],
                    ..Default::default()
                }
                .into(),
            ]
        }
        Op::Fence(b, fence) => image
            .cluster
            .broker(i32::from(*b))
            .map(|broker| {
                records::BrokerRegistrationChangeRecord {
                    broker_id: broker.id,
                    broker_epoch: broker.epoch,
                    fenced: if *fence { 1 } else { -1 },
                    ..Default::default()
                }
                .into()
            })
            .into_iter()
            .collect(),
        Op::Unregister(b) => image
            .cluster
            .broker(i32::from(*b))
            .map(|broker| {
                let broker_epoch = broker.epoch;
                records::UnregisterBrokerRecord {
                    broker_id: broker.id,
                    broker_epoch,
                }
                .into()
            })
            .into_iter()
            .collect(),
        Op::Feature(f, level) => vec![
            records::FeatureLevelRecord {
                name: format!("feature-{f}"),
                feature_level: *level,
            }
            .into(),
        ],
        Op::Quota(e, value) => vec![
            records::ClientQuotaRecord {
                entity: vec![records::ClientQuotaEntity {
                    entity_type: "user".into(),
                    entity_name: (*e > 0).then(|| format!("user-{e}")),
                }],
                key: "producer_byte_rate".into(),
                value: value.map_or(0.0, f64::from),
                remove: value.is_none(),
            }
            .into(),
        ],
        Op::Acl(a, true) => vec![
            records::AccessControlEntryRecord {
                id: Uuid::from_u128(700 + u128::from(*a)),
                resource_name: format!("r-{a}"),
                ..Default::default()
            }
            .into(),
        ],
        Op::Acl(a, false) => {
            let id = Uuid::from_u128(700 + u128::from(*a));
            let known = image.acls.get(&id);
            known
                .map(|_| records::RemoveAccessControlEntryRecord { id }.into())
                .into_iter()
                .collect()
        }
        Op::ProducerIds(n) => vec![
            records::ProducerIdsRecord {
                next_producer_id: i64::from(*n),
                ..Default::default()
            }
            .into(),
        ],
        _ => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_image_survives_its_snapshot_and_a_delta_names_all_that_changed(
        first in ops(),
        second in ops(),
    ) {
        let mut next_id = 0;
        let mut run = |base: &Arc<MetadataImage>, ops: &[Op]| {
            let mut delta = MetadataDelta::new(base);
            for op in ops {
                for record in op_records(op, &delta.next().clone(), &mut next_id) {
                    delta.replay(&record).unwrap();
                }
            }
            delta
        };
        let level = |name: &str, feature_level| {
            records::FeatureLevelRecord { name: name.into(), feature_level }.into()
        };
        let empty = Arc::new(replayed(&[level(METADATA_VERSION, 30), level(ELR_VERSION, 1)]));
        let base = Arc::new(run(&empty, &first).into_next());
        let delta = run(&base, &second);
        let image = delta.next().clone();

        let bytes = snapshot::encode_image(&image, &KRaftState::default(), 1, 0).unwrap();
        let decoded = snapshot::decode(&bytes).unwrap();
        let id = SnapshotId { end_offset: 1, epoch: 1 };
        let restored = snapshot::image_of(&decoded, id).unwrap();
        prop_assert!(restored.same_content(&image));
        prop_assert_eq!(records_of(&restored), records_of(&image));

        // The notes taken on the way name at least what comparing the images finds.
        let compared = MetadataDelta::between(&base, &image);
        let brokers: BTreeSet<_> = delta.changed_brokers().collect();
        prop_assert!(compared.changed_brokers().all(|id| brokers.contains(&id)));
        let configs: BTreeSet<_> = delta.changed_configs().collect();
        prop_assert!(compared.changed_configs().all(|resource| configs.contains(resource)));
        let noted = delta.topics().unwrap_or_default();
        let found = compared.topics().unwrap_or_default();
        prop_assert_eq!(noted.deleted.keys().collect::<Vec<_>>(), found.deleted.keys().collect::<Vec<_>>());
        for (id, topic) in &found.changed {
            let noted = &noted.changed[id];
            prop_assert_eq!(noted.is_new, topic.is_new);
            for (idx, partition) in &topic.partitions {
                prop_assert_eq!(&noted.partitions[idx], partition);
            }
        }
        // What a broker has to do is the same, whichever way the delta came about.
        let summary = |delta: &MetadataDelta| {
            let local = delta.local_changes(1).unwrap_or_default();
            let leaders: BTreeMap<_, _> =
                local.leaders.into_iter().map(|(tp, l)| (tp, l.partition)).collect();
            let followers: BTreeMap<_, _> =
                local.followers.into_iter().map(|(tp, l)| (tp, l.partition)).collect();
            (local.deletes, leaders, followers, local.directories)
        };
        prop_assert_eq!(summary(&delta), summary(&compared));
    }
}
