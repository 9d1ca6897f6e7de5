//! Rules of the code base that no compiler and no lint knows: who may know whom, which parts are pure,
//! how long a file may be. The tables below are the rules of the ARCHITECTURE.md files; a test here
//! prints every place that breaks one.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is tests: a failed unwrap is a failed test"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const CRATES: [&str; 3] = ["broker", "shared", "tui"];

/// Longest file, in lines.
const LINES_MAX: usize = 700;

/// Files that are longer, with the length that they must not exceed. The list only ever gets shorter.
const LONGER: &[(&str, usize)] = &[
    ("broker/src/coordinator/group/tests.rs", 802),
    ("broker/tests/interop/quorum/random/ops.rs", 732),
    ("broker/tests/interop/quorum/random/target.rs", 835),
    ("shared/src/client/tests.rs", 770),
];

/// Top modules of a crate, with the other modules of the crate that each may use.
struct Layers {
    crate_name: &'static str,
    /// Modules that are not here may use all others: they wire the parts together.
    may_use: &'static [(&'static str, &'static [&'static str])],
}

const LAYERS: &[Layers] = &[
    Layers {
        crate_name: "broker",
        may_use: &[
            ("log", &[]),
            ("network", &[]),
            ("metadata", &["log"]),
            ("raft", &["log", "metadata"]),
            ("controller", &["log", "metadata", "raft"]),
            ("coordinator", &["metadata"]),
            ("replica", &["controller", "coordinator", "log", "metadata"]),
            ("config", &["controller", "metadata", "network"]),
            (
                "api",
                &[
                    "config",
                    "controller",
                    "coordinator",
                    "log",
                    "metadata",
                    "network",
                    "raft",
                    "replica",
                ],
            ),
            ("cli", &["config", "metadata", "server"]),
        ],
    },
    Layers {
        crate_name: "shared",
        may_use: &[
            ("error", &[]),
            ("time", &[]),
            ("task", &[]),
            ("types", &[]),
            ("config", &[]),
            ("record", &["schema", "types"]),
            ("schema", &["record", "types"]),
            ("protocol", &["error", "schema", "types"]),
            ("secret", &["config", "task"]),
            ("keystore", &["sasl", "secret"]),
            ("tls", &["keystore", "secret"]),
            ("sasl", &["secret"]),
            ("http", &["sasl", "secret", "tls", "types"]),
            (
                "client",
                &[
                    "config", "error", "http", "keystore", "protocol", "sasl", "secret", "task",
                    "time", "tls", "types",
                ],
            ),
        ],
    },
    Layers {
        crate_name: "tui",
        may_use: &[
            ("model", &["derive"]),
            ("derive", &["model", "units"]),
            ("decode", &["model"]),
            // Of `ops` only what an action consists of.
            ("cluster", &["decode", "metrics", "model", "ops"]),
            ("metrics", &["model"]),
            ("state", &["model"]),
            ("transfer", &["cluster", "model"]),
            (
                "ops",
                &["cluster", "derive", "model", "state", "transfer", "units"],
            ),
            ("connect", &["model"]),
            ("docs", &["output", "ui"]),
            (
                "clusters",
                &["cluster", "connect", "metrics", "model", "ops"],
            ),
            ("times", &[]),
            ("units", &[]),
            ("recording", &["derive", "model", "times"]),
            ("exporter", &["cluster", "derive", "model", "output"]),
            (
                "output",
                &[
                    "clusters", "connect", "decode", "derive", "local", "model", "ops", "times",
                    "units",
                ],
            ),
            ("local", &["cluster", "derive", "model"]),
            ("demo", &["cluster", "local", "model", "ops"]),
            (
                "ui",
                &[
                    "cluster",
                    "clusters",
                    "connect",
                    "decode",
                    "derive",
                    "local",
                    "model",
                    "ops",
                    "recording",
                    "times",
                    "transfer",
                    "units",
                ],
            ),
            (
                "cli",
                &[
                    "cluster",
                    "clusters",
                    "connect",
                    "docs",
                    "decode",
                    "derive",
                    "local",
                    "model",
                    "ops",
                    "output",
                    "ui",
                    "exporter",
                    "recording",
                    "times",
                    "transfer",
                    "state",
                ],
            ),
        ],
    },
];

