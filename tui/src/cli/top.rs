//! `top`: a cluster at a glance, with rates measured over an interval.

use std::sync::Arc;
use std::time::Duration;

use crate::derive::Verdict;
use crate::model::{Fault, Group, Update};
use crate::output;

use super::{GlobalArgs, Io, Session, shared, wait};

/// Offsets that are read closer together give no rate.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Groups that are read in one go.
const GROUPS_AT_ONCE: usize = 200;

/// What to show.
#[derive(Clone, Debug, clap::Args)]
pub struct TopArgs {
    /// Measure rates over this long: from 1s on
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    pub interval: Duration,
    /// No more groups and topics than this
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub limit: usize,
    /// Exit with 8 unless the cluster is known to be healthy
    #[arg(long)]
    pub check: bool,
}

pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = wait::duration(text)?;
    if interval < INTERVAL_MIN {
        return Err("rates take 1s or more".to_owned());
    }
    Ok(interval)
}

pub(super) async fn run(global: &GlobalArgs, args: &TopArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    let mut session = Session::open(global).await?;
    let metadata = session.metadata()?;
    let client = session.client.clone();
    let (offsets, settings, dirs, running, quorum, listed) = tokio::join!(
        client.offsets(&metadata, None),
        client.topic_settings(&metadata),
        client.log_dirs(&metadata),
        client.reassignments(),
        client.quorum(),
        client.groups_in(&metadata),
    );
    session.apply(Update::Offsets {
        result: shared(offsets),
        complete: true,
    });
    let first_ms = session.client.now().monotonic_ms;
    let started = tokio::time::Instant::now();
    session.apply(Update::Settings(shared(settings)));
    session.apply(Update::LogDirs(shared(dirs)));
    session.apply(Update::Reassignments(shared(running)));
    session.apply(Update::Quorum(shared(quorum)));
    let all: Vec<Arc<Group>> = listed
        .iter()
        .flat_map(|l| l.groups.values().cloned())
        .collect();
    session.apply(Update::Groups(shared(listed)));
    tokio::time::sleep_until(started + args.interval).await;
    // What was committed first, then the ends: no healthy group is ahead of its log then.
    for batch in all.chunks(GROUPS_AT_ONCE) {
        let (descriptions, committed) =
            tokio::join!(client.describe_groups(batch), client.committed(batch));
        session.apply(Update::Descriptions(descriptions));
        session.apply(Update::Committed(committed));
    }
    let offsets = client.offsets(&metadata, None).await;
    session.apply(Update::Offsets {
        result: shared(offsets),
        complete: true,
    });
    let interval_ms = session.client.now().monotonic_ms - first_ms;
    let top = output::top(&session.snapshot, interval_ms, args.limit);
    io.print(global.output, &top);
    let is_well = top.verdict == Verdict::Healthy;
    Ok(if args.check && !is_well {
        output::EXIT_NO
    } else {
        0
    })
}
