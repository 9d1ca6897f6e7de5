//! Rules, passwords and quotas: what the manager does, Kafka's tools see, and the other way round;
//! what it says that somebody may do is what the brokers let him do.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::command::{document, run, run_with};
use crate::manager;

const PASSWORD: &str = "correct horse";

fn rules(cluster: &Cluster) -> anyhow::Result<BTreeSet<String>> {
    let listed = document(cluster, &["acls", "list"])?;
    let text = |acl: &Value| {
        let of = |field: &str| acl[field].as_str().unwrap_or_default().to_uppercase();
        let name = acl["name"].as_str().unwrap_or_default();
        let who = acl["principal"].as_str().unwrap_or_default();
        format!(
            "{} {name} {} {who} {} {} {}",
            of("resource"),
            of("pattern"),
            acl["host"].as_str().unwrap_or_default(),
            of("operation"),
            of("permission")
        )
    };
    Ok(listed["acls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect())
}

/// What kafka-acls prints, in the same form.
fn rules_of_kafka(cluster: &Cluster) -> anyhow::Result<BTreeSet<String>> {
    let text = cluster.tool("kafka-acls", &["--list"], None)?;
    let mut rules = BTreeSet::new();
    let mut resource = String::new();
    let field = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}="))?;
        let end = rest.find([',', ')']).unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    };
    for line in text.lines() {
        if let Some((_, pattern)) = line.split_once("ResourcePattern(") {
            let of = |name: &str| field(pattern, name).unwrap_or_default();
            resource = format!(
                "{} {} {}",
                of("resourceType"),
                of("name"),
                of("patternType")
            );
        } else if line.contains("principal=") {
            let of = |name: &str| field(line, name).unwrap_or_default();
            rules.insert(format!(
                "{resource} {} {} {} {}",
                of("principal"),
                of("host"),
                of("operation"),
                of("permissionType")
            ));
        }
    }
    Ok(rules)
}

/// The options of a client that logs in as alice.
fn login(cluster: &Cluster, password: &str) -> anyhow::Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new()?;
    let text = format!(
        "bootstrap.servers={}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n\
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
         username=\"alice\" password=\"{password}\";\n",
        cluster.sasl()
    );
    std::fs::write(file.path(), text)?;
    Ok(file)
}

/// The topics that alice sees, or the exit code of the attempt.
fn seen(login: &tempfile::NamedTempFile) -> anyhow::Result<Result<BTreeSet<String>, i32>> {
    let path = login.path().display().to_string();
    let (code, listed) = run_with(&["--properties", &path, "topics", "list"], None)?;
    if code != 0 {
        return Ok(Err(code));
    }
    let names = listed["topics"].as_array().into_iter().flatten();
    let names = names.filter_map(|topic| topic["name"].as_str().map(str::to_owned));
    Ok(Ok(names.collect()))
}

pub fn passwords(cluster: &mut Cluster) -> anyhow::Result<()> {
    let set = ["users", "set-password", "alice", "--password-from", "stdin"];
    let bootstrap = cluster.bootstrap();
    let global = ["--bootstrap", &bootstrap];
    let (code, done) = run_with(&[&global[..], &set].concat(), Some(PASSWORD))?;
    ensure!(
        code == 0 && done["verification"]["state"] == "done",
        "{done}"
    );
    let users = ["--describe", "--entity-type", "users"];
    let text = cluster.tool("kafka-configs", &users, None)?;
    ensure!(
        text.contains("'alice' are SCRAM-SHA-512=iterations=8192"),
        "{text}"
    );
    ensure!(
        seen(&login(cluster, PASSWORD)?)?.is_ok(),
        "the password that was set is taken"
    );
    ensure!(
        seen(&login(cluster, "wrong")?)? == Err(4),
        "another one is not"
    );
    Ok(())
}

