//! A real Kafka Streams application in two processes: what it waits for, its tasks, a process that
//! is killed, a topic that grows; new offsets when it is stopped, and its end.

use std::time::Duration;

use anyhow::ensure;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command::{document, run, run_with};
use crate::manager;
use crate::members::Program;
use crate::shell;

const DEADLINE: Duration = Duration::from_secs(90);
const ID: &str = "wordy";
const DESCRIBE: [&str; 3] = ["groups", "describe", ID];

fn until(
    cluster: &Cluster,
    args: &[&str],
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let mut last = Value::Null;
    let came = shell::wait_until(DEADLINE, || {
        if let Ok((0, document)) = run(cluster, args) {
            last = document;
        }
        is_so(&last)
    });
    ensure!(came, "{what}: {last}");
    Ok(last)
}

/// How many tasks members have in a role, and how many they shall have.
fn tasks(group: &Value, role: &str) -> (usize, usize) {
    let members = group["members"].as_array().cloned().unwrap_or_default();
    let count = |key: &str| {
        let of = |m: &Value| m["streams"][key].as_array().map_or(0, Vec::len);
        members.iter().map(of).sum()
    };
    (count(role), count(&format!("target_{role}")))
}

fn is_settled(group: &Value, members: usize, active: usize) -> bool {
    let rows = group["members"].as_array().cloned().unwrap_or_default();
    let does_some = |m: &Value| {
        m["streams"]["active"]
            .as_array()
            .is_some_and(|t| !t.is_empty())
    };
    group["state"] == "Stable"
        && rows.len() == members
        && rows.iter().all(does_some)
        && tasks(group, "active") == (active, active)
        && group["topology"]["moving_tasks"] == 0
        && group["group_epoch"] == group["assignment_epoch"]
}

/// The causes that the timeline tells, one after the other.
fn causes(told: &Value) -> Vec<String> {
    let events = told["events"].as_array().cloned().unwrap_or_default();
    let of = |event: &Value| event["causes"].as_array().cloned().unwrap_or_default();
    let all = events.iter().flat_map(of);
    all.filter_map(|cause| cause["cause"].as_str().map(str::to_owned))
        .collect()
}

fn produce(cluster: &Cluster, topic: &str) -> anyhow::Result<()> {
    let lines: String = (0..40)
        .map(|n| {
            format!(
                "{{\"partition\":{},\"key\":\"k{n}\",\"value\":\"v\"}}\n",
                n % 2
            )
        })
        .collect();
    let bootstrap = cluster.bootstrap();
    let import = ["--bootstrap", &bootstrap, "messages", "import", topic];
    let (code, told) = run_with(&import, Some(&lines))?;
    ensure!(code == 0, "{told}");
    Ok(())
}

