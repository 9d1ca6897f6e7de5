//! A cluster of three brokers with a few things wrong.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::*;

fn broker(id: i32) -> Broker {
    Broker {
        id,
        host: format!("b{id}"),
        port: 9092,
        rack: Some(format!("r{id}")),
        fenced: Some(false),
    }
}

pub fn partition(id: i32, leader: i32, replicas: &[i32], isr: &[i32]) -> Partition {
    Partition {
        id,
        leader,
        leader_epoch: 3,
        replicas: replicas.into(),
        isr: isr.into(),
        ..Partition::default()
    }
}

pub fn topic(name: &str, partitions: Vec<Partition>) -> Arc<Topic> {
    Arc::new(Topic {
        name: name.into(),
        id: None,
        is_internal: name.starts_with("__"),
        error: None,
        partitions: partitions.into(),
    })
}

pub fn metadata() -> ClusterMetadata {
    ClusterMetadata {
        cluster_id: Some("cluster-of-the-fixture".into()),
        may_describe: Some(true),
        controller_id: Some(1),
        brokers: vec![broker(1), broker(2), broker(3)],
        topics: vec![
            topic("audit", vec![partition(0, -1, &[3], &[])]),
            topic(
                "clicks",
                vec![
                    partition(0, 1, &[1, 2], &[1, 2]),
                    partition(1, 2, &[2, 3], &[2]),
                    partition(2, 3, &[3, 1], &[3, 1]),
                ],
            ),
            topic(
                "orders",
                vec![
                    partition(0, 1, &[1, 2, 3], &[1, 2, 3]),
                    partition(1, 1, &[2, 3, 1], &[1, 2, 3]),
                ],
            ),
        ],
    }
}

fn offsets(at_ms: i64, grown: i64) -> Offsets {
    let of = |ends: &[Cell<i64>]| {
        let partition = |(at, end): (usize, &Cell<i64>)| PartitionOffsets {
            partition: at as i32,
            start: if end.known().is_some() {
                Cell::Known(100)
            } else {
                *end
            },
            end: *end,
        };
        Arc::new(TopicOffsets {
            taken: super::taken(at_ms),
            topic_id: None,
            partitions: ends.iter().enumerate().map(partition).collect(),
        })
    };
    let known = |n: i64| Cell::Known(n + grown);
    HashMap::from([
        // NOT_LEADER_OR_FOLLOWER
        (Arc::from("audit"), of(&[Cell::Failed(PartError(6))])),
        (
            Arc::from("clicks"),
            of(&[known(1_100), known(2_100), known(3_100)]),
        ),
        (
            Arc::from("orders"),
            of(&[known(1_000_100), known(2_000_100)]),
        ),
    ])
}

fn log_dirs() -> LogDirs {
    let dir = |size_bytes| LogDir {
        path: "/var/lib/kafka".to_owned(),
        error: None,
        total_bytes: Some(1 << 40),
        usable_bytes: Some(1 << 39),
        cordoned: false,
        replicas: 4,
        size_bytes,
    };
    let mut dirs = LogDirs {
        dirs: BTreeMap::from([(1, vec![dir(5 << 20)]), (2, vec![dir(6 << 20)])]),
        ..LogDirs::default()
    };
    let why = "connect to b3:9092: refused";
    let fault = Fault::new(FaultKind::Unreachable, "list log directories", why);
    dirs.faults.insert(3, Arc::new(fault));
    for topic in metadata().topics {
        let mut sizes = BTreeMap::new();
        for partition in &topic.partitions {
            for broker in partition.replicas.iter().filter(|id| **id != 3) {
                let size = ReplicaSize {
                    size_bytes: 1_000_000 * i64::from(partition.id + 1),
                    offset_lag: 0,
                    is_future: false,
                    dir: 0,
                };
                sizes.insert((partition.id, *broker), size);
            }
        }
        dirs.replicas
            .insert(Arc::clone(&topic.name), sizes.into_iter().collect());
    }
    dirs
}

fn group(id: &str, kind: GroupKind, state: GroupState) -> Arc<Group> {
    Arc::new(Group {
        id: id.into(),
        kind,
        state: Some(state),
        protocol_type: "consumer".into(),
        coordinator: 2,
    })
}

fn member(client: &str, owned: &[i32]) -> Member {
    Member {
        id: format!("{client}-id").into(),
        client_id: client.into(),
        host: "/10.0.0.1".into(),
        instance_id: None,
        rack: None,
        epoch: None,
        subscribed: vec!["orders".into()],
        assignment: vec![TopicAssignment {
            topic: "orders".into(),
            partitions: owned.into(),
        }],
        target: Vec::new(),
        undecoded: None,
        streams: None,
    }
}

pub fn description(members: &[(&str, &[i32])], state: GroupState) -> Update {
    let description = GroupDescription {
        id: "billing".into(),
        kind: GroupKind::Classic,
        state,
        protocol_type: "consumer".into(),
        assignor: "range".into(),
        coordinator: 2,
        group_epoch: None,
        assignment_epoch: None,
        topology: None,
        members: members
            .iter()
            .map(|(client, owned)| member(client, owned))
            .collect(),
    };
    Update::Descriptions(vec![("billing".into(), Ok(Arc::new(description)))])
}

