//! Racks: shown as Kafka's tool names them, kept by what is proposed, by keys and by commands, and
//! where they can't be kept that is said. Brokers 1 and 2 share one, broker 3 has its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::{Cluster, RACKS};
use crate::running::Place;
use crate::shell;
use crate::terminal::Terminal;

/// The most that anything may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// Two replicas each, none of them on broker 2.
const PAIRS: &str = "racked";

/// One replica each, one on each broker.
const SINGLES: &str = "racked-single";

/// Three replicas each.
const TRIPLES: &str = "racked-triple";

pub fn kept(cluster: &mut Cluster) -> anyhow::Result<()> {
    let place = Place::of(cluster)?;
    for (name, replicas) in [
        (PAIRS, "1:3,1:3,1:3,1:3"),
        (SINGLES, "1,2,3"),
        (TRIPLES, "1:2:3,3:2:1"),
    ] {
        let create = ["topics", "create", name, "--replica-assignment", replicas];
        place.document(&create)?;
    }
    let mut terminal = place.screens("brokers")?;
    shown(cluster, &place, &mut terminal)?;
    balanced(cluster, &place, &mut terminal)?;
    refused(&place)?;
    // Off a broker whose rack has another one: there, and nowhere else. A second replica is in the
    // other rack, and of three the one that goes shares its own.
    carried_out(&place, PAIRS, &["--drain", "1"])?;
    carried_out(&place, SINGLES, &["--replication-factor", "2"])?;
    fewer_replicas(&mut terminal)?;
    let mut found = BTreeMap::new();
    let is_so = shell::wait_until(DEADLINE, || {
        found = placed(cluster).unwrap_or_default();
        let lists = || found.values().flatten();
        lists().count() == 9
            && lists().all(|ids| ids.len() == 2 && n_racks(ids) == 2)
            && found[PAIRS].iter().all(|ids| !ids.contains(&1))
    });
    ensure!(is_so, "{found:?}");
    place.document(&["topics", "delete", PAIRS, SINGLES, TRIPLES, "--yes"])?;
    Ok(())
}

/// The replicas of the partitions of each topic, as kafka-topics says.
fn placed(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, Vec<Vec<usize>>>> {
    let text = cluster.tool("kafka-topics", &["--describe", "--topic", "racked.*"], None)?;
    let mut found: BTreeMap<String, Vec<Vec<usize>>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains("Leader: ")) {
        let field = |name: &str| {
            let (_, rest) = line.split_once(name)?;
            rest.split_whitespace().next()
        };
        let both = field("Topic: ").zip(field("Replicas: "));
        let (topic, list) = both.with_context(|| line.to_owned())?;
        let ids = list.split(',').map(str::parse).collect::<Result<_, _>>()?;
        found.entry(topic.to_owned()).or_default().push(ids);
    }
    Ok(found)
}

/// A proposal by a command, carried out.
fn carried_out(place: &Place, topic: &str, goal: &[&str]) -> anyhow::Result<()> {
    let file = place.file("proposal.json");
    let plan = ["reassign", "plan", "--topic", topic, "--out", &file];
    place.document(&[&plan[..], goal].concat())?;
    let done = place.document(&["reassign", "run", &file, "--execute"])?;
    ensure!(
        done["is_over"] == true && done["counts"]["skipped"] == 0,
        "{done}"
    );
    Ok(())
}

fn n_racks(ids: &[usize]) -> usize {
    let racks: BTreeSet<&str> = ids.iter().map(|id| RACKS[id - 1]).collect();
    racks.len()
}

/// On the page of the brokers, on that of one, and in the document.
fn shown(cluster: &Cluster, place: &Place, terminal: &mut Terminal) -> anyhow::Result<()> {
    let said = cluster.tool("kafka-broker-api-versions", &[], None)?;
    let listed = place.document(&["brokers", "list"])?;
    for (at, rack) in RACKS.iter().enumerate() {
        let id = (at + 1).to_string();
        ensure!(said.contains(&format!("id: {id} rack: {rack} ")), "{said}");
        ensure!(listed["brokers"][at]["rack"] == *rack, "{listed}");
        terminal.wait_until(&format!("broker {id} in {rack}"), |terminal| {
            let row = terminal.row(&id).unwrap_or_default();
            row.iter().any(|word| word == rack)
        })?;
    }
    terminal.keys(":broker space 3 enter")?;
    terminal.wait_for("rack r2")
}

