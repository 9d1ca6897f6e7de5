//! Configuration: Apache Kafka's keys, what they mean here, and how they change.
//!
//! * [`keys`] every key of Kafka 4.3.1, one row each; [`definition`] types, parsing and checks;
//! * [`load`] a `server.properties` file and `--set` options → what is set, with warnings;
//! * [`values`] the layers (file, run time) → one value per key, for brokers, topics and groups;
//! * [`listeners`] the listener keys → checked endpoints;
//! * [`dynamic`] the configuration in force, renewed whenever the metadata changes; the checks on
//!   changes that the controller asks for;
//! * [`describe`] keys and values as DescribeConfigs shows them.
//!
//! [`BrokerConfig`] is the typed whole for what this broker honours. Invariant: a `BrokerConfig` that
//! exists is valid, so no reader checks again.
//!
//! Kafka: `KafkaConfig.scala`, `AbstractKafkaConfig.java` (4.3).

pub mod definition;
pub mod describe;
pub mod dynamic;
pub mod keys;
pub mod listeners;
pub mod load;
pub mod values;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    net::{IpAddr, ToSocketAddrs},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use kafka_shared::types::Endpoint;

pub use kafka_shared::config::ConfigError;

pub use self::{
    dynamic::DynamicConfig,
    listeners::{Listener, Listeners, SecurityProtocol},
    values::{BrokerValues, Layers, Settings, TopicValues},
};
use crate::network::NetworkConfig;

/// What this broker honours of its configuration; a field is the Kafka key of the same name.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Every key with its value, for DescribeConfigs and for topics and groups.
    pub values: Arc<BrokerValues>,
    pub node_id: i32,
    pub is_broker: bool,
    pub is_controller: bool,
    pub broker_rack: Option<String>,
    pub listeners: Listeners,
    /// Ids and addresses of the static voters; empty with `controller.quorum.bootstrap.servers`.
    pub controller_quorum_voters: Vec<(i32, Endpoint)>,
    /// Whom a node without static voters asks for the quorum's leader.
    pub controller_quorum_bootstrap_servers: Vec<Endpoint>,

    pub log_dirs: Vec<PathBuf>,
    pub metadata_log_dir: PathBuf,
    pub num_recovery_threads_per_data_dir: usize,
    pub log_flush_scheduler_interval_ms: i64,
    pub log_flush_offset_checkpoint_interval_ms: i64,
    pub log_flush_start_offset_checkpoint_interval_ms: i64,
    pub log_retention_check_interval_ms: i64,
    pub log_initial_task_delay_ms: i64,
    pub producer_id_expiration_ms: i64,
    pub producer_id_expiration_check_interval_ms: i64,
    pub transaction_partition_verification_enable: bool,

    pub metadata_log_segment_bytes: i32,
    pub metadata_log_segment_ms: i64,
    pub metadata_log_max_record_bytes_between_snapshots: i64,
    pub metadata_log_max_snapshot_interval_ms: i64,
    pub metadata_max_retention_bytes: i64,
    pub metadata_max_retention_ms: i64,
    pub metadata_max_idle_interval_ms: i64,
    pub broker_heartbeat_interval_ms: i64,
    pub broker_session_timeout_ms: i64,
    pub initial_broker_registration_timeout_ms: i64,
    pub auto_leader_rebalance_enable: bool,
    pub leader_imbalance_check_interval_seconds: i64,

    pub num_partitions: i32,
    pub default_replication_factor: i16,
    pub auto_create_topics_enable: bool,
    pub delete_topic_enable: bool,

    pub replica_lag_time_max_ms: i64,
    pub replica_high_watermark_checkpoint_interval_ms: i64,
    pub controlled_shutdown_enable: bool,
    pub request_timeout_ms: i64,

    pub fetch_max_bytes: i32,
    pub max_incremental_fetch_session_cache_slots: i32,
    pub max_request_partition_size_limit: i32,

    pub group_min_session_timeout_ms: i32,
    pub group_max_session_timeout_ms: i32,
    pub group_initial_rebalance_delay_ms: i32,
    pub group_max_size: i32,
    pub offset_metadata_max_bytes: i32,
    pub offsets_commit_timeout_ms: i32,
    pub offsets_load_buffer_size: i32,
    pub offsets_retention_ms: i64,
    pub offsets_retention_check_interval_ms: i64,
    pub offsets_topic_num_partitions: i32,
    pub offsets_topic_replication_factor: i16,
    pub offsets_topic_segment_bytes: i32,
    pub offsets_topic_compression_codec: i32,

    pub network: NetworkConfig,
    pub socket_listen_backlog_size: i32,
}

