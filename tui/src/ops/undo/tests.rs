use super::*;
use crate::model::{Assignment, ClusterMetadata, ConfigResource, TopicPartition, Update};
use crate::ops::{AlterConfigs, ConfigChange, Danger, Reassign};
use std::sync::Arc;

/// The 21st of November 2026, noon.
const NOON_MS: i64 = 1_795_262_400_000;

fn set(value: &str) -> Action {
    Action::AlterConfigs(AlterConfigs {
        resource: ConfigResource::Topic("t".to_owned()),
        changes: vec![ConfigChange::Set {
            name: "retention.ms".to_owned(),
            value: value.to_owned(),
        }],
    })
}

fn change(before: &str, after: &str) -> Change {
    Change {
        subject: "retention.ms".to_owned(),
        before: Some(before.to_owned()),
        after: Some(after.to_owned()),
        note: None,
    }
}

fn plan(from: &str, to: &str) -> Plan {
    let mut plan = Plan::new(set(to), "set it", Danger::Safe);
    plan.cluster_id = Some("cluster/1".to_owned());
    plan.changes.push(change(from, to));
    plan.inverse = Some(set(from));
    plan
}

#[test]
fn every_kind_of_inverse_is_read_as_it_was_written() {
    let key = TopicPartition::new("a.b", 3);
    let target = Assignment::from([(key.clone(), vec![3, 1])]);
    let reassign = Action::Reassign(Reassign {
        based_on: Assignment::from([(key.clone(), vec![1, 2])]),
        target,
    });
    for undo in [set("5"), reassign, Action::CancelReassignments(vec![key])] {
        let mut made = plan("5", "6");
        made.inverse = Some(undo);
        let inverse = Inverse::of(&made, NOON_MS).unwrap();
        let text = serde_json::to_string(&inverse).unwrap();
        assert_eq!(serde_json::from_str::<Inverse>(&text).unwrap(), inverse);
        assert_eq!(inverse.made_at, "2026-11-21T12:00:00.000Z");
    }
}

#[test]
fn the_journal_gives_out_the_last_change_that_stands() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::at(folder.path());
    let cluster = Some("cluster/1");
    assert_eq!(journal.last(cluster, None), Last::default());
    let write = |from, to, at_ms| {
        let inverse = Inverse::of(&plan(from, to), at_ms).unwrap();
        journal.write(&inverse, at_ms).unwrap().unwrap()
    };
    let first = write("5", "6", NOON_MS);
    let second = write("6", "7", NOON_MS + 1);
    let same_moment = write("7", "8", NOON_MS + 1);
    assert_ne!(second, same_moment);
    let last = |cluster| journal.last(cluster, None).entry;
    assert_eq!(last(cluster).unwrap().path, same_moment);
    journal.forget(&same_moment);
    let last_now = last(cluster).unwrap();
    assert_eq!((&last_now.path, last_now.is_undone), (&second, false));
    journal.mark_undone(&second).unwrap();
    // The undo is a change of its own and not the next to be undone.
    let mut undo = plan("7", "6");
    undo.undoes = Some(second);
    let inverse = Inverse::of(&undo, NOON_MS + 2).unwrap();
    journal.write(&inverse, NOON_MS + 2).unwrap();
    assert_eq!(last(cluster).unwrap().path, first);
    let undone: Vec<bool> = journal
        .entries(cluster)
        .iter()
        .map(|e| e.is_undone)
        .collect();
    assert_eq!(undone, [false, true, false]);
    assert_eq!(last(Some("another")), None);
    assert_eq!(Journal::none().write(&inverse, 0).unwrap(), None);
}

#[test]
fn what_nothing_takes_back_is_said_and_does_not_hide_what_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::at(folder.path());
    let cluster = Some("cluster/1");
    let mut deleted = plan("5", "6");
    deleted.title = "delete topic \"t\"".to_owned();
    deleted.inverse = None;
    assert_eq!(
        Inverse::of(&deleted, NOON_MS),
        None,
        "nothing is said of it"
    );
    deleted.irrevocable = vec!["topic \"t\" is deleted with its records".to_owned()];
    let snapshot = ClusterSnapshot::default();
    let why = |last: Last| last.plan(&snapshot).unwrap_err().why;
    assert_eq!(
        why(journal.last(cluster, None)),
        "no change of this cluster is known"
    );
    let inverse = Inverse::of(&deleted, NOON_MS + 1).unwrap();
    journal.write(&inverse, NOON_MS + 1).unwrap();
    let told = "\"delete topic \"t\"\" is later and can't be taken back: topic \"t\" is deleted \
                with its records";
    assert_eq!(why(journal.last(cluster, None)), told);
    assert!(
        inverse
            .plan(None, &snapshot)
            .unwrap_err()
            .why
            .contains("can't be taken back")
    );
    let text = serde_json::to_string(&inverse).unwrap();
    assert_eq!(serde_json::from_str::<Inverse>(&text).unwrap(), inverse);

    // What can be taken back is, and the rest is told.
    let earlier = Inverse::of(&plan("5", "6"), NOON_MS).unwrap();
    let path = journal.write(&earlier, NOON_MS).unwrap();
    let last = journal.last(cluster, None);
    assert_eq!(last.entry.as_ref().map(|entry| &entry.path), path.as_ref());
    assert_eq!(last.stays(), [told]);
    let mut in_part = plan("6", "7");
    in_part.changes.clear();
    in_part.irrevocable = vec!["topic \"t\" keeps 3 partitions: none can be removed".to_owned()];
    let inverse = Inverse::of(&in_part, NOON_MS + 2).unwrap();
    journal.write(&inverse, NOON_MS + 2).unwrap();
    let last = journal.last(cluster, None);
    assert!(last.since.is_empty(), "it can be taken back in part");
    let mut snapshot = ClusterSnapshot::default();
    let metadata = ClusterMetadata {
        cluster_id: Some("cluster/1".into()),
        topics: vec![Arc::new(Topic {
            name: "t".into(),
            id: None,
            is_internal: false,
            error: None,
            partitions: Box::default(),
        })],
        ..ClusterMetadata::default()
    };
    let update = Update::Metadata(Ok(Arc::new(metadata)));
    snapshot.apply(update, crate::model::Taken::default());
    let undo = last.plan(&snapshot).unwrap();
    assert_eq!(undo.not_done, in_part.irrevocable);
}

