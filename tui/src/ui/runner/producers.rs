//! Looks at who writes to a topic.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::within;
use crate::cluster::ClusterClient;
use crate::model::{Fault, TopicProducers};
use crate::ui::event::{Answer, Event, JobId};

/// How often the leaders are asked.
const WATCH_MS: u64 = 3_000;

/// A look is followed by a rest of so many times as long as it took.
const REST: u32 = 20;

/// Looks until it is cancelled or nobody listens.
pub(super) async fn watch(
    client: ClusterClient,
    events: mpsc::Sender<Event>,
    job: JobId,
    topic: String,
) -> Answer {
    loop {
        let from = client.now().monotonic_ms;
        let look = within("describe the producers", look(&client, &topic)).await;
        let answer = Answer::Producers(look.map(Arc::new));
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

async fn look(client: &ClusterClient, topic: &str) -> Result<TopicProducers, Fault> {
    let metadata = client.metadata().await?;
    client.topic_producers(&metadata, topic, None).await
}
