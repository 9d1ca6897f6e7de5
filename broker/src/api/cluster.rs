//! What several handlers tell of brokers and partitions, as a client on one listener sees them.
//!
//! A broker exists for a client only with its endpoint on the client's own listener. Sets of allowed
//! operations are all that the resource knows: nothing is forbidden as long as there is no authorizer.
//!
//! Kafka: `KRaftMetadataCache.java`, `AclEntry.java` (4.3).

use std::sync::Arc;

use kafka_protocol::messages::BrokerId;

use crate::metadata::{BrokerRegistration, ListenerEndpoint, MetadataImage, PartitionRegistration};

/// Operations on a topic as bits of their ACL codes: read, write, create, delete, alter, describe,
/// describe configs, alter configs.
pub(super) const TOPIC_OPERATIONS: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);
/// Operations on the cluster: create, alter, describe, cluster action, describe configs, alter
/// configs, idempotent write.
pub(super) const CLUSTER_OPERATIONS: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);

const fn bits(codes: &[u32]) -> i32 {
    let mut bits = 0;
    let mut i = 0;
    while i < codes.len() {
        bits |= 1 << codes[i];
        i += 1;
    }
    bits
}

/// Brokers that clients of this listener may use, by id.
pub(super) fn alive_brokers<'a>(
    image: &'a MetadataImage,
    listener: &'a str,
) -> impl Iterator<Item = (&'a Arc<BrokerRegistration>, &'a ListenerEndpoint)> {
    image
        .cluster
        .alive_brokers()
        .filter_map(move |broker| broker.listener(listener).map(|endpoint| (broker, endpoint)))
}

/// The broker to name as the controller to clients: any that is alive can pass requests on, so this
/// one spares a step.
pub(super) fn controller_id(image: &MetadataImage, own_id: i32) -> BrokerId {
    let own = image.cluster.alive_broker(own_id);
    let any = || image.cluster.alive_brokers().next();
    BrokerId(own.or_else(any).map_or(-1, |broker| broker.id))
}

/// The leader of a partition, if it is alive and has this listener.
pub(super) fn leader(
    image: &MetadataImage,
    partition: &PartitionRegistration,
    listener: &str,
) -> Option<BrokerId> {
    let broker = image.cluster.broker(partition.leader)?;
    broker.listener(listener).map(|_| BrokerId(broker.id))
}

/// Replicas that cannot serve: their broker is away or lacks the listener, or their disk is lost.
pub(super) fn offline_replicas(
    image: &MetadataImage,
    partition: &PartitionRegistration,
    listener: &str,
) -> Vec<BrokerId> {
    let is_offline = |id: &&i32| {
        image.cluster.alive_broker(**id).is_none_or(|broker| {
            broker.listener(listener).is_none()
                || partition
                    .directory(**id)
                    .is_some_and(|dir| !broker.has_online_directory(dir))
        })
    };
    ids(partition.replicas.iter().filter(is_offline))
}

/// Broker ids of a response.
pub(super) fn ids<'a>(ids: impl IntoIterator<Item = &'a i32>) -> Vec<BrokerId> {
    ids.into_iter().map(|id| BrokerId(*id)).collect()
}