#[test]
fn a_damaged_file_is_refused_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::at(folder.path());
    let inverse = Inverse::of(&plan("5", "6"), NOON_MS).unwrap();
    let path = journal.write(&inverse, NOON_MS).unwrap().unwrap();
    for text in ["", "{}", "[1]", r#"{"version":1}"#] {
        std::fs::write(&path, text).unwrap();
        assert!(Journal::read(&path).is_err(), "{text}");
    }
    let newer = serde_json::to_string(&Inverse {
        version: 2,
        ..inverse
    });
    std::fs::write(&path, newer.unwrap()).unwrap();
    assert!(Journal::read(&path).unwrap_err().why.contains("version 2"));
    assert_eq!(journal.last(Some("cluster/1"), None).entry, None);
}

#[test]
fn what_has_moved_on_is_told() {
    let inverse = Inverse::of(&plan("5", "6"), NOON_MS).unwrap();
    assert_eq!(inverse.moved(&plan("6", "5")), Vec::<String>::new());
    assert_eq!(
        inverse.moved(&plan("9", "5")),
        ["retention.ms is 9 now, and the change made it 6"]
    );
    // It is as before already, so that there is nothing to take back.
    let mut nothing = plan("6", "5");
    nothing.changes.clear();
    assert_eq!(inverse.moved(&nothing), Vec::<String>::new());
}

#[test]
fn another_clusters_change_is_not_undone() {
    let mut snapshot = ClusterSnapshot::default();
    let metadata = ClusterMetadata {
        cluster_id: Some("other".into()),
        ..ClusterMetadata::default()
    };
    let update = Update::Metadata(Ok(Arc::new(metadata)));
    snapshot.apply(update, crate::model::Taken::default());
    let inverse = Inverse::of(&plan("5", "6"), NOON_MS).unwrap();
    let fault = inverse.plan(None, &snapshot).unwrap_err();
    assert_eq!(
        fault.why,
        "it was made on cluster cluster/1, and this is other"
    );
}

/// A cluster with these topics, by the ids that they have.
fn with_topics(topics: &[(&str, u128)]) -> ClusterSnapshot {
    let topic = |(name, id): &(&str, u128)| {
        Arc::new(Topic {
            name: (*name).into(),
            id: Some(kafka_shared::types::Uuid::from_u128(*id)),
            is_internal: false,
            error: None,
            partitions: Box::default(),
        })
    };
    let metadata = ClusterMetadata {
        cluster_id: Some("cluster/1".into()),
        topics: topics.iter().map(topic).collect(),
        ..ClusterMetadata::default()
    };
    let mut snapshot = ClusterSnapshot::default();
    let update = Update::Metadata(Ok(Arc::new(metadata)));
    snapshot.apply(update, crate::model::Taken::default());
    snapshot
}

#[test]
fn a_topic_that_was_made_anew_under_the_name_is_not_deleted_by_an_undo() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::at(folder.path());
    let cluster = Some("cluster/1");
    let older = Inverse::of(&plan("5", "6"), NOON_MS).unwrap();
    let older = journal.write(&older, NOON_MS).unwrap().unwrap();
    let mut create = plan("5", "6");
    create.changes.clear();
    create.inverse = Some(Action::DeleteTopics(vec!["new".to_owned()]));
    let inverse = Inverse::of(&create, NOON_MS + 1).unwrap();
    let path = journal.write(&inverse, NOON_MS + 1).unwrap().unwrap();
    let id = kafka_shared::types::Uuid::from_u128(7 << 64);
    journal.note_created(&path, &[("new".to_owned(), uuid_to_base64(id))].into());
    let next = |snapshot: &ClusterSnapshot| {
        let last = journal.last(cluster, snapshot.metadata.get());
        last.entry.map(|entry| entry.path)
    };
    let inverse = Journal::read(&path).unwrap();

    let same = with_topics(&[("new", 7 << 64), ("t", 1 << 64)]);
    assert_eq!(next(&same).as_ref(), Some(&path));
    assert!(inverse.plan(None, &same).is_ok());
    let anew = with_topics(&[("new", 8 << 64), ("t", 1 << 64)]);
    let refused = inverse.plan(None, &anew).unwrap_err();
    assert_eq!(refused.kind, FaultKind::Refused);
    assert!(
        refused.why.contains("\"new\" is another one by now"),
        "{refused:?}"
    );
    // An undo goes past it, and past what is deleted, to what is still there.
    assert_eq!(next(&anew).as_ref(), Some(&older));
    assert_eq!(next(&with_topics(&[("t", 1 << 64)])), Some(older));
    assert_eq!(next(&with_topics(&[])), None);
}
