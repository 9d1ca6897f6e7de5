//! A run while a broker is dead: it says whom it waits for, slows down where a partition has as few
//! replicas in sync as it needs, begins nothing where one has fewer, takes nothing back that would
//! lose records, and names the throttle that it left on the dead one. What is set and where replicas
//! are is asked of Kafka's own tools.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::blind::words;
use crate::cluster::Cluster;
use crate::command::run_with;
use crate::running::{Place, placed, throttles};
use crate::shell;
use crate::terminal::Terminal;

/// The most that anything may take.
const DEADLINE: Duration = Duration::from_secs(120);

const MOVED: &str = "braked";

/// Three replicas of which two are needed.
const GUARD: &str = "braked-guard";

/// Bytes per second of the run.
const RATE: i64 = 20_000_000;

/// Bytes per second of an operator, for what brokers 1 and 3 receive. A follower asks for 1 MiB at
/// a time, and again when its rate over eleven seconds is below this: what is to be copied here
/// takes minutes, and arrives when this is taken away.
const OPERATORS: &str = "10000";

/// Records of 100 kB: in the partition that is to arrive at last, and in the one that never does.
const RECORDS: [usize; 2] = [150, 50];

const SENT: &str = "leader.replication.throttled.rate";
const RECEIVED: &str = "follower.replication.throttled.rate";

/// Sets something, or lets it be inherited again.
fn set(place: &Place, of: [&str; 2], change: [&str; 2]) -> anyhow::Result<()> {
    let args = [&["configs", "alter"], &of[..], &change, &["--yes"]].concat();
    place.document(&args).map(drop)
}

fn hold(place: &Place, broker: &str) -> anyhow::Result<()> {
    let low = format!("{RECEIVED}={OPERATORS}");
    set(place, ["--broker", broker], ["--set", &low])
}

fn let_go(place: &Place, broker: &str) -> anyhow::Result<()> {
    set(place, ["--broker", broker], ["--unset", RECEIVED])
}

fn need(place: &Place, replicas: &str) -> anyhow::Result<()> {
    let needed = format!("min.insync.replicas={replicas}");
    set(place, ["--topic", GUARD], ["--set", &needed])
}

/// The rates of each broker that lives, as kafka-configs says.
fn rates(cluster: &Cluster) -> anyhow::Result<BTreeMap<i32, BTreeMap<String, String>>> {
    let args = ["--describe", "--entity-type", "brokers"];
    let text = cluster.tool("kafka-configs", &args, None)?;
    let mut all: BTreeMap<i32, BTreeMap<String, String>> = BTreeMap::new();
    let mut id = None;
    for line in text.lines().map(str::trim) {
        if let Some((_, rest)) = line.split_once("configs for broker ") {
            id = rest
                .split_whitespace()
                .next()
                .and_then(|id| id.parse().ok());
        }
        let word = line.split_whitespace().next().unwrap_or_default();
        if let (Some(id), Some((name, value))) = (id, word.split_once('='))
            && name.contains(".replication.throttled.rate")
        {
            let of = all.entry(id).or_default();
            of.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(all)
}

fn rate_of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Waits until the living have the rates of a run at that pace, beside the operator's own.
fn wait_for_rates(cluster: &Cluster, pace: i64) -> anyhow::Result<()> {
    let pace = pace.to_string();
    let wanted = BTreeMap::from([
        (1, rate_of(&[(SENT, &pace), (RECEIVED, OPERATORS)])),
        (2, rate_of(&[(SENT, &pace), (RECEIVED, &pace)])),
    ]);
    let mut found = BTreeMap::new();
    let is_so = shell::wait_until(DEADLINE, || {
        found = rates(cluster).unwrap_or_default();
        found == wanted
    });
    ensure!(is_so, "{found:?} and not {wanted:?}");
    Ok(())
}

pub fn brakes(cluster: &mut Cluster) -> anyhow::Result<()> {
    let place = Place::of(cluster)?;
    prepare(&place)?;
    // The first one from broker 3, so that its death leaves nobody of before; the second one to it.
    let goal = place.goal(MOVED, &["2,1", "3", "2", "2"])?;
    let mut terminal = begin(&place, &goal)?;
    let is_in_sync = || {
        let described = place.document(&["topics", "describe", MOVED]);
        let isr = described.map(|described| described["partitions"][0]["isr"].clone());
        isr.is_ok_and(|isr| isr.as_array().is_some_and(|isr| isr.contains(&json!(2))))
    };
    ensure!(
        shell::wait_until(DEADLINE, is_in_sync),
        "broker 2 has it not"
    );
    cluster.kill(3);
    let looked = while_dead(cluster, &place, &mut terminal);
    cluster.spawn(3)?;
    let now = placed(cluster, MOVED);
    cluster.wait_for(3)?;
    let ended = looked.and_then(|()| left_behind(cluster, &place));
    // Of an operator: taken away whatever came of the run.
    for broker in ["1", "3"] {
        let_go(&place, broker)?;
    }
    ended?;
    let now = now?;
    ensure!(now == ["2,1", "1", "2", "2"], "{now:?}");
    let left = rates(cluster)?;
    ensure!(left.is_empty(), "{left:?}");
    place.document(&["topics", "delete", GUARD, MOVED, "--yes"])?;
    place.document(&["elect", "--yes"]).map(drop)
}

/// Letters that can't be compressed.
fn noise(length: usize) -> String {
    let mut seed = 1_u64;
    let mut letter = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + u8::try_from((seed >> 33) % 26).unwrap_or(0))
    };
    (0..length).map(|_| letter()).collect()
}

