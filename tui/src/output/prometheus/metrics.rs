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