fn groups() -> Groups {
    let all = [
        group("billing", GroupKind::Classic, GroupState::Stable),
        group("reports", GroupKind::Consumer, GroupState::Empty),
    ];
    Groups {
        groups: all
            .into_iter()
            .map(|group| (Arc::clone(&group.id), group))
            .collect(),
        faults: BTreeMap::new(),
    }
}

fn committed(id: &str, offsets: &[Option<i64>]) -> (Arc<str>, Result<Arc<Committed>, Arc<Fault>>) {
    let commit = |(at, offset): (usize, &Option<i64>)| CommittedPartition {
        partition: at as i32,
        offset: *offset,
        ..CommittedPartition::default()
    };
    let commits = offsets.iter().enumerate().map(commit).collect();
    let committed = Committed {
        taken: super::taken(0),
        topics: Arc::new(BTreeMap::from([(Arc::from("orders"), commits)])),
    };
    (id.into(), Ok(Arc::new(committed)))
}

pub fn configs() -> Configs {
    let entry = |name: &str, value: &str, source, default: &str| ConfigEntry {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source,
        is_read_only: false,
        is_sensitive: false,
        kind: ConfigKind::Long,
        documentation: Some("How long a record is kept.".to_owned()),
        synonyms: [
            (source == ConfigSource::Topic).then(|| ConfigSynonym {
                name: name.to_owned(),
                value: Some(value.to_owned()),
                source,
            }),
            Some(ConfigSynonym {
                name: format!("log.{name}"),
                value: Some(default.to_owned()),
                source: ConfigSource::Default,
            }),
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    Configs {
        resource: ConfigResource::Topic("orders".to_owned()),
        entries: vec![
            entry("retention.bytes", "-1", ConfigSource::Default, "-1"),
            entry("retention.ms", "3600000", ConfigSource::Topic, "604800000"),
        ],
    }
}

fn quorum() -> Quorum {
    let replica = |id, lag| QuorumReplica {
        id,
        directory_id: None,
        log_end_offset: 500 - lag,
        lag: Some(lag),
        last_fetch_ms: Some(super::WALL_MS),
        last_caught_up_ms: Some(super::WALL_MS),
    };
    Quorum {
        leader_id: 1,
        leader_epoch: 7,
        high_watermark: 500,
        voters: vec![replica(1, 0), replica(2, 0), replica(3, 12)],
        observers: Vec::new(),
        ..Quorum::default()
    }
}

fn features() -> Features {
    Features {
        finalized_epoch: 3,
        levels: vec![FeatureLevel {
            name: "metadata.version".to_owned(),
            finalized: Some(29),
            supported_min: 7,
            supported_max: 30,
            nodes: Vec::new(),
        }],
    }
}

/// Everything there is to know, but the sizes of broker 3.
pub fn all() -> Vec<Update> {
    let settings: HashMap<Arc<str>, TopicSettings> = metadata()
        .topics
        .iter()
        .map(|topic| {
            let settings = TopicSettings {
                min_insync_replicas: Some(1),
                ..TopicSettings::default()
            };
            (Arc::clone(&topic.name), settings)
        })
        .collect();
    let offsets = |at_ms, grown| Update::Offsets {
        result: Ok(Arc::new(offsets(at_ms, grown))),
        complete: true,
    };
    vec![
        Update::Metadata(Ok(Arc::new(metadata()))),
        offsets(-2_000, -100),
        offsets(0, 0),
        Update::Settings(Ok(Arc::new(settings))),
        Update::LogDirs(Ok(Arc::new(log_dirs()))),
        Update::Groups(Ok(Arc::new(groups()))),
        description(&[("app-1", &[0]), ("app-2", &[1])], GroupState::Stable),
        Update::Committed(vec![
            committed("billing", &[Some(999_100), Some(2_000_100)]),
            committed("reports", &[Some(40), None]),
        ]),
        Update::Configs(
            ConfigResource::Topic("orders".to_owned()),
            Ok(Arc::new(configs())),
        ),
        Update::Quorum(Ok(Arc::new(quorum()))),
        Update::Reassignments(Ok(Arc::new(Reassignments::new()))),
        Update::Features(Ok(Arc::new(features()))),
    ]
}

/// One running reassignment: orders-0 goes from 1,2,3 to 2,3 with broker 1 still in sync.
pub fn moving() -> Update {
    let ongoing = OngoingReassignment {
        replicas: vec![3, 1, 2],
        adding: vec![3],
        removing: vec![1],
    };
    Update::Reassignments(Ok(Arc::new(Reassignments::from([(
        TopicPartition::new("clicks", 0),
        ongoing,
    )]))))
}

pub fn message(partition: i32, offset: i64, value: &str) -> Message {
    Message {
        topic: "orders".into(),
        partition,
        offset,
        timestamp_ms: super::WALL_MS + offset,
        key: (offset % 2 == 0).then(|| bytes::Bytes::from(format!("key-{offset}"))),
        value: Some(bytes::Bytes::from(value.to_owned())),
        headers: vec![Header {
            key: "trace".into(),
            value: None,
        }],
        facts: Default::default(),
    }
}
