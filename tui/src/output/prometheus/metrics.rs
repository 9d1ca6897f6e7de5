//! Every family of samples that the exporter has: a promise. Families are added in later versions,
//! never renamed or removed.

/// One family; all are gauges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    /// With blanks between.
    pub labels: &'static str,
    pub help: &'static str,
}

const fn metric(name: &'static str, labels: &'static str, help: &'static str) -> Metric {
    Metric { name, labels, help }
}

/// In the order of the page.
pub const METRICS: &[Metric] = &[
    metric(
        "kafka_up",
        "",
        "1 if the newest attempt to read the cluster's metadata succeeded.",
    ),
    metric(
        "kafka_age_seconds",
        "part",
        "Since when a part of these figures is as it was read.",
    ),
    metric(
        "kafka_read_failed",
        "part",
        "1 if the newest attempt to read a part failed.",
    ),
    metric("kafka_cluster_info", "cluster_id", "Which cluster it is."),
    metric(
        "kafka_cluster_healthy",
        "",
        "1 if every partition is led and in sync and every broker and log directory serves.",
    ),
    metric("kafka_controller_id", "", "The active controller."),
    metric("kafka_brokers", "", "Brokers."),
    metric("kafka_brokers_fenced", "", "Brokers that are fenced."),
    metric("kafka_topics", "", "Topics."),
    metric("kafka_partitions", "", "Partitions."),
    metric(
        "kafka_partitions_offline",
        "",
        "Partitions without a leader.",
    ),
    metric(
        "kafka_partitions_under_replicated",
        "",
        "Partitions with fewer replicas in sync than wanted.",
    ),
    metric(
        "kafka_partitions_under_min_isr",
        "",
        "Partitions that take no writes with acks=all.",
    ),
    metric(
        "kafka_partitions_at_min_isr",
        "",
        "Partitions that take none after one more loss.",
    ),
    metric(
        "kafka_partitions_not_preferred",
        "",
        "Partitions led by another replica than the preferred one.",
    ),
    metric(
        "kafka_partitions_reassigning",
        "",
        "Partitions on the move.",
    ),
    metric(
        "kafka_replicas_offline",
        "",
        "Replicas on brokers or log directories that are gone.",
    ),
    metric(
        "kafka_records_per_second",
        "",
        "Records written to all topics, between the two newest reads of all ends.",
    ),
    metric(
        "kafka_broker_up",
        "broker",
        "1 if a broker serves, 0 if it is fenced or only named by partitions.",
    ),
    metric(
        "kafka_broker_leaders",
        "broker",
        "Partitions that a broker leads.",
    ),
    metric("kafka_broker_replicas", "broker", "Replicas of a broker."),
    metric(
        "kafka_broker_in_sync_replicas",
        "broker",
        "Its replicas that are in sync.",
    ),
    metric(
        "kafka_broker_out_of_sync_replicas",
        "broker",
        "Its replicas that are not.",
    ),
    metric(
        "kafka_broker_log_bytes",
        "broker",
        "Bytes of all partitions on a broker.",
    ),
    metric(
        "kafka_broker_metrics_age_seconds",
        "broker",
        "Since when what a broker with a metrics endpoint tells is as it was read.",
    ),
    metric(
        "kafka_broker_metrics_failed",
        "broker",
        "1 if the newest attempt to read a broker's metrics endpoint failed.",
    ),
    metric(
        "kafka_broker_messages_in_per_second",
        "broker",
        "Messages written to a broker, as it tells.",
    ),
    metric(
        "kafka_broker_bytes_in_per_second",
        "broker",
        "Bytes written to a broker, as it tells.",
    ),
    metric(
        "kafka_broker_bytes_out_per_second",
        "broker",
        "Bytes read from a broker by consumers, as it tells.",
    ),
    metric(
        "kafka_broker_bytes_rejected_per_second",
        "broker",
        "Bytes that a broker did not take, as it tells.",
    ),
    metric(
        "kafka_broker_failed_produces_per_second",
        "broker",
        "Requests to write that failed, as a broker tells.",
    ),
    metric(
        "kafka_broker_failed_fetches_per_second",
        "broker",
        "Requests to read that failed, as a broker tells.",
    ),
    metric(
        "kafka_broker_cpu_cores",
        "broker",
        "Processor time that a broker takes, in cores.",
    ),
    metric(
        "kafka_broker_request_handlers_idle_ratio",
        "broker",
        "The share of time in which threads that handle requests have nothing to do.",
    ),
    metric(
        "kafka_broker_network_processors_idle_ratio",
        "broker",
        "The same of the threads that move bytes.",
    ),
    metric(
        "kafka_broker_heap_used_bytes",
        "broker",
        "Of a broker's heap, in use.",
    ),
    metric(
        "kafka_broker_heap_max_bytes",
        "broker",
        "What a broker's heap may grow to.",
    ),
    metric(
        "kafka_broker_told_under_replicated",
        "broker",
        "Partitions led by a broker with fewer replicas in sync than wanted, as it tells.",
    ),
    metric(
        "kafka_broker_told_under_min_isr",
        "broker",
        "Partitions led by a broker that take no writes with acks=all, as it tells.",
    ),
    metric(
        "kafka_broker_produce_p99_seconds",
        "broker",
        "99 of 100 requests to write take no longer.",
    ),
    metric(
        "kafka_broker_fetch_p99_seconds",
        "broker",
        "99 of 100 requests of consumers take no longer; they wait for records.",
    ),
    metric(
        "kafka_broker_follower_p99_seconds",
        "broker",
        "99 of 100 requests of followers take no longer.",
    ),
    metric(
        "kafka_topic_bytes_in_per_second",
        "topic",
        "Bytes written to a topic, as its brokers tell; none where one of them does not.",
    ),
    metric(
        "kafka_topic_bytes_out_per_second",
        "topic",
        "Bytes read from a topic by consumers, as its brokers tell.",
    ),
    metric("kafka_topic_partitions", "topic", "Partitions of a topic."),
    metric(
        "kafka_topic_partitions_offline",
        "topic",
        "Its partitions without a leader.",
    ),
    metric(
        "kafka_topic_partitions_under_replicated",
        "topic",
        "Its partitions with fewer replicas in sync than wanted.",
    ),
    metric(
        "kafka_topic_partitions_under_min_isr",
        "topic",
        "Its partitions that take no writes with acks=all.",
    ),
    metric(
        "kafka_topic_records_per_second",
        "topic",
        "Records written to a topic, between two reads of its ends.",
    ),
    metric(
        "kafka_topic_end_offset_sum",
        "topic",
        "High watermarks of a topic's partitions, together.",
    ),
    metric(
        "kafka_topic_log_bytes",
        "topic",
        "Bytes of all replicas of a topic.",
    ),
    metric("kafka_groups", "", "Groups."),
    metric(
        "kafka_group_lag_records",
        "group",
        "Records that a group is behind.",
    ),
    metric(
        "kafka_group_lag_records_max",
        "group",
        "Of its partition that is furthest behind.",
    ),
    metric(
        "kafka_group_lag_seconds",
        "group",
        "How long ago the log ended where a group is, in its partition that is furthest behind; interpolated.",
    ),
    metric(
        "kafka_group_verdict",
        "group, verdict",
        "Burrow's verdict on a group's worst partition: ok, warning, rewind, stall or stop.",
    ),
    metric("kafka_group_members", "group", "Members of a group."),
    metric(
        "kafka_group_partitions_with_loss",
        "group",
        "Its partitions with records that were removed unread.",
    ),
    metric(
        "kafka_group_state",
        "group, state",
        "The state that a group is in.",
    ),
    metric(
        "kafka_group_age_seconds",
        "group",
        "Since when a group's committed offsets are as they were read.",
    ),
    metric(
        "kafka_group_epoch",
        "group",
        "The epoch of a group of the new protocols.",
    ),
    metric(
        "kafka_group_assignment_epoch",
        "group",
        "The epoch for which its assignment was made.",
    ),
    metric(
        "kafka_streams_group_tasks",
        "group, role",
        "Tasks that members of a streams group do: active, standby or warmup.",
    ),
    metric(
        "kafka_streams_group_target_tasks",
        "group, role",
        "Tasks that they shall do.",
    ),
    metric(
        "kafka_streams_group_missing_topics",
        "group",
        "Topics of a streams group's application that are not there, or may not be seen.",
    ),
    metric(
        "kafka_group_partition_lag_records",
        "group, topic, partition",
        "Records that a group is behind in a partition; with --partitions.",
    ),
    metric(
        "kafka_group_partition_lag_seconds",
        "group, topic, partition",
        "How long ago the log ended where a group is in a partition, interpolated; with --partitions.",
    ),
];
