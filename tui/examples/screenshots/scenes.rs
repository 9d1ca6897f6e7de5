//! What is painted: for each picture the keys that lead there and the text that shows that it is
//! there.

/// One picture.
pub struct Scene {
    pub file: &'static str,
    pub columns: u16,
    pub rows: u16,
    /// From the overview; each group is given time to be drawn.
    pub keys: &'static [&'static str],
    pub shows: &'static str,
}

const fn scene(file: &'static str, keys: &'static [&'static str], shows: &'static str) -> Scene {
    Scene {
        file,
        columns: 120,
        rows: 34,
        keys,
        shows,
    }
}

/// Of the demo.
pub const DEMO: &[Scene] = &[
    scene("overview", &["1"], "HEALTH"),
    scene("brokers", &["2"], "ADDRESS"),
    scene("broker", &["2", "\r"], "broker"),
    scene("may-stop", &["2", "w"], "broker"),
    scene("topics", &["3"], "orders"),
    scene("topic", &[":topic orders\r"], "LEADER"),
    scene("configs", &[":configs orders\r"], "retention.ms"),
    scene("messages", &[":messages orders\r"], "OFFSET"),
    scene("message", &[":messages orders\r", "\r"], "\"customer\""),
    scene("avro", &[":messages invoices\r", "\r"], "avro Invoice"),
    scene(
        "plan",
        &[":topic orders\r", "+", "\x1512\r"],
        "kafka-topics",
    ),
    scene("groups", &["4"], "stable"),
    scene("group", &[":group clickstream\r"], "COMMITTED"),
    scene("timeline", &[":group search\r", "t"], "timeline"),
    scene("reset", &["4", "o"], "offset"),
    scene("quorum", &["6"], "quorum"),
    scene("changes", &["9"], "changes"),
    scene("reassign", AWAY, "partitions change"),
    scene("users", &[":users\r"], "alice"),
    scene("quotas", &[":quotas\r"], "alice"),
    scene("declared", &[":apply topics.toml\r"], "orders"),
    scene("connectors", &[":connectors\r"], "files"),
    scene("clusters", &["8"], "prod"),
    scene("local", &["7"], "dev"),
    Scene {
        columns: 80,
        rows: 24,
        ..scene("help", &["3", "?"], "filter")
    },
];

/// From one of three brokers to the other two.
const AWAY: &[&str] = &[":topic uploads\r", "a", "b", "\x151,2\r"];

/// A reassignment on its way, which the scenes before have planned nothing of.
pub const RUN: &[Scene] = &[
    scene(
        "run",
        &[
            ":topic uploads\r",
            "a",
            "b",
            "\x151,2\r",
            "r",
            "300K\t\x152\r",
        ],
        "press y",
    ),
    scene(
        "reassignments",
        &[
            ":topic uploads\r",
            "a",
            "b",
            "\x151,2\r",
            "r",
            "300K\t\x152\r",
            "y",
            "5",
        ],
        "%",
    ),
];

/// A cluster that has died.
pub const LOST: &[Scene] = &[scene("lost", &["3"], "NO ANSWER for 1")];

/// Brokers that tell their figures, of Apache Kafka with the JMX exporter.
pub const METRICS: &[Scene] = &[
    scene("metrics", &["2"], "rates by metrics ─"),
    scene("broker-metrics", &["2", "\r"], "handlers idle"),
];

/// Of a cluster that keeps rules and transactions, which the demo's brokers do not yet.
pub const APACHE: &[Scene] = &[
    scene("acls", &[":acls\r"], "User:"),
    scene("transactions", &[":transactions\r"], "open"),
    scene("producers", &[":producers orders\r"], "shop-2"),
];

/// Without a cluster.
pub const START: &[Scene] = &[scene("start", &[], "start a broker")];
