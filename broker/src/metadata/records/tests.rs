//! What is written at which levels of features.

use super::super::delta::MetadataDelta;
use super::super::snapshot::{self, KRaftState};
use super::*;

#[test]
fn a_snapshot_says_of_a_partition_what_the_levels_in_force_know() {
    let topic_id = Uuid::from_u128(4711);
    let level = |name: &str, feature_level| -> MetadataRecord {
        let name = name.to_owned();
        records::FeatureLevelRecord {
            name,
            feature_level,
        }
        .into()
    };
    // metadata.version, level of eligible leaders, directories, eligible leaders.
    let table = [
        (16, 0, vec![], None),
        // A replica of before that level is in a directory that nobody has told.
        (17, 0, vec![Uuid::nil(); 2], None),
        (30, 0, vec![Uuid::nil(); 2], None),
        (30, 1, vec![Uuid::nil(); 2], Some(vec![2])),
    ];
    for (metadata_version, elr, directories, eligible) in table {
        let partition = records::PartitionRecord {
            topic_id,
            replicas: vec![1, 2],
            isr: vec![1],
            leader: 1,
            eligible_leader_replicas: Some(vec![2]),
            ..Default::default()
        };
        let topic = records::TopicRecord {
            name: "t".into(),
            topic_id,
        };
        let mut delta = MetadataDelta::new(&Arc::default());
        for record in [
            level("metadata.version", metadata_version),
            level("eligible.leader.replicas.version", elr),
            topic.into(),
            partition.into(),
        ] {
            delta.replay(&record).unwrap();
        }
        let image = delta.into_next();
        let bytes = snapshot::encode_image(&image, &KRaftState::default(), 1, 0).unwrap();
        let written = snapshot::decode(&bytes).unwrap().records;
        let written = written.into_iter().find_map(|record| match record {
            MetadataRecord::Partition(partition) => Some(partition),
            _ => None,
        });
        let written = written.expect("the topic has a partition");
        assert_eq!(written.directories, directories, "{metadata_version}");
        assert_eq!(written.eligible_leader_replicas, eligible, "{elr}");
    }
}
