//! `quorum`, `features`, `brokers unregister` and `transactions` as commands.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::*;

async fn run(bootstrap: &[Endpoint], args: &[&str]) -> Output {
    let servers: Vec<String> = bootstrap.iter().map(ToString::to_string).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
    command.args(["--output", "json", "--bootstrap", &servers.join(",")]);
    command.args(args).stdin(Stdio::null());
    command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program runs");
    let waited = kafka_shared::task::spawn_blocking("wait", move || child.wait_with_output());
    waited.await.expect("it is waited for").expect("it ends")
}

fn document(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    serde_json::from_slice(&output.stdout).expect("a document")
}

#[test]
fn the_quorum_and_the_features_are_told_and_what_can_t_be_is_refused() {
    with_cluster(|bootstrap| async move {
        let quorum = document(&run(&bootstrap, &["quorum", "describe"]).await);
        assert_eq!(quorum["survival"]["n_live"], quorum["survival"]["n_voters"]);
        let features = document(&run(&bootstrap, &["features", "list"]).await);
        let all = features["features"].as_array().unwrap();
        let metadata = all
            .iter()
            .find(|f| f["name"] == "metadata.version")
            .unwrap();
        assert!(
            !metadata["nodes"].as_array().unwrap().is_empty(),
            "{metadata}"
        );
        assert!(metadata["finalized_name"].is_string(), "{metadata}");
        let same = format!("metadata.version={}", metadata["finalized"]);
        let done = document(&run(&bootstrap, &["features", "upgrade", &same]).await);
        assert_eq!(done["plan"]["changes"], Value::Array(Vec::new()));
        for (args, why) in [
            (
                &["features", "upgrade", "metadata.version=99"][..],
                "not every node can do",
            ),
            (
                &["features", "upgrade", "metadata.version=soon"],
                "no level",
            ),
            (
                &["features", "upgrade", "nonsense=1"],
                "there is no feature",
            ),
            (&["quorum", "add-voter", "77", "--listener", "C://h:1"], ""),
            (
                &["brokers", "unregister", "77", "--yes"],
                "BROKER_ID_NOT_REGISTERED",
            ),
        ] {
            let output = run(&bootstrap, args).await;
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let document = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                matches!(output.status.code(), Some(3 | 4)),
                "{args:?}: {text}{document}"
            );
            assert!(
                text.contains(why) || document.contains(why),
                "{args:?}: {text}{document}"
            );
        }
    });
}

#[test]
fn transactions_are_listed_or_it_is_said_that_the_cluster_has_none() {
    with_cluster(|bootstrap| async move {
        for command in ["list", "open", "find-hanging"] {
            let output = run(&bootstrap, &["transactions", command]).await;
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.code() {
                Some(0) => {
                    document(&output);
                }
                code => assert!(
                    code == Some(7) && text.contains("error: list the"),
                    "{text}"
                ),
            }
        }
        let output = run(
            &bootstrap,
            &["transactions", "open", "--topic", "no-such-topic"],
        )
        .await;
        assert_eq!(output.status.code(), Some(3));
    });
}
