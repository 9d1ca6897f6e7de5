//! Group, share and transaction coordinators.
//!
//! Facts are those of Apache Kafka 4.3.1; see [`super`] for the columns.

keys! {
    KEYS:
    "add.partitions.to.txn.retry.backoff.max.ms" Int "100" [0 ..] High ReadOnly public ignored
        "Longest wait before a partition is added to a transaction again.";
    "add.partitions.to.txn.retry.backoff.ms" Int "20" [1 ..] High ReadOnly public ignored
        "Wait before a partition is added to a transaction again.";
    "group.consumer.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide public ignored
        "Least time between two assignments of a consumer-protocol group.";
    "group.consumer.assignors" List "uniform,range" (list []) Medium ReadOnly public ignored
        "Server-side assignors of consumer-protocol groups, the default first.";
    "group.consumer.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly public ignored
        "Heartbeat interval given to members of consumer-protocol groups.";
    "group.consumer.max.assignment.interval.ms" Int "15000" [0 ..] Medium ReadOnly public ignored
        "Largest assignment interval that a consumer-protocol group may set.";
    "group.consumer.max.heartbeat.interval.ms" Int "15000" [1 ..] Medium ReadOnly public ignored
        "Largest heartbeat interval that a consumer-protocol group may set.";
    "group.consumer.max.session.timeout.ms" Int "60000" [1 ..] Medium ReadOnly public ignored
        "Largest session time-out that a consumer-protocol group may set.";
    "group.consumer.max.size" Int "2147483647" [1 ..] Medium ReadOnly public ignored
        "Most members of a consumer-protocol group.";
    "group.consumer.migration.policy" String "bidirectional" (one_of_ignore_case ["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]) Medium ReadOnly public ignored
        "Which way groups may move between the classic and the consumer protocol.";
    "group.consumer.min.assignment.interval.ms" Int "0" [0 ..] Medium ReadOnly public ignored
        "Smallest assignment interval that a consumer-protocol group may set.";
    "group.consumer.min.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly public ignored
        "Smallest heartbeat interval that a consumer-protocol group may set.";
    "group.consumer.min.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly public ignored
        "Smallest session time-out that a consumer-protocol group may set.";
    "group.consumer.regex.refresh.interval.ms" Int "600000" [10000 ..] Medium ReadOnly internal ignored
        "How often subscriptions by pattern are evaluated again.";
    "group.consumer.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly public ignored
        "Session time-out of members of consumer-protocol groups.";
    "group.coordinator.append.linger.ms" Int "-1" [-1 ..] Medium ReadOnly public ignored
        "How long the group coordinator gathers records of one batch; -1 lets it decide.";
    "group.coordinator.background.threads" Int "2" [1 ..] High ReadOnly public ignored
        "Background threads of the group coordinator; the runtime sizes its own here.";
    "group.coordinator.cached.buffer.max.bytes" Int "1048588" [524288 ..] Medium ClusterWide public ignored
        "Largest write buffer that the group coordinator keeps.";
    "group.coordinator.rebalance.protocols" List "classic,consumer,streams" (list ["consumer", "classic", "share", "streams"]) Medium ReadOnly public ignored
        "Group protocols that are switched on.";
    "group.coordinator.threads" Int "4" [1 ..] High ReadOnly public ignored
        "Threads of the group coordinator; every partition has a task of its own here.";
    "group.initial.rebalance.delay.ms" Int "3000" any Medium ReadOnly public honoured
        "How long a new group waits for more members before its first rebalance.";
    "group.max.session.timeout.ms" Int "1800000" any Medium ReadOnly public honoured
        "Largest session time-out that a classic member may ask for.";
    "group.max.size" Int "2147483647" [1 ..] Medium ReadOnly public honoured
        "Most members of a classic group.";
    "group.min.session.timeout.ms" Int "6000" any Medium ReadOnly public honoured
        "Smallest session time-out that a classic member may ask for.";
    "group.share.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide public ignored
        "Least time between two assignments of a share group.";
    "group.share.assignors" List "simple" (list []) Medium ReadOnly public ignored
        "Server-side assignors of share groups.";
    "group.share.delivery.count.limit" Int "5" [2 .. 10] Medium ReadOnly public ignored
        "How often a record of a share group is delivered at most.";
    "group.share.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly public ignored
        "Heartbeat interval given to members of share groups.";
    "group.share.initialize.retry.interval.ms" Int "30000" [1 ..] Low ReadOnly internal ignored
        "Wait before the initialization of a share partition is tried again.";
    "group.share.max.assignment.interval.ms" Int "15000" [0 ..] Medium ReadOnly public ignored
        "Largest assignment interval that a share group may set.";
    "group.share.max.delivery.count.limit" Int "10" [5 .. 25] Medium ReadOnly public ignored
        "Largest delivery count that a share group may set.";
    "group.share.max.heartbeat.interval.ms" Int "15000" [1 ..] Medium ReadOnly public ignored
        "Largest heartbeat interval that a share group may set.";
    "group.share.max.partition.max.record.locks" Int "4000" [2000 .. 10000] Medium ReadOnly public ignored
        "Largest number of locked records per partition that a share group may set.";
    "group.share.max.record.lock.duration.ms" Int "60000" [30000 .. 3600000] Medium ReadOnly public ignored
        "Longest record lock that a share group may set.";
    "group.share.max.session.timeout.ms" Int "60000" [1 ..] Medium ReadOnly public ignored
        "Largest session time-out that a share group may set.";
    "group.share.max.share.sessions" Int "2000" [1 ..] Medium ReadOnly public ignored
        "Most share sessions of this broker.";
    "group.share.max.size" Int "200" [1 .. 1000] Medium ReadOnly public ignored
        "Most members of a share group.";
    "group.share.min.assignment.interval.ms" Int "0" [0 ..] Medium ReadOnly public ignored
        "Smallest assignment interval that a share group may set.";
    "group.share.min.delivery.count.limit" Int "2" [2 .. 5] Medium ReadOnly public ignored
        "Smallest delivery count that a share group may set.";
    "group.share.min.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly public ignored
        "Smallest heartbeat interval that a share group may set.";
    "group.share.min.partition.max.record.locks" Int "100" [100 .. 2000] Medium ReadOnly public ignored
        "Smallest number of locked records per partition that a share group may set.";
    "group.share.min.record.lock.duration.ms" Int "15000" [1000 .. 30000] Medium ReadOnly public ignored
        "Shortest record lock that a share group may set.";
    "group.share.min.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly public ignored
        "Smallest session time-out that a share group may set.";
    "group.share.partition.max.record.locks" Int "2000" [100 .. 10000] Medium ReadOnly public ignored
        "Most records of a partition that are out for delivery at once.";
    "group.share.persister.class.name" String "org.apache.kafka.server.share.persister.DefaultStatePersister" any Medium ReadOnly internal ignored
        "Java class that persists the state of share groups.";
    "group.share.record.lock.duration.ms" Int "30000" [1000 .. 3600000] Medium ReadOnly public ignored
        "How long a delivered record is locked for its consumer.";
    "group.share.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly public ignored
        "Session time-out of members of share groups.";
    "group.streams.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide public ignored
        "Least time between two assignments of a streams group.";
    "group.streams.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly public ignored
        "Heartbeat interval given to members of streams groups.";
    "group.streams.initial.rebalance.delay.ms" Int "3000" [0 ..] Medium ReadOnly public ignored
        "How long a new streams group waits for more members.";
    "group.streams.max.assignment.interval.ms" Int "15000" [0 ..] Medium ReadOnly public ignored
        "Largest assignment interval that a streams group may set.";
    "group.streams.max.heartbeat.interval.ms" Int "15000" [1 ..] Medium ReadOnly public ignored
        "Largest heartbeat interval that a streams group may set.";
    "group.streams.max.session.timeout.ms" Int "60000" [1 ..] Medium ReadOnly public ignored
        "Largest session time-out that a streams group may set.";
    "group.streams.max.size" Int "2147483647" [1 ..] Medium ReadOnly public ignored
        "Most members of a streams group.";
    "group.streams.max.standby.replicas" Int "2" [0 ..] Medium ReadOnly public ignored
        "Most standby replicas that a streams group may ask for.";
    "group.streams.min.assignment.interval.ms" Int "0" [0 ..] Medium ReadOnly public ignored
        "Smallest assignment interval that a streams group may set.";
    "group.streams.min.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly public ignored
        "Smallest heartbeat interval that a streams group may set.";
    "group.streams.min.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly public ignored
        "Smallest session time-out that a streams group may set.";
    "group.streams.num.standby.replicas" Int "0" [0 ..] Medium ReadOnly public ignored
        "Standby replicas of each task of a streams group.";
    "group.streams.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly public ignored
        "Session time-out of members of streams groups.";
    "offset.metadata.max.bytes" Int "4096" any High ReadOnly public honoured
        "Longest text that may be committed with an offset.";
    "offsets.commit.timeout.ms" Int "5000" [1 ..] High ReadOnly public honoured
        "How long a commit waits until it is replicated.";
    "offsets.load.buffer.size" Int "5242880" [1 ..] High ReadOnly public honoured
        "Bytes read at once while committed offsets are loaded.";
    "offsets.retention.check.interval.ms" Long "600000" [1 ..] High ReadOnly public honoured
        "How often expired offsets are looked for.";
    "offsets.retention.minutes" Int "10080" [1 ..] High ReadOnly public honoured
        "How long offsets of a group are kept after it has become empty.";
    "offsets.topic.compression.codec" Int "0" any High ReadOnly public honoured
        "Codec of batches in __consumer_offsets, by its number.";
    "offsets.topic.num.partitions" Int "50" [1 ..] High ReadOnly public honoured
        "Partitions of __consumer_offsets; not to be changed after its creation.";
    "offsets.topic.replication.factor" Short "3" [1 ..] High ReadOnly public honoured
        "Replicas of __consumer_offsets.";
    "offsets.topic.segment.bytes" Int "104857600" [1 ..] High ReadOnly public honoured
        "Segment size of __consumer_offsets.";
    "producer.id.expiration.check.interval.ms" Int "600000" [1 ..] Low ReadOnly internal honoured
        "How often expired producer states are looked for.";
    "producer.id.expiration.ms" Int "86400000" [1 ..] Low ClusterWide public honoured
        "How long the state of an idle producer is kept for duplicate detection.";
    "share.coordinator.append.linger.ms" Int "-1" [-1 ..] Medium ReadOnly public ignored
        "How long the share coordinator gathers records of one batch.";
    "share.coordinator.cached.buffer.max.bytes" Int "1048588" [524288 ..] Medium ClusterWide public ignored
        "Largest write buffer that the share coordinator keeps.";
    "share.coordinator.cold.partition.snapshot.interval.ms" Int "300000" [1 ..] Low ReadOnly internal ignored
        "How often state of idle share partitions is snapshotted.";
    "share.coordinator.load.buffer.size" Int "5242880" [1 ..] High ReadOnly public ignored
        "Bytes read at once while share state is loaded.";
    "share.coordinator.snapshot.update.records.per.snapshot" Int "500" [0 .. 500] Medium ReadOnly public ignored
        "Updates of share state between two snapshots.";
    "share.coordinator.state.topic.compression.codec" Int "0" any High ReadOnly public ignored
        "Codec of batches in __share_group_state, by its number.";
    "share.coordinator.state.topic.min.isr" Short "2" [1 ..] High ReadOnly public ignored
        "Replicas in sync that a write to __share_group_state needs.";
    "share.coordinator.state.topic.num.partitions" Int "50" [1 ..] High ReadOnly public ignored
        "Partitions of __share_group_state.";
    "share.coordinator.state.topic.prune.interval.ms" Int "300000" [1 ..] Low ReadOnly internal ignored
        "How often redundant share state is deleted.";
    "share.coordinator.state.topic.replication.factor" Short "3" [1 ..] High ReadOnly public ignored
        "Replicas of __share_group_state.";
    "share.coordinator.state.topic.segment.bytes" Int "104857600" [1 ..] High ReadOnly public ignored
        "Segment size of __share_group_state.";
    "share.coordinator.threads" Int "1" [1 ..] Medium ReadOnly public ignored
        "Threads of the share coordinator.";
    "share.coordinator.write.timeout.ms" Int "5000" [1 ..] High ReadOnly public ignored
        "How long the share coordinator waits for its writes.";
    "share.fetch.purgatory.purge.interval.requests" Int "1000" any Medium ReadOnly public ignored
        "Purge interval of waiting ShareFetch requests.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms" Int "10000" [1 ..] Low ReadOnly public ignored
        "How often transactions past their time-out are aborted.";
    "transaction.max.timeout.ms" Int "900000" [1 ..] High ReadOnly public ignored
        "Longest time-out that a transactional producer may ask for.";
    "transaction.partition.verification.enable" Boolean "true" any Low ClusterWide public honoured
        "Whether transactional writes are checked against an ongoing transaction.";
    "transaction.remove.expired.transaction.cleanup.interval.ms" Int "3600000" [1 ..] Low ReadOnly public ignored
        "How often expired transactional ids are removed.";
    "transaction.state.log.load.buffer.size" Int "5242880" [1 ..] High ReadOnly public ignored
        "Bytes read at once while transaction state is loaded.";
    "transaction.state.log.min.isr" Int "2" [1 ..] High ReadOnly public ignored
        "Replicas in sync that a write to __transaction_state needs.";
    "transaction.state.log.num.partitions" Int "50" [1 ..] High ReadOnly public ignored
        "Partitions of __transaction_state.";
    "transaction.state.log.replication.factor" Short "3" [1 ..] High ReadOnly public ignored
        "Replicas of __transaction_state.";
    "transaction.state.log.segment.bytes" Int "104857600" [1 ..] High ReadOnly public ignored
        "Segment size of __transaction_state.";
    "transaction.two.phase.commit.enable" Boolean "false" any Low ReadOnly public ignored
        "Whether transactions may be part of an external two-phase commit.";
    "transactional.id.expiration.ms" Int "604800000" [1 ..] High ReadOnly public ignored
        "How long an unused transactional id is remembered.";
}
