use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::derive::test_topic;
use crate::model::*;

mod figures;
mod streams;

fn taken() -> Taken {
    Taken {
        monotonic_ms: 1_000,
        wall_ms: 1_000,
    }
}

/// A cluster in which one broker is gone and one partition can't be read.
fn snapshot() -> ClusterSnapshot {
    let broker = |id: i32, rack: &str| Broker {
        id,
        host: format!("b{id}"),
        port: 9092,
        rack: Some(rack.to_owned()),
        fenced: Some(false),
    };
    let orders: [(&[i32], &[i32], i32); 2] = [(&[1, 2], &[1, 2], 1), (&[2, 3], &[2], 2)];
    let logs: [(&[i32], &[i32], i32); 1] = [(&[3], &[], -1)];
    let metadata = ClusterMetadata {
        cluster_id: Some("MkU3OEVBNTcwNTJENDM2Qg".into()),
        may_describe: None,
        controller_id: Some(2),
        brokers: vec![broker(1, "a"), broker(2, "b")],
        topics: vec![
            Arc::new(test_topic("logs", &logs)),
            Arc::new(test_topic("orders", &orders)),
        ],
    };
    let offsets = |name: &str, ends: &[Cell<i64>]| {
        let partitions = ends.iter().enumerate().map(|(at, end)| PartitionOffsets {
            partition: at as i32,
            start: Cell::Known(10),
            end: *end,
        });
        let offsets = TopicOffsets {
            taken: taken(),
            topic_id: None,
            partitions: partitions.collect(),
        };
        (Arc::from(name), Arc::new(offsets))
    };
    let all = Offsets::from([
        offsets("orders", &[Cell::Known(110), Cell::Known(60)]),
        offsets("logs", &[Cell::Failed(PartError(5))]),
    ]);
    let mut dirs = LogDirs::default();
    let size = |size_bytes| ReplicaSize {
        size_bytes,
        offset_lag: 0,
        is_future: false,
        dir: 0,
    };
    dirs.replicas.insert(
        "orders".into(),
        [
            ((0, 1), size(2_048)),
            ((0, 2), size(2_048)),
            ((1, 2), size(100)),
        ]
        .into(),
    );
    let dir = |size_bytes| LogDir {
        path: "/data".into(),
        error: None,
        total_bytes: None,
        usable_bytes: None,
        cordoned: false,
        replicas: 1,
        size_bytes,
    };
    dirs.dirs = [(1, vec![dir(2_048)])].into();
    dirs.faults.insert(
        2,
        Arc::new(Fault::new(
            FaultKind::Unreachable,
            "read the log directories",
            "no answer",
        )),
    );
    let mut snapshot = ClusterSnapshot::default();
    snapshot.apply(Update::Metadata(Ok(Arc::new(metadata))), taken());
    snapshot.apply(
        Update::Offsets {
            result: Ok(Arc::new(all)),
            complete: true,
        },
        taken(),
    );
    snapshot.apply(Update::LogDirs(Ok(Arc::new(dirs))), taken());
    add_group(&mut snapshot);
    snapshot
}

fn add_group(snapshot: &mut ClusterSnapshot) {
    let id: Arc<str> = "billing".into();
    let group = Group {
        id: id.clone(),
        kind: GroupKind::Classic,
        state: Some(GroupState::Stable),
        protocol_type: "consumer".into(),
        coordinator: 1,
    };
    let member = Member {
        id: "m-1".into(),
        client_id: "app".into(),
        host: "/10.0.0.1".into(),
        instance_id: None,
        rack: None,
        epoch: None,
        subscribed: vec!["orders".into()],
        assignment: vec![TopicAssignment {
            topic: "orders".into(),
            partitions: [0].into(),
        }],
        target: vec![],
        undecoded: None,
        streams: None,
    };
    let description = GroupDescription {
        id: id.clone(),
        kind: GroupKind::Classic,
        state: GroupState::Stable,
        protocol_type: "consumer".into(),
        assignor: "range".into(),
        coordinator: 1,
        group_epoch: None,
        assignment_epoch: None,
        topology: None,
        members: vec![member],
    };
    let commit = |partition, offset| CommittedPartition {
        partition,
        offset: Some(offset),
        ..CommittedPartition::default()
    };
    let committed = Committed {
        taken: taken(),
        topics: Arc::new([(Arc::from("orders"), vec![commit(0, 100), commit(1, 4)])].into()),
    };
    let mut groups = Groups::default();
    groups.groups.insert(id.clone(), Arc::new(group));
    snapshot.apply(Update::Groups(Ok(Arc::new(groups))), taken());
    snapshot.apply(
        Update::Descriptions(vec![(id.clone(), Ok(Arc::new(description)))]),
        taken(),
    );
    snapshot.apply(
        Update::Committed(vec![(id, Ok(Arc::new(committed)))]),
        taken(),
    );
}

