//! Kafka Connect: looked at again and again, and changed.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::connect::{Change, Workers};
use crate::ui::event::{Answer, Event, JobId};

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

pub(super) async fn change(workers: Workers, name: String, change: Change) -> Answer {
    let changed = workers.change(&name, &change).await;
    Answer::ConnectorChanged(changed.map(|()| format!("{name}: {}", change.done())))
}
