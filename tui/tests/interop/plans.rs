//! Plans: refused where reality has moved, with the line of Kafka's tools that does the same, with
//! a warning where they would never end; and the rest of what CMAK did.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::running::{Place, placed, topic};
use crate::{apache, shell};

/// The most that anything may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// A plan that was made before Kafka's own tool has moved its partitions, or that was edited where
/// it says what it was made from, is not carried out.
pub fn moved_on(cluster: &mut Cluster) -> anyhow::Result<()> {
    topic(cluster, "plan-moved", "1,2", false)?;
    let place = Place::of(cluster)?;
    let goal = place.goal("plan-moved", &["3", "3"])?;
    let plan = place.file("plan.json");
    place.document(&["reassign", "plan", "--file", &goal, "--out", &plan])?;
    let saved = place.file("retention.json");
    let set = [
        "topics",
        "alter",
        "plan-moved",
        "--set",
        "retention.ms=70000",
    ];
    let save = [&["--save-plan", &saved][..], &set].concat();
    place.document(&save)?;

    let text = std::fs::read_to_string(&plan)?;
    let id = cluster_id(&text)?;
    let other = place.file("other.json");
    std::fs::write(&other, text.replace(&id, "AAAAAAAAAAAAAAAAAAAAAA"))?;
    let (code, said) = place.run(&["reassign", "run", &other, "--execute"])?;
    ensure!(
        code == 4 && said.to_string().contains("cluster_id"),
        "{code}: {said}"
    );

    // A proposal on the screen is as old as the plan.
    let mut terminal = place.screens("topics")?;
    terminal.keys(":topic space plan-moved enter")?;
    terminal.wait_for("topics › plan-moved")?;
    terminal.keys("a")?;
    terminal.wait_for("reassign plan-moved")?;
    terminal.keys("g space space e")?;
    terminal.wait_for("replicas of 2 partitions")?;
    terminal.keys("ctrl-u 3 enter")?;
    terminal.wait_for("2 of 2 partitions change")?;

    let elsewhere = place.goal("plan-moved", &["2", "2"])?;
    let execute = ["--reassignment-json-file", &elsewhere, "--execute"];
    cluster.tool("kafka-reassign-partitions", &execute, None)?;
    let args = [
        "--alter",
        "--entity-type",
        "topics",
        "--entity-name",
        "plan-moved",
    ];
    let args = [&args[..], &["--add-config", "retention.ms=50000"]].concat();
    cluster.tool("kafka-configs", &args, None)?;
    let is_there = || placed(cluster, "plan-moved").is_ok_and(|now| now == ["2", "2"]);
    ensure!(
        shell::wait_until(DEADLINE, is_there),
        "Kafka's tool moves it"
    );
    for how in [
        &["reassign", "run", &plan, "--execute"][..],
        &["reassign", "execute", "--file", &plan],
    ] {
        let (code, said) = place.run(how)?;
        let said = said.to_string();
        ensure!(
            code == 4 && said.contains("plan-moved-0 has the replicas 2 and not 1"),
            "{how:?}: {code}: {said}"
        );
        ensure!(said.contains("plan it again"), "{said}");
    }
    terminal.wait_until("what it is made from is not so any more", |terminal| {
        let line = terminal.line("plan-moved-0").unwrap_or_default();
        line.split_whitespace().nth(1) == Some("2")
    })?;
    terminal.keys("x")?;
    terminal.wait_for("plan-moved-0 has the replicas 2 and not 1")?;
    terminal.wait_for("plan it again")?;
    let (code, said) = place.run(&["plan", &saved, "--execute"])?;
    ensure!(
        code == 4 && said.to_string().contains("retention.ms is 50000 and was"),
        "{code}: {said}"
    );
    ensure!(
        placed(cluster, "plan-moved")? == ["2", "2"],
        "it was refused"
    );
    Ok(())
}

fn cluster_id(plan: &str) -> anyhow::Result<String> {
    let document: Value = serde_json::from_str(plan)?;
    let id = document["cluster_id"].as_str();
    Ok(id.context("a plan names its cluster")?.to_owned())
}