pub fn application(cluster: &mut Cluster) -> anyhow::Result<()> {
    let program = Program::compile()?;
    let mut first = program.start(&cluster.bootstrap())?;
    let mut second = program.start(&cluster.bootstrap())?;
    let folder = tempfile::tempdir()?;
    let open = |name: &str| {
        let folder = folder.path().join(name);
        format!("application {name} {ID} {}", folder.display())
    };
    let (plain, keyed) = (format!("{ID}-plain"), format!("{ID}-keyed"));
    let create = |topic: &str| {
        let args = ["topics", "create", topic, "--partitions", "2"];
        document(
            cluster,
            &[&args[..], &["--replication-factor", "3"]].concat(),
        )
    };
    create(&plain)?;
    create(&format!("{ID}-out"))?;
    first.order(&open("one"))?;
    // What it reads is not all there: it waits, and says for what.
    let group = until(cluster, &DESCRIBE, "it waits for a topic", |group| {
        group["state"] == "NotReady" && !group["members"].as_array().is_none_or(Vec::is_empty)
    })?;
    ensure!(
        group["type"] == "streams"
            && group["topology"]["missing_source_topics"] == serde_json::json!([keyed])
            && group["topology"]["complaints"][0]
                .as_str()
                .is_some_and(|text| text.contains(&keyed)),
        "{group}"
    );
    let mut terminal = manager(cluster, "groups")?;
    terminal.keys(&format!(":group space {ID} enter"))?;
    terminal.wait_for("not ready")?;
    terminal.wait_for(&format!(
        "source topics are missing, or may not be seen: {keyed}"
    ))?;
    create(&keyed)?;
    until(cluster, &DESCRIBE, "one does everything", |group| {
        is_settled(group, 1, 4)
    })?;
    produce(cluster, &plain)?;
    produce(cluster, &keyed)?;
    until(cluster, &DESCRIBE, "it is at the end", |group| {
        let rows = group["partitions"].as_array().cloned().unwrap_or_default();
        group["lag"] == 0 && rows.iter().all(|row| row["committed"] == 20)
    })?;
    as_kafka_counts(cluster)?;
    // From now on there is always something to commit, so that it shows who does not.
    first.order(&format!("feed feed {plain},{keyed}"))?;
    second.order(&open("two"))?;
    let group = until(cluster, &DESCRIBE, "two share the tasks", |group| {
        is_settled(group, 2, 4)
    })?;
    as_kafka_says(cluster, &group)?;
    shown(&mut terminal)?;
    // Kafka keeps a copy of what has a store where it is told to.
    let alter = ["configs", "alter", "--group", ID, "--yes"];
    let standby = ["--set", "streams.num.standby.replicas=1"];
    document(cluster, &[&alter[..], &standby].concat())?;
    let group = until(cluster, &DESCRIBE, "the stores have copies", |group| {
        is_settled(group, 2, 4) && tasks(group, "standby") == (2, 2)
    })?;
    let parts = group["topology"]["subtopologies"].as_array().cloned();
    let copies: Vec<Option<u64>> = (parts.unwrap_or_default().iter())
        .map(|part| part["standby"].as_u64())
        .collect();
    ensure!(copies == [Some(0), Some(2)], "{group}");
    terminal.wait_for("standby")?;

    second.kill();
    until(cluster, &DESCRIBE, "the first has everything", |group| {
        is_settled(group, 1, 4)
    })?;
    let grow = ["partitions", "add", &plain, "--total", "3", "--yes"];
    document(cluster, &grow)?;
    until(cluster, &DESCRIBE, "a task more", |group| {
        is_settled(group, 1, 5)
    })?;
    let timeline = ["groups", "timeline", ID];
    let told = until(cluster, &timeline, "a topic that grew", |told| {
        causes(told)
            .last()
            .is_some_and(|cause| cause == "topic_grew")
    })?;
    let all = causes(&told);
    let expected = ["ready", "joined", "settings", "failed", "topic_grew"];
    let mut found = all.iter();
    ensure!(
        all.starts_with(&["joined".to_owned(), "not_ready".to_owned()])
            && expected.iter().all(|cause| found.any(|one| one == cause)),
        "{all:?}: {told}"
    );
    let text = told.to_string();
    ensure!(
        text.contains(&format!("topic {plain} grew from 2 to 3 partitions")),
        "{told}"
    );
    terminal.keys("t")?;
    terminal.wait_for(&format!("timeline of {ID}"))?;
    for text in [
        "topics that the application needs are missing",
        "every topic that the application needs is there",
        "settings of the assignment: num.standby.replicas=1",
        "failed (session time-out): two-StreamThread-1-consumer@127.0.0.1",
        &format!("topic {plain} grew from 2 to 3 partitions"),
    ] {
        terminal.wait_for(text)?;
    }
    terminal.keys("g")?;
    terminal.wait_for("subtopology 0-2: nobody →")?;
    terminal.keys("esc")?;
    drop(terminal);

    first.order("close feed")?;
    // While it runs, its offsets and itself stay.
    let reset = ["groups", "reset", ID, "--topic", &keyed, "--to-earliest"];
    let execute = [&reset[..], &["--execute", "--yes"]].concat();
    let (code, refused) = run(cluster, &execute)?;
    ensure!(
        code != 0 && refused.to_string().contains("live"),
        "{refused}"
    );
    first.order("close one")?;
    first.wait_for("one closed", DEADLINE)?;
    until(cluster, &DESCRIBE, "nobody is there", |group| {
        group["state"] == "Empty"
    })?;
    let told = document(cluster, &timeline)?;
    ensure!(
        causes(&told).last().is_some_and(|cause| cause == "left"),
        "{told}"
    );
    document(cluster, &execute)?;
    let group = document(cluster, &DESCRIBE)?;
    let rows = group["partitions"].as_array().cloned().unwrap_or_default();
    ensure!(rows.len() >= 4, "{group}");
    let is_back = |row: &Value| {
        row["topic"] != keyed.as_str() || (row["committed"] == 0 && row["lag"] == row["log_end"])
    };
    ensure!(rows.iter().all(is_back), "{group}");
    // It would be where Kafka's tool finds it.
    let args = [
        "--reset-offsets",
        "--to-current",
        "--dry-run",
        "--group",
        ID,
    ];
    let args = [&args[..], &["--input-topic", &keyed]].concat();
    let theirs = cluster.tool("kafka-streams-groups", &args, None)?;
    for partition in ["0", "1"] {
        let is_it = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words == [ID, &keyed, partition, "0"]
        };
        ensure!(theirs.lines().any(is_it), "{theirs}");
    }
    document(cluster, &["groups", "delete", ID, "--yes"])?;
    let (code, gone) = run(cluster, &DESCRIBE)?;
    ensure!(
        code != 0 && gone.to_string().contains("does not exist"),
        "{gone}"
    );
    let unset = ["--unset", "streams.num.standby.replicas"];
    document(cluster, &[&alter[..], &unset].concat()).map(drop)
}

