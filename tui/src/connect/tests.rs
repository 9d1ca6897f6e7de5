use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

#[test]
fn documents_are_read_and_secrets_are_hidden() {
    let all = wire::connectors(&json!({
        "to-s3": {
            "status": {
                "name": "to-s3",
                "connector": {"state": "RUNNING", "worker_id": "w1:8083"},
                "tasks": [
                    {"id": 1, "state": "FAILED", "worker_id": "w2:8083", "trace": "boom"},
                    {"id": 0, "state": "RUNNING", "worker_id": "w1:8083"},
                    {"state": "no id"},
                ],
                "type": "sink",
            },
            "info": {"config": {
                "connector.class": "X", "tasks.max": 2,
                "aws.secret.access.key": "abc",
                "db.password": "${file:/etc/pw:db}",
            }},
        },
        "odd": {"status": 5},
    }));
    let all = all.unwrap();
    assert_eq!(all.len(), 2);
    let (odd, good) = (&all[0], &all[1]);
    assert_eq!((&*odd.state, odd.tasks.len()), ("UNKNOWN", 0));
    assert_eq!(
        (&*good.kind, good.n_running(), good.has_failed()),
        ("sink", 1, true)
    );
    let ids: Vec<i32> = good.tasks.iter().map(|task| task.id).collect();
    assert_eq!(ids, [0, 1]);
    assert_eq!(good.tasks[1].trace.as_deref(), Some("boom"));
    assert_eq!(good.config["tasks.max"], "2");
    assert_eq!(good.config["aws.secret.access.key"], "[hidden]");
    assert_eq!(good.config["db.password"], "${file:/etc/pw:db}");
    assert_eq!(wire::connectors(&json!(["a"])), None, "without expand");
}

#[test]
fn names_are_escaped_and_differences_told_without_secrets() {
    assert_eq!(wire::escaped("a b/ü%"), "a%20b%2F%C3%BC%25");
    let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        owned.collect()
    };
    let before = of(&[("a", "1"), ("b", "2"), ("password", "x")]);
    let after = of(&[("a", "1"), ("c", "3"), ("password", "y")]);
    let diff = wire::diff(&before, &after);
    let told: Vec<String> = diff
        .iter()
        .map(|d| format!("{} {:?} {:?}", d.key, d.before, d.after))
        .collect();
    assert_eq!(
        told,
        [
            r#"b Some("2") None"#,
            r#"c None Some("3")"#,
            r#"password Some("[hidden]") Some("[hidden]")"#,
        ]
    );
}

/// A double of a worker: answers by method and path, in order, and keeps what it was asked.
struct Worker {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Worker {
    async fn start(answers: Vec<(&'static str, u16, Value)>) -> Worker {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&asked);
        let mut answers = std::collections::VecDeque::from(answers);
        drop(kafka_shared::task::spawn("worker", async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let text = loop {
                    let n = socket.read_buf(&mut bytes).await.unwrap();
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let head = text.find("\r\n\r\n");
                    let length = text
                        .lines()
                        .find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok())
                        .unwrap_or(0);
                    if n == 0 || head.is_some_and(|head| bytes.len() >= head + 4 + length) {
                        break text;
                    }
                };
                let line = text.lines().next().unwrap_or_default();
                let line = line.trim_end_matches(" HTTP/1.1").to_owned();
                kept.lock().push(line.clone());
                let at = answers.iter().position(|(wanted, ..)| *wanted == line);
                let (status, body) = match at.and_then(|at| answers.remove(at)) {
                    Some((_, status, body)) => (status, body),
                    None => (404, json!({"error_code": 404, "message": "no such thing"})),
                };
                let body = if body.is_null() {
                    String::new()
                } else {
                    body.to_string()
                };
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                socket.write_all(head.as_bytes()).await.unwrap();
                socket.write_all(body.as_bytes()).await.unwrap();
            }
        }));
        Worker { url, asked }
    }

    fn workers(&self, read_only: bool) -> Workers {
        // The first one is not there.
        let urls = ["http://127.0.0.1:1".to_owned(), self.url.clone()];
        Workers::new(&urls, None, PathBuf::new(), read_only).unwrap()
    }
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

