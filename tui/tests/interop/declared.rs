//! Declared topics: what is applied Kafka's tools see, what Kafka's tools change is told as drift,
//! and an export declares the cluster as it is.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::command::{document, run};
use crate::manager;

/// Topics that this case is about, as kafka-topics describes them.
fn described(cluster: &Cluster, topic: &str) -> anyhow::Result<(String, Vec<usize>)> {
    let text = cluster.tool("kafka-topics", &["--describe", "--topic", topic], None)?;
    let head = text.lines().find(|line| line.contains("PartitionCount"));
    let head = head.context("a line about the topic")?.to_owned();
    let replicas = text
        .lines()
        .filter_map(|line| line.split_once("\tReplicas: "));
    let n = replicas.map(|(_, rest)| {
        let list = rest.split_whitespace().next().unwrap_or_default();
        list.split(',').count()
    });
    Ok((head, n.collect()))
}

fn states(shown: &Value) -> Vec<(&str, &str)> {
    let topics = shown["topics"].as_array().into_iter().flatten();
    let text = |value: &'_ Value| -> &'static str {
        match value.as_str() {
            Some("new") => "new",
            Some("changed") => "changed",
            Some("same") => "same",
            Some("deleted") => "deleted",
            _ => "?",
        }
    };
    topics
        .map(|topic| {
            (
                topic["topic"].as_str().unwrap_or_default(),
                text(&topic["state"]),
            )
        })
        .collect()
}

pub fn apply(cluster: &mut Cluster) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let toml = "[topics.declared-a]\npartitions = 2\nreplication_factor = 2\n\
                configs = { \"retention.ms\" = 60000, \"cleanup.policy\" = [\"compact\", \"delete\"] }\n";
    let yaml = "topics:\n- name: declared-b\n  replicas: [[1, 2], [2, 3], [3, 1]]\n";
    let json = "{\"topics\": {\"declared-c\": {\"partitions\": 1, \"replication_factor\": 1, \
                \"brokers\": [2, 3]}}}";
    for (name, text) in [("a.toml", toml), ("b.yaml", yaml), ("c.json", json)] {
        std::fs::write(path(name), text)?;
    }
    let all = folder.path().display().to_string();
    let check = ["apply", "-f", &all, "--check"];
    let execute = ["apply", "-f", &all, "--execute"];

    // New, and as Kafka's tools see it.
    ensure!(run(cluster, &check)?.0 == 8, "new topics are drift");
    let done = document(cluster, &execute)?;
    ensure!(done["verification"]["state"] == "done", "{done}");
    let (a, n) = described(cluster, "declared-a")?;
    ensure!(
        a.contains("retention.ms=60000") && a.contains("cleanup.policy=compact,delete"),
        "{a}"
    );
    ensure!(n == [2, 2], "{n:?}");
    let b = cluster.tool(
        "kafka-topics",
        &["--describe", "--topic", "declared-b"],
        None,
    )?;
    for replicas in ["Replicas: 1,2", "Replicas: 2,3", "Replicas: 3,1"] {
        ensure!(b.contains(replicas), "{b}");
    }
    let same = document(cluster, &check)?;
    ensure!(same["in_agreement"] == json!(true), "{same}");
    ensure!(
        document(cluster, &execute)?["plan"].is_null(),
        "twice is nothing to do"
    );

    // Drift by Kafka's own tool, told with where the value comes from, and taken back.
    let drift = [
        "--alter",
        "--entity-type",
        "topics",
        "--entity-name",
        "declared-a",
    ];
    let drift = [
        &drift[..],
        &["--add-config", "retention.ms=5,segment.bytes=1048576"],
    ]
    .concat();
    cluster.tool("kafka-configs", &drift, None)?;
    let (code, shown) = run(cluster, &check)?;
    ensure!(code == 8, "{shown}");
    let expected = [
        ("declared-a", "changed"),
        ("declared-b", "same"),
        ("declared-c", "same"),
    ];
    ensure!(states(&shown) == expected, "{shown}");
    let difference = &shown["topics"][0]["differences"];
    let expected = json!([{
        "what": "retention.ms", "now": "5", "declared": "60000", "source": "topic"
    }]);
    ensure!(*difference == expected, "{difference}");
    document(cluster, &execute)?;
    let (a, _) = described(cluster, "declared-a")?;
    ensure!(
        a.contains("retention.ms=60000") && a.contains("segment.bytes=1048576"),
        "{a}"
    );
    document(cluster, &[&execute[..], &["--prune"]].concat())?;
    let (a, _) = described(cluster, "declared-a")?;
    ensure!(!a.contains("segment.bytes"), "{a}");

    // More partitions with more replicas at once: the new ones are made and moved on.
    let more = toml.replace("partitions = 2", "partitions = 4");
    std::fs::write(
        path("a.toml"),
        more.replace("replication_factor = 2", "replication_factor = 3"),
    )?;
    document(cluster, &execute)?;
    let arrived = crate::shell::wait_until(std::time::Duration::from_secs(60), || {
        run(cluster, &check).is_ok_and(|(code, _)| code == 0)
    });
    ensure!(arrived, "{}", run(cluster, &check)?.1);
    let n = described(cluster, "declared-a")?.1;
    ensure!(n == [3, 3, 3, 3], "{n:?}");
    document(cluster, &["undo", "--execute"])?;
    let went_back = crate::shell::wait_until(std::time::Duration::from_secs(60), || {
        described(cluster, "declared-a").is_ok_and(|(_, n)| n == [2, 2, 2, 2])
    });
    ensure!(
        went_back,
        "{}\n{}",
        cluster.tool(
            "kafka-topics",
            &["--describe", "--topic", "declared-a"],
            None
        )?,
        cluster.tool("kafka-reassign-partitions", &["--list"], None)?
    );

    // Refused as a whole, with places.
    std::fs::write(
        path("a.toml"),
        toml.replace("partitions = 2", "partitions = 1"),
    )?;
    let (code, told) = run(cluster, &execute)?;
    ensure!(code == 4, "{told}");
    let told = told.as_str().unwrap_or_default();
    ensure!(
        told.contains("a.toml:1: topic \"declared-a\"") && told.contains("none can go"),
        "{told}"
    );
    std::fs::write(
        path("a.toml"),
        toml.replace("partitions = 2", "partitions = 4"),
    )?;

    // An export declares what is there.
    let out = path("export.yaml");
    let export = [
        "topics",
        "export",
        "declared-a",
        "declared-b",
        "declared-c",
        "--out",
        &out,
    ];
    document(cluster, &export)?;
    let round = ["apply", "-f", &out, "--prune", "--check"];
    let same = document(cluster, &round)?;
    ensure!(
        same["same"] == 3 && same["in_agreement"] == json!(true),
        "{same}"
    );
    std::fs::remove_file(&out)?;
    by_keys(cluster, &all)
}

