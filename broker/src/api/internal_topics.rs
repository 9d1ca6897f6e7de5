//! Topics of the broker itself, with the settings that they are created with.
//!
//! Kafka: `AutoTopicCreationManager.creatableTopic`, `GroupCoordinatorService.groupMetadataTopicConfigs`
//! (4.3).

use kafka_protocol::messages::{
    TopicName,
    create_topics_request::{CreatableTopic, CreatableTopicConfig},
};

use super::own;
use crate::config::BrokerConfig;

/// `__consumer_offsets`.
pub(crate) fn offsets_topic(config: &BrokerConfig) -> CreatableTopic {
    let configs = [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        (
            "segment.bytes",
            config.offsets_topic_segment_bytes.to_string(),
        ),
    ];
    CreatableTopic::default()
        .with_name(TopicName(own("__consumer_offsets")))
        .with_num_partitions(config.offsets_topic_num_partitions)
        .with_replication_factor(config.offsets_topic_replication_factor)
        .with_configs(
            configs
                .into_iter()
                .map(|(name, value)| {
                    CreatableTopicConfig::default()
                        .with_name(own(name))
                        .with_value(Some(own(&value)))
                })
                .collect(),
        )
}