/// Two partitions with data, on different brokers, two without, and what is watched.
fn prepare(place: &Place) -> anyhow::Result<()> {
    let create = ["topics", "create", MOVED, "--replica-assignment", "3,1"];
    place.document(&create)?;
    let value = noise(100_000);
    let mut lines = String::new();
    for (partition, n) in RECORDS.iter().enumerate() {
        let line = format!("{{\"partition\":{partition},\"value\":\"{value}\"}}\n");
        lines.push_str(&line.repeat(*n));
    }
    let import = ["--bootstrap", &place.bootstrap, "messages", "import", MOVED];
    let (code, told) = run_with(&import, Some(&lines))?;
    ensure!(code == 0, "{told}");
    let add = ["partitions", "add", MOVED, "--total", "4"];
    place.document(&[&add[..], &["--replica-assignment", "1,1", "--yes"]].concat())?;
    let create = ["topics", "create", GUARD, "--replica-assignment", "1:2:3"];
    place.document(&create)?;
    need(place, "2")?;
    hold(place, "1")?;
    hold(place, "3")
}

/// The run, begun by a command that is killed, on the screens, which take it over.
fn begin(place: &Place, goal: &str) -> anyhow::Result<Terminal> {
    let rate = RATE.to_string();
    let run = ["reassign", "run", goal, "--throttle", &rate];
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_kafka-tui"))
        .args(["--bootstrap", &place.bootstrap])
        .args(run)
        .args(["--batch", "2", "--execute"])
        .env("XDG_STATE_HOME", place.folder())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    let two_move = shell::wait_until(DEADLINE, || {
        let status = place.document(&["reassign", "status"]);
        status.is_ok_and(|status| status["run"]["counts"]["moving"] == 2)
    });
    shell::kill(&mut child);
    ensure!(two_move, "nothing is on its way");
    let mut terminal = place.screens("reassignments")?;
    terminal.wait_for("2 on the way, 2 waiting, at most 20 MB/s")?;
    Ok(terminal)
}

/// Waits for words on the screen, wherever lines are broken.
fn see(terminal: &mut Terminal, text: &str) -> anyhow::Result<()> {
    terminal.wait_until(text, |terminal| words(terminal).contains(text))
}

fn status(place: &Place) -> anyhow::Result<Value> {
    let mut status = place.document(&["reassign", "status"])?;
    Ok(status["run"].take())
}

fn while_dead(cluster: &Cluster, place: &Place, terminal: &mut Terminal) -> anyhow::Result<()> {
    // At what is needed: half the rate. Its first partition's only replica is one of the new ones.
    see(terminal, "slowed down: ")?;
    see(terminal, "waits for broker 3, which is down")?;
    terminal.wait_until("one can't go back, the other can", |terminal| {
        let of = |name: &str| terminal.line(name).unwrap_or_default();
        of("braked-0").contains("loses data") && of("braked-1").contains("clean")
    })?;
    wait_for_rates(cluster, RATE / 2)?;
    let run = status(place)?;
    ensure!(
        run["brake"]["brake"] == "slow" && run["waits_for"] == json!([3]),
        "{run}"
    );
    percentages(place, terminal)?;
    held(cluster, place, terminal)?;
    back_where_it_may(place, terminal)?;
    // What could not go back arrives: the run is over, and a throttle is where nobody can be asked.
    let_go(place, "1")?;
    let over = "3 of 4 moved, 1 cancelled, over, throttles are left: reassign janitor removes them";
    see(terminal, over)?;
    terminal.wait_for("nothing is being reassigned")
}

