//! The screen of a group: of a streams group, and what a close look adds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Driver, WALL_MS, fixture};
use crate::model::{
    Cell, Committed, CommittedPartition, GroupKind, GroupLook, GroupState, PartitionOffsets,
    StreamsMember, Subtopology, SubtopologyTasks, Taken, Tasks, TopicOffsets, TopicPartition,
    Topology, Update,
};
use crate::ui::event::{Answer, Effect};

/// The group of the fixture, as that of an application whose second task goes to another member.
fn described(state: GroupState) -> Update {
    let update = fixture::description(&[("app-1", &[0, 1]), ("app-2", &[])], state);
    let Update::Descriptions(mut groups) = update else {
        unreachable!("it describes a group");
    };
    let tasks = |ids: &[i32]| Tasks {
        active: vec![SubtopologyTasks {
            subtopology: "0".into(),
            partitions: ids.into(),
        }],
        ..Tasks::default()
    };
    for (_, group) in &mut groups {
        let group = Arc::make_mut(group.as_mut().unwrap());
        group.kind = GroupKind::Streams;
        (group.group_epoch, group.assignment_epoch) = (Some(5), Some(4));
        group.topology = Some(Box::new(Topology {
            epoch: 0,
            subtopologies: vec![Subtopology {
                id: "0".into(),
                source_topics: vec!["orders".into(), "unmade".into()],
                ..Subtopology::default()
            }],
        }));
        let all: [(&[i32], &[i32]); 2] = [(&[0, 1], &[0]), (&[], &[1])];
        for (member, (now, target)) in group.members.iter_mut().zip(all) {
            member.streams = Some(Box::new(StreamsMember {
                process_id: "p".into(),
                tasks: tasks(now),
                target: tasks(target),
                ..StreamsMember::default()
            }));
        }
    }
    Update::Descriptions(groups)
}

#[test]
fn a_streams_group_shows_who_does_which_task_who_shall_and_what_it_waits_for() {
    let mut driver = Driver::with(fixture::all());
    driver.keys("4 enter");
    driver.feed(vec![described(GroupState::NotReady)]);
    let screen = driver.screen(160, 24);
    for part in [
        "topology 0",
        "active 2",
        "moving 1",
        "epoch 5",
        "assigned 4",
        "tasks 2",
        "source topics are missing, or may not be seen: unmade",
    ] {
        assert!(screen.contains(part), "{part}:\n{screen}");
    }
    driver.keys("tab");
    let screen = driver.screen(160, 24);
    assert!(screen.contains("active 0_0 0_1"), "{screen}");
    driver.keys("tab");
    let screen = driver.screen(160, 24);
    let row = |task: &str| {
        let mut lines = screen.lines();
        lines
            .find(|line| line.trim_start().starts_with(task))
            .unwrap_or_default()
    };
    assert!(row("0_0").contains("the same"), "{screen}");
    let moving: Vec<&str> = row("0_1").split_whitespace().collect();
    assert_eq!(moving[1..4], ["active", "app-1@10.0.0.1", "app-2@10.0.0.1"]);
    assert!(row("0_1").contains("orders-1"), "{screen}");
    driver.feed(vec![described(GroupState::Stable)]);
    driver.keys("tab");
    assert!(driver.screen(160, 24).contains("state NotReady → Stable"));
}

#[test]
fn what_a_close_look_found_before_the_topics_were_known_is_told_when_they_are() {
    let mut driver = Driver::new(Some("b1:9092"), false);
    driver.take_effects();
    driver.keys(":group space billing enter");
    let effects = driver.take_effects();
    let job = effects.iter().find_map(|effect| match effect {
        Effect::WatchGroup { job, .. } => Some(*job),
        _ => None,
    });
    let topic: Arc<str> = "orders".into();
    let commit = CommittedPartition {
        partition: 0,
        offset: Some(10),
        ..CommittedPartition::default()
    };
    let ends = PartitionOffsets {
        partition: 0,
        start: Cell::Known(0),
        end: Cell::Known(50),
    };
    let offsets = TopicOffsets {
        taken: Taken::default(),
        topic_id: None,
        partitions: [ends].into(),
    };
    let look = GroupLook {
        taken: Taken {
            monotonic_ms: 0,
            wall_ms: WALL_MS,
        },
        committed: Arc::new(Committed {
            taken: Taken::default(),
            topics: Arc::new(BTreeMap::from([(Arc::clone(&topic), vec![commit])])),
        }),
        offsets: HashMap::from([(topic, Arc::new(offsets))]),
        next_ms: BTreeMap::from([(TopicPartition::new("orders", 0), WALL_MS - 300_000)]),
        ..GroupLook::default()
    };
    driver.answer(job.unwrap(), Answer::GroupLooked(Ok(Arc::new(look))));
    driver.feed(fixture::all());
    let screen = driver.screen(160, 24);
    assert!(screen.contains("time 5m"), "{screen}");
}
