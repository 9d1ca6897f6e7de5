//! One node, broker and controller in one, whose folder is run by Apache Kafka and by us in turn, ended
//! in order and by kill -9, while idempotent producers go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, ensure};
use kafka_shared::client::Client;

use crate::admin::Admin;
use crate::load::client_config;
use crate::mixed::segments;
use crate::node::{Kind, LOWERED, Node};
use crate::ping_pong::ledger::Ledger;
use crate::ping_pong::producers::produce;
use crate::{Case, apache, shell};

const TOPIC: &str = "t";
const N_PARTITIONS: usize = 2;
const UP: Duration = Duration::from_secs(120);

pub fn cases() -> Vec<Case> {
    vec![Case::new(
        "folders: a single node changes its program under load, in order and by kill -9",
        a_single_node_changes_its_program,
    )]
}

#[derive(Clone, Copy, Debug)]
enum End {
    InOrder,
    Kill,
}

/// A node with both roles, formatted by Apache Kafka, in a folder that goes when this does.
fn format() -> anyhow::Result<(Node, tempfile::TempDir)> {
    let folder = tempfile::tempdir()?;
    let (port, controller) = (shell::free_port()?, shell::free_port()?);
    let node = Node::new(Kind::Apache, port, folder.path().to_owned())?;
    let text = apache::server_properties(port, controller, folder.path());
    std::fs::write(node.properties(), text)?;
    let cluster_id = "4L6g3nShT-eMCtK--X86sw";
    let options = ["--standalone".to_owned()];
    node.format(Kind::Apache, cluster_id, &options, &LOWERED)?;
    Ok((node, folder))
}

fn end(node: &mut Node, how: End) -> anyhow::Result<()> {
    match how {
        End::InOrder => node.stop(),
        End::Kill => {
            node.kill();
            Ok(())
        }
    }
}

fn a_single_node_changes_its_program() -> anyhow::Result<()> {
    use End::{InOrder, Kill};
    use Kind::{Apache, Ours};
    let (mut node, _folder) = format()?;
    node.up()?;
    let result = (|| -> anyhow::Result<()> {
        let bootstrap = format!("127.0.0.1:{}", node.port);
        let admin = Admin::with(client_config(&bootstrap))?;
        admin.create(TOPIC, 1, &[&[1][..]; N_PARTITIONS])?;
        let ledger = Arc::new(Ledger::default());
        let mut tasks = Vec::new();
        for partition in 0..i32::try_from(N_PARTITIONS)? {
            let _runtime = admin.runtime.enter();
            let client = Client::new(client_config(&bootstrap));
            let known = Arc::clone(&ledger);
            let run = produce(client, TOPIC, partition, format!("p{partition}"), known);
            tasks.push(kafka_shared::task::spawn("produce", run));
        }
        go_on(&ledger)?;
        let turns = [
            (InOrder, Ours),
            (Kill, Apache),
            (Kill, Ours),
            (Kill, Ours),
            (InOrder, Apache),
            (Kill, Ours),
        ];
        for (how, next) in turns {
            end(&mut node, how)?;
            node.kind = next;
            node.up()?;
            go_on(&ledger).with_context(|| format!("{next:?} after {how:?}"))?;
        }
        ledger.stop.store(true, Ordering::Relaxed);
        for task in tasks {
            admin.runtime.block_on(task).context("a producer failed")?;
        }
        ledger.no_problems()?;
        node.stop()?;
        for partition in 0..N_PARTITIONS {
            let folder = node.data().join(format!("{TOPIC}-{partition}"));
            let mut log = Vec::new();
            for path in segments(&folder)? {
                log.extend(std::fs::read(path)?);
            }
            let contents = ledger.check(i32::try_from(partition)?, &log)?;
            ensure!(contents.n_records > 0, "nothing is stored");
        }
        println!(
            "     {} acknowledged, lost 0, doubled 0, longest gaps in ms {:?}",
            ledger.n_acknowledged(),
            ledger.gaps_ms()
        );
        Ok(())
    })();
    result.with_context(|| node.log())
}

/// Waits until some more is acknowledged.
fn go_on(ledger: &Ledger) -> anyhow::Result<()> {
    let wanted = ledger.n_acknowledged() + 300;
    let done = shell::wait_until(UP, || ledger.n_acknowledged() >= wanted);
    ledger.no_problems()?;
    ensure!(done, "nothing is acknowledged any more");
    Ok(())
}