/// While a producer writes more than the throttle lets through, a plan says that it would never
/// end: by the command and on the screen.
pub fn never_ends(cluster: &mut Cluster) -> anyhow::Result<()> {
    topic(cluster, "plan-inflow", "1,1,1,1", true)?;
    let place = Place::of(cluster)?;
    let bootstrap = format!("bootstrap.servers={}", place.bootstrap);
    let args = [
        "--topic",
        "plan-inflow",
        "--record-size",
        "10000",
        "--num-records",
        "100000000",
    ];
    let args = [
        &args[..],
        &["--throughput", "200", "--command-property", &bootstrap],
    ]
    .concat();
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let mut command = apache::tool_command("kafka-producer-perf-test", &args)?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut producer = command.spawn()?;
    let checked = warned_of(&place);
    shell::kill(&mut producer);
    checked
}

fn warned_of(place: &Place) -> anyhow::Result<()> {
    let goal = place.goal("plan-inflow", &["3", "3", "3", "3"])?;
    let plan = ["reassign", "plan", "--file", &goal, "--throttle"];
    let warning = |document: &Value| {
        let warnings = document["warnings"].as_array().cloned().unwrap_or_default();
        let texts = warnings.iter().filter_map(Value::as_str);
        texts
            .filter(|text| text.contains("it would never end"))
            .count()
    };
    let mut last = Value::Null;
    // 2 MB are written in a second, once it has begun.
    let is_told = shell::wait_until(DEADLINE, || {
        last = place
            .document(&[&plan[..], &["500K"]].concat())
            .unwrap_or_default();
        warning(&last) > 0
    });
    ensure!(is_told, "{last}");
    ensure!(last["estimate"]["most_ms"].is_null(), "{last}");
    let fast = place.document(&[&plan[..], &["200M"]].concat())?;
    ensure!(
        warning(&fast) == 0 && fast["estimate"]["most_ms"].is_number(),
        "{fast}"
    );
    // The line of Kafka's tool takes the throttle too.
    let line = last["equivalent"][0].as_str().unwrap_or_default();
    ensure!(line.ends_with("--execute --throttle 500000"), "{line}");

    let mut terminal = place.screens("topics")?;
    terminal.keys(":topic space plan-inflow enter")?;
    terminal.wait_for("topics › plan-inflow")?;
    terminal.wait_for("MiB")?;
    terminal.wait_while("rate …")?;
    for _ in 0..20 {
        terminal.keys("a")?;
        terminal.wait_for("reassign plan-inflow")?;
        terminal.keys("g space space space space e")?;
        terminal.wait_for("replicas of 4 partitions")?;
        terminal.keys("ctrl-u 3 enter")?;
        terminal.wait_for("4 of 4 partitions change")?;
        terminal.keys("r")?;
        terminal.wait_for("reassign in batches")?;
        terminal.keys("ctrl-u 500K enter")?;
        terminal.wait_for("press y to execute")?;
        if terminal.text().contains("or for ever: broker") {
            return Ok(());
        }
        // The rate is known only after the second read of the offsets.
        terminal.keys("esc esc esc esc")?;
        terminal.wait_for("topics › plan-inflow")?;
        terminal.read_for(Duration::from_millis(500));
    }
    anyhow::bail!("the screen does not warn:\n{}", terminal.text())
}

/// The words of a command line as a shell takes them.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The lines of Kafka's tools that a plan shows, executed as they are.
fn execute_lines(plan: &Value) -> anyhow::Result<()> {
    let plan = if plan["plan"].is_object() {
        &plan["plan"]
    } else {
        plan
    };
    let lines = plan["equivalent"].as_array().context("lines")?;
    ensure!(!lines.is_empty(), "{plan}");
    for line in lines {
        let line = line.as_str().context("a line")?;
        let words = words(line);
        let (tool, args) = words.split_first().context("words")?;
        let tool = tool.strip_suffix(".sh").context("a script")?;
        let output = apache::tool(tool, args, None)?;
        output.success().with_context(|| line.to_owned())?;
    }
    Ok(())
}

