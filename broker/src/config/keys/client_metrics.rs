//! Configurations of client metrics subscriptions.
//!
//! Facts are those of Apache Kafka 4.3.1; see [`super`] for the columns.

keys! {
    KEYS:
    "interval.ms" Int "300000" any Medium ClusterWide public ignored
        "Interval at which clients push their metrics.";
    "match" List "" (list empty []) Medium ClusterWide public ignored
        "Selectors of the clients that are to push metrics.";
    "metrics" List "" (list empty []) Medium ClusterWide public ignored
        "Prefixes of the names of the metrics to push; empty for none, * for all.";
}