impl BrokerConfig {
    /// Reads the typed configuration out of the values.
    ///
    /// # Errors
    /// Everything that is wrong with combinations of keys; single values were checked before.
    pub fn new(values: Arc<BrokerValues>) -> Result<Self, Vec<ConfigError>> {
        let errors = check_combinations(&values);
        if !errors.is_empty() {
            return Err(errors);
        }
        Self::read(values).map_err(|error| vec![error])
    }

    fn read(values: Arc<BrokerValues>) -> Result<Self, ConfigError> {
        let v = &*values;
        let short = |name| i16::try_from(v.integer(name)).expect("a Short was parsed as one");
        let has_role = |role: &str| v.list("process.roles").iter().any(|r| r == role);
        let log_dirs = log_dirs(v);
        let metadata_log_dir = v
            .text("metadata.log.dir")
            .map(PathBuf::from)
            .or_else(|| log_dirs.first().cloned())
            .ok_or_else(no_log_dir)?;
        Ok(Self {
            node_id: v.int("node.id"),
            is_broker: has_role("broker"),
            is_controller: has_role("controller"),
            broker_rack: v.text("broker.rack").map(str::to_owned),
            listeners: Listeners::new(v)?,
            controller_quorum_voters: voters(v)?,
            controller_quorum_bootstrap_servers: bootstrap_servers(v)?,
            log_dirs,
            metadata_log_dir,
            num_recovery_threads_per_data_dir: size(v, "num.recovery.threads.per.data.dir"),
            log_flush_scheduler_interval_ms: v.integer("log.flush.scheduler.interval.ms"),
            log_flush_offset_checkpoint_interval_ms: v
                .integer("log.flush.offset.checkpoint.interval.ms"),
            log_flush_start_offset_checkpoint_interval_ms: v
                .integer("log.flush.start.offset.checkpoint.interval.ms"),
            log_retention_check_interval_ms: v.integer("log.retention.check.interval.ms"),
            log_initial_task_delay_ms: v.integer("log.initial.task.delay.ms"),
            producer_id_expiration_ms: v.integer("producer.id.expiration.ms"),
            producer_id_expiration_check_interval_ms: v
                .integer("producer.id.expiration.check.interval.ms"),
            transaction_partition_verification_enable: v
                .boolean("transaction.partition.verification.enable"),
            metadata_log_segment_bytes: v
                .integer_or_null("internal.metadata.log.segment.bytes")
                .map_or_else(
                    || v.int("metadata.log.segment.bytes"),
                    |bytes| i32::try_from(bytes).expect("an Int was parsed as one"),
                ),
            metadata_log_segment_ms: v.integer("metadata.log.segment.ms"),
            metadata_log_max_record_bytes_between_snapshots: v
                .integer("metadata.log.max.record.bytes.between.snapshots"),
            metadata_log_max_snapshot_interval_ms: v
                .integer("metadata.log.max.snapshot.interval.ms"),
            metadata_max_retention_bytes: v.integer("metadata.max.retention.bytes"),
            metadata_max_retention_ms: v.integer("metadata.max.retention.ms"),
            metadata_max_idle_interval_ms: v.integer("metadata.max.idle.interval.ms"),
            broker_heartbeat_interval_ms: v.integer("broker.heartbeat.interval.ms"),
            broker_session_timeout_ms: v.integer("broker.session.timeout.ms"),
            initial_broker_registration_timeout_ms: v
                .integer("initial.broker.registration.timeout.ms"),
            auto_leader_rebalance_enable: v.boolean("auto.leader.rebalance.enable"),
            leader_imbalance_check_interval_seconds: v
                .integer("leader.imbalance.check.interval.seconds"),
            num_partitions: v.int("num.partitions"),
            default_replication_factor: i16::try_from(v.integer("default.replication.factor"))
                .map_err(|_| {
                    let value = v.integer("default.replication.factor").to_string();
                    ConfigError::invalid("default.replication.factor", &value, "too large")
                })?,
            auto_create_topics_enable: v.boolean("auto.create.topics.enable"),
            delete_topic_enable: v.boolean("delete.topic.enable"),
            replica_lag_time_max_ms: v.integer("replica.lag.time.max.ms"),
            replica_high_watermark_checkpoint_interval_ms: v
                .integer("replica.high.watermark.checkpoint.interval.ms"),
            controlled_shutdown_enable: v.boolean("controlled.shutdown.enable"),
            request_timeout_ms: v.integer("request.timeout.ms"),
            fetch_max_bytes: v.int("fetch.max.bytes"),
            max_incremental_fetch_session_cache_slots: v
                .int("max.incremental.fetch.session.cache.slots"),
            max_request_partition_size_limit: v.int("max.request.partition.size.limit"),
            group_min_session_timeout_ms: v.int("group.min.session.timeout.ms"),
            group_max_session_timeout_ms: v.int("group.max.session.timeout.ms"),
            group_initial_rebalance_delay_ms: v.int("group.initial.rebalance.delay.ms"),
            group_max_size: v.int("group.max.size"),
            offset_metadata_max_bytes: v.int("offset.metadata.max.bytes"),
            offsets_commit_timeout_ms: v.int("offsets.commit.timeout.ms"),
            offsets_load_buffer_size: v.int("offsets.load.buffer.size"),
            offsets_retention_ms: v.integer("offsets.retention.minutes") * 60 * 1000,
            offsets_retention_check_interval_ms: v.integer("offsets.retention.check.interval.ms"),
            offsets_topic_num_partitions: v.int("offsets.topic.num.partitions"),
            offsets_topic_replication_factor: short("offsets.topic.replication.factor"),
            offsets_topic_segment_bytes: v.int("offsets.topic.segment.bytes"),
            offsets_topic_compression_codec: v.int("offsets.topic.compression.codec"),
            network: network(v),
            socket_listen_backlog_size: v.int("socket.listen.backlog.size"),
            values,
        })
    }
}

