//! Configurations of groups.
//!
//! Facts are those of Apache Kafka 4.3.1; see [`super`] for the columns.

keys! {
    KEYS:
    "consumer.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide public ignored
        "Least time between two assignments of the group.";
    "consumer.heartbeat.interval.ms" Int "5000" [1 ..] Medium ClusterWide public ignored
        "Heartbeat interval of the group's members.";
    "consumer.session.timeout.ms" Int "45000" [1 ..] Medium ClusterWide public ignored
        "Session time-out of the group's members.";
    "share.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide public ignored
        "Least time between two assignments of the share group.";
    "share.auto.offset.reset" String "latest" (custom auto_offset_reset) Medium ClusterWide public ignored
        "Where a share group begins: earliest, latest or by_duration with an ISO 8601 duration.";
    "share.delivery.count.limit" Int "5" [2 ..] Medium ClusterWide public ignored
        "How often a record is delivered at most.";
    "share.heartbeat.interval.ms" Int "5000" [1 ..] Medium ClusterWide public ignored
        "Heartbeat interval of the share group's members.";
    "share.isolation.level" String "read_uncommitted" (one_of ["read_committed", "read_uncommitted"]) Medium ClusterWide public ignored
        "Whether a share group sees records of open transactions.";
    "share.partition.max.record.locks" Int "2000" [100 ..] Medium ClusterWide public ignored
        "Most records of a partition that are out for delivery at once.";
    "share.record.lock.duration.ms" Int "30000" [1000 ..] Medium ClusterWide public ignored
        "How long a delivered record is locked for its consumer.";
    "share.renew.acknowledge.enable" Boolean "true" any Medium ClusterWide public ignored
        "Whether a consumer may renew the lock of a record.";
    "share.session.timeout.ms" Int "45000" [1 ..] Medium ClusterWide public ignored
        "Session time-out of the share group's members.";
    "streams.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide public ignored
        "Least time between two assignments of the streams group.";
    "streams.heartbeat.interval.ms" Int "5000" [1 ..] Medium ClusterWide public ignored
        "Heartbeat interval of the streams group's members.";
    "streams.initial.rebalance.delay.ms" Int "3000" [0 ..] Medium ClusterWide public ignored
        "How long the new streams group waits for more members.";
    "streams.num.standby.replicas" Int "0" [0 ..] Medium ClusterWide public ignored
        "Standby replicas of each task.";
    "streams.session.timeout.ms" Int "45000" [1 ..] Medium ClusterWide public ignored
        "Session time-out of the streams group's members.";
}
