//! `changes` on a cluster, into a file, and out of it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use kafka_tui::ops::CreateTopic;
use serde_json::Value;

use super::*;

async fn changes(bootstrap: &[Endpoint], args: &[&str]) -> Output {
    let servers: Vec<String> = bootstrap.iter().map(ToString::to_string).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
    command.args(["--output", "json"]);
    // A recording needs no cluster.
    if !servers.is_empty() {
        command.args(["--bootstrap", &servers.join(",")]);
    }
    command.arg("changes").args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program runs");
    let waited = kafka_shared::task::spawn_blocking("wait", move || child.wait_with_output());
    waited.await.expect("it is waited for").expect("it ends")
}

async fn create(client: &ClusterClient, name: &str) {
    let create = CreateTopic {
        name: name.to_owned(),
        partitions: Some(1),
        replication_factor: Some(1),
        ..CreateTopic::default()
    };
    make(client, Action::CreateTopic(create)).await;
}

fn texts(changes: &Value) -> Vec<String> {
    let list = changes.as_array().expect("a list");
    let text = |change: &Value| change["text"].as_str().unwrap_or_default().to_owned();
    list.iter().map(text).collect()
}

/// Whether a recording has metadata in it already.
fn has_begun(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.contains("{\"metadata\":{\"Ok\"")
}

#[test]
fn what_is_followed_is_recorded_and_told_again() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("recording");
        let file = path.to_str().expect("a path in UTF-8").to_owned();
        let topic = unique("recorded");
        let args = ["--record", &file, "--for", "8s", "--refresh", "1"];
        let (followed, ()) = tokio::join!(changes(&bootstrap, &args), async {
            eventually("it is recorded", || async { has_begun(&path) }).await;
            create(&client, &topic).await;
        });
        let errors = String::from_utf8_lossy(&followed.stderr);
        assert_eq!(followed.status.code(), Some(0), "{errors}");
        let lines = String::from_utf8_lossy(&followed.stdout);
        let live: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("a document"))
            .collect();
        let live = texts(&Value::from(live));
        let told = |texts: &[String]| texts.iter().any(|text| text.contains(&topic));
        assert!(told(&live), "{live:?}");

        let replayed = changes(&[], &["--replay", &file]).await;
        assert_eq!(replayed.status.code(), Some(0));
        let document: Value = serde_json::from_slice(&replayed.stdout).expect("a document");
        assert_eq!(
            texts(&document["changes"]),
            live,
            "the same as while it was recorded"
        );
        let from = document["from_ms"].to_string();
        let args = ["--replay", &file, "--diff", "--from", &from];
        let diff: Value = serde_json::from_slice(&changes(&[], &args).await.stdout).expect("JSON");
        // At its first update nothing was known yet; then nothing is told as new.
        assert_eq!(diff["is_diff"], true);
        let later = document["changes"][0]["at"]["wall_ms"]
            .as_i64()
            .expect("a time")
            - 1;
        let args = ["--replay", &file, "--diff", "--from", &later.to_string()];
        let diff: Value = serde_json::from_slice(&changes(&[], &args).await.stdout).expect("JSON");
        assert!(told(&texts(&diff["changes"])), "{diff}");
        let args = ["--replay", &file, "--from", "yesterday"];
        assert_eq!(changes(&[], &args).await.status.code(), Some(4));
    });
}