/// A value that is known not to be negative.
fn size(v: &BrokerValues, name: &str) -> usize {
    usize::try_from(v.integer(name)).unwrap_or(0)
}

/// `log.dirs`, or `log.dir` in its place.
fn log_dirs(v: &BrokerValues) -> Vec<PathBuf> {
    let dirs = match v.list("log.dirs") {
        [] => v.list("log.dir"),
        dirs => dirs,
    };
    dirs.iter().map(PathBuf::from).collect()
}

fn no_log_dir() -> ConfigError {
    ConfigError::new(
        "log.dirs",
        "At least one log directory must be defined via log.dirs or log.dir.",
    )
}

fn voters(v: &BrokerValues) -> Result<Vec<(i32, Endpoint)>, ConfigError> {
    const KEY: &str = "controller.quorum.voters";
    v.list(KEY)
        .iter()
        .map(|entry| {
            let refuse = || {
                let why = "each voter has the form id@host:port";
                ConfigError::invalid(KEY, &v.list(KEY).join(","), why)
            };
            let (id, endpoint) = entry.split_once('@').ok_or_else(refuse)?;
            let id = id.trim().parse().map_err(|_| refuse())?;
            let endpoint = endpoint.trim().parse().map_err(|_| refuse())?;
            Ok((id, endpoint))
        })
        .collect()
}

fn bootstrap_servers(v: &BrokerValues) -> Result<Vec<Endpoint>, ConfigError> {
    const KEY: &str = "controller.quorum.bootstrap.servers";
    let servers = v.list(KEY).iter();
    servers
        .map(|server| {
            server.trim().parse().map_err(|_| {
                let why = "each server has the form host:port";
                ConfigError::invalid(KEY, &v.list(KEY).join(","), why)
            })
        })
        .collect()
}

fn network(v: &BrokerValues) -> NetworkConfig {
    let defaults = NetworkConfig::default();
    let idle_ms = u64::try_from(v.integer("connections.max.idle.ms")).ok();
    NetworkConfig {
        socket_request_max_bytes: size(v, "socket.request.max.bytes"),
        queued_max_request_bytes: match size(v, "queued.max.request.bytes") {
            0 => defaults.queued_max_request_bytes,
            bytes => bytes,
        },
        // Negative: never. A year is close enough, and timers can express it.
        connections_max_idle: Duration::from_millis(idle_ms.unwrap_or(u64::MAX))
            .min(Duration::from_secs(365 * 24 * 60 * 60)),
        max_connections: size(v, "max.connections"),
        max_connections_per_ip: size(v, "max.connections.per.ip"),
        max_connections_per_ip_overrides: per_ip_overrides(v).unwrap_or_default(),
        socket_send_buffer_bytes: usize::try_from(v.integer("socket.send.buffer.bytes")).ok(),
        socket_receive_buffer_bytes: usize::try_from(v.integer("socket.receive.buffer.bytes")).ok(),
        ..defaults
    }
}