/// Files and folders of pure code: no task, no file, no clock, no randomness of its own.
const PURE: &[&str] = &[
    "broker/src/controller/",
    "broker/src/coordinator/group.rs",
    "broker/src/coordinator/group/",
    "broker/src/log/producer_state.rs",
    "broker/src/log/retention.rs",
    "broker/src/log/validator.rs",
    "broker/src/raft/machine.rs",
    "broker/src/raft/machine/",
    "broker/src/raft/rpc.rs",
    "broker/src/raft/voters.rs",
    "broker/src/replica/fetch_session.rs",
    "broker/src/replica/fetcher/state.rs",
    "broker/src/replica/partition/state.rs",
    "shared/src/client/security/jaas.rs",
    "shared/src/http/response.rs",
    "shared/src/record/",
    "shared/src/sasl.rs",
    "shared/src/sasl/",
    "shared/src/schema/",
    "tui/src/decode.rs",
    "tui/src/metrics.rs",
    "tui/src/metrics/",
    "tui/src/decode/",
    "tui/src/derive.rs",
    "tui/src/derive/",
    "tui/src/model.rs",
    "tui/src/model/",
    "tui/src/recording/codec.rs",
    "tui/src/recording/form.rs",
];

/// The shells among them.
const SHELLS: &[&str] = &[
    "broker/src/controller/channel.rs",
    "broker/src/controller/channel/link.rs",
    "broker/src/controller/driver.rs",
    "broker/src/controller/handle.rs",
    "broker/src/controller/node.rs",
    "broker/src/controller/watch.rs",
];

const IMPURE: &[&str] = &[
    "tokio::",
    "std::fs",
    "std::net",
    "File::open",
    "Instant",
    "SystemTime",
    "SystemClock",
    "async fn",
    "async move",
    ".await;",
    ".await?",
    "new_v4",
    "random_uuid",
    "thread::sleep",
];

/// Words that only these files may use.
const ONLY_IN: &[(&str, &[&str])] = &[
    // Tests aside, the broker is called where the daemon starts it.
    (
        "kafka_broker::",
        &["broker/src/main.rs", "tui/src/local/daemon.rs"],
    ),
    (
        "fs::rename(",
        &[
            "broker/src/log/fsx.rs",
            "tui/src/clusters/file.rs",
            "tui/src/local/start.rs",
            "tui/src/state.rs",
            "tui/src/recording/file.rs",
        ],
    ),
    ("tokio::spawn(", &["shared/src/task.rs"]),
    ("SystemTime::now(", &["shared/src/time.rs"]),
];

/// What crates may depend on among each other.
const CRATE_DEPENDENCIES: &[(&str, &[&str])] = &[
    ("shared", &[]),
    ("broker", &["kafka-shared"]),
    ("tui", &["kafka-broker", "kafka-shared"]),
];

struct Source {
    /// From the workspace's folder, with slashes.
    path: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.path.contains("tests/")
            || self.path.ends_with("tests.rs")
            || self.path.contains("testing")
            || self.path.contains("/simulation")
            || self.path.contains("/benches/")
            || self.path.contains("/examples/")
    }

    /// The code without comments of their own lines and without the tests at the end.
    fn code(&self) -> String {
        let end = self.text.find("#[cfg(test)]\nmod tests {");
        let code = &self.text[..end.unwrap_or(self.text.len())];
        let lines = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        lines.fold(String::new(), |all, line| all + line + "\n")
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources() -> Vec<Source> {
    let root = workspace();
    let mut sources = Vec::new();
    for name in CRATES {
        collect(&root, &root.join(name), &mut sources);
    }
    assert!(sources.len() > 300, "{} files", sources.len());
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with("node_modules") {
                collect(root, &path, sources);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap();
            let path = path.to_str().unwrap().replace('\\', "/");
            sources.push(Source { path, text });
        }
    }
}

