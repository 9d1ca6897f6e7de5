//! Looks at who writes to a topic.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{hand_over, within};
use crate::cluster::ClusterClient;
use crate::model::{Fault, TopicProducers};
use crate::ui::event::{Answer, Event, JobId};

/// How often the leaders are asked.
const WATCH_MS: u64 = 3_000;

/// Looks until it is cancelled or nobody listens.
pub(super) async fn watch(
    client: ClusterClient,
    events: mpsc::Sender<Event>,
    job: JobId,
    topic: String,
) -> Answer {
    loop {
        let from_ms = client.now().monotonic_ms;
        let look = within("describe the producers", look(&client, &topic)).await;
        let answer = Answer::Producers(look.map(Arc::new));
        let found = (job, answer);
        if let Some(answer) = hand_over(&client, &events, found, from_ms, WATCH_MS).await {
            return answer;
        }
    }
}

async fn look(client: &ClusterClient, topic: &str) -> Result<TopicProducers, Fault> {
    let metadata = client.metadata().await?;
    client.topic_producers(&metadata, topic, None).await
}