/// `max.connections.per.ip.overrides`: host names stand for all their addresses.
fn per_ip_overrides(v: &BrokerValues) -> Result<HashMap<IpAddr, usize>, ConfigError> {
    const KEY: &str = "max.connections.per.ip.overrides";
    let text = v.text(KEY).unwrap_or_default();
    let mut overrides = HashMap::new();
    for entry in text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        let refuse = |why: &str| ConfigError::invalid(KEY, text, why);
        let (host, max) = entry
            .rsplit_once(':')
            .ok_or_else(|| refuse("expected host:number"))?;
        let max = max
            .trim()
            .parse()
            .map_err(|_| refuse("expected host:number"))?;
        let host = host.trim().trim_start_matches('[').trim_end_matches(']');
        let addresses = match host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => (host, 0)
                .to_socket_addrs()
                .map_err(|_| refuse("a host has no address"))?
                .map(|address| address.ip())
                .collect(),
        };
        overrides.extend(addresses.into_iter().map(|ip| (ip.to_canonical(), max)));
    }
    Ok(overrides)
}

/// What single keys cannot tell: values that do not go together.
fn check_combinations(v: &BrokerValues) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut require = |is_fine: bool, why: &str| {
        if !is_fine {
            errors.push(ConfigError::new("", why));
        }
    };
    let roles = v.list("process.roles");
    let is_controller = roles.iter().any(|r| r == "controller");
    require(
        v.integer("node.id") == v.integer("broker.id"),
        "You must set `node.id` to the same value as `broker.id`.",
    );
    require(
        v.log_roll_ms() >= 1,
        "log.roll.ms must be greater than or equal to 1",
    );
    require(
        v.log_roll_jitter_ms() >= 0,
        "log.roll.jitter.ms must be greater than or equal to 0",
    );
    require(
        v.log_retention_ms() == -1 || v.log_retention_ms() >= 1,
        "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
    );
    require(!log_dirs(v).is_empty(), &no_log_dir().message);
    require(
        v.integer("log.cleaner.dedupe.buffer.size") / v.integer("log.cleaner.threads").max(1)
            > 1024 * 1024,
        "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
    );
    require(
        v.integer("replica.fetch.wait.max.ms") <= v.integer("replica.socket.timeout.ms"),
        "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent \
         unnecessary socket timeouts",
    );
    require(
        v.integer("replica.fetch.wait.max.ms") <= v.integer("replica.lag.time.max.ms"),
        "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms \
         to prevent frequent changes in ISR",
    );
    require(
        !v.list("controller.quorum.voters").is_empty()
            || !v.list("controller.quorum.bootstrap.servers").is_empty(),
        "If using process.roles, either controller.quorum.bootstrap.servers must contain the set \
         of bootstrap controllers or controller.quorum.voters must contain a parseable set of \
         controllers.",
    );
    let is_broker_alone = roles.iter().any(|r| r == "broker") && !is_controller;
    require(
        !is_broker_alone || !v.boolean("controller.quorum.auto.join.enable"),
        "controller.quorum.auto.join.enable is only supported when process.roles contains the \
         'controller' role.",
    );
    if let Ok(voters) = voters(v) {
        let is_voter = voters
            .iter()
            .any(|(id, _)| i64::from(*id) == v.integer("node.id"));
        require(
            !is_controller || voters.is_empty() || is_voter,
            "If process.roles contains the 'controller' role, the node id must be included in the \
             set of voters controller.quorum.voters",
        );
        require(
            !is_broker_alone || !is_voter,
            "If process.roles contains just the 'broker' role, the node id must not be included \
             in the set of voters controller.quorum.voters",
        );
    }
    require(
        v.integer("queued.max.request.bytes") <= 0
            || v.integer("queued.max.request.bytes") >= v.integer("socket.request.max.bytes"),
        "queued.max.request.bytes must be larger or equal to socket.request.max.bytes",
    );
    require(
        v.integer("max.connections.per.ip") != 0
            || !v
                .text("max.connections.per.ip.overrides")
                .unwrap_or_default()
                .is_empty(),
        "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides \
         property is set.",
    );
    require(
        v.integer("log.cleaner.min.compaction.lag.ms")
            <= v.integer("log.cleaner.max.compaction.lag.ms"),
        "log.cleaner.min.compaction.lag.ms must not be greater than \
         log.cleaner.max.compaction.lag.ms",
    );
    // Differs from Kafka: there is no authorizer yet. A key without effect is only warned about, but
    // serving without the authorization that was asked for would open the cluster to everybody.
    require(
        v.text("authorizer.class.name")
            .unwrap_or_default()
            .is_empty(),
        "authorizer.class.name is set, but this version cannot authorize; remove the key to serve \
         everybody",
    );
    require(
        v.list("group.coordinator.rebalance.protocols")
            .iter()
            .any(|p| p == "classic"),
        "Disabling the 'CLASSIC' protocol is not supported.",
    );
    if let Err(error) = per_ip_overrides(v) {
        errors.push(error);
    }
    errors
}
