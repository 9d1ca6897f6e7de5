//! Kafka Connect: looked at again and again, and changed.

use std::time::Duration;

use kafka_shared::task;
use tokio::sync::mpsc;

use super::broken;
use crate::connect::{Change, Workers, read_config};
use crate::ui::event::{Answer, ConnectorWish, Event, JobId};

/// How often the connectors are looked at while they are on the screen.
const LOOK: Duration = Duration::from_secs(3);

/// Tells them when they are different, until nobody listens.
pub(super) async fn watch(job: JobId, workers: Workers, events: mpsc::Sender<Event>) -> Answer {
    let mut before = None;
    loop {
        let now = workers.connectors().await;
        if before.as_ref() != Some(&now) {
            before = Some(now.clone());
            let answer = Answer::Connectors(now);
            if events.send(Event::Answer { job, answer }).await.is_err() {
                return Answer::Connectors(Ok(Vec::new()));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What a configuration would be, with what a worker finds wrong with it.
pub(super) async fn propose(workers: Workers, name: String, wish: ConnectorWish) -> Answer {
    let ConnectorWish { set, unset, file } = wish;
    let mut all = Vec::new();
    if let Some(file) = file {
        let read = task::spawn_blocking("ui-connector-file", move || read_config(&file)).await;
        let read = read.unwrap_or_else(|_| Err(broken("read a connector's configuration")));
        match read {
            Ok(values) => all.extend(values),
            Err(fault) => return Answer::ConnectorProposed(Err(fault)),
        }
    }
    all.extend(set);
    let proposed = workers.propose(&name, &all, &unset).await;
    Answer::ConnectorProposed(proposed.map(Box::new))
}

pub(super) async fn change(workers: Workers, name: String, change: Change) -> Answer {
    let changed = workers.change(&name, &change).await;
    Answer::ConnectorChanged(changed.map(|()| format!("{name}: {}", change.done())))
}
