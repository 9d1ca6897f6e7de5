//! Jobs about groups.

use std::sync::Arc;

use kafka_shared::task;
use tokio::sync::mpsc;

use super::{broken, hand_over, within};
use crate::cluster::{ClusterClient, GroupLogLimits};
use crate::ops::ResetTo;
use crate::ops::offsets::{prepare_reset, read_csv};
use crate::ui::event::{Answer, Event, JobId};
use crate::ui::screens::ResetWish;

/// How often a group is looked at closely.
const WATCH_MS: u64 = 5_000;

/// Looks at a group until it is cancelled or nobody listens.
pub(super) async fn watch(
    client: ClusterClient,
    events: mpsc::Sender<Event>,
    job: JobId,
    group: String,
) -> Answer {
    loop {
        let from_ms = client.now().monotonic_ms;
        let limits = GroupLogLimits::default();
        let look = within("look at the group", client.look_at_group(&group, limits)).await;
        let answer = Answer::GroupLooked(look.map(Arc::new));
        let found = (job, answer);
        if let Some(answer) = hand_over(&client, &events, found, from_ms, WATCH_MS).await {
            return answer;
        }
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
