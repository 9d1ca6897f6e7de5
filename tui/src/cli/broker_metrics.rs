//! `brokers metrics`: what brokers tell of themselves, with rates over an interval.

use std::time::Duration;

use crate::model::{Fault, Update};
use crate::output;

use super::{GlobalArgs, Io, Session, shared, top};

/// Of which broker, and how closely.
#[derive(Clone, Debug, clap::Args)]
pub struct MetricsArgs {
    /// Only this broker
    pub id: Option<i32>,
    /// Measure rates over this long: from 1s on
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = top::interval)]
    pub interval: Duration,
    /// So many topics of each broker, the busiest
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub topics: usize,
}

pub(super) async fn run(
    global: &GlobalArgs,
    args: &MetricsArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let mut session = Session::open(global).await?;
    if let Some(id) = args.id
        && session.metadata()?.broker(id).is_none()
    {
        let why = format!("there is no broker {id}");
        return Err(Fault::not_found("read a broker's metrics", why)
            .with_hint("`kafka-tui brokers list` shows their ids"));
    }
    let first_ms = session.client.now().monotonic_ms;
    let started = tokio::time::Instant::now();
    read(&mut session).await?;
    tokio::time::sleep_until(started + args.interval).await;
    read(&mut session).await?;
    let now_ms = session.client.now().monotonic_ms;
    let interval_ms = now_ms - first_ms;
    let told = output::broker_metrics(&session.snapshot, args.id, interval_ms, now_ms, args.topics);
    let all_failed = told.brokers.iter().all(|row| row.error.is_some());
    io.print(global.output, &told);
    Ok(if all_failed { 1 } else { 0 })
}

/// Pages, and where logs end for brokers that have none.
async fn read(session: &mut Session) -> Result<(), Fault> {
    let metadata = session.metadata()?;
    let client = session.client.clone();
    let (pages, offsets) = tokio::join!(
        client.broker_metrics(&metadata),
        client.offsets(&metadata, None),
    );
    session.apply(Update::Offsets {
        result: shared(offsets),
        complete: true,
    });
    if let Some(pages) = pages {
        session.apply(Update::Metrics(pages));
    }
    Ok(())
}
