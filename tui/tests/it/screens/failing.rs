//! What goes wrong, on every screen and at any size: it is said what, what was known stays with its
//! age, nothing waits, and it goes on by itself.

use std::net::TcpListener;
use std::process::Command;

use kafka_broker::testing::Cluster;

use super::*;

/// What a narrow split of a terminal leaves.
const TINY: (u16, u16) = (40, 10);

/// The keys that lead to the screens of a cluster.
const SCREENS: [&str; 16] = [
    ":overview enter",
    ":brokers enter",
    ":broker space 1 enter",
    ":brokers enter c",
    ":topics enter",
    ":topic space kept enter",
    ":configs space kept enter",
    ":messages space kept enter",
    ":groups enter",
    ":reassignments enter",
    ":quorum enter",
    ":changes enter",
    ":acls enter",
    ":users enter",
    ":quotas enter",
    ":transactions enter",
];

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).enable_all().build()?)
}

/// Leaves, which has to work whatever else does not.
fn leave(mut terminal: Terminal) -> anyhow::Result<()> {
    terminal.keys("ctrl-c")?;
    anyhow::ensure!(terminal.wait_for_end()?.success(), "it ends in order");
    terminal.wait_until("restored", Terminal::is_restored)
}

#[test]
fn a_cluster_that_is_not_there_is_told_on_every_screen_and_found_when_it_comes()
-> anyhow::Result<()> {
    let runtime = runtime()?;
    let mut cluster = runtime.block_on(Cluster::start(1))?;
    let address = cluster.bootstrap();
    runtime.block_on(create(&address, "kept", 1))?;
    runtime.block_on(cluster.kill_node(1))?;
    let mut terminal = Terminal::start(program(), &["--bootstrap", &address], &[], SMALL)?;
    terminal.wait_for("refused")?;
    for keys in [
        ":overview enter",
        ":topics enter",
        ":groups enter",
        ":quorum enter",
        "9",
    ] {
        terminal.keys(keys)?;
        for size in [SMALL, TINY, WIDE] {
            terminal.resize(size.0, size.1)?;
            for text in ["connect", "refused", "trying again"] {
                terminal
                    .wait_for(text)
                    .with_context(|| format!("{keys} at {size:?}"))?;
            }
            anyhow::ensure!(!terminal.text().contains("live"), "{}", terminal.text());
        }
    }
    runtime.block_on(cluster.start_node(1))?;
    terminal.keys(":topics enter")?;
    terminal.wait_for("live")?;
    terminal.wait_for("kept")?;
    leave(terminal)?;
    runtime.block_on(cluster.stop())
}

#[test]
fn what_was_known_of_a_cluster_that_dies_stays_with_its_age_until_it_is_back() -> anyhow::Result<()>
{
    let runtime = runtime()?;
    let mut cluster = runtime.block_on(Cluster::start(1))?;
    let address = cluster.bootstrap();
    runtime.block_on(create(&address, "kept", 3))?;
    let args = [
        "--bootstrap",
        &address,
        "--refresh",
        "1",
        "--open",
        "topics",
    ];
    let mut terminal = Terminal::start(program(), &args, &[], WIDE)?;
    terminal.wait_for("live")?;
    let row = |terminal: &Terminal| terminal.row("kept").map(|row| row[1..4].join(" "));
    terminal.wait_until("the topic", |terminal| {
        row(terminal).as_deref() == Some("3 1 ok")
    })?;
    runtime.block_on(cluster.kill_node(1))?;
    terminal.wait_for("NO ANSWER for")?;
    for keys in SCREENS {
        terminal.keys(keys)?;
        for size in [TINY, SMALL, WIDE] {
            terminal.resize(size.0, size.1)?;
            terminal
                .wait_for("NO ANSWER for")
                .with_context(|| format!("{keys} at {size:?}"))?;
        }
        terminal.keys("esc esc")?;
    }
    terminal.keys(":topics enter")?;
    terminal.wait_for("! topics from")?;
    anyhow::ensure!(
        row(&terminal).as_deref() == Some("3 1 ok"),
        "{}",
        terminal.text()
    );
    runtime.block_on(cluster.start_node(1))?;
    terminal.wait_while("NO ANSWER")?;
    terminal.wait_for("live")?;
    terminal.wait_until("the topic as before", |terminal| {
        row(terminal).as_deref() == Some("3 1 ok")
    })?;
    leave(terminal)?;
    runtime.block_on(cluster.stop())
}

#[test]
fn who_never_answers_holds_up_no_key_on_no_screen() -> anyhow::Result<()> {
    // The kernel accepts, and nobody reads.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let address = silent.local_addr()?.to_string();
    let mut terminal = Terminal::start(program(), &["--bootstrap", &address], &[], SMALL)?;
    terminal.wait_for("no answer for")?;
    for keys in [
        ":topics enter",
        ":groups enter",
        ":quorum enter",
        ":acls enter",
        "1",
    ] {
        terminal.keys(keys)?;
        for size in [TINY, SMALL, WIDE] {
            terminal.resize(size.0, size.1)?;
            terminal.wait_until("what is tried, and for how long", |terminal| {
                let text = terminal.text();
                text.lines().count() == usize::from(size.1)
                    && (text.contains("no answer") || text.contains("trying again"))
            })?;
        }
    }
    terminal.keys(":clusters enter")?;
    terminal.wait_for("no cluster is saved")?;
    terminal.keys("?")?;
    terminal.wait_for("help: clusters")?;
    terminal.keys("esc")?;
    leave(terminal)
}

#[test]
fn a_cluster_that_was_made_anew_at_the_address_gets_no_change() -> anyhow::Result<()> {
    let runtime = runtime()?;
    let first = runtime.block_on(TestBroker::start(&[]))?;
    let address = first.bootstrap();
    runtime.block_on(create(&address, "kept", 1))?;
    let args = [
        "--bootstrap",
        &address,
        "--refresh",
        "1",
        "--open",
        "topics",
    ];
    let mut terminal = Terminal::start(program(), &args, &[], WIDE)?;
    terminal.wait_for("kept")?;
    runtime.block_on(first.stop())?;
    terminal.wait_for("NO ANSWER for")?;
    let listener = format!("listeners=PLAINTEXT://{address}");
    let second = runtime.block_on(TestBroker::start(&[&listener]))?;
    runtime.block_on(create(&address, "of-another", 1))?;
    terminal.wait_while("NO ANSWER")?;
    terminal.wait_for("of-another")?;
    terminal.keys(":create space astray enter enter")?;
    terminal.wait_for("belongs to cluster")?;
    anyhow::ensure!(!terminal.text().contains("✓ create"), "{}", terminal.text());
    let client = super::super::client(&[address.parse()?]);
    let metadata = runtime.block_on(client.metadata());
    let metadata = metadata.map_err(|fault| anyhow::anyhow!("{fault}"))?;
    anyhow::ensure!(metadata.topic("astray").is_none(), "nothing was sent to it");
    leave(terminal)?;
    runtime.block_on(second.stop())
}

#[test]
fn the_version_is_that_of_the_package() -> anyhow::Result<()> {
    let output = Command::new(program()).arg("--version").output()?;
    let said = String::from_utf8(output.stdout)?;
    anyhow::ensure!(output.status.success(), "{said}");
    assert_eq!(said, format!("kafka-tui {}\n", env!("CARGO_PKG_VERSION")));
    Ok(())
}