/// A dead broker vanishes from CMAK's numbers, and stays in the ones beside them.
fn percentages(place: &Place, terminal: &mut Terminal) -> anyhow::Result<()> {
    terminal.keys(&format!(":topics space {GUARD} enter"))?;
    terminal.wait_until("in sync and placed", |terminal| {
        let row = terminal.row(GUARD).unwrap_or_default();
        row.iter().any(|cell| cell == "66/100%")
    })?;
    let listed = place.document(&["topics", "list", "--filter", GUARD])?;
    let balance = &listed["topics"][0]["balance"];
    ensure!(
        balance["cmak"]["brokers_spread"] == 66
            && balance["cmak"]["under_replicated"] == 100
            && balance["placed"]["brokers_spread"] == 100,
        "{listed}"
    );
    terminal.keys("esc :reassignments enter")?;
    terminal.wait_for("run:")
}

/// Below what is needed nothing begins, also where the batch has room; at it, half as many.
fn held(cluster: &Cluster, place: &Place, terminal: &mut Terminal) -> anyhow::Result<()> {
    need(place, "3")?;
    see(
        terminal,
        "held: braked-guard-0 below min.insync.replicas, waits for broker 3",
    )?;
    let pace = ["--throttle", "8M", "--batch", "6"];
    place.document(&[&["reassign", "set"], &pace[..]].concat())?;
    see(terminal, "at most 8 MB/s")?;
    wait_for_rates(cluster, 4_000_000)?;
    let run = status(place)?;
    ensure!(
        run["brake"]["brake"] == "stopped" && run["batch"] == 6 && run["counts"]["waiting"] == 2,
        "{run}"
    );
    // The other ones are empty, so that they arrive at once.
    need(place, "2")?;
    see(terminal, "2 of 4 moved, 2 on the way, slowed down: ")?;
    let run = status(place)?;
    ensure!(run["counts"]["done"] == 2, "{run}");
    Ok(())
}

/// One by one it is refused before anything is sent, by the key and by the command; as a whole the
/// rest goes back.
fn back_where_it_may(place: &Place, terminal: &mut Terminal) -> anyhow::Result<()> {
    let refused = "braked-0: no replica of before is in sync, so going back would lose records";
    terminal.keys("g x")?;
    see(terminal, refused)?;
    let said = place.document(&["reassign", "cancel", "--dry-run"])?;
    let plan = &said["plan"];
    let left = plan["not_done"].as_array().context("what is left")?;
    let changes = plan["changes"].as_array().context("changes")?;
    ensure!(
        left == &[json!(refused)] && changes.len() == 1 && changes[0]["subject"] == "braked-1",
        "{said}"
    );
    terminal.keys("X")?;
    terminal.wait_for("cancel the run")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    see(
        terminal,
        "braked-0 goes on: no replica of before is in sync: going back would lose records",
    )?;
    terminal.wait_until("the other one goes back", |terminal| {
        terminal.row("braked-1").is_none() && terminal.row("braked-0").is_some()
    })
}

/// Back again, the broker has the rate that the run had set; the janitor tells it from that of the
/// operator, which stays.
fn left_behind(cluster: &Cluster, place: &Place) -> anyhow::Result<()> {
    place.document(&["wait", "urp == 0", "--timeout", "90s"])?;
    let found = throttles(cluster, MOVED)?;
    let both = [format!("{RECEIVED}={OPERATORS}"), format!("{SENT}={RATE}")];
    ensure!(found == both, "{found:?}");
    let done = place.document(&["reassign", "janitor", "--execute"])?;
    let rows = done["left_over"].as_array().context("rows")?;
    let by = |setting: &str| rows.iter().find(|row| row["setting"] == setting);
    let (ours, theirs) = (by(SENT), by(RECEIVED));
    ensure!(
        rows.len() == 2
            && rows.iter().all(|row| row["resource"] == "broker 3")
            && ours.is_some_and(|row| row["set_by"].is_string() && row["outcome"] == "removed")
            && theirs.is_some_and(|row| row["set_by"].is_null() && row["outcome"].is_null()),
        "{done}"
    );
    let left = place.document(&["reassign", "janitor"])?;
    let rows = left["left_over"].as_array().context("rows")?;
    ensure!(
        rows.len() == 1
            && rows[0]["setting"] == RECEIVED
            && rows[0]["values"] == json!([OPERATORS]),
        "{left}"
    );
    Ok(())
}