pub fn rules_and_answers(cluster: &mut Cluster) -> anyhow::Result<()> {
    for (who, operation, resource) in [
        (["--allow", "User:alice"], "read", ["--topic", "orders"]),
        (["--allow", "User:alice"], "describe", ["--topic", "pay"]),
        (
            ["--deny", "User:alice"],
            "describe",
            ["--topic", "payments-secret"],
        ),
        (["--allow", "User:*"], "describe_configs", ["--group", "*"]),
    ] {
        let pattern = if resource[1] == "pay" {
            "prefixed"
        } else {
            "literal"
        };
        let args = [
            "acls",
            "create",
            "--operation",
            operation,
            "--pattern",
            pattern,
        ];
        let done = document(cluster, &[&args[..], &who, &resource].concat())?;
        ensure!(done["verification"]["state"] == "done", "{done}");
    }
    let add = [
        "--add",
        "--allow-principal",
        "User:bob",
        "--operation",
        "All",
        "--cluster",
    ];
    cluster.tool("kafka-acls", &add, None)?;
    let create = [
        "--create",
        "--topic",
        "payments-secret",
        "--partitions",
        "1",
    ];
    cluster.tool("kafka-topics", &create, None)?;
    let ours = rules(cluster)?;
    ensure!(ours.len() == 5, "{ours:?}");
    ensure!(ours == rules_of_kafka(cluster)?, "{ours:?}");

    // What is explained is what the authorizer does.
    let mut may = BTreeSet::new();
    for topic in ["orders", "payments", "solo", "payments-secret"] {
        let args = [
            "acls",
            "explain",
            "--principal",
            "User:alice",
            "--host",
            "127.0.0.1",
        ];
        let args = [&args[..], &["--operation", "describe", "--topic", topic]].concat();
        let (code, answer) = run(cluster, &args)?;
        let is_yes = answer["allowed"] == "yes";
        ensure!(code == if is_yes { 0 } else { 8 }, "{code}: {answer}");
        if is_yes {
            may.insert(topic.to_owned());
        }
    }
    ensure!(
        may == BTreeSet::from(["orders".to_owned(), "payments".to_owned()]),
        "{may:?}"
    );
    let seen = seen(&login(cluster, PASSWORD)?)?;
    ensure!(seen == Ok(may), "{seen:?}");

    let idle = document(cluster, &["acls", "idle"])?;
    ensure!(idle["of"] == 5 && idle["idle"] == json!([]), "{idle}");
    let extra = [
        "acls",
        "create",
        "--allow",
        "User:alice",
        "--operation",
        "describe",
    ];
    document(cluster, &[&extra[..], &["--topic", "orders"]].concat())?;
    let idle = document(cluster, &["acls", "idle"])?;
    ensure!(idle["idle"][0]["idle"] == "redundant", "{idle}");

    let mut terminal = manager(cluster, "acls")?;
    terminal.wait_for("1 does nothing")?;
    terminal.keys("x ctrl-u User:alice tab ctrl-u read tab tab ctrl-u orders enter")?;
    terminal.wait_for("yes, by the rule: allow User:alice read on topic \"orders\"")?;
    terminal.keys("esc esc o g D")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ delete the rule")?;
    ensure!(rules(cluster)? == ours, "the superfluous one is gone");
    terminal.keys("U")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ undo: delete the rule")?;
    ensure!(rules(cluster)?.len() == 6, "it is back");

    let delete = ["acls", "delete", "--principal", "User:alice"];
    let done = document(cluster, &delete)?;
    ensure!(
        done["plan"]["changes"].as_array().map(Vec::len) == Some(4),
        "{done}"
    );
    ensure!(
        rules(cluster)? == rules_of_kafka(cluster)?,
        "the same are left"
    );
    for args in [
        &["acls", "delete", "--principal", "User:bob"][..],
        &["acls", "delete", "--group", "*"],
    ] {
        document(cluster, args)?;
    }
    ensure!(rules_of_kafka(cluster)?.is_empty(), "none is left");
    let delete = ["--delete", "--topic", "payments-secret"];
    cluster.tool("kafka-topics", &delete, None).map(drop)
}

pub fn quotas(cluster: &mut Cluster) -> anyhow::Result<()> {
    let alter = ["quotas", "alter", "--user", "alice", "--default-client-id"];
    document(
        cluster,
        &[&alter[..], &["--set", "producer_byte_rate=2000"]].concat(),
    )?;
    let args = [
        "--alter",
        "--entity-type",
        "ips",
        "--entity-name",
        "127.0.0.9",
    ];
    let args = [&args[..], &["--add-config", "connection_creation_rate=7"]].concat();
    cluster.tool("kafka-configs", &args, None)?;
    let args = [
        "--describe",
        "--entity-type",
        "users",
        "--entity-name",
        "alice",
    ];
    let args = [&args[..], &["--entity-type", "clients", "--entity-default"]].concat();
    let text = cluster.tool("kafka-configs", &args, None)?;
    ensure!(text.contains("producer_byte_rate=2000"), "{text}");
    let which = [
        "quotas",
        "which",
        "--user",
        "alice",
        "--client-id",
        "x",
        "--ip",
        "127.0.0.9",
    ];
    let which = document(cluster, &which)?;
    let value = |limit: &str| -> anyhow::Result<Value> {
        let all = which["quotas"].as_array().context("quotas")?;
        let found = all.iter().find(|quota| quota["limit"] == limit);
        Ok(found.context("the limit")?["value"].clone())
    };
    ensure!(value("producer_byte_rate")? == 2000.0, "{which}");
    ensure!(value("consumer_byte_rate")? == Value::Null, "{which}");
    ensure!(value("connection_creation_rate")? == 7.0, "{which}");
    let mut terminal = manager(cluster, "quotas")?;
    terminal.wait_for("every other client-id")?;
    terminal.wait_for("ip \"127.0.0.9\"")?;
    document(
        cluster,
        &[&alter[..], &["--unset", "producer_byte_rate"]].concat(),
    )?;
    let ip = [
        "quotas",
        "alter",
        "--ip",
        "127.0.0.9",
        "--unset",
        "connection_creation_rate",
    ];
    document(cluster, &ip)?;
    terminal.wait_for("there are no quotas")
}
