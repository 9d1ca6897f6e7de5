//! What each part of the broker is told of the configuration: from Kafka's keys to the parts' own
//! settings, so that no part has to know the keys of another.

use std::time::Duration;

use kafka_shared::record::{TimestampType, compression::Compression};

use crate::{
    config::{BrokerConfig, TopicValues},
    controller::{ChannelConfig, config::ControllerConfig, node::NodeConfig},
    coordinator::GroupCoordinatorConfig,
    log::{CompressionPolicy, LogConfig, manager::LogManagerConfig},
    raft::{VoterEndpoint, log_store::MetadataLogConfig},
    replica::{ReplicaManagerConfig, fetcher::FetcherConfig, preferred::ReplicaSelector},
};

/// Settings of a topic's logs.
pub(crate) fn log_config(topic: &TopicValues) -> LogConfig {
    let has_policy = |policy: &str| topic.list("cleanup.policy").iter().any(|p| p == policy);
    LogConfig {
        segment_bytes: topic.integer_or_null("internal.segment.bytes").map_or_else(
            || topic.int("segment.bytes"),
            |bytes| i32::try_from(bytes).unwrap_or(i32::MAX),
        ),
        segment_ms: topic.integer("segment.ms"),
        segment_jitter_ms: topic.integer("segment.jitter.ms"),
        segment_index_bytes: topic.int("segment.index.bytes"),
        index_interval_bytes: topic.int("index.interval.bytes"),
        flush_messages: topic.integer("flush.messages"),
        flush_ms: topic.integer("flush.ms"),
        retention_bytes: topic.integer("retention.bytes"),
        retention_ms: topic.integer("retention.ms"),
        max_message_bytes: topic.int("max.message.bytes"),
        delete_retention_ms: topic.integer("delete.retention.ms"),
        min_compaction_lag_ms: topic.integer("min.compaction.lag.ms"),
        max_compaction_lag_ms: topic.integer("max.compaction.lag.ms"),
        min_cleanable_dirty_ratio: topic.double("min.cleanable.dirty.ratio"),
        file_delete_delay_ms: topic.integer("file.delete.delay.ms"),
        compact: has_policy("compact"),
        delete: has_policy("delete"),
        min_insync_replicas: topic.int("min.insync.replicas"),
        unclean_leader_election_enable: topic.boolean("unclean.leader.election.enable"),
        preallocate: topic.boolean("preallocate"),
        compression_type: match topic.text("compression.type") {
            Some("uncompressed") => CompressionPolicy::Codec(Compression::None),
            Some("gzip") => CompressionPolicy::Codec(Compression::Gzip),
            Some("snappy") => CompressionPolicy::Codec(Compression::Snappy),
            Some("lz4") => CompressionPolicy::Codec(Compression::Lz4),
            Some("zstd") => CompressionPolicy::Codec(Compression::Zstd),
            _ => CompressionPolicy::Producer,
        },
        message_timestamp_type: match topic.text("message.timestamp.type") {
            Some("LogAppendTime") => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        message_timestamp_before_max_ms: topic.integer("message.timestamp.before.max.ms"),
        message_timestamp_after_max_ms: topic.integer("message.timestamp.after.max.ms"),
    }
}

pub(super) fn log_manager(config: &BrokerConfig) -> LogManagerConfig {
    LogManagerConfig {
        log_dirs: config.log_dirs.clone(),
        num_recovery_threads_per_data_dir: config.num_recovery_threads_per_data_dir,
        producer_id_expiration_ms: config.producer_id_expiration_ms,
        transaction_verification_enable: config.transaction_partition_verification_enable,
        file_delete_delay_ms: config.values.integer("log.segment.delete.delay.ms"),
    }
}

pub(super) fn replica_manager(config: &BrokerConfig) -> ReplicaManagerConfig {
    let not_negative = |value: i32| usize::try_from(value).unwrap_or(0);
    let values = &config.values;
    let selector = values.text("replica.selector.class").unwrap_or("");
    let replica_selector = ReplicaSelector::from_class(selector).unwrap_or_else(|| {
        tracing::warn!(
            class = selector,
            "replica.selector.class: unknown here, consumers read from leaders"
        );
        ReplicaSelector::Leader
    });
    ReplicaManagerConfig {
        node_id: config.node_id,
        fetch_max_bytes: not_negative(config.fetch_max_bytes),
        replica_lag_time_max_ms: config.replica_lag_time_max_ms,
        max_incremental_fetch_session_cache_slots: not_negative(
            config.max_incremental_fetch_session_cache_slots,
        ),
        inter_broker_listener_name: config.listeners.inter_broker_name.clone(),
        fetcher: FetcherConfig {
            num_replica_fetchers: values.int("num.replica.fetchers"),
            max_bytes: values.int("replica.fetch.max.bytes"),
            response_max_bytes: values.int("replica.fetch.response.max.bytes"),
            min_bytes: values.int("replica.fetch.min.bytes"),
            wait_max_ms: values.int("replica.fetch.wait.max.ms"),
            backoff_ms: values.integer("replica.fetch.backoff.ms"),
            socket_timeout_ms: values.integer("replica.socket.timeout.ms"),
        },
        replica_selector,
        replication_quota_window_num: not_negative(values.int("replication.quota.window.num")),
        replication_quota_window_ms: values
            .integer("replication.quota.window.size.seconds")
            .saturating_mul(1000),
        num_replica_alter_log_dirs_threads: values
            .integer_or_null("num.replica.alter.log.dirs.threads")
            .map_or(config.log_dirs.len(), |threads| {
                usize::try_from(threads).unwrap_or(1)
            }),
        alter_log_dirs_quota_window_num: not_negative(
            values.int("alter.log.dirs.replication.quota.window.num"),
        ),
        alter_log_dirs_quota_window_ms: values
            .integer("alter.log.dirs.replication.quota.window.size.seconds")
            .saturating_mul(1000),
    }
}

pub(super) fn group_coordinator(config: &BrokerConfig) -> GroupCoordinatorConfig {
    GroupCoordinatorConfig {
        group_min_session_timeout_ms: config.group_min_session_timeout_ms,
        group_max_session_timeout_ms: config.group_max_session_timeout_ms,
        group_initial_rebalance_delay_ms: config.group_initial_rebalance_delay_ms,
        group_max_size: config.group_max_size,
        offset_metadata_max_bytes: config.offset_metadata_max_bytes,
        offsets_retention_ms: config.offsets_retention_ms,
        offsets_retention_check_interval_ms: config.offsets_retention_check_interval_ms,
        offsets_commit_timeout_ms: config.offsets_commit_timeout_ms,
        offsets_load_buffer_size: config.offsets_load_buffer_size,
        offsets_topic_compression: u8::try_from(
            config.values.int("offsets.topic.compression.codec"),
        )
        .ok()
        .and_then(Compression::from_id)
        .unwrap_or(Compression::None),
        offsets_topic_num_partitions: config.offsets_topic_num_partitions,
        offsets_topic_replication_factor: config.offsets_topic_replication_factor,
        offsets_topic_segment_bytes: config.offsets_topic_segment_bytes,
    }
}

/// Settings of the way to the active controller.
pub(super) fn channel(config: &BrokerConfig) -> ChannelConfig {
    let time = |key| Duration::from_millis(u64::try_from(config.values.integer(key)).unwrap_or(0));
    let controller_listener = config.listeners.controller_names.first();
    ChannelConfig {
        node_id: config.node_id,
        controller_listener: controller_listener.cloned().unwrap_or_default(),
        request_timeout: time("controller.socket.timeout.ms"),
        connect_timeout: time("socket.connection.setup.timeout.ms"),
    }
}

/// Settings of this node's part in the metadata quorum.
pub(super) fn quorum_node(
    config: &BrokerConfig,
    cluster_id: &str,
    directory_id: kafka_shared::types::Uuid,
    controller_endpoints: Vec<VoterEndpoint>,
) -> NodeConfig {
    let controller = ControllerConfig {
        node_id: config.node_id,
        cluster_id: cluster_id.to_owned(),
        static_voters: (config.controller_quorum_voters.iter())
            .map(|(id, _)| *id)
            .collect(),
        num_partitions: config.num_partitions,
        default_replication_factor: config.default_replication_factor,
        min_insync_replicas: config.values.int("min.insync.replicas"),
        delete_topic_enable: config.delete_topic_enable,
        broker_session_timeout_ms: config.broker_session_timeout_ms,
        leader_imbalance_check_interval_ms: config
            .auto_leader_rebalance_enable
            .then_some(config.leader_imbalance_check_interval_seconds * 1000),
        metadata_max_idle_interval_ms: config.metadata_max_idle_interval_ms,
    };
    let listener = config
        .listeners
        .controller_names
        .first()
        .cloned()
        .unwrap_or_default();
    let static_voter = |(id, endpoint): &(i32, kafka_shared::types::Endpoint)| {
        let endpoint = VoterEndpoint {
            name: listener.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
        };
        (*id, endpoint)
    };
    let values = &config.values;
    NodeConfig {
        is_controller: config.is_controller,
        controller_endpoints,
        controller_listener_name: listener.clone(),
        bootstrap_servers: config.controller_quorum_bootstrap_servers.clone(),
        auto_join_enable: values.boolean("controller.quorum.auto.join.enable"),
        static_voters: config
            .controller_quorum_voters
            .iter()
            .map(static_voter)
            .collect(),
        metadata_log: MetadataLogConfig {
            segment_bytes: config.metadata_log_segment_bytes,
            segment_ms: config.metadata_log_segment_ms,
        },
        snapshot_bytes: u64::try_from(config.metadata_log_max_record_bytes_between_snapshots)
            .unwrap_or(u64::MAX),
        snapshot_interval_ms: config.metadata_log_max_snapshot_interval_ms,
        metadata_retention_bytes: config.metadata_max_retention_bytes,
        metadata_retention_ms: config.metadata_max_retention_ms,
        election_timeout_ms: values.integer("controller.quorum.election.timeout.ms"),
        election_backoff_max_ms: values.integer("controller.quorum.election.backoff.max.ms"),
        fetch_timeout_ms: values.integer("controller.quorum.fetch.timeout.ms"),
        request_timeout_ms: values.integer("controller.quorum.request.timeout.ms"),
        retry_backoff_ms: values.integer("controller.quorum.retry.backoff.ms"),
        fetch_max_bytes: values.int("controller.quorum.fetch.max.bytes"),
        fetch_snapshot_max_bytes: values.int("controller.quorum.fetch.snapshot.max.bytes"),
        ..NodeConfig::new(controller, config.metadata_log_dir.clone(), directory_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::ConfigArgs,
        config::{Settings, TopicValues},
    };

    fn config(set: &[&str]) -> BrokerConfig {
        let args = ConfigArgs {
            set: set.iter().map(|s| (*s).to_owned()).collect(),
            data_dir: Some("/data".into()),
            ..ConfigArgs::default()
        };
        args.load().unwrap().0
    }

    fn topic(broker: &BrokerConfig, overrides: &[(&str, &str)]) -> LogConfig {
        let overrides: Settings = overrides
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        log_config(&TopicValues::new(&broker.values, &overrides).unwrap())
    }

    #[test]
    fn without_settings_every_part_has_its_own_defaults() {
        let config = config(&[
            "offsets.topic.replication.factor=3",
            "group.initial.rebalance.delay.ms=3000",
        ]);
        assert_eq!(topic(&config, &[]), LogConfig::default());
        assert_eq!(
            group_coordinator(&config),
            GroupCoordinatorConfig::default()
        );
        let logs = LogManagerConfig::new(vec!["/data".into()]);
        assert_eq!(format!("{:?}", log_manager(&config)), format!("{logs:?}"));
        let replicas = ReplicaManagerConfig {
            node_id: 1,
            ..ReplicaManagerConfig::default()
        };
        assert_eq!(
            format!("{:?}", replica_manager(&config)),
            format!("{replicas:?}")
        );
    }

    #[test]
    fn topic_settings_reach_the_log() {
        let broker = config(&[
            "log.roll.hours=1",
            "compression.type=lz4",
            "log.cleanup.policy=",
        ]);
        let inherited = topic(&broker, &[]);
        assert_eq!(inherited.segment_ms, 3_600_000);
        assert_eq!(
            inherited.compression_type,
            CompressionPolicy::Codec(Compression::Lz4)
        );
        assert!(!inherited.compact && !inherited.delete);
        let own = topic(
            &broker,
            &[
                ("cleanup.policy", "compact"),
                ("message.timestamp.type", "LogAppendTime"),
                ("compression.type", "producer"),
                ("internal.segment.bytes", "1000"),
            ],
        );
        assert!(own.compact && !own.delete);
        assert_eq!(own.message_timestamp_type, TimestampType::LogAppendTime);
        assert_eq!(own.compression_type, CompressionPolicy::Producer);
        assert_eq!(own.segment_bytes, 1000);
    }
}
