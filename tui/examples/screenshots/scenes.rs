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
    scene("topic", &["3", "jjj\r"], "LEADER"),
    scene("configs", &[":configs orders\r"], "retention.ms"),
    scene("messages", &[":messages orders\r"], "OFFSET"),
    scene(
        "reassign",
        &[":topic orders\r", "a", "e", "\x15", "3,2\r"],
        "1 of 6 partitions change",
    ),
    scene("plan", &[":topic orders\r", "+", "12\r"], "kafka-topics"),
    scene("reassignments", &["5"], "being reassigned"),
    scene("groups", &["4"], "stable"),
    scene("group", &["4", "\r"], "COMMITTED"),
    scene("timeline", &["4", "\r", "t"], "timeline"),
    scene("reset", &["4", "o"], "offset"),
    scene("quorum", &["6"], "quorum"),
    scene("changes", &["9"], "changes"),
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

/// Of a cluster that keeps rules and transactions, which the demo's brokers do not yet.
pub const APACHE: &[Scene] = &[
    scene("rules", &[":acls\r"], "User:"),
    scene("transactions", &[":transactions\r"], "open"),
];

/// Without a cluster.
pub const START: &[Scene] = &[scene("start", &[], "start a broker")];
