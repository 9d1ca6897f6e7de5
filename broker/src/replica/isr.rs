//! Proposals of other ISRs on their way to the controller.
//!
//! One request is under way at a time and carries everything that has gathered. A partition has at
//! most one proposal here: a newer one takes the place of an older one, whose answer the partition
//! would ignore. What a request fails to settle is sent again until it is settled or replaced.
//!
//! Kafka: `server/AlterPartitionManager.scala` (4.3).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, BrokerId};
use kafka_shared::error::ErrorCode;
use kafka_shared::types::Uuid;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::partition::Partition;
use super::partition::state::isr::{AlteredIsr, IsrProposal};
use super::replication::{BrokerEpoch, ReplicationChannel};
use crate::metadata::LeaderRecoveryState;

/// Before a request is sent again that failed as a whole.
const RETRY: Duration = Duration::from_millis(50);

type Key = (Uuid, i32);

#[derive(Debug, Clone)]
struct Update {
    partition: Arc<Partition>,
    proposal: IsrProposal,
}

/// See the module's documentation.
#[derive(Default)]
pub struct IsrUpdates {
    unsent: Mutex<BTreeMap<Key, Update>>,
    changed: Notify,
    broker_epoch: ArcSwapOption<BrokerEpoch>,
}

impl std::fmt::Debug for IsrUpdates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IsrUpdates")
            .field("n_unsent", &self.unsent.lock().len())
            .finish_non_exhaustive()
    }
}

impl IsrUpdates {
    /// Says where this broker's epoch is to be asked for.
    pub(super) fn set_broker_epoch(&self, broker_epoch: BrokerEpoch) {
        self.broker_epoch.store(Some(Arc::new(broker_epoch)));
    }

    /// The epoch of this broker's registration, −1 while it is not known.
    pub(super) fn local_broker_epoch(&self) -> i64 {
        self.broker_epoch
            .load()
            .as_ref()
            .map_or(-1, |epoch| epoch())
    }

    pub(super) fn submit(&self, partition: Arc<Partition>, proposal: IsrProposal) {
        let topic_partition = partition.topic_partition();
        let key = (partition.topic_id(), topic_partition.partition);
        let update = Update {
            partition,
            proposal,
        };
        self.unsent.lock().insert(key, update);
        self.changed.notify_one();
    }

    /// Sends what is submitted, for ever.
    pub(super) async fn run(
        self: Arc<Self>,
        node_id: i32,
        channel: Arc<dyn ReplicationChannel>,
        now_ms: impl Fn() -> i64 + Send,
    ) {
        loop {
            self.changed.notified().await;
            loop {
                let updates = std::mem::take(&mut *self.unsent.lock());
                if updates.is_empty() {
                    break;
                }
                let request = request(node_id, self.local_broker_epoch(), &updates);
                let response = channel.alter_partition(request).await;
                if !self.settle(updates, response, &now_ms) {
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Hands out the answers; what got none is kept for the next request. Returns false when the
    /// next request should not follow at once.
    fn settle(
        &self,
        mut updates: BTreeMap<Key, Update>,
        response: AlterPartitionResponse,
        now_ms: &impl Fn() -> i64,
    ) -> bool {
        let error = ErrorCode(response.error_code);
        if error != ErrorCode::NONE {
            tracing::debug!(error = error.name(), "the ISR could not be altered yet");
            self.keep(updates);
            return false;
        }
        let mut is_refused = false;
        for topic in &response.topics {
            for answered in &topic.partitions {
                let key = (topic.topic_id, answered.partition_index);
                let Some(update) = updates.remove(&key) else {
                    continue;
                };
                let answer = match ErrorCode(answered.error_code) {
                    ErrorCode::NONE => Ok(AlteredIsr {
                        leader_epoch: answered.leader_epoch,
                        partition_epoch: answered.partition_epoch,
                        isr: answered.isr.iter().map(|id| id.0).collect(),
                    }),
                    error => {
                        tracing::info!(
                            partition = %update.partition.topic_partition(),
                            error = error.name(),
                            "the controller does not take the proposed ISR"
                        );
                        Err(error)
                    }
                };
                let number = update.proposal.number;
                if let Some(proposal) = update.partition.on_isr_answer(number, answer, now_ms()) {
                    is_refused = true;
                    let partition = update.partition;
                    let again = Update {
                        partition,
                        proposal,
                    };
                    self.keep(BTreeMap::from([(key, again)]));
                }
            }
        }
        // What the controller left out is asked again.
        is_refused |= !updates.is_empty();
        self.keep(updates);
        !is_refused
    }

    fn keep(&self, updates: BTreeMap<Key, Update>) {
        let mut unsent = self.unsent.lock();
        for (key, update) in updates {
            unsent.entry(key).or_insert(update);
        }
    }
}

fn request(
    node_id: i32,
    broker_epoch: i64,
    updates: &BTreeMap<Key, Update>,
) -> AlterPartitionRequest {
    let mut topics: Vec<TopicData> = Vec::new();
    for ((topic_id, partition), update) in updates {
        if topics
            .last()
            .is_none_or(|topic| topic.topic_id != *topic_id)
        {
            topics.push(TopicData::default().with_topic_id(*topic_id));
        }
        let proposal = &update.proposal;
        let members = proposal.isr.iter().map(|(id, epoch)| {
            BrokerState::default()
                .with_broker_id(BrokerId(*id))
                .with_broker_epoch(*epoch)
        });
        let data = PartitionData::default()
            .with_partition_index(*partition)
            .with_leader_epoch(proposal.leader_epoch)
            .with_partition_epoch(proposal.partition_epoch)
            .with_leader_recovery_state(LeaderRecoveryState::Recovered.value())
            .with_new_isr_with_epochs(members.collect());
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(data);
        }
    }
    AlterPartitionRequest::default()
        .with_broker_id(BrokerId(node_id))
        .with_broker_epoch(broker_epoch)
        .with_topics(topics)
}
