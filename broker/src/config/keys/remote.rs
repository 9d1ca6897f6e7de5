//! Tiered storage.
//!
//! Facts are those of Apache Kafka 4.3.1; see [`super`] for the columns.

keys! {
    KEYS:
    "follower.fetch.last.tiered.offset.enable" Boolean "false" any Medium ClusterWide public ignored
        "Whether an empty follower starts at the last offset in remote storage.";
    "log.local.retention.bytes" Long "-2" [-2 ..] Medium ClusterWide public ignored
        "Bytes of a partition kept here while it is tiered; -2: as log.retention.bytes.";
    "log.local.retention.ms" Long "-2" [-2 ..] Medium ClusterWide public ignored
        "Age of segments kept here while the topic is tiered; -2: as log.retention.ms.";
    "remote.fetch.max.wait.ms" Int "500" [1 ..] Medium ClusterWide public ignored
        "How long a Fetch waits for remote storage.";
    "remote.list.offsets.request.timeout.ms" Long "30000" [1 ..] Medium ClusterWide public ignored
        "How long ListOffsets waits for remote storage.";
    "remote.log.index.file.cache.total.size.bytes" Long "1073741824" [1 ..] Low ClusterWide public ignored
        "Disk space for indexes fetched from remote storage.";
    "remote.log.index.file.cache.ttl.ms" Long "900000" [-1 ..] Low ReadOnly internal ignored
        "How long an index fetched from remote storage is kept.";
    "remote.log.manager.copier.thread.pool.size" Int "10" [1 ..] Medium ClusterWide public ignored
        "Threads that copy segments to remote storage.";
    "remote.log.manager.copy.max.bytes.per.second" Long "9223372036854775807" [1 ..] Medium ClusterWide public ignored
        "Limit of copies to remote storage.";
    "remote.log.manager.copy.quota.window.num" Int "11" [1 ..] Medium ReadOnly public ignored
        "Number of samples kept for the limit of copies.";
    "remote.log.manager.copy.quota.window.size.seconds" Int "1" [1 ..] Medium ReadOnly public ignored
        "Length of a sample for the limit of copies.";
    "remote.log.manager.expiration.thread.pool.size" Int "10" [1 ..] Medium ClusterWide public ignored
        "Threads that delete expired segments in remote storage.";
    "remote.log.manager.fetch.max.bytes.per.second" Long "9223372036854775807" [1 ..] Medium ClusterWide public ignored
        "Limit of fetches from remote storage.";
    "remote.log.manager.fetch.quota.window.num" Int "11" [1 ..] Medium ReadOnly public ignored
        "Number of samples kept for the limit of fetches.";
    "remote.log.manager.fetch.quota.window.size.seconds" Int "1" [1 ..] Medium ReadOnly public ignored
        "Length of a sample for the limit of fetches.";
    "remote.log.manager.follower.thread.pool.size" Int "2" [1 ..] Medium ClusterWide public ignored
        "Threads for tiered partitions that this broker follows.";
    "remote.log.manager.task.interval.ms" Long "30000" [1 ..] Low ReadOnly public ignored
        "How often tiering looks for work.";
    "remote.log.manager.task.retry.backoff.max.ms" Long "30000" [1 ..] Low ReadOnly internal ignored
        "Longest wait before tiering tries again.";
    "remote.log.manager.task.retry.backoff.ms" Long "500" [1 ..] Low ReadOnly internal ignored
        "First wait before tiering tries again.";
    "remote.log.manager.task.retry.jitter" Double "0.2" (between_doubles 0.0 0.5) Low ReadOnly internal ignored
        "Random share of the wait before tiering tries again.";
    "remote.log.manager.thread.pool.size" Int "2" [1 ..] Medium ReadOnly public ignored
        "Threads that schedule the work on tiered partitions.";
    "remote.log.metadata.custom.metadata.max.bytes" Int "128" [0 ..] Low ReadOnly public ignored
        "Most bytes of a remote storage plugin's own metadata per segment.";
    "remote.log.metadata.manager.class.name" String "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager" non_empty Medium ReadOnly public ignored
        "Java class that keeps the metadata of remote segments.";
    "remote.log.metadata.manager.class.path" String null any Medium ReadOnly public ignored
        "Class path of the remote metadata manager.";
    "remote.log.metadata.manager.impl.prefix" String "rlmm.config." non_empty Medium ReadOnly public ignored
        "Prefix of the remote metadata manager's own keys.";
    "remote.log.metadata.manager.listener.name" String null non_empty Medium ReadOnly public ignored
        "Listener through which the remote metadata manager connects.";
    "remote.log.reader.max.pending.tasks" Int "100" [1 ..] Medium ReadOnly public ignored
        "Most waiting reads from remote storage.";
    "remote.log.reader.threads" Int "10" [1 ..] Medium ClusterWide public ignored
        "Threads that read from remote storage.";
    "remote.log.storage.manager.class.name" String null non_empty Medium ReadOnly public ignored
        "Java class that stores segments remotely.";
    "remote.log.storage.manager.class.path" String null any Medium ReadOnly public ignored
        "Class path of the remote storage manager.";
    "remote.log.storage.manager.impl.prefix" String "rsm.config." non_empty Medium ReadOnly public ignored
        "Prefix of the remote storage manager's own keys.";
    "remote.log.storage.system.enable" Boolean "false" any Medium ReadOnly public ignored
        "Whether tiered storage is on.";
}
