//! A streams group: its document, its table, its metrics.

use super::*;

fn tasks(active: &[i32], standby: &[i32]) -> Tasks {
    let list = |partitions: &[i32]| match partitions {
        [] => Vec::new(),
        partitions => vec![SubtopologyTasks {
            subtopology: "0".into(),
            partitions: partitions.into(),
        }],
    };
    Tasks {
        active: list(active),
        standby: list(standby),
        warmup: Vec::new(),
    }
}

/// The group of the other tests as a streams group that takes over a task, and misses topics.
fn with_streams() -> ClusterSnapshot {
    let mut snapshot = snapshot();
    let id: Arc<str> = "billing".into();
    let mut group = GroupDescription::clone(snapshot.descriptions[&id].get().unwrap());
    let own = |name: &str| OwnTopic {
        name: name.into(),
        partitions: None,
    };
    group.kind = GroupKind::Streams;
    group.state = GroupState::NotReady;
    (group.group_epoch, group.assignment_epoch) = (Some(5), Some(4));
    group.topology = Some(Box::new(Topology {
        epoch: 1,
        subtopologies: vec![Subtopology {
            id: "0".into(),
            source_topics: vec!["orders".into(), "unmade".into()],
            changelog_topics: vec![own("billing-store-changelog")],
            ..Subtopology::default()
        }],
    }));
    group.members[0].epoch = Some(4);
    group.members[0].streams = Some(Box::new(StreamsMember {
        process_id: "p-1".into(),
        topology_epoch: 1,
        tasks: tasks(&[0], &[]),
        target: tasks(&[0], &[1]),
        ..StreamsMember::default()
    }));
    let mut groups = Groups::clone(snapshot.groups.get().unwrap());
    let mut listed = Group::clone(&groups.groups[&id]);
    listed.kind = GroupKind::Streams;
    groups.groups.insert(Arc::clone(&id), Arc::new(listed));
    snapshot.apply(Update::Groups(Ok(Arc::new(groups))), taken());
    let described = vec![(id, Ok(Arc::new(group)))];
    snapshot.apply(Update::Descriptions(described), taken());
    snapshot
}

#[test]
fn a_streams_group_is_told_with_its_topology_its_tasks_and_what_is_missing() {
    let group = group(&with_streams(), &"billing".into()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&group.json()).unwrap();
    for (pointer, value) in [
        ("/type", serde_json::json!("streams")),
        ("/group_epoch", 5.into()),
        ("/assignment_epoch", 4.into()),
        ("/topology/epoch", 1.into()),
        ("/topology/moving_tasks", 1.into()),
        ("/topology/missing_source_topics/0", "unmade".into()),
        (
            "/topology/missing_internal_topics/0",
            "billing-store-changelog".into(),
        ),
        ("/topology/subtopologies/0/active", 1.into()),
        ("/members/0/streams/process_id", "p-1".into()),
        ("/members/0/streams/active/0", "0_0".into()),
        ("/members/0/streams/target_standby/0", "0_1".into()),
        ("/members/0/epoch", 4.into()),
    ] {
        assert_eq!(json.pointer(pointer), Some(&value), "{pointer} of {json}");
    }
    let table = group.table();
    for part in [
        "epoch 5  assigned 4",
        "Topology epoch 1  moving tasks 1",
        "! source topics are missing, or may not be seen: unmade",
        "! internal topics are missing: billing-store-changelog",
        "standby: 0_1",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn tasks_of_a_streams_group_are_metrics() {
    let page = metrics(
        &with_streams(),
        &Histories::default(),
        Detail::default(),
        taken(),
    );
    for line in [
        "kafka_group_epoch{group=\"billing\"} 5",
        "kafka_group_assignment_epoch{group=\"billing\"} 4",
        "kafka_streams_group_tasks{group=\"billing\",role=\"active\"} 1",
        "kafka_streams_group_tasks{group=\"billing\",role=\"standby\"} 0",
        "kafka_streams_group_target_tasks{group=\"billing\",role=\"standby\"} 1",
        "kafka_streams_group_missing_topics{group=\"billing\"} 2",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
}
