//! What the tests ask of a cluster: topics, who leads, who is in sync, and that another one leads.

use std::time::Duration;

use anyhow::{Context, ensure};
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, CreateTopicsRequest, ElectLeadersRequest,
    MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Client, ClientConfig};

use crate::load::{client_config, name};
use crate::mixed::Mixed;
use crate::shell;

/// What the tests ask of a cluster.
#[derive(Debug)]
pub struct Admin {
    pub runtime: tokio::runtime::Runtime,
    pub client: Client,
}

impl Admin {
    pub fn new(cluster: &Mixed) -> anyhow::Result<Self> {
        Self::at(&cluster.bootstrap())
    }

    pub fn at(bootstrap: &str) -> anyhow::Result<Self> {
        Self::with(client_config(bootstrap))
    }

    /// As a client with this configuration.
    pub fn with(config: ClientConfig) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Runtime::new()?;
        let client = runtime.block_on(Client::connect(config))?;
        Ok(Self { runtime, client })
    }

    /// Creates a topic with one partition per list of replicas.
    pub fn create(
        &self,
        topic: &str,
        min_isr: usize,
        assignments: &[&[i32]],
    ) -> anyhow::Result<()> {
        let assign = |(idx, replicas): (i32, &&[i32])| {
            CreatableReplicaAssignment::default()
                .with_partition_index(idx)
                .with_broker_ids(replicas.iter().copied().map(BrokerId).collect())
        };
        let config = CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str("min.insync.replicas"))
            .with_value(Some(StrBytes::from_string(min_isr.to_string())));
        let wanted = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments((0..).zip(assignments).map(assign).collect())
            .with_configs(vec![config]);
        let request = CreateTopicsRequest::default()
            .with_timeout_ms(10_000)
            .with_topics(vec![wanted]);
        let response = self.runtime.block_on(async {
            let any = self.client.any().await?;
            any.send(request).await
        })?;
        ensure!(response.topics[0].error_code == 0, "{response:?}");
        for (partition, replicas) in (0..).zip(assignments) {
            self.until_in_sync(topic, partition, replicas.len())?;
        }
        Ok(())
    }

    pub fn partition(
        &self,
        topic: &str,
        partition: i32,
    ) -> anyhow::Result<MetadataResponsePartition> {
        let wanted = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![wanted]))
            .with_allow_auto_topic_creation(false);
        let response = self.runtime.block_on(async {
            let any = self.client.any().await?;
            any.send(request).await
        })?;
        let found = response.topics.into_iter().flat_map(|t| t.partitions);
        found
            .into_iter()
            .find(|found| found.partition_index == partition)
            .context("a partition of the topic")
    }

    pub fn leader(&self, topic: &str, partition: i32) -> anyhow::Result<i32> {
        Ok(self.partition(topic, partition)?.leader_id.0)
    }

    /// Waits until that many replicas are in sync.
    pub fn until_in_sync(
        &self,
        topic: &str,
        partition: i32,
        n_in_sync: usize,
    ) -> anyhow::Result<()> {
        let mut seen = None;
        let done = shell::wait_until(Duration::from_secs(60), || {
            let found = self.partition(topic, partition);
            let is_done = found
                .as_ref()
                .is_ok_and(|p| p.isr_nodes.len() == n_in_sync && p.leader_id.0 >= 0);
            seen = Some(found);
            is_done
        });
        ensure!(
            done,
            "{topic}-{partition} should have {n_in_sync} in sync: {seen:?}"
        );
        Ok(())
    }

    /// Makes a replica the first one, and has it elected. Returns whether it leads then.
    pub fn move_leader(&self, topic: &str, partition: i32, to: i32) -> anyhow::Result<bool> {
        let replicas = self.partition(topic, partition)?.replica_nodes;
        let mut order = vec![BrokerId(to)];
        order.extend(replicas.into_iter().filter(|id| id.0 != to));
        let reassign = AlterPartitionReassignmentsRequest::default()
            .with_timeout_ms(5000)
            .with_topics(vec![
                ReassignableTopic::default()
                    .with_name(name(topic))
                    .with_partitions(vec![
                        ReassignablePartition::default()
                            .with_partition_index(partition)
                            .with_replicas(Some(order)),
                    ]),
            ]);
        let elect = ElectLeadersRequest::default()
            .with_timeout_ms(5000)
            .with_election_type(0)
            .with_topic_partitions(Some(vec![
                TopicPartitions::default()
                    .with_topic(name(topic))
                    .with_partitions(vec![partition]),
            ]));
        let asked = self.runtime.block_on(async {
            let any = self.client.any().await?;
            any.send(reassign).await?;
            any.send(elect).await
        });
        // It may be out of sync, or the node that was asked may be gone; and the one that is asked
        // who leads may hear of it a moment later.
        let is_led = || {
            self.leader(topic, partition)
                .is_ok_and(|leader| leader == to)
        };
        Ok(asked.is_ok() && shell::wait_until(Duration::from_secs(2), is_led))
    }
}
