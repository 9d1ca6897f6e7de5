//! Proposals by commands and by keys: carried out, and read back by Kafka's tools.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::plans::leaders;
use crate::running::{Place, placed, topic};
use crate::shell;

/// The most that anything may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// Replicas of each broker, as kafka-topics says of one topic.
fn counts(cluster: &Cluster, topic: &str) -> anyhow::Result<BTreeMap<i32, usize>> {
    let mut counts = BTreeMap::from([(1, 0), (2, 0), (3, 0)]);
    for list in placed(cluster, topic)? {
        for id in list.split(',') {
            *counts.entry(id.parse()?).or_default() += 1;
        }
    }
    Ok(counts)
}

/// What a plan says of brokers, as so many more or less than before.
fn promised(plan: &Value) -> anyhow::Result<BTreeMap<i32, i64>> {
    let rows = plan["brokers"]
        .as_array()
        .context("a plan tells of brokers")?;
    let row = |row: &Value| {
        let after = row["replicas_after"].as_i64()?;
        let id = i32::try_from(row["broker"].as_i64()?).ok()?;
        Some((id, after - row["replicas_before"].as_i64()?))
    };
    rows.iter().map(|one| row(one).context("a row")).collect()
}

/// A proposal by a command, carried out: brokers hold what was said, and Kafka's tool agrees.
fn carried_out(
    cluster: &Cluster,
    place: &Place,
    topic: &str,
    goal: &[&str],
) -> anyhow::Result<Value> {
    let file = place.file("proposal.json");
    let before = counts(cluster, topic)?;
    let args = [
        &["reassign", "plan", "--topic", topic, "--out", &file][..],
        goal,
    ]
    .concat();
    let plan = place.document(&args)?;
    let done = place.document(&["reassign", "run", &file, "--execute"])?;
    ensure!(
        done["is_over"] == true && done["counts"]["skipped"] == 0,
        "{done}"
    );
    let after = counts(cluster, topic)?;
    for (id, more) in promised(&plan)? {
        let (had, has) = (before[&id] as i64, after[&id] as i64);
        ensure!(
            had + more == has,
            "{goal:?}: broker {id} had {had}, {more} more, has {has}"
        );
    }
    let verify = [
        "--reassignment-json-file",
        &file,
        "--verify",
        "--preserve-throttles",
    ];
    let said = cluster.tool("kafka-reassign-partitions", &verify, None)?;
    let n = done["moves"].as_array().map_or(0, Vec::len);
    ensure!(
        said.matches("is completed").count() == n,
        "{goal:?}: {said}"
    );
    Ok(plan)
}

/// Add, drain, another number of replicas, leaders only: by commands.
pub fn proposals(cluster: &mut Cluster) -> anyhow::Result<()> {
    let name = "plan-commands";
    topic(cluster, name, "1,2,1,2,1,2", false)?;
    let place = Place::of(cluster)?;
    carried_out(cluster, &place, name, &["--add", "3"])?;
    ensure!(counts(cluster, name)? == BTreeMap::from([(1, 2), (2, 2), (3, 2)]));
    carried_out(cluster, &place, name, &["--drain", "2"])?;
    ensure!(counts(cluster, name)? == BTreeMap::from([(1, 3), (2, 0), (3, 3)]));
    carried_out(cluster, &place, name, &["--replication-factor", "2"])?;
    ensure!(
        placed(cluster, name)?
            .iter()
            .all(|list| list.split(',').count() == 2)
    );
    // All preferred leaders on one broker, and back.
    let lists: Vec<String> = placed(cluster, name)?;
    let first = |list: &String| {
        let (a, b) = list.split_once(',').unwrap_or((list, ""));
        if b < a {
            format!("{b},{a}")
        } else {
            list.clone()
        }
    };
    let turned: Vec<String> = lists.iter().map(first).collect();
    let turned: Vec<&str> = turned.iter().map(String::as_str).collect();
    let goal = place.goal(name, &turned)?;
    place.document(&["reassign", "run", &goal, "--execute"])?;
    // From scratch, whatever it copies, as CMAK does; and back to even leaders. One replica of each
    // partition is in the rack of broker 3.
    carried_out(cluster, &place, name, &["--generate", "all"])?;
    let held = counts(cluster, name)?;
    ensure!(
        held[&3] == 6 && held[&1].abs_diff(held[&2]) <= 2,
        "{held:?}"
    );
    place.document(&["reassign", "run", &goal, "--execute"])?;
    let plan = carried_out(cluster, &place, name, &["--leaders"])?;
    ensure!(plan["moves"] == 0, "nothing is copied: {plan}");
    let leaders = leaders(&place, name)?;
    let most = |id: i64| leaders.iter().filter(|leader| **leader == id).count();
    ensure!((1..=3).all(|id| most(id) == 2), "{leaders:?}");
    Ok(())
}

