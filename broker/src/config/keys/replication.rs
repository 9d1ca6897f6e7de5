//! Replication, fetching, quotas, metrics and the rest.
//!
//! Facts are those of Apache Kafka 4.3.1; see [`super`] for the columns.

keys! {
    KEYS:
    "auto.leader.rebalance.enable" Boolean "true" any High ReadOnly public honoured
        "Whether leadership returns by itself to the preferred replicas.";
    "client.quota.callback.class" Class null any Low ReadOnly public ignored
        "Java class that decides client quotas.";
    "config.providers" List "" (list empty []) Low ClusterWide public ignored
        "Java classes that resolve placeholders in configuration values.";
    "controlled.shutdown.enable" Boolean "true" any Medium ReadOnly public honoured
        "Whether a stopping broker hands over its partitions first.";
    "delete.records.purgatory.purge.interval.requests" Int "1" any Medium ReadOnly public ignored
        "Purge interval of waiting DeleteRecords requests; they are removed at once here.";
    "fetch.max.bytes" Int "57671680" [1024 ..] Medium ReadOnly public honoured
        "Most bytes of records that one Fetch is answered with.";
    "fetch.purgatory.purge.interval.requests" Int "1000" any Medium ReadOnly public ignored
        "Purge interval of waiting Fetch requests; they are removed at once here.";
    "follower.replication.throttled.rate" Long "9223372036854775807" [0 ..] Medium ClusterWide dynamic_only honoured
        "Limit of replication to this broker for throttled replicas, bytes per second.";
    "kafka.metrics.polling.interval.secs" Int "10" [1 ..] Low ReadOnly public ignored
        "Polling interval of Yammer metrics reporters.";
    "kafka.metrics.reporters" List "" (list empty []) Low ReadOnly public ignored
        "Java classes that report Yammer metrics.";
    "leader.imbalance.check.interval.seconds" Long "300" [1 ..] High ReadOnly public honoured
        "How often the controller looks for leaders that are not the preferred replica.";
    "leader.replication.throttled.rate" Long "9223372036854775807" [0 ..] Medium ClusterWide dynamic_only honoured
        "Limit of replication from this broker for throttled replicas, bytes per second.";
    "max.incremental.fetch.session.cache.slots" Int "1000" [0 ..] Medium ReadOnly public honoured
        "Most incremental fetch sessions.";
    "max.request.partition.size.limit" Int "2000" [1 ..] Medium ReadOnly public honoured
        "Most partitions in one answer to DescribeTopicPartitions.";
    "metric.reporters" List "org.apache.kafka.common.metrics.JmxReporter" (list empty []) Low ClusterWide public ignored
        "Java classes that report metrics.";
    "metrics.num.samples" Int "2" [1 ..] Low ReadOnly public ignored
        "Number of samples kept for metrics.";
    "metrics.recording.level" String "INFO" any Low ReadOnly public ignored
        "Most detailed level of metrics that is recorded.";
    "metrics.sample.window.ms" Long "30000" [1 ..] Low ReadOnly public ignored
        "Length of a sample of metrics.";
    "num.replica.fetchers" Int "1" [1 ..] High ClusterWide public honoured
        "Fetchers per source broker.";
    "producer.purgatory.purge.interval.requests" Int "1000" any Medium ReadOnly public ignored
        "Purge interval of waiting Produce requests; they are removed at once here.";
    "quota.window.num" Int "11" [1 ..] Low ReadOnly public ignored
        "Number of samples kept for client quotas.";
    "quota.window.size.seconds" Int "1" [1 ..] Low ReadOnly public ignored
        "Length of a sample for client quotas.";
    "replica.alter.log.dirs.io.max.bytes.per.second" Long "9223372036854775807" [0 ..] Medium ClusterWide dynamic_only honoured
        "Limit of moves between log directories.";
    "replica.fetch.backoff.ms" Int "1000" [0 ..] Medium ReadOnly public honoured
        "Wait after a failed fetch of a follower.";
    "replica.fetch.max.bytes" Int "1048576" [0 ..] Medium ReadOnly public honoured
        "Bytes that a follower fetches per partition.";
    "replica.fetch.min.bytes" Int "1" any High ReadOnly public honoured
        "Bytes that a follower's fetch waits for.";
    "replica.fetch.response.max.bytes" Int "10485760" [0 ..] Medium ReadOnly public honoured
        "Most bytes in the answer to one fetch of a follower.";
    "replica.fetch.wait.max.ms" Int "500" any High ReadOnly public honoured
        "Longest wait of a follower's fetch.";
    "replica.high.watermark.checkpoint.interval.ms" Long "5000" any High ReadOnly public honoured
        "How often high watermarks are written to disk.";
    "replica.lag.time.max.ms" Long "30000" any High ReadOnly public honoured
        "After so long without being caught up a follower leaves the in-sync replicas.";
    "replica.selector.class" String null any Medium ReadOnly public honoured
        "Java class that picks the replica a consumer reads from.";
    "replica.socket.receive.buffer.bytes" Int "65536" any High ReadOnly public ignored
        "Receive buffer of a follower's socket.";
    "replica.socket.timeout.ms" Int "30000" any High ReadOnly public honoured
        "Time limit of a follower's requests.";
    "replication.quota.window.num" Int "11" [1 ..] Low ReadOnly public honoured
        "Number of samples kept for replication quotas.";
    "replication.quota.window.size.seconds" Int "1" [1 ..] Low ReadOnly public honoured
        "Length of a sample for replication quotas.";
    "telemetry.max.bytes" Int "1048576" [1 ..] Low ReadOnly public ignored
        "Largest compressed payload of client telemetry.";
    "unclean.leader.election.interval.ms" Long "300000" [1 ..] Medium ReadOnly internal ignored
        "How often partitions without a leader are considered for an unclean election.";
}
