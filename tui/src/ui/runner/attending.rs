//! Attends to the runs of the cluster that is looked at: executes the one that has not ended, also
//! one that an earlier process left, and tells how far it is. While another process executes it,
//! this one only tells.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::cluster::ClusterClient;
use crate::model::Fault;
use crate::ops::execution::janitor::{self, LeftOver};
use crate::ops::execution::{Run, Store, shell};
use crate::ui::event::{Event, SessionId};

/// How often the folder is looked at.
const LOOK_MS: u64 = 1_000;

/// Runs until nobody listens any more.
pub(super) async fn attend(client: ClusterClient, session: SessionId, events: mpsc::Sender<Event>) {
    let Some(store) = find_store(&client).await else {
        return;
    };
    let mut told: Option<Run> = None;
    loop {
        let mut now = store.unfinished();
        let held = match (&now, client.is_read_only()) {
            (Some(_), false) => store.hold().ok().flatten(),
            _ => None,
        };
        if let (Some(run), Some(_held)) = (&mut now, held) {
            let tell = |run: &Run| {
                let event = Event::Run {
                    session,
                    run: Some(Box::new(run.clone())),
                };
                // A screen that is behind gets the next one.
                let _ = events.try_send(event);
            };
            if let Err(fault) = shell::execute(&client, &store, run, tell).await {
                run.trouble = Some(fault.to_string());
            }
        } else if now.is_none() && told.as_ref().is_some_and(|run| !run.is_over) {
            // Another process has ended it.
            now = told.as_ref().and_then(|run| store.load(&run.id).ok());
        } else if now.is_none() {
            now.clone_from(&told);
        }
        if now != told {
            let run = now.clone().map(Box::new);
            if events.send(Event::Run { session, run }).await.is_err() {
                return;
            }
            told = now;
        }
        if events.is_closed() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
    }
}

/// The folder of the cluster that answers; `None` where nothing can be kept.
async fn find_store(client: &ClusterClient) -> Option<Store> {
    loop {
        if let Ok(metadata) = client.metadata().await {
            return Store::of_user(metadata.cluster_id.as_deref()).ok();
        }
        tokio::time::sleep(Duration::from_millis(LOOK_MS * 5)).await;
    }
}

/// Throttles that nothing needs, of whoever.
pub(super) async fn left_over(client: &ClusterClient) -> Result<Vec<LeftOver>, Fault> {
    let metadata = client.metadata().await?;
    let store = Store::of_user(metadata.cluster_id.as_deref())?;
    janitor::find(client, &metadata, &store, true).await
}
