//! `users`, `quotas` and `acls` as commands.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::*;

async fn run(bootstrap: &[Endpoint], args: &[&str]) -> Output {
    let servers: Vec<String> = bootstrap.iter().map(ToString::to_string).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
    command.args(["--output", "json", "--bootstrap", &servers.join(",")]);
    command.args(args).env("SECRET_OF_TEST", "hunter2");
    command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("the program runs");
    let waited = kafka_shared::task::spawn_blocking("wait", move || child.wait_with_output());
    waited.await.expect("it is waited for").expect("it ends")
}

fn document(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    serde_json::from_slice(&output.stdout).expect("a document")
}

fn users(of: &Value, name: &str) -> Option<Value> {
    let users = of["users"].as_array()?;
    users.iter().find(|user| user["name"] == name).cloned()
}

#[test]
fn passwords_are_listed_set_and_deleted_by_commands() {
    with_cluster(|bootstrap| async move {
        let user = unique("alice");
        let set = [
            "users",
            "set-password",
            &user,
            "--password-from",
            "env:SECRET_OF_TEST",
        ];
        let dry = document(&run(&bootstrap, &[&set[..], &["--dry-run"]].concat()).await);
        assert_eq!(
            (&dry["dry_run"], &dry["report"]),
            (&json!(true), &Value::Null)
        );
        assert!(!dry.to_string().contains("hunter2"), "{dry}");
        assert_eq!(
            users(&document(&run(&bootstrap, &["users", "list"]).await), &user),
            None
        );
        let done = document(&run(&bootstrap, &set).await);
        assert_eq!(done["verification"]["state"], "done", "{done}");
        let credential = json!([{"mechanism": "SCRAM-SHA-512", "iterations": 8192}]);
        let listed = users(&document(&run(&bootstrap, &["users", "list"]).await), &user);
        assert_eq!(listed.unwrap()["credentials"], credential);

        let delete = ["users", "delete", &user];
        let refused = run(&bootstrap, &delete).await;
        assert_eq!(refused.status.code(), Some(4), "nobody confirms it");
        document(&run(&bootstrap, &[&delete[..], &["--yes"]].concat()).await);
        assert_eq!(
            users(&document(&run(&bootstrap, &["users", "list"]).await), &user),
            None
        );
        let again = run(&bootstrap, &[&delete[..], &["--yes"]].concat()).await;
        assert_eq!(again.status.code(), Some(3), "not found");

        for place in [
            "hunter2",
            "env:NO_SUCH_VARIABLE_HERE",
            "file:/nowhere/secret",
        ] {
            let set = ["users", "set-password", &user, "--password-from", place];
            let output = run(&bootstrap, &set).await;
            assert_eq!(output.status.code(), Some(4), "{place}");
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                text.contains("read the password") && !text.contains("hunter2"),
                "{text}"
            );
        }
    });
}

#[test]
fn quotas_are_set_explained_and_removed_by_commands() {
    with_cluster(|bootstrap| async move {
        let user = unique("bob");
        let alter = ["quotas", "alter", "--user", &user];
        let set = [&alter[..], &["--set", "producer_byte_rate=1500"]].concat();
        let done = document(&run(&bootstrap, &set).await);
        assert_eq!(done["verification"]["state"], "done", "{done}");
        let which = ["quotas", "which", "--user", &user, "--client-id", "app"];
        let which = document(&run(&bootstrap, &which).await);
        assert_eq!(which["quotas"][0]["limit"], "producer_byte_rate");
        assert_eq!(which["quotas"][0]["value"], 1500.0);
        assert_eq!(which["quotas"][0]["entity"], json!({"user": user}));
        let listed = document(&run(&bootstrap, &["quotas", "list"]).await);
        let entry = json!({"entity": {"user": user}, "limits": {"producer_byte_rate": 1500.0}});
        assert!(
            listed["quotas"].as_array().unwrap().contains(&entry),
            "{listed}"
        );
        let unset = [&alter[..], &["--unset", "producer_byte_rate"]].concat();
        document(&run(&bootstrap, &unset).await);
        let listed = document(&run(&bootstrap, &["quotas", "list"]).await);
        assert!(!listed.to_string().contains(&user), "{listed}");
        let wrong = [&alter[..], &["--set", "nonsense=1"]].concat();
        assert_eq!(run(&bootstrap, &wrong).await.status.code(), Some(4));
    });
}

#[test]
fn a_cluster_that_keeps_no_rules_says_so() {
    with_cluster(|bootstrap| async move {
        // A cluster with an authorizer has rules to show.
        if std::env::var("KAFKA_BOOTSTRAP").is_ok() {
            return;
        }
        for args in [
            &["acls", "list"][..],
            &["acls", "idle"],
            &[
                "acls",
                "create",
                "--allow",
                "User:a",
                "--operation",
                "read",
                "--topic",
                "t",
            ],
            &[
                "acls",
                "explain",
                "--principal",
                "User:a",
                "--operation",
                "read",
                "--topic",
                "t",
            ],
        ] {
            let output = run(&bootstrap, args).await;
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(4), "{text}");
            assert!(
                text.contains("SECURITY_DISABLED") && text.contains("hint: "),
                "{text}"
            );
        }
    });
}