/// The same by keys, for two topics at once, then edited by hand.
pub fn proposals_by_keys(cluster: &mut Cluster) -> anyhow::Result<()> {
    let (name, other) = ("plan-keys-a", "plan-keys-b");
    topic(cluster, name, "1,2,1", false)?;
    topic(cluster, other, "2,1,2", false)?;
    let place = Place::of(cluster)?;
    let mut terminal = place.screens("topics")?;
    let mut follow = |form: &str, said: &str, told: &str| -> anyhow::Result<()> {
        terminal.keys(":topics space plan-keys enter")?;
        terminal.wait_for("plan-keys-b")?;
        terminal.wait_while("plan-commands")?;
        // All that are shown, by one key.
        terminal.keys("* a")?;
        terminal.wait_for("reassign 2 topics")?;
        terminal.keys("b")?;
        terminal.wait_for("how to reassign")?;
        terminal.keys(form)?;
        terminal.wait_for(said)?;
        terminal.wait_for(told)?;
        terminal.keys("x")?;
        terminal.wait_for("press y to execute")?;
        terminal.keys("y")?;
        terminal.wait_until("it was sent", |terminal| {
            let text = terminal.text();
            text.contains("on its way") || text.contains("✓") || text.contains("started")
        })?;
        terminal.keys("esc esc esc esc")?;
        terminal.keys(":reassignments enter")?;
        terminal.wait_for("nothing is being reassigned")
    };
    let all = |cluster: &Cluster| -> anyhow::Result<Vec<String>> {
        Ok([placed(cluster, name)?, placed(cluster, other)?].concat())
    };
    let is_so = |cluster: &Cluster, what: &str, is: &dyn Fn(&[String]) -> bool| {
        let came = shell::wait_until(DEADLINE, || all(cluster).is_ok_and(|now| is(&now)));
        ensure!(came, "{what}: {:?}", all(cluster));
        Ok(())
    };
    let held = |now: &[String], id: &str| {
        now.iter()
            .filter(|list| list.split(',').any(|one| one == id))
            .count()
    };
    // Broker 3 joins in.
    follow("ctrl-u 1,2,3 enter", "2 of 6 partitions change", "+3 -")?;
    is_so(cluster, "add", &|now| {
        ["1", "2", "3"].iter().all(|id| held(now, id) == 2)
    })?;
    // Broker 2 is emptied.
    follow("ctrl-u 1,3 enter", "spread evenly over 1,3", "-2")?;
    is_so(cluster, "drain", &|now| held(now, "2") == 0)?;
    follow(
        "ctrl-u 1,2,3 tab tab tab 2 enter",
        "2 replicas each",
        "6 of 6 partitions change",
    )?;
    is_so(cluster, "factor", &|now| {
        now.iter().all(|list| list.split(',').count() == 2)
    })?;
    let before = all(cluster)?;
    // From scratch; and by hand an exchange, of which brokers hold more in between than before and
    // after. Both are left without a change.
    terminal.keys(&format!(":topic space {name} enter"))?;
    terminal.wait_for(&format!("topics › {name}"))?;
    terminal.keys("a")?;
    terminal.wait_for(&format!("reassign {name}"))?;
    terminal.keys("b tab space space enter")?;
    terminal.wait_for("from scratch over 1,2,3")?;
    terminal.keys("b tab space space space enter")?;
    terminal.wait_for("as edited by hand")?;
    let missing = |list: &str| ["1", "2", "3"].into_iter().find(|id| !list.contains(id));
    // Two partitions of which each has what the other one lacks.
    let pair = (0..3).flat_map(|a| (0..3).map(move |b| (a, b)));
    let mut pair = pair.filter(|(a, b)| missing(&before[*a]) != missing(&before[*b]));
    let (a, b) = pair.next().context("two that can exchange")?;
    for (at, other) in [(a, b), (b, a)] {
        terminal.keys(&format!("/ {name}-{at} enter g e"))?;
        terminal.wait_for("replicas of plan-keys-a")?;
        terminal.keys(&format!("ctrl-u {} enter", before[other]))?;
        terminal.wait_while("replicas of plan-keys-a")?;
        terminal.keys("esc")?;
    }
    terminal.wait_for("2 of 3 partitions change")?;
    terminal.wait_until("more replicas meanwhile", |terminal| {
        terminal.text().matches(" →(").count() == 2
    })?;
    terminal.keys("esc")?;
    // By hand: the first partition's replicas the other way round.
    terminal.keys(&format!(":topic space {name} enter"))?;
    terminal.wait_for(&format!("topics › {name}"))?;
    terminal.keys("a")?;
    terminal.wait_for(&format!("reassign {name}"))?;
    terminal.keys("b tab space space space enter")?;
    terminal.wait_for("as edited by hand")?;
    let (a, b) = before[0].split_once(',').context("two replicas")?;
    terminal.keys(&format!("g e ctrl-u {b},{a} enter"))?;
    terminal.wait_for("other order")?;
    terminal.keys("x")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    is_so(cluster, "by hand", &|now| now[0] == format!("{b},{a}"))
}
