//! Jobs about groups.

use std::sync::Arc;
use std::time::Duration;

use kafka_shared::task;
use tokio::sync::mpsc;

use super::{broken, within};
use crate::cluster::{ClusterClient, GroupLogLimits};
use crate::ops::ResetTo;
use crate::ops::offsets::{prepare_reset, read_csv};
use crate::ui::event::{Answer, Event, JobId};
use crate::ui::screens::ResetWish;

/// How often a group is looked at closely.
const WATCH_MS: u64 = 5_000;

/// A look is followed by a rest of so many times as long as it took.
const REST: u32 = 20;

/// Looks at a group until it is cancelled or nobody listens.
pub(super) async fn watch(
    client: ClusterClient,
    events: mpsc::Sender<Event>,
    job: JobId,
    group: String,
) -> Answer {
    loop {
        let from = client.now().monotonic_ms;
        let limits = GroupLogLimits::default();
        let look = within("look at the group", client.look_at_group(&group, limits)).await;
        let answer = Answer::GroupLooked(look.map(Arc::new));
        if let Err(mpsc::error::SendError(event)) = events.send(Event::Answer { job, answer }).await
            && let Event::Answer { answer, .. } = event
        {
            return answer;
        }
        let took = u64::try_from(client.now().monotonic_ms - from).unwrap_or(0);
        let rest = took.saturating_mul(REST.into()).clamp(WATCH_MS, 120_000);
        tokio::time::sleep(Duration::from_millis(rest)).await;
    }
}

/// Reads what new offsets come to.
pub(super) async fn prepare(client: ClusterClient, wish: ResetWish) -> Answer {
    let ResetWish { mut request, file } = wish;
    if let Some(file) = file {
        let group = request.group.clone();
        let read = task::spawn_blocking("ui-offsets-file", move || read_csv(&file, &group)).await;
        match read.unwrap_or_else(|_| Err(broken("read the file of offsets"))) {
            Ok(offsets) => request.to = ResetTo::File(offsets),
            Err(fault) => return Answer::ResetPrepared(Err(fault)),
        }
    }
    let prepared = within("reset offsets", prepare_reset(&client, &request)).await;
    Answer::ResetPrepared(prepared.map(Arc::new))
}