/// The same through the screen: compared, looked at, made so, and one topic that goes.
fn by_keys(cluster: &Cluster, files: &str) -> anyhow::Result<()> {
    let drift = [
        "--alter",
        "--entity-type",
        "topics",
        "--entity-name",
        "declared-a",
    ];
    let drift = [&drift[..], &["--add-config", "retention.ms=7"]].concat();
    cluster.tool("kafka-configs", &drift, None)?;
    let mut terminal = manager(cluster, "topics")?;
    terminal.keys(":apply space")?;
    terminal.send(files)?;
    terminal.keys("enter")?;
    terminal.wait_for("1 changed")?;
    terminal.keys("/ declared-a enter enter")?;
    terminal.wait_for("- 7  (from: topic)")?;
    terminal.wait_for("+ 60000")?;
    terminal.keys("esc esc x")?;
    terminal.wait_for("7 → 60000")?;
    terminal.wait_for("accepts this")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ apply declared topics")?;
    terminal.wait_for("all as declared")?;
    let (a, _) = described(cluster, "declared-a")?;
    ensure!(a.contains("retention.ms=60000"), "{a}");
    // More replicas, copied as fast as one says: a run does it, and it goes by the line of Kafka's
    // tool too.
    let file = std::path::Path::new(files).join("a.toml");
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(
        &file,
        text.replace("replication_factor = 2", "replication_factor = 3"),
    )?;
    terminal.wait_for("1 changed")?;
    terminal.keys("x")?;
    terminal.wait_for("nothing limits how fast 4 replicas are copied")?;
    terminal.keys("esc t")?;
    terminal.wait_for("pace of the moves")?;
    terminal.keys("ctrl-u 5M tab ctrl-u 2 enter")?;
    terminal.wait_for("moves at most 5 MB/s, 2 at a time")?;
    terminal.keys("x")?;
    terminal.wait_for("--throttle 5000000")?;
    ensure!(
        !terminal.text().contains("nothing limits"),
        "{}",
        terminal.text()
    );
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    terminal.wait_for("all as declared")?;
    terminal.keys(":reassignments enter")?;
    terminal.wait_for("4 of 4 moved, over")?;
    let n = described(cluster, "declared-a")?.1;
    ensure!(n == [3, 3, 3, 3], "{n:?}");
    terminal.keys(":apply space")?;
    terminal.send(files)?;
    terminal.keys("enter")?;
    terminal.wait_for("all as declared")?;
    // What is not declared goes only when told, and by its name: looked at, and left.
    terminal.keys("D")?;
    terminal.wait_for("to be deleted")?;
    terminal.keys("x")?;
    terminal.wait_for("to confirm")?;
    terminal.keys("esc D")?;
    terminal.wait_while("to be deleted")?;
    let topics = cluster.tool("kafka-topics", &["--list"], None)?;
    ensure!(topics.lines().any(|name| name == "orders"), "{topics}");
    // The running cluster as such a file, by keys.
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("by-keys.toml").display().to_string();
    terminal.keys(":topics enter / declared- enter")?;
    terminal.wait_for("declared-c")?;
    terminal.keys("g space space space x")?;
    terminal.wait_for("export")?;
    terminal.send(&format!("\x15{out}\r"))?;
    terminal.wait_for("3 topics are written")?;
    let same = document(cluster, &["apply", "-f", &out, "--prune", "--check"])?;
    ensure!(
        same["same"] == 3 && same["in_agreement"] == json!(true),
        "{same}"
    );
    Ok(())
}
