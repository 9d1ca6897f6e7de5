//! `messages …`: decoded, filtered, exported, imported, copied, produced; the real program.

use kafka_tui::ops::CreateTopic;
use serde_json::{Value, json};

use super::asking::{document, run};
use super::front::Front;
use super::transaction::registry;
use super::*;

async fn topic(client: &ClusterClient, partitions: i32) -> String {
    let name = unique("browse");
    let create = CreateTopic {
        name: name.clone(),
        partitions: Some(partitions),
        replication_factor: Some(1),
        ..CreateTopic::default()
    };
    make(client, Action::CreateTopic(create)).await;
    name
}

/// The fields of each message that a test looks at.
fn fields(document: &Value, names: &[&str]) -> Vec<Vec<Value>> {
    let messages = document["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|message| names.iter().map(|name| message[name].clone()).collect())
        .collect()
}

#[test]
fn an_export_comes_back_whole_and_a_copy_is_the_same() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let (from, to, copied) = (
            topic(&client, 3).await,
            topic(&client, 3).await,
            topic(&client, 1).await,
        );
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let given = [
            json!({"partition": 0, "timestamp_ms": 1_700_000_000_000_i64, "key": "k", "value": "v \u{1f}\"ü",
                   "headers": [{"key": "h", "value": "1"}, {"key": "h", "value": null},
                               {"key": "b", "value_base64": "/w=="}]}),
            json!({"partition": 1, "timestamp_ms": 1_700_000_000_001_i64, "key_base64": "/wA=", "value": null, "headers": []}),
            json!({"partition": 2, "timestamp_ms": 1_700_000_000_002_i64, "key": null, "value_base64": "gIGC", "headers": []}),
            json!({"partition": 0, "timestamp_ms": 1_700_000_000_003_i64, "key": "", "value": "", "headers": []}),
        ];
        let lines: String = given.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(path("in"), &lines).expect("it is written");
        let done = document(
            &run(
                &bootstrap,
                &[
                    "messages",
                    "import",
                    &from,
                    "--file",
                    &path("in"),
                    "--dry-run",
                ],
            )
            .await,
            0,
        );
        assert_eq!(
            (&done["messages"], &done["dry_run"]),
            (&json!(4), &json!(true))
        );
        let done = document(
            &run(
                &bootstrap,
                &["messages", "import", &from, "--file", &path("in")],
            )
            .await,
            0,
        );
        assert_eq!(
            (&done["done"], &done["messages"]),
            (&json!("imported"), &json!(4))
        );
        run(&bootstrap, &["messages", "copy", &from, &to]).await;
        for topic in [&from, &to] {
            let file = path(topic);
            let done = run(&bootstrap, &["messages", "export", topic, "--file", &file]).await;
            assert!(done.status.success());
            let exported = std::fs::read_to_string(&file).expect("it is there");
            let exported: Vec<Value> = exported
                .lines()
                .map(|line| {
                    let mut line: Value = serde_json::from_str(line).expect("a line of JSON");
                    let fields = line.as_object_mut().expect("an object");
                    assert!(fields.remove("offset").is_some() && fields.remove("topic").is_some());
                    for name in ["key", "value"] {
                        if fields.contains_key(&format!("{name}_base64")) {
                            fields.remove(name);
                        }
                    }
                    for header in fields["headers"].as_array_mut().expect("headers") {
                        let header = header.as_object_mut().expect("an object");
                        if header.contains_key("value_base64") {
                            header.remove("value");
                        }
                    }
                    line
                })
                .collect();
            assert_eq!(exported, given, "{topic}");
            // What is there already is not overwritten.
            let again = run(&bootstrap, &["messages", "export", topic, "--file", &file]).await;
            assert_eq!(again.status.code(), Some(6));
        }
        // A partition that the other topic does not have is refused, and nothing is lost by key.
        let refused = run(&bootstrap, &["messages", "copy", &from, &copied]).await;
        assert_eq!(refused.status.code(), Some(3));
        let args = ["messages", "copy", &from, &copied, "--partition-by", "key"];
        let done = document(&run(&bootstrap, &args).await, 0);
        assert_eq!(
            (&done["messages"], &done["read"]["stop"]),
            (&json!(4), &json!("end"))
        );
        let itself = run(&bootstrap, &["messages", "copy", &from, &from]).await;
        assert_eq!(itself.status.code(), Some(4));
    });
}