#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn files_are_short_and_named_after_their_module_and_say_what_they_own() {
    let mut problems = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        let longer = LONGER.iter().find(|(path, _)| *path == source.path);
        let max = longer.map_or(LINES_MAX, |(_, max)| *max);
        if lines > max {
            problems.push(format!("{}: {lines} lines, at most {max}", source.path));
        }
        if longer.is_some() && lines <= LINES_MAX {
            problems.push(format!(
                "{}: no longer needs its place in LONGER",
                source.path
            ));
        }
        if source.path.ends_with("/mod.rs") {
            problems.push(format!(
                "{}: name.rs beside name/, never mod.rs",
                source.path
            ));
        }
        if source.path.contains("/src/") && !source.is_test() && !source.text.starts_with("//!") {
            problems.push(format!("{}: begins with what it owns (//!)", source.path));
        }
    }
    assert_none(&problems);
}

#[test]
fn nothing_is_left_to_be_done_and_no_path_of_a_machine_is_named() {
    // Put together here, so that this file does not contain them.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
    ];
    let mut problems = Vec::new();
    for source in sources() {
        for (idx, line) in source.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                problems.push(format!("{}:{}: {word}", source.path, idx + 1));
            }
        }
    }
    assert_none(&problems);
}

/// The modules that `code` names as `crate::name`, alone or in a group.
fn used_modules(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    let first_word = |text: &str| -> String {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        text[..end.unwrap_or(text.len())].to_owned()
    };
    for (at, _) in code.match_indices("crate::") {
        // Part of another word, as in $crate.
        if code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "_$".contains(c)) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            used.push(first_word(rest));
            continue;
        };
        let (mut depth, mut begins) = (0, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                c if begins && !c.is_whitespace() => {
                    used.push(first_word(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    used
}

#[test]
fn a_group_of_uses_is_taken_apart() {
    let code =
        "use crate::{a::{b, c},\n  d::e, f};\nlet x = crate::g::h(); $crate::no; mycrate::no";
    assert_eq!(used_modules(code), ["a", "d", "f", "g"]);
}

#[test]
fn modules_know_only_what_lies_below_them() {
    let mut problems = Vec::new();
    let sources = sources();
    for layers in LAYERS {
        let rules: BTreeMap<_, _> = layers.may_use.iter().copied().collect();
        let prefix = format!("{}/src/", layers.crate_name);
        for source in sources.iter().filter(|source| !source.is_test()) {
            let Some(inner) = source.path.strip_prefix(&prefix) else {
                continue;
            };
            let module = inner.split('/').next().unwrap_or_default();
            let module = module.trim_end_matches(".rs");
            let Some(allowed) = rules.get(module) else {
                continue;
            };
            for used in used_modules(&source.code()) {
                // What is defined in lib.rs or by a macro is no module of the table.
                let is_module = sources
                    .iter()
                    .any(|other| other.path == format!("{prefix}{used}.rs"));
                if is_module && used != module && !allowed.contains(&used.as_str()) {
                    problems.push(format!("{}: {module} must not know {used}", source.path));
                }
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn pure_code_has_no_tasks_files_clocks_or_randomness() {
    let mut problems = Vec::new();
    let mut seen = vec![0; PURE.len()];
    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some(rule) = PURE
            .iter()
            .position(|prefix| source.path.starts_with(prefix))
        else {
            continue;
        };
        seen[rule] += 1;
        if SHELLS.contains(&source.path.as_str()) {
            continue;
        }
        let code = source.code();
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            problems.push(format!("{}: {word}", source.path));
        }
    }
    for (rule, n) in PURE.iter().zip(seen) {
        if n == 0 {
            problems.push(format!("{rule}: there is no such file; mend the table"));
        }
    }
    assert_none(&problems);
}

#[test]
fn what_belongs_in_one_place_is_nowhere_else() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let code = source.code();
        for (word, files) in ONLY_IN {
            if code.contains(word) && !files.contains(&source.path.as_str()) {
                problems.push(format!(
                    "{}: {word} belongs in {}",
                    source.path,
                    files.join(", ")
                ));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn crates_depend_downwards_only() {
    let mut problems = Vec::new();
    for (name, allowed) in CRATE_DEPENDENCIES {
        let manifest = workspace().join(name).join("Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).unwrap();
        for other in ["kafka-broker", "kafka-shared", "kafka-tui"] {
            let depends = manifest.lines().any(|line| {
                let rest = line.strip_prefix(other);
                rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
            });
            if depends && !allowed.contains(&other) {
                problems.push(format!("{name} must not depend on {other}"));
            }
        }
    }
    assert_none(&problems);
}