#[test]
fn the_first_worker_that_can_be_reached_is_asked() {
    block_on(async {
        let worker = Worker::start(vec![
            (
                "GET /",
                200,
                json!({"version": "4.3.1", "kafka_cluster_id": "abc"}),
            ),
            (
                "POST /connectors/a%20b/restart?includeTasks=true&onlyFailed=true",
                202,
                Value::Null,
            ),
            ("PUT /connectors/c/pause", 202, Value::Null),
        ])
        .await;
        let workers = worker.workers(false);
        let info = workers.info().await.unwrap();
        assert_eq!(
            (&*info.version, info.kafka_cluster_id.as_deref()),
            ("4.3.1", Some("abc"))
        );
        let restart = Change::Restart { failed_only: true };
        workers.change("a b", &restart).await.unwrap();
        workers.change("c", &Change::Pause).await.unwrap();
        let missing = workers.change("gone", &Change::Delete).await.unwrap_err();
        assert_eq!(missing.kind, FaultKind::NotFound);
        assert!(missing.why.contains("no such thing"), "{missing}");
        assert_eq!(worker.asked.lock().len(), 4);
    });
}

#[test]
fn what_a_rebalance_keeps_from_being_done_is_done_after_it() {
    block_on(async {
        let busy = json!({"error_code": 409, "message": "rebalance"});
        let path = "PUT /connectors/c/resume";
        let worker = Worker::start(vec![(path, 409, busy), (path, 202, Value::Null)]).await;
        worker
            .workers(false)
            .change("c", &Change::Resume)
            .await
            .unwrap();
        assert_eq!(*worker.asked.lock(), [path, path]);
    });
}

#[test]
fn a_read_only_cluster_is_not_asked_at_all() {
    block_on(async {
        let worker = Worker::start(Vec::new()).await;
        let refused = worker
            .workers(true)
            .change("c", &Change::Stop)
            .await
            .unwrap_err();
        assert_eq!(refused.kind, FaultKind::Refused);
        assert!(worker.asked.lock().is_empty());
    });
}

#[test]
fn a_configuration_is_edited_and_checked_before_it_is_sent() {
    block_on(async {
        let validate = "PUT /connector-plugins/FileSink/config/validate";
        let found = json!({"error_count": 1, "configs": [
            {"value": {"name": "file", "errors": ["it is missing"]}},
            {"value": {"name": "topics", "errors": []}},
        ]});
        let worker = Worker::start(vec![
            (
                "GET /connectors/c/config",
                200,
                json!({"connector.class": "x.FileSink", "a": "1"}),
            ),
            (validate, 200, found),
        ])
        .await;
        let workers = worker.workers(false);
        let set = [("b".to_owned(), "2".to_owned())];
        let (diff, config) = workers.edited("c", &set, &["a".to_owned()]).await.unwrap();
        assert_eq!(diff.len(), 2);
        assert_eq!(config.len(), 2);
        let problems = workers.validate(&config).await.unwrap();
        assert_eq!(problems, ["file: it is missing"]);
        let (new, _) = workers.edited("new", &set, &[]).await.unwrap();
        assert_eq!(new.len(), 1, "there is none of that name yet");
    });
}

#[test]
fn what_is_no_worker_is_told_as_that() {
    block_on(async {
        let worker = Worker::start(vec![("GET /", 200, json!({"hello": 1}))]).await;
        let fault = worker.workers(false).info().await.unwrap_err();
        assert!(fault.why.contains("not that of a worker"), "{fault}");
        let none = Workers::new(&[], None, PathBuf::new(), false).unwrap_err();
        assert!(none.hint.unwrap().contains("--url"));
        let bad = Workers::new(&["host:8083".to_owned()], None, PathBuf::new(), false);
        assert!(bad.unwrap_err().why.contains("http://"));
    });
}
