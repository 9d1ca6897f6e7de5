//! Offsets of a group set, undone, exported, read from a file and removed, by commands.

use kafka_tui::model::Committed;
use kafka_tui::ops::CreateTopic;
use kafka_tui::ops::offsets::{ResetRequest, ResetScope, ResetTo, parse_scope, prepare_reset};
use serde_json::Value;

use super::asking::{document, run};
use super::groups::{TestMember, shared_by};
use super::*;

/// A topic of so many partitions, with so many records in each.
async fn topic(client: &ClusterClient, partitions: i32, records: usize) -> String {
    let topic = unique("offsets");
    let create = CreateTopic {
        name: topic.clone(),
        partitions: Some(partitions),
        replication_factor: Some(1),
        ..CreateTopic::default()
    };
    make(client, Action::CreateTopic(create)).await;
    for at in 0..records {
        for partition in 0..partitions {
            let message = ops::ProduceMessage {
                topic: topic.clone(),
                partition: Some(partition),
                key: Some(format!("k{at}").into_bytes()),
                value: Some(format!("v{at}").into_bytes()),
                headers: Vec::new(),
            };
            client.produce(&message).await.expect("it is written");
        }
    }
    topic
}

/// What is committed for the partitions of a topic, from 0 on.
fn at(committed: &Committed, topic: &str) -> Vec<Option<i64>> {
    let partitions = committed.topics.get(topic);
    partitions.map_or_else(Vec::new, |list| list.iter().map(|p| p.offset).collect())
}

fn rows(document: &Value, field: &str) -> Vec<Option<i64>> {
    let rows = document["partitions"].as_array().expect("a list");
    rows.iter().map(|row| row[field].as_i64()).collect()
}

#[test]
fn offsets_are_previewed_set_exported_copied_and_forgotten_by_commands() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let (topic, group, copy) = (
            topic(&client, 2, 5).await,
            unique("reset"),
            unique("copied"),
        );
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("offsets.csv");
        let file = file.to_str().expect("a path in UTF-8");
        let reset = async |args: &[&str]| {
            let all = [&["groups", "reset"], args].concat();
            run(&bootstrap, &all).await
        };
        let committed = async |group: &str| {
            let committed = client.committed_by(group).await.expect("it is read");
            at(&committed, &topic)
        };

        // Nothing exists: without topics it is not known what is meant.
        let refused = reset(&[&group, "--to-earliest"]).await;
        assert_eq!(refused.status.code(), Some(3));
        let shown = document(
            &reset(&[&group, "--topic", &topic, "--to-offset", "3"]).await,
            0,
        );
        assert_eq!(shown["dry_run"], true);
        assert_eq!(rows(&shown, "to"), [Some(3), Some(3)]);
        assert_eq!(rows(&shown, "from"), [None, None]);
        assert_eq!(shown["partitions"][0]["record"]["key"], "k3");
        assert_eq!(committed(&group).await, [], "it was only shown");

        let args = [&*group, "--topic", &topic, "--to-offset", "3", "--execute"];
        let done = document(&reset(&args).await, 0);
        assert_eq!(done["verification"]["state"], "done", "{done}");
        assert_eq!(committed(&group).await, [Some(3), Some(3)]);

        let only = format!("{topic}:1");
        let shown = document(
            &reset(&[&group, "--topic", &only, "--shift-by", "-2"]).await,
            0,
        );
        assert_eq!(rows(&shown, "to"), [Some(1)]);
        assert_eq!(rows(&shown, "rereads"), [Some(2)]);
        let args = [&*group, "--topic", &only, "--shift-by", "-2", "--execute"];
        document(&reset(&args).await, 0);
        assert_eq!(committed(&group).await, [Some(3), Some(1)]);

        let exported = reset(&[&group, "--to-current", "--export"]).await;
        let text = String::from_utf8(exported.stdout).expect("UTF-8");
        assert_eq!(text, format!("{topic},0,3\n{topic},1,1\n"));
        std::fs::write(file, &text).expect("it is written");
        let args = [&*group, "--to-latest", "--execute"];
        document(&reset(&args).await, 0);
        assert_eq!(committed(&group).await, [Some(5), Some(5)]);
        let args = [&*group, "--from-file", file, "--execute"];
        document(&reset(&args).await, 0);
        assert_eq!(committed(&group).await, [Some(3), Some(1)]);

        // Nothing is as old as that, and nothing as new.
        let shown = document(&reset(&[&group, "--by-duration", "PT1H"]).await, 0);
        assert_eq!(rows(&shown, "to"), [Some(0), Some(0)]);
        let args = [&*group, "--to-datetime", "2100-01-01T00:00:00.000"];
        let shown = document(&reset(&args).await, 0);
        assert_eq!(rows(&shown, "to"), [Some(5), Some(5)]);
        assert_eq!(rows(&shown, "skips"), [Some(2), Some(4)]);

        let args = [&*copy, "--from-group", &group, "--execute"];
        document(&reset(&args).await, 0);
        assert_eq!(committed(&copy).await, [Some(3), Some(1)]);

        let args = ["groups", "delete-offsets", &copy, "--topic", &only];
        document(&run(&bootstrap, &args).await, 0);
        assert_eq!(committed(&copy).await, [Some(3)]);
        for group in [group, copy] {
            make(&client, Action::DeleteGroups(vec![group])).await;
        }
        make(&client, Action::DeleteTopics(vec![topic])).await;
    });
}

