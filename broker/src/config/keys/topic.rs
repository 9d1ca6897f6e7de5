//! Configurations of topics.
//!
//! Facts are those of Apache Kafka 4.3.1; see [`super`] for the columns.

keys! {
    KEYS:
    "cleanup.policy" List "delete" (list empty ["compact", "delete"]) Medium ClusterWide public honoured
        "What happens to old segments: delete, compact, both or, if empty, nothing.";
    "compression.gzip.level" Int "-1" (custom gzip_level) Medium ClusterWide public honoured
        "Level used when compression.type is gzip.";
    "compression.lz4.level" Int "9" [1 .. 17] Medium ClusterWide public honoured
        "Level used when compression.type is lz4.";
    "compression.type" String "producer" (one_of ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]) Medium ClusterWide public honoured
        "Codec that batches are stored in; producer keeps what the client chose.";
    "compression.zstd.level" Int "3" [-131072 .. 22] Medium ClusterWide public honoured
        "Level used when compression.type is zstd.";
    "delete.retention.ms" Long "86400000" [0 ..] Medium ClusterWide public ignored
        "How long markers of deleted keys are kept in a compacted topic.";
    "file.delete.delay.ms" Long "60000" [0 ..] Medium ClusterWide public honoured
        "How long a deleted segment stays on disk under another name.";
    "flush.messages" Long "9223372036854775807" [1 ..] Medium ClusterWide public honoured
        "Records in a partition after which it is forced to disk.";
    "flush.ms" Long "9223372036854775807" [0 ..] Medium ClusterWide public honoured
        "Longest time that a record is not forced to disk.";
    "follower.replication.throttled.replicas" List "" (custom throttled_replicas) Medium ClusterWide public honoured
        "Replicas, as partition:broker, whose followers are throttled.";
    "index.interval.bytes" Int "4096" [0 ..] Medium ClusterWide public honoured
        "Bytes of records between two entries of an index.";
    "internal.segment.bytes" Int null any Medium ClusterWide internal ignored
        "Segment size in tests.";
    "leader.replication.throttled.replicas" List "" (custom throttled_replicas) Medium ClusterWide public honoured
        "Replicas, as partition:broker, whose leaders are throttled.";
    "local.retention.bytes" Long "-2" [-2 ..] Medium ClusterWide public ignored
        "Bytes of a partition kept on the broker while it is tiered; -2: as retention.bytes.";
    "local.retention.ms" Long "-2" [-2 ..] Medium ClusterWide public ignored
        "Age of segments kept on the broker while the topic is tiered; -2: as retention.ms.";
    "max.compaction.lag.ms" Long "9223372036854775807" [1 ..] Medium ClusterWide public honoured
        "Longest time that a record stays exempt from compaction.";
    "max.message.bytes" Int "1048588" [0 ..] Medium ClusterWide public honoured
        "Largest record batch, compressed if it is compressed.";
    "message.timestamp.after.max.ms" Long "3600000" [0 ..] Medium ClusterWide public honoured
        "How far a record's timestamp may lie in the future.";
    "message.timestamp.before.max.ms" Long "9223372036854775807" [0 ..] Medium ClusterWide public honoured
        "How far a record's timestamp may lie in the past.";
    "message.timestamp.type" String "CreateTime" (one_of ["CreateTime", "LogAppendTime"]) Medium ClusterWide public honoured
        "Whether a record keeps its creation time or gets the time of its append.";
    "min.cleanable.dirty.ratio" Double "0.5" (between_doubles 0.0 1.0) Medium ClusterWide public ignored
        "Share of a log that has to be uncompacted before it is cleaned.";
    "min.compaction.lag.ms" Long "0" [0 ..] Medium ClusterWide public ignored
        "Shortest time that a record stays exempt from compaction.";
    "min.insync.replicas" Int "1" [1 ..] Medium ClusterWide public honoured
        "Replicas in sync that a write with acks=all needs.";
    "preallocate" Boolean "false" any Medium ClusterWide public ignored
        "Whether segment files are allocated in full when they are created.";
    "remote.log.copy.disable" Boolean "false" any Medium ClusterWide public ignored
        "Whether a tiered topic stops copying segments to remote storage.";
    "remote.log.delete.on.disable" Boolean "false" any Medium ClusterWide public ignored
        "Whether remote segments are deleted when tiering is switched off.";
    "remote.storage.enable" Boolean "false" any Medium ClusterWide public ignored
        "Whether the topic is tiered.";
    "retention.bytes" Long "-1" any Medium ClusterWide public honoured
        "Size of a partition above which its old segments are deleted; -1 for no limit.";
    "retention.ms" Long "604800000" [-1 ..] Medium ClusterWide public honoured
        "Age at which a segment is deleted; -1 for no limit.";
    "segment.bytes" Int "1073741824" [1048576 ..] Medium ClusterWide public honoured
        "Largest size of a segment file.";
    "segment.index.bytes" Int "10485760" [4 ..] Medium ClusterWide public honoured
        "Largest size of an index file.";
    "segment.jitter.ms" Long "0" [0 ..] Medium ClusterWide public honoured
        "Largest random deduction from segment.ms.";
    "segment.ms" Long "604800000" [1 ..] Medium ClusterWide public honoured
        "Age after which a new segment is begun.";
    "unclean.leader.election.enable" Boolean "false" any Medium ClusterWide public honoured
        "Whether a replica that is out of sync may become leader, losing records.";
}