#[test]
fn messages_are_chosen_by_filter_place_and_partition_and_the_read_says_how_much_it_took() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let topic = topic(&client, 2).await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("values").display().to_string();
        let lines: String = (0..3_000)
            .map(|n| format!("{}\t{{\"n\":{n},\"even\":{}}}\n", n % 7, n % 2 == 0))
            .collect();
        std::fs::write(&file, lines).expect("it is written");
        let args = [
            "messages",
            "produce",
            &topic,
            "--file",
            &file,
            "--key-separator",
            "\t",
            "--header",
            "src=test",
        ];
        let done = document(&run(&bootstrap, &args).await, 0);
        assert_eq!(done["messages"], 3_000);
        let read = async |args: &[&str]| {
            let all = [&["messages", "read", &topic], args].concat();
            document(&run(&bootstrap, &all).await, 0)
        };
        let numbers = |document: &Value| -> Vec<i64> {
            let messages = document["messages"].as_array().expect("messages");
            let mut n: Vec<i64> = messages
                .iter()
                .filter_map(|m| m["value"]["n"].as_i64())
                .collect();
            n.sort_unstable();
            n
        };
        // The newest ones that fit are far back: they are found.
        let found = read(&["--filter", "value.n < 10 and value.even == true", "-n", "3"]).await;
        assert_eq!(numbers(&found), [4, 6, 8]);
        assert_eq!(found["read"]["stop"], "message_limit");
        let scanned = found["read"]["scanned"].as_i64().expect("a number");
        assert!(scanned >= 2_980, "{scanned}");
        let none = read(&["--filter", "header.src == other"]).await;
        assert_eq!(
            (numbers(&none), &none["read"]["stop"]),
            (vec![], &json!("end"))
        );
        let first = read(&["--from", "beginning", "-n", "10", "--partition", "0"]).await;
        assert_eq!(numbers(&first).len(), 10);
        let next = &first["read"]["next"][0];
        let start = format!("{}:{}", next["partition"], next["offset"]);
        let second = read(&[
            "--from",
            "beginning",
            "--start",
            &start,
            "-n",
            "1",
            "--partition",
            "0",
        ])
        .await;
        assert_eq!(second["messages"][0]["offset"], 10);
        assert_eq!(second["messages"][0]["key_decoder"], "text");
        assert_eq!(second["messages"][0]["value_decoder"], "json");
        let bounded = read(&["--from", "beginning", "--max-bytes", "1", "-n", "5000"]).await;
        assert_eq!(bounded["read"]["stop"], "byte_limit");
        let refused = run(
            &bootstrap,
            &["messages", "read", &topic, "--filter", "colour == red"],
        )
        .await;
        assert_eq!(refused.status.code(), Some(4));
        let output = run(
            &bootstrap,
            &[
                "messages",
                "tail",
                &topic,
                "--last",
                "2",
                "-n",
                "2",
                "--value-decoder",
                "hex",
            ],
        )
        .await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines.iter().all(|line| line["value_decoder"] == "hex"),
            "{text}"
        );
    });
}