#[test]
fn a_reset_is_undone_unless_the_group_went_on_and_a_live_group_is_refused() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let (topic, id) = (topic(&client, 4, 2).await, unique("undone"));
        let request = |to| ResetRequest {
            group: id.clone(),
            scope: parse_scope([&*topic]).expect("a scope"),
            to,
        };
        let first = prepare_reset(&client, &request(ResetTo::Offset(1))).await;
        let first = first.expect("it is read");
        make(&client, Action::AlterOffsets(first.clone())).await;
        let second = prepare_reset(&client, &request(ResetTo::Latest)).await;
        let second = second.expect("it is read");
        make(&client, Action::AlterOffsets(second.clone())).await;
        let stale = client.alter_offsets(&first.inverse()).await;
        let why = stale.expect_err("it went on").why;
        assert!(why.contains("planned from"), "{why}");
        make(&client, Action::AlterOffsets(second.inverse())).await;
        let committed = client.committed_by(&id).await.expect("it is read");
        assert_eq!(at(&committed, &topic), [Some(1); 4]);

        let member = TestMember::start(&bootstrap, &id, &topic);
        shared_by(&client, &id, 1).await;
        let all = ResetRequest {
            scope: ResetScope::All,
            ..request(ResetTo::Earliest)
        };
        let fault = prepare_reset(&client, &all).await.expect_err("it is live");
        assert!(fault.why.contains("1 member"), "{fault}");
        let hint = fault.hint.expect("what to do");
        assert!(hint.starts_with("stop these first"), "{hint}");
        let refused = run(&bootstrap, &["groups", "reset", &id, "--to-earliest"]).await;
        assert_eq!(refused.status.code(), Some(4));
        member.leave().await;

        eventually(
            "the group is empty, and its offsets can be forgotten",
            || async {
                let committed = client.committed_by(&id).await.expect("it is read");
                let scope = parse_scope([&*topic]).expect("a scope");
                let alter = ops::offsets::forget_offsets(&id, &scope, &committed);
                let Ok(alter) = alter else { return true };
                let done = client.alter_offsets(&alter).await;
                done.is_ok_and(|results| results.values().all(Result::is_ok))
            },
        )
        .await;
        make(&client, Action::DeleteTopics(vec![topic])).await;
    });
}

/// A plan is made from what a command reads, and is executed by another that has to read the same.
#[test]
fn deletions_are_saved_as_plans_and_executed_and_a_deleted_group_comes_back() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let (topic, id) = (topic(&client, 4, 2).await, unique("saved"));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("plan.json").display().to_string();
        let saved = async |args: &[&str]| {
            let save = [args, &["--save-plan", &file]].concat();
            document(&run(&bootstrap, &save).await, 0);
        };
        let executed = async || {
            let args = ["plan", &file, "--execute", "--yes"];
            document(&run(&bootstrap, &args).await, 0)
        };
        saved(&[
            "groups",
            "reset",
            &id,
            "--topic",
            &topic,
            "--to-offset",
            "1",
        ])
        .await;
        executed().await;
        let committed = || async { client.committed_by(&id).await.expect("it is read") };
        assert_eq!(at(&committed().await, &topic), [Some(1); 4]);

        saved(&["groups", "delete", &id]).await;
        assert_eq!(at(&committed().await, &topic), [Some(1); 4]);
        let done = executed().await;
        assert_eq!(committed().await.topics.len(), 0);
        let undo = done["report"]["undo_file"].as_str().expect("it is written");
        let args = ["undo", undo, "--execute", "--yes"];
        document(&run(&bootstrap, &args).await, 0);
        assert_eq!(at(&committed().await, &topic), [Some(1); 4]);

        // That it grows on makes it no other topic.
        saved(&["topics", "delete", &topic]).await;
        let more = ["messages", "produce", &topic, "--value", "one more"];
        document(&run(&bootstrap, &more).await, 0);
        executed().await;
        let metadata = client.metadata().await.expect("it is read");
        assert!(metadata.topic(&topic).is_none());
        make(&client, Action::DeleteGroups(vec![id])).await;
    });
}

#[test]
fn a_group_s_lag_and_timeline_are_documents() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let (topic, id) = (topic(&client, 4, 2).await, unique("told"));
        let member = TestMember::start(&bootstrap, &id, &topic);
        shared_by(&client, &id, 1).await;
        let second = TestMember::start(&bootstrap, &id, &topic);
        shared_by(&client, &id, 2).await;
        second.leave().await;
        shared_by(&client, &id, 1).await;
        let told = document(&run(&bootstrap, &["groups", "timeline", &id]).await, 0);
        let events = told["events"].as_array().expect("a list");
        let causes: Vec<&str> = events
            .iter()
            .filter_map(|event| event["causes"][0]["cause"].as_str())
            .collect();
        assert_eq!(causes.get(..2), Some(&["joined", "joined"][..]), "{told}");
        // Whether it has committed before it left, nobody knows.
        assert!(matches!(causes.get(2..), Some(["left" | "gone"])), "{told}");
        assert_eq!(
            events[1]["moved"].as_array().map(Vec::len),
            Some(2),
            "{told}"
        );
        assert_eq!(
            told["members"][0]["partitions"].as_array().map(Vec::len),
            Some(4)
        );
        eventually("everything is read", || async {
            let lag = document(&run(&bootstrap, &["groups", "lag", &id]).await, 0);
            lag["lag"] == 0
                && lag["verdict"] == "ok"
                && lag["lag_ms"] == 0
                && lag["committed_lag"] == 0
                && lag["drain"]["drain"] == "at_end"
        })
        .await;
        let missing = run(&bootstrap, &["groups", "lag", "nobody"]).await;
        assert_eq!(missing.status.code(), Some(3));
        member.leave().await;
        make(&client, Action::DeleteTopics(vec![topic])).await;
    });
}
