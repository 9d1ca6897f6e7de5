//! Listeners, connections and sockets.
//!
//! Facts are those of Apache Kafka 4.3.1; see [`super`] for the columns.

keys! {
    KEYS:
    "advertised.listeners" List null (list []) High ReadOnly public honoured
        "Addresses that clients are told to connect to, if they differ from listeners.";
    "background.threads" Int "10" [1 ..] High ClusterWide public ignored
        "Threads for background work; the runtime sizes its own here.";
    "connection.failed.authentication.delay.ms" Int "100" [0 ..] Low ReadOnly public ignored
        "How long a connection stays open after its authentication failed.";
    "connections.max.idle.ms" Long "600000" any Medium ReadOnly public honoured
        "Connections without a request for so long are closed.";
    "connections.max.reauth.ms" Long "0" any Medium ReadOnly public ignored
        "After so long a SASL connection has to authenticate again; 0 for never.";
    "inter.broker.listener.name" String null any Medium ReadOnly public honoured
        "Listener that brokers use among each other.";
    "listener.security.protocol.map" String "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT" any Low PerBroker public honoured
        "Security protocol of each listener name.";
    "listeners" List "PLAINTEXT://:9092" (list []) High PerBroker public honoured
        "Addresses to listen at, as name://host:port, comma-separated.";
    "max.connection.creation.rate" Int "2147483647" [0 ..] Medium ClusterWide public ignored
        "Most new connections per second.";
    "max.connections" Int "2147483647" [0 ..] Medium ClusterWide public honoured
        "Most connections of this broker.";
    "max.connections.per.ip" Int "2147483647" [0 ..] Medium ClusterWide public honoured
        "Most connections from one address.";
    "max.connections.per.ip.overrides" String "" any Medium ClusterWide public honoured
        "Most connections from single addresses, as address:number, comma-separated.";
    "num.io.threads" Int "8" [1 ..] High ClusterWide public ignored
        "Threads that handle requests; requests are tasks here.";
    "num.network.threads" Int "3" [1 ..] High ClusterWide public ignored
        "Threads that serve sockets; connections are tasks here.";
    "queued.max.request.bytes" Long "-1" any Medium ReadOnly public honoured
        "Most bytes of requests in memory; -1 leaves it to the broker, which always has a limit.";
    "queued.max.requests" Int "500" [1 ..] High ReadOnly public ignored
        "Most requests waiting for a handler; each connection has at most one here.";
    "request.timeout.ms" Int "30000" any High ReadOnly public honoured
        "How long this node waits for the answer to a request of its own.";
    "security.inter.broker.protocol" String "PLAINTEXT" (one_of ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]) Medium ReadOnly public honoured
        "Security protocol between brokers, if inter.broker.listener.name is not set.";
    "socket.connection.setup.timeout.max.ms" Long "30000" any Medium ReadOnly public ignored
        "Longest time limit for this node's own connections to be made.";
    "socket.connection.setup.timeout.ms" Long "10000" any Medium ReadOnly public honoured
        "First time limit for this node's own connections to be made.";
    "socket.listen.backlog.size" Int "50" [1 ..] Medium ReadOnly public honoured
        "Connections that may wait to be accepted.";
    "socket.receive.buffer.bytes" Int "102400" any High ReadOnly public honoured
        "SO_RCVBUF of connections; -1 for the operating system's own.";
    "socket.request.max.bytes" Int "104857600" [1 ..] High ReadOnly public honoured
        "Largest Produce request; other requests are limited to 16 MiB.";
    "socket.send.buffer.bytes" Int "102400" any High ReadOnly public honoured
        "SO_SNDBUF of connections; -1 for the operating system's own.";
}
