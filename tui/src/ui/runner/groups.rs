//! Jobs about groups.

use kafka_shared::task;

use super::{broken, within};
use crate::cluster::ClusterClient;
use crate::ops::ResetTo;
use crate::ops::offsets::{prepare_reset, read_csv};
use crate::ui::event::Answer;
use crate::ui::screens::ResetWish;

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
    Answer::ResetPrepared(prepared.map(std::sync::Arc::new))
}