/// What Kafka's tools make of the line that is shown is what was planned: afterwards there is
/// nothing left to do.
pub fn same_as(cluster: &mut Cluster) -> anyhow::Result<()> {
    let place = Place::of(cluster)?;
    let name = "plan-lines";
    let create = ["topics", "create", name, "--replica-assignment", "1:2,2:1"];
    let create = [
        &create[..],
        &["--config", "retention.ms=60000", "--dry-run"],
    ]
    .concat();
    execute_lines(&place.document(&create)?)?;
    ensure!(placed(cluster, name)? == ["1,2", "2,1"]);
    let has = |setting: &str, value: &str| -> anyhow::Result<()> {
        let described = place.document(&["configs", "describe", "--topic", name])?;
        let text = described.to_string();
        let is_set = text.contains(setting) && text.contains(value);
        ensure!(is_set, "{setting}={value}: {described}");
        Ok(())
    };
    has("retention.ms", "\"60000\"")?;

    // Nothing is left of a change that Kafka's line has made.
    let settled = |args: &[&str]| -> anyhow::Result<()> {
        let args = [args, &["--dry-run"]].concat();
        execute_lines(&place.document(&args)?)?;
        let again = place.document(&args)?;
        let left = again["plan"]["changes"].as_array().map(Vec::len);
        ensure!(left == Some(0), "{args:?}: {again}");
        Ok(())
    };
    let set = ["topics", "alter", name, "--set", "retention.ms=90000"];
    let set = [
        &set[..],
        &[
            "--set",
            "cleanup.policy=compact,delete",
            "--unset",
            "max.message.bytes",
        ],
    ];
    settled(&set.concat())?;
    has("cleanup.policy", "compact,delete")?;
    settled(&[
        "configs",
        "alter",
        "--broker",
        "2",
        "--set",
        "log.cleaner.threads=2",
    ])?;
    settled(&[
        "configs",
        "alter",
        "--broker",
        "2",
        "--unset",
        "log.cleaner.threads",
    ])?;

    let add = ["partitions", "add", name, "--total", "4"];
    execute_lines(&place.document(&[&add[..], &["--dry-run"]].concat())?)?;
    ensure!(placed(cluster, name)?.len() == 4);
    let (code, said) = place.run(&[&add[..], &["--dry-run"]].concat())?;
    ensure!(
        code != 0 && said.to_string().contains("it has 4 partitions"),
        "{said}"
    );

    let goal = place.goal(name, &["2,1", "1,2", "3,1", "2,3"])?;
    let plan = place.file("plan.json");
    let made = place.document(&["reassign", "plan", "--file", &goal, "--out", &plan])?;
    execute_lines(&made)?;
    let is_there = || placed(cluster, name).is_ok_and(|now| now == ["2,1", "1,2", "3,1", "2,3"]);
    ensure!(
        shell::wait_until(DEADLINE, is_there),
        "{:?}",
        placed(cluster, name)
    );
    let again = place.document(&["reassign", "plan", "--file", &plan])?;
    ensure!(
        again["changes"].as_array().is_some_and(Vec::is_empty),
        "{again}"
    );

    settled(&["elect", "--topic", name])?;
    let delete = place.document(&["topics", "delete", name, "--dry-run"])?;
    execute_lines(&delete)?;
    let gone = || {
        place
            .run(&["topics", "describe", name])
            .is_ok_and(|(code, _)| code != 0)
    };
    ensure!(shell::wait_until(DEADLINE, gone), "it is still there");
    Ok(())
}

/// Who leads each partition of a topic.
pub fn leaders(place: &Place, topic: &str) -> anyhow::Result<Vec<i64>> {
    let described = place.document(&["topics", "describe", topic])?;
    let partitions = described["partitions"].as_array().context("partitions")?;
    Ok(partitions
        .iter()
        .filter_map(|partition| partition["leader"].as_i64())
        .collect())
}