/// What it has committed and is behind is what Kafka's tool prints.
fn as_kafka_counts(cluster: &Cluster) -> anyhow::Result<()> {
    let args = ["--describe", "--offsets", "--verbose", "--group", ID];
    let theirs = cluster.tool("kafka-streams-groups", &args, None)?;
    let group = document(cluster, &DESCRIBE)?;
    let rows = group["partitions"].as_array().cloned().unwrap_or_default();
    ensure!(rows.len() == 4, "{group}");
    for row in &rows {
        let topic = row["topic"].as_str().unwrap_or_default();
        let number = |key: &str| row[key].to_string();
        let wanted = [
            (1, topic.to_owned()),
            (2, number("partition")),
            (3, number("committed")),
            (5, number("log_end")),
            (6, number("lag")),
        ];
        let is_it = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let fits = |(at, word): &(usize, String)| words.get(*at) == Some(&word.as_str());
            wanted.iter().all(fits)
        };
        ensure!(theirs.lines().any(is_it), "{row} is not in\n{theirs}");
    }
    Ok(())
}

/// Members, their processes and their tasks are those that Kafka's tool prints.
fn as_kafka_says(cluster: &Cluster, group: &Value) -> anyhow::Result<()> {
    let args = ["--describe", "--members", "--verbose", "--group", ID];
    let theirs = cluster.tool("kafka-streams-groups", &args, None)?;
    for member in group["members"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let row = theirs
            .lines()
            .find(|line| line.contains(&text(&member["id"])));
        let row = row.unwrap_or_default();
        let active = member["streams"]["active"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let has_each = active.iter().map(text).all(|task| {
            let (part, id) = task.split_once('_').unwrap_or_default();
            let list = row.split_once(&format!("{part}:[")).map(|(_, rest)| rest);
            let list = list
                .and_then(|rest| rest.split(']').next())
                .unwrap_or_default();
            list.split(',').any(|one| one.trim() == id)
        });
        ensure!(
            row.contains(&text(&member["streams"]["process_id"]))
                && row.contains(&text(&member["client_id"]))
                && has_each,
            "{member} is not in\n{theirs}"
        );
    }
    Ok(())
}

/// Its screen: partitions with their owners, members, tasks.
fn shown(terminal: &mut crate::terminal::Terminal) -> anyhow::Result<()> {
    terminal.wait_for("stable")?;
    terminal.wait_for("topology 0")?;
    terminal.wait_for("active 4")?;
    terminal.wait_for(&format!("{ID}-plain-0"))?;
    terminal.keys("tab")?;
    terminal.wait_for("active 0_0")?;
    terminal.keys("tab")?;
    terminal.wait_for("SHALL BE")?;
    // The first thread of an application that waited for a topic may have been replaced.
    terminal.wait_until("a task with who does it", |terminal| {
        let row = terminal.row("1_0").unwrap_or_default();
        row.get(1).is_some_and(|role| role == "active")
            && row.get(2).is_some_and(|owner| {
                ["one", "two"].iter().any(|name| {
                    let thread = owner.strip_prefix(&format!("{name}-StreamThread-"));
                    thread.is_some_and(|rest| rest.contains("-consumer@"))
                })
            })
    })
}
