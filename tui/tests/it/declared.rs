//! `apply` and `topics export`, as the real program: dry runs, exit codes, errors.

use serde_json::{Value, json};

use super::asking::{document, run};
use super::*;

#[test]
fn declared_topics_are_shown_made_so_and_checked_with_exit_codes() {
    with_cluster(|bootstrap| async move {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (a, b) = (unique("declared"), unique("declared"));
        let file = path("t.yaml");
        let write = |text: &str| std::fs::write(path("t.yaml"), text).expect("it is written");
        write(&format!(
            "topics:\n  {a}:\n    partitions: 2\n    configs: {{retention.ms: 60000}}\n  {b}:\n    \
             partitions: 1\n"
        ));
        let shown = document(&run(&bootstrap, &["apply", "-f", &file]).await, 0);
        assert_eq!(
            (&shown["new"], &shown["dry_run"], &shown["in_agreement"]),
            (&json!(2), &json!(true), &json!(false))
        );
        assert_eq!(shown["topics"][0]["at"], format!("{file}:2"));
        let check = ["apply", "-f", &file, "--check"];
        assert_eq!(run(&bootstrap, &check).await.status.code(), Some(8));
        let execute = ["apply", "-f", &file, "--execute"];
        let done = document(&run(&bootstrap, &execute).await, 0);
        assert_eq!(done["verification"]["state"], "done", "{done}");
        assert_eq!(done["report"]["items"].as_array().map(Vec::len), Some(2));
        assert_eq!(run(&bootstrap, &check).await.status.code(), Some(0));
        let again = document(&run(&bootstrap, &execute).await, 0);
        assert_eq!((&again["plan"], &again["same"]), (&Value::Null, &json!(2)));

        write(&format!("topics:\n  {a}:\n    partitions: 1\n"));
        let fewer = run(&bootstrap, &execute).await;
        let told = String::from_utf8_lossy(&fewer.stderr).into_owned();
        assert_eq!(fewer.status.code(), Some(4), "{told}");
        assert!(
            told.contains("t.yaml:2: topic") && told.contains("none can go"),
            "{told}"
        );
        assert_eq!(run(&bootstrap, &check).await.status.code(), Some(8));
        write(&format!("topics:\n  {a}:\n    partitons: 1\n"));
        let wrong = run(&bootstrap, &check).await;
        let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
        assert_eq!(wrong.status.code(), Some(4), "{told}");
        assert!(told.contains("did you mean partitions?"), "{told}");
        write(&format!(
            "topics:\n  {a}:\n    configs: {{retention.ms: soon}}\n"
        ));
        let wrong = run(&bootstrap, &["apply", "-f", &file]).await;
        let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
        assert_eq!(wrong.status.code(), Some(4), "{told}");
        assert!(told.contains("INVALID_CONFIG"), "{told}");
        let missing = run(&bootstrap, &["apply", "-f", &path("none.toml")]).await;
        assert_eq!(missing.status.code(), Some(3));

        let out = path("out");
        let export = [
            "topics", "export", &a, &b, "--out", &out, "--format", "json",
        ];
        let done = document(&run(&bootstrap, &export).await, 0);
        assert_eq!(done["files"].as_array().map(Vec::len), Some(2));
        let check = ["apply", "-f", &out, "--prune", "--check"];
        let same = document(&run(&bootstrap, &check).await, 0);
        assert_eq!(
            (&same["same"], &same["in_agreement"]),
            (&json!(2), &json!(true))
        );
        assert_eq!(run(&bootstrap, &export).await.status.code(), Some(1));
    });
}