/// Elections on a schedule, without a screen: each time the preferred replicas lead again.
pub fn elections(cluster: &mut Cluster) -> anyhow::Result<()> {
    let name = "plan-elected";
    topic(cluster, name, "1:2,1:2", false)?;
    let place = Place::of(cluster)?;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
    command.args(["--bootstrap", &place.bootstrap, "elect", "--topic", name]);
    command
        .args(["--every", "1s"])
        .env("XDG_STATE_HOME", place.folder());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut schedule = command.spawn()?;
    let elected = || -> anyhow::Result<()> {
        for (replicas, leader) in [("2,1", 2), ("1,2", 1)] {
            // Kafka's tool turns the lists and elects nobody.
            let goal = place.goal(name, &[replicas, replicas])?;
            let execute = ["--reassignment-json-file", &goal, "--execute"];
            cluster.tool("kafka-reassign-partitions", &execute, None)?;
            let led = || leaders(&place, name).is_ok_and(|now| now == [leader, leader]);
            ensure!(
                shell::wait_until(DEADLINE, led),
                "{leader}: {:?}",
                leaders(&place, name)
            );
        }
        Ok(())
    };
    let outcome = elected();
    let ended = schedule.try_wait()?;
    shell::kill(&mut schedule);
    outcome?;
    ensure!(ended.is_none(), "the schedule ended: {ended:?}");

    // By a key, after the lists were turned once more.
    let goal = place.goal(name, &["2,1", "2,1"])?;
    let execute = ["--reassignment-json-file", &goal, "--execute"];
    cluster.tool("kafka-reassign-partitions", &execute, None)?;
    let mut terminal = place.screens("topics")?;
    terminal.keys(&format!(":topic space {name} enter"))?;
    terminal.wait_for(&format!("topics › {name}"))?;
    terminal.wait_until("the lists are turned", |terminal| {
        terminal
            .row("0")
            .is_some_and(|row| row.iter().any(|cell| cell == "2,1"))
    })?;
    terminal.keys("e")?;
    terminal.wait_for("elect the preferred leaders of 2 partitions")?;
    terminal.wait_for("kafka-leader-election.sh")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ elect")?;
    ensure!(leaders(&place, name)? == [2, 2]);
    Ok(())
}

