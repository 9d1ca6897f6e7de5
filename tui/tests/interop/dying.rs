//! A broker that dies while it is to get replicas: what waits says for whom, in any size, and goes
//! on by itself; and one that is gone for good.

use anyhow::ensure;

use crate::blind::words;
use crate::cluster::Cluster;
use crate::command::document;
use crate::moves::{move_to_3, percent, slow_topic, throttle};
use crate::terminal::Terminal;
use crate::{TINY, WIDE, manager, shell};

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

pub fn in_a_move(cluster: &mut Cluster) -> anyhow::Result<()> {
    slow_topic(cluster, "stranded")?;
    let mut terminal = manager(cluster, "topics")?;
    move_to_3(&mut terminal, "stranded")?;
    terminal.wait_until("some of it is copied", |terminal| {
        percent(terminal).is_some_and(|percent| (1..100).contains(&percent))
    })?;
    cluster.kill(3);
    let looked = look(cluster, &mut terminal);
    cluster.spawn(3)?;
    cluster.wait_for(3)?;
    looked?;
    terminal.keys(":reassignments enter")?;
    terminal.wait_while("waits for")?;
    throttle(cluster, "stranded", "--delete-config", ["", ""])?;
    terminal.wait_for("nothing is being reassigned")?;
    terminal.keys("q")?;
    ensure!(terminal.wait_for_end()?.success(), "it ends");
    Ok(())
}

/// What every screen says while broker 3 is dead.
fn look(cluster: &Cluster, terminal: &mut Terminal) -> anyhow::Result<()> {
    let told = "2 moves wait for broker 3, which is down: start it, or cancel with x";
    for size in [WIDE, (80, 24), TINY] {
        terminal.resize(size.0, size.1)?;
        terminal.wait_until(told, |terminal| words(terminal).contains(told))?;
        // On the smallest one names are cut.
        terminal.wait_for("stran")?;
    }
    // Nothing waits for the dead one: keys are answered at once, elsewhere too.
    terminal.resize(80, 24)?;
    for (keys, shown) in [
        (":brokers enter", "fenced"),
        (":broker space 3 enter", "fenced"),
        (":overview enter", "needs attention now"),
        (":changes enter", "broker 3 is fenced"),
        (":topic space stranded enter", "moving"),
    ] {
        terminal.keys(keys)?;
        terminal.wait_for(shown)?;
    }
    let status = document(cluster, &["reassign", "status"])?;
    ensure!(status["reassignments"][0]["waits_for"][0] == 3, "{status}");
    Ok(())
}

pub fn unregistered(cluster: &mut Cluster) -> anyhow::Result<()> {
    let is_known = |cluster: &Cluster| {
        // Who still has replicas there is listed, without an address.
        let listed = document(cluster, &["brokers", "list"]);
        listed
            .is_ok_and(|all| all["brokers"][2]["id"] == 3 && all["brokers"][2]["host"].is_string())
    };
    let mut terminal = manager(cluster, "brokers")?;
    terminal.wait_until("broker 3 is up", |terminal| {
        terminal.row("3").is_some_and(|row| row[1] == "up")
    })?;
    cluster.kill(3);
    terminal.wait_until("broker 3 is missed", |terminal| {
        terminal.row("3").is_some_and(|row| row[1] == "fenced")
    })?;
    terminal.keys("G :unregister enter")?;
    terminal.wait_for("kafka-cluster.sh unregister")?;
    terminal.wait_for("type unregister 3 to confirm")?;
    terminal.keys("unregister space 3 enter")?;
    terminal.wait_for("✓ unregister broker 3")?;
    ensure!(
        shell::wait_until(DEADLINE, || !is_known(cluster)),
        "nobody knows broker 3 any more"
    );
    terminal.wait_until("replicas are on a broker that is gone", |terminal| {
        terminal.row("3").is_some_and(|row| row[1] == "gone")
    })?;
    cluster.spawn(3)?;
    cluster.wait_for(3)?;
    ensure!(
        shell::wait_until(DEADLINE, || is_known(cluster)),
        "it registers again"
    );
    terminal.keys(":overview enter")?;
    terminal.wait_until("every replica is in sync again", |terminal| {
        let row = terminal.row("under-replicated").unwrap_or_default();
        row.get(1).is_some_and(|n| n == "0")
    })
}
