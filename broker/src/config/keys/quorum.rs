//! Roles, the metadata quorum and the metadata log.
//!
//! Facts are those of Apache Kafka 4.3.1; see [`super`] for the columns.

keys! {
    KEYS:
    "broker.heartbeat.interval.ms" Int "2000" any Medium ReadOnly public honoured
        "How often a broker tells the controller that it is alive.";
    "broker.id" Int "-1" any High ReadOnly public honoured
        "Former name of node.id.";
    "broker.rack" String null any Medium ReadOnly public honoured
        "Rack or zone of this broker, used to spread replicas.";
    "broker.session.timeout.ms" Int "9000" any Medium ReadOnly public honoured
        "After so long without a heartbeat the controller fences a broker.";
    "controller.listener.names" List required (list []) High ReadOnly public honoured
        "Names of the listeners that the controller uses.";
    "controller.performance.always.log.threshold.ms" Long "2000" [0 ..] Medium ReadOnly internal ignored
        "Controller events that take longer are always logged.";
    "controller.performance.sample.period.ms" Long "60000" [100 ..] Medium ReadOnly internal ignored
        "Length of the period over which controller events are sampled.";
    "controller.quorum.append.linger.ms" Int "25" [0 ..] Medium ReadOnly public ignored
        "How long the controller gathers records before it appends them.";
    "controller.quorum.auto.join.enable" Boolean "false" any Low ReadOnly public honoured
        "Whether a controller adds itself to the voters.";
    "controller.quorum.bootstrap.servers" List "" any High ReadOnly public honoured
        "Addresses of controllers from which the quorum is discovered.";
    "controller.quorum.election.backoff.max.ms" Int "1000" [0 ..] High ReadOnly public honoured
        "Longest random wait after an election that nobody won.";
    "controller.quorum.election.timeout.ms" Int "1000" [0 ..] High ReadOnly public honoured
        "How long a candidate waits for votes before it starts a new election.";
    "controller.quorum.fetch.max.bytes" Int "1048576" [1 ..] Low ReadOnly public honoured
        "Most bytes of records in one fetch from the quorum's leader.";
    "controller.quorum.fetch.snapshot.max.bytes" Int "1048576" [1 ..] Low ReadOnly public honoured
        "Most bytes in one fetch of a snapshot from the quorum's leader.";
    "controller.quorum.fetch.timeout.ms" Int "2000" [0 ..] High ReadOnly public honoured
        "After so long without a fetch from its leader or followers a controller seeks an election.";
    "controller.quorum.request.timeout.ms" Int "2000" [0 ..] Medium ReadOnly public honoured
        "How long a request between controllers may take.";
    "controller.quorum.retry.backoff.ms" Int "20" [0 ..] Low ReadOnly public honoured
        "Wait before a failed request between controllers is repeated.";
    "controller.quorum.voters" List "" any High ReadOnly public honoured
        "Static set of controllers as id@host:port, comma-separated.";
    "controller.quota.window.num" Int "11" [1 ..] Low ReadOnly public ignored
        "Number of samples kept for quotas on changes of topics.";
    "controller.quota.window.size.seconds" Int "1" [1 ..] Low ReadOnly public ignored
        "Length of a sample for quotas on changes of topics.";
    "controller.socket.timeout.ms" Int "30000" any Medium ReadOnly public honoured
        "Time limit of the channel from brokers to the controller.";
    "early.start.listeners" List null (list empty []) High ReadOnly public ignored
        "Listeners that accept before the node is fully started.";
    "initial.broker.registration.timeout.ms" Int "60000" any Medium ReadOnly public honoured
        "How long a starting broker tries to register with the controller.";
    "internal.metadata.delete.delay.millis" Long "60000" any Low ReadOnly internal ignored
        "How long a deleted file of the metadata log stays on disk.";
    "internal.metadata.log.segment.bytes" Int null any Low ReadOnly internal ignored
        "Segment size of the metadata log in tests.";
    "internal.metadata.max.batch.size.in.bytes" Int "8388608" any Low ReadOnly internal ignored
        "Largest batch of the metadata log.";
    "metadata.log.dir" String null any High ReadOnly public honoured
        "Directory of the metadata log; the first log directory if not set.";
    "metadata.log.max.record.bytes.between.snapshots" Long "20971520" [1 ..] High ReadOnly public honoured
        "Bytes of metadata records after which a snapshot is written.";
    "metadata.log.max.snapshot.interval.ms" Long "3600000" [0 ..] High ReadOnly public honoured
        "Time after which a snapshot of the metadata is written, if anything changed.";
    "metadata.log.segment.bytes" Int "1073741824" [8388608 ..] High ReadOnly public honoured
        "Largest size of a segment file of the metadata log.";
    "metadata.log.segment.ms" Long "604800000" any High ReadOnly public honoured
        "Time after which the metadata log begins a new segment.";
    "metadata.max.idle.interval.ms" Int "500" [0 ..] Low ReadOnly public honoured
        "How long the active controller writes nothing before it writes a no-op; 0 for never.";
    "metadata.max.retention.bytes" Long "104857600" any High ReadOnly public honoured
        "Size of metadata log and snapshots above which old ones are deleted.";
    "metadata.max.retention.ms" Long "604800000" any High ReadOnly public honoured
        "Age at which metadata log segments and snapshots are deleted.";
    "node.id" Int required [0 ..] High ReadOnly public honoured
        "Number of this node, unique in the cluster.";
    "process.roles" List required (list ["broker", "controller"]) High ReadOnly public honoured
        "Roles of this node: broker, controller or both.";
    "server.max.startup.time.ms" Long "9223372036854775807" [0 ..] Medium ReadOnly internal ignored
        "After so long an unfinished start is given up.";
    "unstable.api.versions.enable" Boolean "false" any High ReadOnly internal ignored
        "Whether versions of APIs that are not final are offered.";
    "unstable.feature.versions.enable" Boolean "false" any High ReadOnly internal ignored
        "Whether feature levels that are not final may be used.";
}