/// Partitions for many topics at once, and settings with what there is to know of them and a look
/// at the difference before they are written.
pub fn many_topics_and_settings(cluster: &mut Cluster) -> anyhow::Result<()> {
    let (name, other) = ("plan-many-a", "plan-many-b");
    topic(cluster, name, "1,2", false)?;
    topic(cluster, other, "3", false)?;
    let place = Place::of(cluster)?;
    let add = ["partitions", "add", name, other, "--total", "3"];
    let planned = place.document(&[&add[..], &["--dry-run"]].concat())?;
    ensure!(
        planned["plan"]["changes"]
            .as_array()
            .is_some_and(|list| list.len() == 2),
        "{planned}"
    );
    place.document(&add)?;
    ensure!(placed(cluster, name)?.len() == 3 && placed(cluster, other)?.len() == 3);
    let mut terminal = place.screens("topics")?;
    terminal.keys(":topics space plan-many enter")?;
    terminal.wait_for(other)?;
    terminal.wait_while("plan-elected")?;
    terminal.keys("g space space +")?;
    terminal.wait_for("partitions")?;
    terminal.keys("ctrl-u 5 enter")?;
    terminal.wait_for("accepts this")?;
    // What no undo takes back is said before, and after.
    terminal.wait_for("topic \"plan-many-a\" keeps 5 partitions: none can be removed")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ add partitions to 2 topics")?;
    ensure!(placed(cluster, name)?.len() == 5 && placed(cluster, other)?.len() == 5);
    terminal.keys("u")?;
    terminal.wait_for("\"add partitions to 2 topics\" is later and can't be taken back")?;
    let set = ["topics", "alter", name, "--set", "retention.ms=77777000"];
    place.document(&set)?;
    place.document(&["partitions", "add", name, "--total", "6"])?;
    let undo = place.document(&["undo"])?;
    let warnings = undo["plan"]["warnings"].to_string();
    ensure!(
        warnings.contains("can't be taken back") && warnings.contains("keeps 6 partitions"),
        "{undo}"
    );
    place.document(&["undo", "--execute"])?;
    let own = place.document(&["configs", "describe", "--topic", name])?;
    ensure!(!own.to_string().contains("77777000"), "{own}");

    // Each setting with type, default, documentation and source, as kafka-configs has it.
    let all = place.document(&["configs", "describe", "--topic", name, "--all"])?;
    let rows = all["configs"].as_array().or(all["entries"].as_array());
    let rows = rows.with_context(|| all.to_string())?;
    let args = [
        "--describe",
        "--all",
        "--entity-type",
        "topics",
        "--entity-name",
        name,
    ];
    let text = cluster.tool("kafka-configs", &args, None)?;
    let theirs = text
        .lines()
        .filter(|line| line.contains(" sensitive="))
        .count();
    ensure!(rows.len() == theirs, "{} settings and {theirs}", rows.len());
    for row in rows {
        let of = |field: &str| row[field].as_str().unwrap_or_default();
        let key = of("name");
        let value = row["value"].as_str().unwrap_or_default();
        ensure!(
            text.contains(&format!("  {key}={value} sensitive")),
            "{row}\n{text}"
        );
        ensure!(
            !of("type").is_empty() && !of("source").is_empty() && of("documentation").len() > 10,
            "{row}"
        );
        // Kafka's tool tells the default last.
        let line = text
            .lines()
            .find(|line| line.contains(&format!("  {key}=")));
        let theirs = line.and_then(|line| line.split_once("DEFAULT_CONFIG:"));
        let theirs = theirs
            .and_then(|(_, rest)| rest.split_once('='))
            .map(|(_, value)| value);
        let default = row["default"].as_str();
        let is_same = theirs.is_none_or(|value| {
            default.is_some_and(|default| value.trim_end_matches('}') == default)
        });
        ensure!(is_same, "{row}: {line:?}");
    }
    terminal.keys(&format!("esc :configs space {name} enter"))?;
    terminal.wait_for("cleanup.policy")?;
    terminal.keys("/ min.insync enter G")?;
    terminal.wait_for("min.insync.replicas")?;
    terminal.keys("e")?;
    terminal.wait_for("min.insync.replicas of topic")?;
    terminal.keys("ctrl-u 2 enter")?;
    terminal.wait_for("1 → 2")?;
    terminal.wait_for("accepts this")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ change")?;
    let args = [
        "--describe",
        "--entity-type",
        "topics",
        "--entity-name",
        name,
    ];
    let text = cluster.tool("kafka-configs", &args, None)?;
    ensure!(text.contains("min.insync.replicas=2"), "{text}");
    let back = ["--alter", "--delete-config", "min.insync.replicas"];
    cluster.tool("kafka-configs", &[&back[..], &args[1..]].concat(), None)?;
    // One broker's own, by its screen, and back again.
    terminal.keys("esc :broker space 2 enter c")?;
    terminal.wait_for("advertised.listeners")?;
    terminal.keys("/ log.cleaner.threads enter G e")?;
    terminal.wait_for("log.cleaner.threads of broker 2")?;
    terminal.keys("ctrl-u 2 enter")?;
    terminal.wait_for("accepts this")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ change")?;
    let brokers = [
        "--describe",
        "--entity-type",
        "brokers",
        "--entity-name",
        "2",
    ];
    let text = cluster.tool("kafka-configs", &brokers, None)?;
    ensure!(text.contains("log.cleaner.threads=2"), "{text}");
    terminal.keys("u")?;
    terminal.wait_for("undo: change")?;
    terminal.wait_for("accepts this")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ undo")?;
    let text = cluster.tool("kafka-configs", &brokers, None)?;
    ensure!(!text.contains("log.cleaner.threads=2"), "{text}");
    Ok(())
}