/// What kafka-reassign-partitions --generate proposes for a topic over all brokers.
fn generated(cluster: &Cluster, place: &Place, topic: &str) -> anyhow::Result<Vec<Vec<usize>>> {
    let file = place.file("topics.json");
    let text = format!(r#"{{"version":1,"topics":[{{"topic":"{topic}"}}]}}"#);
    std::fs::write(&file, text)?;
    let args = ["--generate", "--topics-to-move-json-file", &file];
    let args = [&args[..], &["--broker-list", "1,2,3"]].concat();
    let said = cluster.tool("kafka-reassign-partitions", &args, None)?;
    let proposal = said.lines().rev().find(|line| line.starts_with('{'));
    let proposal: Value = serde_json::from_str(proposal.context("a proposal")?)?;
    let partitions = proposal["partitions"].as_array().context("partitions")?;
    let ids = |partition: &Value| -> Option<Vec<usize>> {
        let list = partition["replicas"].as_array()?.iter();
        list.map(|id| usize::try_from(id.as_u64()?).ok()).collect()
    };
    let lists: Option<_> = partitions.iter().map(ids).collect();
    lists.context("lists of replicas")
}

/// Replicas of each broker.
fn held(lists: &[Vec<usize>]) -> [usize; 3] {
    [1, 2, 3].map(|id| lists.iter().filter(|list| list.contains(&id)).count())
}

/// By keys: without broker 3 a rack would be lost, which is refused, or said where it is allowed;
/// over all brokers it stays full although that is uneven, as with Kafka's own tool.
fn balanced(cluster: &Cluster, place: &Place, terminal: &mut Terminal) -> anyhow::Result<()> {
    let theirs = generated(cluster, place, PAIRS)?;
    ensure!(
        theirs.len() == 4 && theirs.iter().all(|ids| n_racks(ids) == 2),
        "{theirs:?}"
    );
    terminal.keys(&format!(":topic space {PAIRS} enter"))?;
    terminal.wait_for(&format!("topics › {PAIRS}"))?;
    terminal.keys("a")?;
    terminal.wait_for(&format!("reassign {PAIRS}"))?;
    terminal.keys("b")?;
    terminal.wait_for("how to reassign")?;
    terminal.keys("ctrl-u 1,2 enter")?;
    terminal.wait_for("racked-0 would span 1 rack instead of 2")?;
    terminal.wait_for("allow fewer racks")?;
    terminal.keys("b")?;
    terminal.wait_for("how to reassign")?;
    terminal.keys("ctrl-u 1,2 tab tab space enter")?;
    terminal.wait_for("4 of 4 partitions change")?;
    let loses = |terminal: &Terminal| {
        let line = terminal.line("racked-0").unwrap_or_default();
        line.contains("2 → 1")
    };
    terminal.wait_until("a rack less", loses)?;
    terminal.keys("x")?;
    terminal.wait_for("racked-0 will span 1 rack instead of 2")?;
    terminal.wait_for("more partitions will span fewer racks than now")?;
    terminal.keys("esc b")?;
    terminal.wait_for("how to reassign")?;
    terminal.keys("ctrl-u 1,2,3 tab tab space enter")?;
    // Two onto broker 2, and one more is led by broker 3.
    terminal.wait_for("3 of 4 partitions change")?;
    terminal.wait_until("no rack less", |terminal| !loses(terminal))?;
    terminal.keys("x")?;
    terminal.wait_for("press y to execute")?;
    let text = terminal.text();
    ensure!(!text.contains("fewer racks"), "{text}");
    terminal.keys("y")?;
    let mut ours = None;
    let is_so = shell::wait_until(DEADLINE, || {
        ours = placed(cluster).unwrap_or_default().remove(PAIRS);
        let lists = ours.as_deref().unwrap_or_default();
        held(lists) == [2, 2, 4] && lists.iter().all(|ids| ids.len() == 2)
    });
    ensure!(is_so, "{ours:?}");
    // Kafka's copies no less, and is no more even: the one of the other rack is on every list.
    ensure!(held(&theirs)[2] == 4, "{theirs:?}");
    terminal.keys("esc esc").map(drop)
}

/// Off the only broker of a rack: refused with what to do, and allowed only when that is said.
fn refused(place: &Place) -> anyhow::Result<()> {
    let drain = ["reassign", "plan", "--topic", PAIRS, "--drain", "3"];
    let (code, said) = place.run(&drain)?;
    let text = said.to_string();
    ensure!(
        code == 4
            && text.contains("would span 1 rack instead of 2")
            && text.contains("add a broker in the rack that would be lost"),
        "{code}: {said}"
    );
    let allowed = [&drain[..], &["--allow-fewer-racks"]].concat();
    let plan = place.document(&allowed)?;
    let warnings = plan["warnings"].to_string();
    ensure!(
        plan["moves"] == 4 && warnings.contains("will span 1 rack instead of 2"),
        "{plan}"
    );
    Ok(())
}

/// By keys: of three replicas two.
fn fewer_replicas(terminal: &mut Terminal) -> anyhow::Result<()> {
    terminal.keys(&format!(":topic space {TRIPLES} enter"))?;
    terminal.wait_for(&format!("topics › {TRIPLES}"))?;
    terminal.keys("a")?;
    terminal.wait_for(&format!("reassign {TRIPLES}"))?;
    terminal.keys("b")?;
    terminal.wait_for("how to reassign")?;
    terminal.keys("tab tab tab 2 enter")?;
    terminal.wait_for("2 of 2 partitions change")?;
    terminal.keys("x")?;
    terminal.wait_for("changes from 3 to 2 replicas")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y").map(drop)
}