#[test]
fn schemas_come_from_the_registry_that_is_named() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let topic = topic(&client, 1).await;
        let avro = json!({"schema": "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"x.A\"}]}",
            "references": [{"name": "x.A", "subject": "a/b", "version": 2}]});
        let inner = json!({"subject": "a/b", "version": 2, "id": 1,
            "schema": "{\"type\":\"record\",\"name\":\"A\",\"namespace\":\"x\",\"fields\":[{\"name\":\"n\",\"type\":\"int\"}]}"});
        let proto = json!({"schemaType": "PROTOBUF", "schema": "syntax = \"proto3\"; message P { string s = 1; }"});
        let titled = json!({"schemaType": "JSON", "schema": "{\"title\":\"Order\"}"});
        let url = registry(&[
            ("/base/schemas/ids/5", avro.to_string()),
            ("/base/subjects/a%2Fb/versions/2", inner.to_string()),
            ("/base/schemas/ids/6", proto.to_string()),
            ("/base/schemas/ids/8", titled.to_string()),
        ])
        .expect("a registry");
        let url = format!("{url}/base/");
        // Avro {a: {n: 21}}, Protobuf {s: "hi"}, an id that the registry does not have.
        let lines = [
            json!({"value_base64": "AAAAAAUq"}),
            json!({"value_base64": "AAAAAAYACgJoaQ=="}),
            json!({"value_base64": "AAAAAAf/"}),
            // JSON Schema {"o":1}.
            json!({"value_base64": "AAAAAAh7Im8iOjF9"}),
        ];
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("lines").display().to_string();
        std::fs::write(&file, lines).expect("it is written");
        run(&bootstrap, &["messages", "import", &topic, "--file", &file]).await;
        let args = ["messages", "read", &topic, "--registry", &url];
        let read = document(&run(&bootstrap, &args).await, 0);
        let rows = fields(&read, &["value", "value_decoder", "value_error"]);
        assert_eq!(
            rows[0],
            [
                json!({"a": {"n": 21}}),
                json!("avro R, schema 5"),
                Value::Null
            ]
        );
        assert_eq!(
            rows[1],
            [
                json!({"s": "hi"}),
                json!("protobuf P, schema 6"),
                Value::Null
            ]
        );
        let why = "schema 7: the registry does not have it: Schema not found";
        assert_eq!(rows[2], [json!("0x0000000007ff"), json!("hex"), json!(why)]);
        assert_eq!(rows[3][0], json!({"o": 1}));
        let decoder = rows[3][1].as_str().expect("a decoder");
        assert!(decoder.contains("Order, schema 8"), "{decoder}");
        let filtered = [&args[..], &["--filter", "value.a.n == 21"]].concat();
        let filtered = document(&run(&bootstrap, &filtered).await, 0);
        assert_eq!(filtered["messages"].as_array().expect("messages").len(), 1);
        // Behind TLS with an authority of its own: only who trusts that reads schemas.
        let front = Front::before(url.trim_end_matches("/base/")).expect("TLS");
        let secured = format!("{}/base/", front.url);
        let ca = front.ca().display().to_string();
        let asked = ["messages", "read", &topic, "--registry", &secured];
        let read = document(
            &run(&bootstrap, &[&asked[..], &["--registry-ca", &ca]].concat()).await,
            0,
        );
        assert_eq!(
            fields(&read, &["value"])[0],
            [json!({"a": {"n": 21}})],
            "{read}"
        );
        let strange = document(&run(&bootstrap, &asked).await, 0);
        let told = fields(&strange, &["value_error"]);
        let told = told[0][0].as_str().expect("a reason");
        assert!(told.contains("TLS"), "{told}");
        // A registry that is not there, and one that is not named.
        let gone = [
            "messages",
            "read",
            &topic,
            "--registry",
            "http://127.0.0.1:1",
        ];
        let rows = fields(
            &document(&run(&bootstrap, &gone).await, 0),
            &["value_error"],
        );
        let told = rows[0][0].as_str().expect("a reason");
        assert!(told.contains("the registry can't be asked"), "{told}");
        let rows = fields(
            &document(&run(&bootstrap, &args[..3]).await, 0),
            &["value_error"],
        );
        let told = rows[0][0].as_str().expect("a reason");
        assert!(told.contains("name a registry with --registry"), "{told}");
        let bad = run(
            &bootstrap,
            &["messages", "read", &topic, "--registry", "nonsense"],
        )
        .await;
        assert_eq!(bad.status.code(), Some(4));
    });
}
