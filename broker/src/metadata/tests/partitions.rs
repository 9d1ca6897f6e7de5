//! What becomes of partitions and registrations, and how they are written.

use super::super::records::record_version;
use super::*;

fn two_replicas(directories: &[u128]) -> records::PartitionRecord {
    let MetadataRecord::Topic(topic) = topic("a") else {
        unreachable!()
    };
    records::PartitionRecord {
        topic_id: topic.topic_id,
        partition_id: 0,
        replicas: vec![1, 2],
        isr: vec![1],
        leader: 1,
        partition_epoch: 0,
        directories: directories.iter().copied().map(Uuid::from_u128).collect(),
        ..Default::default()
    }
}

#[test]
fn directories_that_a_change_does_not_name_stay_in_their_places() {
    // Directories, replicas and directories of the change, directories after it: 1 is the one of
    // a broker that has to tell first, 0 the one of a time without directories.
    type Case<'a> = (
        &'a [u128],
        &'a [i32],
        Option<&'a [u128]>,
        Option<&'a [u128]>,
    );
    let cases: &[Case<'_>] = &[
        (&[1, 502], &[3, 2], None, Some(&[1, 502])),
        (&[1, 1], &[3, 4], None, Some(&[1, 1])),
        (&[501, 502], &[2, 1], Some(&[502, 501]), Some(&[502, 501])),
        (&[501, 502], &[2], Some(&[502]), Some(&[502])),
        (&[0, 0], &[3, 2, 1], None, Some(&[0, 0, 0])),
        (&[], &[3], None, Some(&[0])),
        (&[501, 502], &[1, 2], Some(&[0, 0]), Some(&[0, 0])),
        (&[501, 502], &[2], None, None),
        (&[501, 502], &[1, 2], Some(&[501]), None),
    ];
    for (directories, replicas, named, expected) in cases {
        let base = replayed(&[topic("a"), two_replicas(directories).into()]);
        let partition = base.topics.partition("a", 0).unwrap();
        let ids = |ids: &[u128]| ids.iter().copied().map(Uuid::from_u128).collect::<Vec<_>>();
        let changed = partition.merge(&records::PartitionChangeRecord {
            replicas: Some(replicas.to_vec()),
            directories: named.map(ids),
            ..Default::default()
        });
        let after = changed.ok().map(|partition| partition.directories.to_vec());
        assert_eq!(
            after,
            expected.map(ids),
            "{directories:?} {replicas:?} {named:?}"
        );
    }
}

#[test]
fn a_snapshot_has_eligible_leaders_only_while_they_are_enabled() {
    let level = |name: &str, feature_level| {
        let name = name.to_owned();
        records::FeatureLevelRecord {
            name,
            feature_level,
        }
        .into()
    };
    let mut partition = two_replicas(&[501, 502]);
    partition.eligible_leader_replicas = Some(vec![2]);
    partition.last_known_elr = Some(vec![1]);
    let mut all = vec![
        level(METADATA_VERSION, 30),
        level(ELR_VERSION, 1),
        topic("a"),
        partition.into(),
    ];
    let written = |all: &[MetadataRecord]| {
        let image = replayed(all);
        let kept = image.topics.partition("a", 0).unwrap().partition_epoch;
        let of = |record: &MetadataRecord| match record {
            MetadataRecord::Partition(p) => {
                Some((p.eligible_leader_replicas.clone(), p.last_known_elr.clone()))
            }
            _ => None,
        };
        (kept, records_of(&image).iter().find_map(of).unwrap())
    };
    let some = (Some(vec![2]), Some(vec![1]));
    assert_eq!(written(&all), (0, some.clone()));
    all.push(level(ELR_VERSION, 0));
    assert_eq!(written(&all), (0, (None, None)));
    // Whoever has read the log still knows them when they are turned on again.
    all.push(level(ELR_VERSION, 1));
    assert_eq!(written(&all), (0, some));
    // They are cleared in every topic, which counts as a change of those that had any.
    let clear = records::ClearElrRecord::default();
    all.push(clear.clone().into());
    assert_eq!(written(&all), (1, (None, None)));
    all.push(clear.into());
    assert_eq!(written(&all), (1, (None, None)));
}

#[test]
fn a_change_of_a_registration_is_written_as_kafka_writes_it() {
    let change = records::BrokerRegistrationChangeRecord::default;
    let some_dirs = vec![Uuid::from_u128(501)];
    let cases = [
        (
            records::BrokerRegistrationChangeRecord {
                fenced: 1,
                ..change()
            },
            0,
        ),
        (
            records::BrokerRegistrationChangeRecord {
                in_controlled_shutdown: 1,
                ..change()
            },
            1,
        ),
        (
            records::BrokerRegistrationChangeRecord {
                log_dirs: some_dirs.clone(),
                ..change()
            },
            2,
        ),
        // No directory is left.
        (change(), 2),
        (
            records::BrokerRegistrationChangeRecord {
                cordoned_log_dirs: Some(some_dirs),
                ..change()
            },
            3,
        ),
    ];
    for (record, version) in cases {
        assert_eq!(
            record_version(&record.clone().into(), 30),
            version,
            "{record:?}"
        );
    }
}
