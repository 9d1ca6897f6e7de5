//! Groups by keys: where they go on, and what is undone.

use kafka_tui::ops::offsets::{ResetRequest, ResetScope, ResetTo, TopicScope, prepare_reset};

use super::*;

/// Gives a group an offset of a topic, as if it had read so far.
fn commit(session: &Session, group: &str, topic: &str, offset: i64) -> anyhow::Result<()> {
    let bootstrap = session.bootstrap();
    session.runtime.block_on(async {
        let client = super::super::client(&[bootstrap.parse()?]);
        let request = ResetRequest {
            group: group.to_owned(),
            scope: ResetScope::Topics(vec![TopicScope {
                topic: topic.to_owned(),
                partitions: None,
            }]),
            to: ResetTo::Offset(offset),
        };
        let alter = prepare_reset(&client, &request).await;
        let alter = alter.map_err(|fault| anyhow::anyhow!("{fault}"))?;
        let done = client.alter_offsets(&alter).await;
        done.map(drop).map_err(|fault| anyhow::anyhow!("{fault}"))
    })
}

#[test]
fn offsets_are_set_with_a_preview_undone_and_forgotten() -> anyhow::Result<()> {
    let mut session = Session::start(SMALL, &[], &[], &[("orders", 1)])?;
    let bootstrap = session.bootstrap();
    session.runtime.block_on(produce(&bootstrap, "orders", 9))?;
    commit(&session, "billing", "orders", 4)?;
    session.see(":group space billing enter", "orders-0")?;
    session.see("o", "where billing goes on")?;
    session.see("enter", "where to?")?;
    session.see("sometime enter", "is none of")?;
    session.see("ctrl-u earliest tab nowhere enter", "does not exist")?;
    session.see("ctrl-u enter", "4 → 0  re-reads 4; next:")?;
    session.see("", "at most 4 records will be read once more")?;
    session.see("", "--to-earliest --all-topics")?;
    session.see("y", "✓ set the offsets of group \"billing\"")?;
    let lag_is = |lag: &'static str| {
        move |terminal: &Terminal| {
            let row = terminal.row("orders-0");
            row.is_some_and(|row| row.get(2).is_some_and(|text| text == lag))
        }
    };
    session.terminal.wait_until("a lag of 9", lag_is("9"))?;
    session.see("U", "0 → 4  skips 4")?;
    session.see("y", "✓ undo: set the offsets")?;
    session.terminal.wait_until("a lag of 5", lag_is("5"))?;
    session.see("o", "where billing goes on")?;
    session.see("+2 enter", "4 → 6  skips 2")?;
    session.see("esc esc", "partitions 1")?;
    session.see("x", "delete offsets of group")?;
    session.see("y", "✓ delete offsets")?;
    session.quit()
}

#[test]
fn a_group_s_lag_and_its_timeline_are_told_where_one_looks() -> anyhow::Result<()> {
    let mut session = Session::start(SMALL, &[], &[], &[("orders", 1)])?;
    let bootstrap = session.bootstrap();
    session.runtime.block_on(produce(&bootstrap, "orders", 9))?;
    commit(&session, "billing", "orders", 4)?;
    session.see(":group space billing enter", "TIME")?;
    session.see("", "verdict")?;
    session.see("t", "timeline of billing")?;
    session.see("", "__consumer_offsets-")?;
    let member = session.runtime.block_on(async {
        let bootstrap = [bootstrap.parse().expect("host:port")];
        super::super::groups::TestMember::start(&bootstrap, "billing", "orders")
    });
    session.see("", "joined: kafka-tui")?;
    session.runtime.block_on(member.leave());
    session.see("", "left: kafka-tui")?;
    for size in [(40, 10), WIDE] {
        session.terminal.resize(size.0, size.1)?;
        session.see("", "left: kafka-tui")?;
    }
    session.quit()
}
