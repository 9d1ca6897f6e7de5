//! Questions to a cluster whose answer is the exit code: `wait` and `brokers may-stop`.

use std::process::{Command, Output, Stdio};

use kafka_tui::ops::CreateTopic;
use serde_json::Value;

use super::*;

/// The exit code of a no.
const NO: i32 = 8;

fn program(bootstrap: &[Endpoint], args: &[&str]) -> Command {
    let servers: Vec<String> = bootstrap.iter().map(ToString::to_string).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
    command.args(["--output", "json", "--bootstrap", &servers.join(",")]);
    command
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end beside the broker, which shares this process.
pub async fn run(bootstrap: &[Endpoint], args: &[&str]) -> Output {
    let child = program(bootstrap, args).spawn().expect("the program runs");
    let waited = kafka_shared::task::spawn_blocking("wait", move || child.wait_with_output());
    waited.await.expect("it is waited for").expect("it ends")
}

pub fn document(output: &Output, code: i32) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    serde_json::from_slice(&output.stdout).expect("a document")
}

#[test]
fn wait_uses_all_of_its_time_however_seldom_it_looks() {
    with_cluster(|bootstrap| async move {
        let args = [
            "wait",
            "topics < 0",
            "--every",
            "50s",
            "--timeout",
            "1200ms",
        ];
        let answer = document(&run(&bootstrap, &args).await, NO);
        assert!(answer["waited_ms"].as_u64() >= Some(1_200), "{answer}");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_result_that_is_lost_is_no_success_and_a_reader_that_went_away_no_failure() {
    let list = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
        command.args([
            "clusters",
            "list",
            "--config-file",
            "/nonexistent/config.toml",
        ]);
        command
    };
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let output = list().stdout(full).output().expect("the program runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("print the result: No space left"),
        "{errors}"
    );
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    let output = list().stdout(writer).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn wait_ends_when_its_condition_holds_or_with_a_no_when_the_time_is_over() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let topic = unique("awaited");
        let condition = format!("exists('{topic}') == 1 and urp == 0 and offline == 0");
        let args = ["wait", &condition, "--every", "20ms", "--timeout", "50s"];
        let waiting = program(&bootstrap, &args)
            .spawn()
            .expect("the program runs");
        let create = CreateTopic {
            name: topic.clone(),
            partitions: Some(2),
            replication_factor: Some(1),
            ..CreateTopic::default()
        };
        make(&client, Action::CreateTopic(create)).await;
        let ended = kafka_shared::task::spawn_blocking("wait", || waiting.wait_with_output());
        let output = ended.await.expect("it is waited for").expect("it ends");
        let answer = document(&output, 0);
        assert_eq!(answer["holds"], true);
        assert_eq!(answer["values"][format!("exists({topic})")], 1.0);

        let condition = format!("partitions('{topic}') > 2");
        let args = ["wait", &condition, "--every", "10ms", "--timeout", "300ms"];
        let answer = document(&run(&bootstrap, &args).await, NO);
        assert_eq!(answer["holds"], false);
        assert_eq!(answer["values"][format!("partitions({topic})")], 2.0);

        let refused = run(&bootstrap, &["wait", "urp = nothing"]).await;
        assert_eq!(refused.status.code(), Some(4));
        let errors = String::from_utf8_lossy(&refused.stderr);
        assert!(errors.contains("\"nothing\" is not known"), "{errors}");
    });
}

#[test]
fn the_only_replica_of_a_partition_must_not_stop() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let topic = unique("single");
        let create = CreateTopic {
            name: topic.clone(),
            assignment: Some(vec![vec![1]]),
            ..CreateTopic::default()
        };
        make(&client, Action::CreateTopic(create)).await;
        let answer = document(&run(&bootstrap, &["brokers", "may-stop", "1"]).await, NO);
        assert_eq!(answer["may_stop"], "no");
        let offline = answer["offline"]["partitions"].as_array().expect("a list");
        assert!(
            offline.contains(&Value::from(format!("{topic}-0"))),
            "{answer}"
        );
        let answer = document(&run(&bootstrap, &["brokers", "may-stop", "77"]).await, NO);
        assert_eq!(answer["may_stop"], "unknown");
    });
}
