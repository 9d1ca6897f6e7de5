//! Logs and topics: segments, retention, flushing, cleaning, defaults of topics.
//!
//! Facts are those of Apache Kafka 4.3.1; see [`super`] for the columns.

keys! {
    KEYS:
    "alter.config.policy.class.name" Class null any Low ReadOnly public ignored
        "Java class that may refuse changes of configurations; Java classes cannot be loaded here.";
    "alter.log.dirs.replication.quota.window.num" Int "11" [1 ..] Low ReadOnly public honoured
        "Number of samples kept for the quota on moves between log directories.";
    "alter.log.dirs.replication.quota.window.size.seconds" Int "1" [1 ..] Low ReadOnly public honoured
        "Length of a sample for the quota on moves between log directories.";
    "auto.create.topics.enable" Boolean "true" any High ReadOnly public honoured
        "Whether asking for a topic that does not exist creates it.";
    "compression.gzip.level" Int "-1" (custom gzip_level) Medium ClusterWide public honoured
        "Level for topics whose compression.type is gzip.";
    "compression.lz4.level" Int "9" [1 .. 17] Medium ClusterWide public honoured
        "Level for topics whose compression.type is lz4.";
    "compression.type" String "producer" (one_of ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]) High ClusterWide public honoured
        "Codec that batches are stored in; producer keeps what the client chose.";
    "compression.zstd.level" Int "3" [-131072 .. 22] Medium ClusterWide public honoured
        "Level for topics whose compression.type is zstd.";
    "cordoned.log.dirs" List "" (list empty []) Medium PerBroker public honoured
        "Log directories that get no new partitions; * for all.";
    "create.topic.policy.class.name" Class null any Low ReadOnly public ignored
        "Java class that may refuse the creation of topics; Java classes cannot be loaded here.";
    "default.replication.factor" Int "1" any Medium ReadOnly public honoured
        "Replicas of topics created without a number of their own.";
    "delete.topic.enable" Boolean "true" any High ReadOnly public honoured
        "Whether topics can be deleted.";
    "log.cleaner.backoff.ms" Long "15000" [0 ..] Medium ClusterWide public ignored
        "How long the log cleaner sleeps when nothing is to be cleaned.";
    "log.cleaner.dedupe.buffer.size" Long "134217728" any Medium ClusterWide public ignored
        "Memory of all log cleaner threads for the map of keys.";
    "log.cleaner.delete.retention.ms" Long "86400000" [0 ..] Medium ClusterWide public ignored
        "How long markers of deleted keys are kept in compacted topics.";
    "log.cleaner.enable" Boolean "true" any Medium ReadOnly public ignored
        "Whether the log cleaner runs.";
    "log.cleaner.io.buffer.load.factor" Double "0.9" any Medium ClusterWide public ignored
        "How full the log cleaner's map of keys may become.";
    "log.cleaner.io.buffer.size" Int "524288" [0 ..] Medium ClusterWide public ignored
        "Memory of all log cleaner threads for reading and writing.";
    "log.cleaner.io.max.bytes.per.second" Double "1.7976931348623157E308" any Medium ClusterWide public ignored
        "Limit of the log cleaner's reads and writes together.";
    "log.cleaner.max.compaction.lag.ms" Long "9223372036854775807" [1 ..] Medium ClusterWide public honoured
        "Longest time that a record stays exempt from compaction.";
    "log.cleaner.min.cleanable.ratio" Double "0.5" (between_doubles 0.0 1.0) Medium ClusterWide public ignored
        "Share of a log that has to be uncompacted before it is cleaned.";
    "log.cleaner.min.compaction.lag.ms" Long "0" [0 ..] Medium ClusterWide public ignored
        "Shortest time that a record stays exempt from compaction.";
    "log.cleaner.threads" Int "1" [0 ..] Medium ClusterWide public ignored
        "Threads of the log cleaner.";
    "log.cleanup.policy" List "delete" (list empty ["compact", "delete"]) Medium ClusterWide public honoured
        "What happens to old segments: delete, compact, both or, if empty, nothing.";
    "log.dir" List "/tmp/kafka-logs" (list []) High ReadOnly public honoured
        "Directories of the logs if log.dirs is not set.";
    "log.dir.failure.timeout.ms" Long "30000" [1 ..] Low ReadOnly public honoured
        "After so long without telling the controller of a failed log directory the broker stops.";
    "log.dirs" List null (list []) High ReadOnly public honoured
        "Directories of the logs, comma-separated.";
    "log.flush.interval.messages" Long "9223372036854775807" [1 ..] High ClusterWide public honoured
        "Records in a partition after which it is forced to disk.";
    "log.flush.interval.ms" Long null any High ClusterWide public honoured
        "Longest time that a record is not forced to disk; unset: log.flush.scheduler.interval.ms.";
    "log.flush.offset.checkpoint.interval.ms" Int "60000" [0 ..] High ReadOnly public honoured
        "How often recovery points are written.";
    "log.flush.scheduler.interval.ms" Long "9223372036854775807" any High ReadOnly public honoured
        "How often the flusher looks for logs that are due.";
    "log.flush.start.offset.checkpoint.interval.ms" Int "60000" [0 ..] High ReadOnly public honoured
        "How often log start offsets are written.";
    "log.index.interval.bytes" Int "4096" [0 ..] Medium ClusterWide public honoured
        "Bytes of records between two entries of an index.";
    "log.index.size.max.bytes" Int "10485760" [4 ..] Medium ClusterWide public honoured
        "Largest size of an index file.";
    "log.initial.task.delay.ms" Long "30000" [0 ..] Low ReadOnly internal honoured
        "Delay before the periodic work on logs begins.";
    "log.message.timestamp.after.max.ms" Long "3600000" [0 ..] Medium ClusterWide public honoured
        "How far a record's timestamp may lie in the future.";
    "log.message.timestamp.before.max.ms" Long "9223372036854775807" [0 ..] Medium ClusterWide public honoured
        "How far a record's timestamp may lie in the past.";
    "log.message.timestamp.type" String "CreateTime" (one_of ["CreateTime", "LogAppendTime"]) Medium ClusterWide public honoured
        "Whether a record keeps its creation time or gets the time of its append.";
    "log.preallocate" Boolean "false" any Medium ClusterWide public ignored
        "Whether segment files are allocated in full when they are created.";
    "log.retention.bytes" Long "-1" any High ClusterWide public honoured
        "Size of a partition above which its old segments are deleted; -1 for no limit.";
    "log.retention.check.interval.ms" Long "300000" [1 ..] Medium ReadOnly public honoured
        "How often old segments are looked for.";
    "log.retention.hours" Int "168" any High ReadOnly public honoured
        "Hours that a segment is kept, if neither the minutes nor the ms are set.";
    "log.retention.minutes" Int null any High ReadOnly public honoured
        "Minutes that a segment is kept, if log.retention.ms is not set.";
    "log.retention.ms" Long null any High ClusterWide public honoured
        "Milliseconds that a segment is kept; -1 for no limit.";
    "log.roll.hours" Int "168" [1 ..] High ReadOnly public honoured
        "Hours after which a new segment is begun, if log.roll.ms is not set.";
    "log.roll.jitter.hours" Int "0" [0 ..] High ReadOnly public honoured
        "Largest random deduction from log.roll.hours.";
    "log.roll.jitter.ms" Long null any High ClusterWide public honoured
        "Largest random deduction from log.roll.ms.";
    "log.roll.ms" Long null any High ClusterWide public honoured
        "Milliseconds after which a new segment is begun.";
    "log.segment.bytes" Int "1073741824" [1048576 ..] High ClusterWide public honoured
        "Largest size of a segment file.";
    "log.segment.delete.delay.ms" Long "60000" [0 ..] High ClusterWide public honoured
        "How long a deleted segment stays on disk under another name.";
    "message.max.bytes" Int "1048588" [0 ..] High ClusterWide public honoured
        "Largest record batch, compressed if it is compressed.";
    "min.insync.replicas" Int "1" [1 ..] High ClusterWide public honoured
        "Replicas in sync that a write with acks=all needs.";
    "num.partitions" Int "1" [1 ..] Medium ReadOnly public honoured
        "Partitions of topics created without a number of their own.";
    "num.recovery.threads.per.data.dir" Int "2" [1 ..] High ClusterWide public honoured
        "Logs of a directory that are recovered at the same time.";
    "num.replica.alter.log.dirs.threads" Int null any High ReadOnly public honoured
        "Threads that move replicas between log directories.";
    "unclean.leader.election.enable" Boolean "false" any High ClusterWide public honoured
        "Whether a replica that is out of sync may become leader, losing records.";
}