#[test]
fn topics_as_a_table_and_as_json() {
    let topics = topics(&snapshot(), |_| true);
    insta::assert_snapshot!(topics.table(), @r"
    TOPIC   PARTITIONS  REPLICAS  OFFLINE  UNDER-REPLICATED  RECORDS  SIZE
    logs             1         1        1                 1        -     -
    orders           2         2        0                 1      150     -
    ");
    insta::assert_snapshot!(topics.json(), @r#"
    {
      "topics": [
        {
          "name": "logs",
          "id": null,
          "internal": false,
          "partitions": 1,
          "replication_factor": 1,
          "offline": 1,
          "under_replicated": 1,
          "reassigning": 0,
          "records": null,
          "size_bytes": null,
          "balance": {
            "cmak": {
              "brokers_spread": 0,
              "brokers_skew": 0,
              "leader_skew": 0,
              "preferred_replicas": 0,
              "under_replicated": 100
            },
            "placed": {
              "brokers_spread": 50,
              "brokers_skew": 0,
              "leader_skew": 0,
              "preferred_replicas": 0,
              "under_replicated": 100
            }
          }
        },
        {
          "name": "orders",
          "id": null,
          "internal": false,
          "partitions": 2,
          "replication_factor": 2,
          "offline": 0,
          "under_replicated": 1,
          "reassigning": 0,
          "records": 150,
          "size_bytes": null,
          "balance": {
            "cmak": {
              "brokers_spread": 100,
              "brokers_skew": 0,
              "leader_skew": 0,
              "preferred_replicas": 100,
              "under_replicated": 50
            },
            "placed": {
              "brokers_spread": 100,
              "brokers_skew": 0,
              "leader_skew": 0,
              "preferred_replicas": 100,
              "under_replicated": 50
            }
          }
        }
      ]
    }
    "#);
}

#[test]
fn one_topic_as_a_table_and_as_json() {
    let snapshot = snapshot();
    let found = snapshot
        .metadata
        .get()
        .unwrap()
        .topic("logs")
        .unwrap()
        .clone();
    let logs = topic(&snapshot, &found);
    insta::assert_snapshot!(logs.table(), @r"
    Topic logs  id -  partitions 1  replicas 1
    Settings: could not be read

    PARTITION  LEADER  REPLICAS  IN SYNC  OFFLINE  START  END  SIZE
            0    none  3                              10    -     -

    BROKER  PARTITIONS  IN SYNC  LEADS  TOO MANY
         3           1        0      0
    ");
    insta::assert_snapshot!(logs.json(), @r#"
    {
      "name": "logs",
      "id": null,
      "internal": false,
      "replication_factor": 1,
      "partitions": [
        {
          "partition": 0,
          "leader": null,
          "leader_epoch": 0,
          "replicas": [
            3
          ],
          "isr": [],
          "offline_replicas": [],
          "adding_replicas": [],
          "removing_replicas": [],
          "start_offset": 10,
          "end_offset": null,
          "size_bytes": null
        }
      ],
      "balance": {
        "cmak": {
          "brokers_spread": 0,
          "brokers_skew": 0,
          "leader_skew": 0,
          "preferred_replicas": 0,
          "under_replicated": 100
        },
        "placed": {
          "brokers_spread": 50,
          "brokers_skew": 0,
          "leader_skew": 0,
          "preferred_replicas": 0,
          "under_replicated": 100
        }
      },
      "brokers": [
        {
          "broker": 3,
          "partitions": [
            0
          ],
          "in_sync": [],
          "leaders": 0,
          "skewed": false,
          "leader_skewed": false,
          "placed_skewed": false
        }
      ],
      "configs": null
    }
    "#);
}

#[test]
fn brokers_that_are_gone_are_listed_too() {
    let brokers = brokers(&snapshot());
    insta::assert_snapshot!(brokers.table(), @r"
    ID  ADDRESS  RACK  STATE      CONTROLLER  LEADERS  REPLICAS  IN SYNC     SIZE
     1  b1:9092  a     up                           1         1        1  2.0 KiB
     2  b2:9092  b     no answer  yes               1         2        2        -
     3  -        -     gone                         0         2        0        -
    ");
    let json: serde_json::Value = serde_json::from_str(&brokers.json()).unwrap();
    assert_eq!(
        json["brokers"][1]["error"],
        "read the log directories: no answer"
    );
    assert_eq!(json["brokers"][1]["size_bytes"], serde_json::Value::Null);
    assert_eq!(json["brokers"][2]["host"], serde_json::Value::Null);
    assert_eq!(json["controller_id"], 2);
}

#[test]
fn groups_as_a_table_and_one_group_in_full() {
    let snapshot = snapshot();
    // Looked at: partition 1 was committed once, long ago, and the log went on.
    let fact = GroupFact::Commit {
        partition: TopicPartition::new("orders", 1),
        offset: Some(4),
        at_ms: 100,
    };
    let record = GroupRecord {
        offset: 0,
        batch: 0,
        at_ms: 100,
        leader_epoch: 0,
        fact,
    };
    let log = GroupLog {
        records: vec![record],
        ..GroupLog::default()
    };
    let look = GroupLook {
        taken: taken(),
        committed: snapshot.committed["billing"].value().unwrap().clone(),
        offsets: Offsets::clone(snapshot.offsets.value().unwrap()),
        ends: EndPoints::from([(TopicPartition::new("orders", 1), vec![(30, 400)])]),
        log: Some(Ok(Arc::new(log))),
        ..GroupLook::default()
    };
    let detail = crate::derive::group_detail(&look, snapshot.metadata.get().unwrap());
    let list = groups(&snapshot, &HashMap::from([("billing".into(), detail)]));
    insta::assert_snapshot!(list.table(), @r"
    GROUP    TYPE     STATE   COORDINATOR  MEMBERS  LAG   TIME  VERDICT
    billing  classic  Stable            1        1   66  ~1.1s  stop
    ");
    assert_eq!(list.groups[0].partitions_with_loss, Some(1));
    let unseen = groups(&snapshot, &HashMap::new());
    let unseen = &unseen.groups[0];
    assert_eq!((unseen.lag, unseen.lag_ms), (Some(66), None));
    assert_eq!(unseen.verdict, None);
    let group = group(&snapshot, &"billing".into()).unwrap();
    insta::assert_snapshot!(group.table(), @r"
    Group billing  type classic  state Stable  coordinator 1  assignor range  lag 66

    TOPIC   PARTITION  COMMITTED  LOG END  LAG  MEMBER  NOTE
    orders          0        100      110   10  m-1
    orders          1          4       60   56  -       6 records were removed unread

    MEMBER  CLIENT  HOST       PARTITIONS  OWNS
    m-1     app     /10.0.0.1           1  orders-0
    ");
    let json: serde_json::Value = serde_json::from_str(&group.json()).unwrap();
    assert_eq!(json["partitions"][1]["lost"], 6);
    assert_eq!(json["partitions"][1]["member"], serde_json::Value::Null);
    assert_eq!(json["type"], "classic");
}

#[test]
fn running_moves_show_their_progress() {
    let mut snapshot = snapshot();
    assert_eq!(moves(&snapshot).table(), "no reassignment is running\n");
    let ongoing = OngoingReassignment {
        replicas: vec![1, 2, 3],
        adding: vec![3],
        removing: vec![2],
    };
    let running = Reassignments::from([(TopicPartition::new("orders", 0), ongoing)]);
    snapshot.apply(Update::Reassignments(Ok(Arc::new(running))), taken());
    let metadata = snapshot.metadata.get().unwrap();
    assert_eq!(*metadata.topic("orders").unwrap().partitions[0].adding, [3]);
    insta::assert_snapshot!(moves(&snapshot).table(), @r"
    TOPIC   PARTITION  REPLICAS  ADDING  REMOVING  COPIED       OF                        DONE
    orders          0  1,2,3     3       2              -  2.0 KiB  waits for 3, which is down
    ");
    snapshot.apply(Update::Reassignments(Ok(Arc::default())), taken());
    let metadata = snapshot.metadata.get().unwrap();
    assert!(!metadata.topic("orders").unwrap().partitions[0].is_reassigning());
}

#[test]
fn sizes_and_errors_are_told_in_words() {
    let sizes: Vec<String> = [0, 1023, 1024, 1536, 5 << 40, -2048].map(bytes_text).into();
    assert_eq!(
        sizes,
        ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 TiB", "-2.0 KiB"]
    );
    let fault = Fault::refused("do it", "no").with_hint("ask");
    assert_eq!(error_text(&fault), "error: do it: no\nhint: ask\n");
}

#[test]
fn every_kind_of_failure_has_an_exit_code_that_help_documents() {
    for kind in [
        FaultKind::Failed,
        FaultKind::NotFound,
        FaultKind::Refused,
        FaultKind::Unreachable,
        FaultKind::AlreadyExists,
        FaultKind::Unsupported,
    ] {
        let code = exit_code(&Fault::new(kind, "", ""));
        assert!(
            code > 0 && EXIT_CODES.iter().any(|(known, _)| *known == code),
            "{kind:?}"
        );
    }
}

#[test]
fn the_quorum_s_table_tells_when_each_node_fetched_last() {
    let node = |id, lag, at: Option<i64>| QuorumReplica {
        id,
        directory_id: None,
        log_end_offset: 70,
        lag: Some(lag),
        last_fetch_ms: at,
        last_caught_up_ms: at.map(|ms| ms - 1_500),
    };
    let quorum = Quorum {
        leader_id: 1,
        voters: vec![
            node(1, 0, Some(1_700_000_002_000)),
            node(2, 3, Some(1_700_000_001_750)),
        ],
        observers: vec![node(3, 70, Some(-1))],
        ..Quorum::default()
    };
    let table = QuorumJson::from(quorum).table();
    let rows: Vec<&str> = table.lines().skip(3).collect();
    assert!(
        rows[1].contains("2023-11-14 22:13:21.750  2023-11-14 22:13:20.250"),
        "{table}"
    );
    assert_eq!(
        rows[2].split_whitespace().collect::<Vec<_>>()[..6],
        ["3", "observer", "70", "70", "-", "-"]
    );
}
