//! The program `kafka-broker` as a process: its output, its exit codes, its signals.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A started broker; killed when the test fails.
struct Started {
    child: Child,
    ready: String,
}

impl Started {
    fn new(data: &Path, more: &[&str]) -> Self {
        let data = data.to_str().unwrap();
        let listeners = "listeners=PLAINTEXT://127.0.0.1:0";
        let arguments = ["start", "--set", listeners, "--data-dir", data];
        Self::with(&[&arguments[..], more].concat())
    }

    fn with(arguments: &[&str]) -> Self {
        let mut command = program();
        command.args(arguments);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut ready).unwrap();
        Self { child, ready }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end; returns the exit code and standard error.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        let mut errors = self.child.stderr.take().unwrap();
        errors.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn start_formats_says_that_it_is_ready_and_stops_on_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut cluster = None;
    for signal in [Signal::TERM, Signal::INT] {
        let broker = Started::new(&data, &[]);
        let ready = broker.ready.clone();
        assert!(
            ready.starts_with("kafka-broker ready at 127.0.0.1:"),
            "{ready}"
        );
        assert!(ready.contains("node id 1"), "{ready}");
        assert!(
            ready.trim_end().ends_with(&data.display().to_string()),
            "{ready}"
        );
        let id = ready.split("cluster id ").nth(1).unwrap()[..22].to_owned();
        assert_eq!(
            *cluster.get_or_insert_with(|| id.clone()),
            id,
            "the cluster stays the same"
        );
        broker.signal(signal);
        let (code, log) = broker.ended();
        assert_eq!((code, log.as_str()), (Some(0), ""));
        assert!(data.join(".kafka_cleanshutdown").exists());
    }
}

#[test]
fn a_folder_in_use_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let first = Started::new(dir.path(), &[]);
    let second = Started::new(dir.path(), &[]);
    assert_eq!(second.ready, "");
    let (code, log) = second.ended();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("in use"), "{log}");
    first.signal(Signal::TERM);
    assert_eq!(first.ended().0, Some(0));
}

#[test]
fn a_refused_configuration_names_every_bad_value_and_has_its_own_exit_code() {
    let output = run(&[
        "start",
        "--data-dir",
        "/nonexistent",
        "--set",
        "num.partitions=none",
        "--set",
        "node.id=x",
    ]);
    assert_eq!(output.status.code(), Some(3));
    let errors = stderr(&output);
    assert!(
        errors.contains("Invalid value none for configuration num.partitions"),
        "{errors}"
    );
    assert!(
        errors.contains("Invalid value x for configuration node.id"),
        "{errors}"
    );
    let output = run(&["start", "--config", "/nonexistent/server.properties"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("/nonexistent/server.properties"));
    assert_eq!(run(&["start", "--no-such-option"]).status.code(), Some(2));
}

#[test]
fn keys_without_effect_and_unknown_ones_are_warned_about() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Started::new(
        dir.path(),
        &["--set", "num.io.threads=4", "--set", "num.partions=4"],
    );
    assert_ne!(broker.ready, "");
    broker.signal(Signal::TERM);
    let (code, log) = broker.ended();
    assert_eq!(code, Some(0));
    assert!(log.contains("num.io.threads has no effect here"), "{log}");
    assert!(
        log.contains("unknown configuration key num.partions; did you mean num.partitions?"),
        "{log}"
    );
}

#[test]
fn format_makes_a_folder_that_start_takes_and_refuses_to_do_it_twice() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let shown = data.display().to_string();
    let id = "AAAAAAAAAAAAAAAAAAAAZQ";
    let output = run(&["format", "--data-dir", &shown, "-t", id, "--standalone"]);
    assert_eq!(
        (output.status.code(), stderr(&output)),
        (Some(0), String::new())
    );
    assert_eq!(
        stdout(&output),
        format!(
            "Formatting dynamic metadata voter directory {shown} with metadata.version 4.3-IV0.\n"
        )
    );
    let again = run(&["format", "--data-dir", &shown, "-t", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        stderr(&again).contains("already formatted"),
        "{}",
        stderr(&again)
    );
    let ignored = run(&[
        "format",
        "--data-dir",
        &shown,
        "-t",
        id,
        "--ignore-formatted",
    ]);
    assert_eq!(
        stdout(&ignored),
        "All of the log directories are already formatted.\n"
    );
    let other = run(&[
        "format",
        "--data-dir",
        &shown,
        "-t",
        "AAAAAAAAAAAAAAAAAAAAZg",
        "-g",
    ]);
    assert_eq!(other.status.code(), Some(1));
    let bad = run(&[
        "format",
        "--data-dir",
        &shown,
        "--feature",
        "metadata.version",
    ]);
    assert_eq!(bad.status.code(), Some(3));
    let broker = Started::new(&data, &[]);
    assert!(broker.ready.contains(id), "{}", broker.ready);
    broker.signal(Signal::TERM);
    assert_eq!(broker.ended().0, Some(0));
}

#[test]
fn a_folder_of_another_node_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let shown = dir.path().display().to_string();
    assert!(
        run(&["format", "--data-dir", &shown, "--set", "node.id=7"])
            .status
            .success()
    );
    let broker = Started::new(dir.path(), &[]);
    let (code, log) = broker.ended();
    assert_eq!(code, Some(1));
    assert!(
        log.contains("belongs to node 7, but this is node 1"),
        "{log}"
    );
}

#[test]
fn config_lists_every_key_for_people_and_for_programs() {
    let table = stdout(&run(&["config", "log.retention"]));
    assert!(
        table.contains("log.retention.ms\n    long, no default"),
        "{table}"
    );
    assert!(!table.contains("num.partitions"));
    let json = stdout(&run(&["config", "--output", "json"]));
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 363);
    let json = stdout(&run(&[
        "config",
        "--for",
        "topic",
        "--output",
        "json",
        "segment.bytes",
    ]));
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    let row = &rows[rows.as_array().unwrap().len() - 1];
    assert_eq!(row["name"], "segment.bytes");
    assert_eq!(row["default"], "1073741824");
    assert_eq!(row["type"], "int");
    assert_eq!(row["has_effect"], true);
}

#[test]
fn help_documents_exit_codes_and_a_second_signal_ends_at_once() {
    for command in [&["--help"][..], &["start", "--help"], &["format", "--help"]] {
        assert!(stdout(&run(command)).contains("Exit codes:"), "{command:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let broker = Started::new(dir.path(), &[]);
    assert_ne!(broker.ready, "");
    broker.signal(Signal::TERM);
    broker.signal(Signal::TERM);
    let (code, _) = broker.ended();
    // The first signal may have done its work before the second one came.
    assert!(matches!(code, Some(0 | 130)), "{code:?}");
}

#[test]
fn the_file_that_comes_with_apache_kafka_works_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    // Other ports and another folder, as more than one may run on a machine.
    let text = include_str!("server.properties")
        .replace("9092,CONTROLLER://:9093", "0,CONTROLLER://:0")
        .replace("localhost:9092,", "localhost:0,")
        .replace(
            "/tmp/kraft-combined-logs",
            &dir.path().join("data").display().to_string(),
        );
    std::fs::write(&file, text).unwrap();
    let broker = Started::with(&["start", "--config", file.to_str().unwrap()]);
    assert!(
        broker.ready.starts_with("kafka-broker ready at "),
        "{}",
        broker.ready
    );
    broker.signal(Signal::TERM);
    let (code, log) = broker.ended();
    assert_eq!(code, Some(0), "{log}");
    for line in log.lines() {
        assert!(line.contains("has no effect here"), "{line}");
    }
}

#[test]
fn the_limit_of_open_files_is_raised_to_the_hard_one_and_a_low_one_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for (soft, hard, is_low) in [(256, 4096, false), (256, 900, true)] {
        let script = format!("ulimit -Sn {soft}; ulimit -Hn {hard}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_kafka-broker"), "start"])
            .args(["--set", "listeners=PLAINTEXT://127.0.0.1:0", "--data-dir"])
            .arg(dir.path().join(hard.to_string()))
            .env_remove("RUST_LOG");
        let broker = Started::spawn(command);
        assert_ne!(broker.ready, "");
        let limits = format!("/proc/{}/limits", broker.child.id());
        if let Ok(limits) = std::fs::read_to_string(limits) {
            let line = limits
                .lines()
                .find(|line| line.starts_with("Max open files"));
            let numbers: Vec<_> = line.unwrap().split_whitespace().skip(3).take(2).collect();
            assert_eq!(numbers, [hard.to_string(), hard.to_string()]);
        }
        broker.signal(Signal::TERM);
        let (code, log) = broker.ended();
        assert_eq!(code, Some(0), "{log}");
        assert_eq!(log.contains("may open few files"), is_low, "{log}");
    }
}

#[test]
fn keys_whose_ignoring_would_open_the_cluster_are_refused_by_name() {
    for (set, said) in [
        (
            &["authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer"][..],
            "authorizer.class.name is set",
        ),
        (
            &["listeners=SSL://:9092", "inter.broker.listener.name=SSL"],
            "listener SSL uses the security protocol SSL",
        ),
        (
            &[
                "listeners=CLIENTS://:9092",
                "listener.security.protocol.map=CLIENTS:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
                "inter.broker.listener.name=CLIENTS",
            ],
            "listener CLIENTS uses the security protocol SASL_PLAINTEXT",
        ),
        (
            &["security.inter.broker.protocol=SASL_SSL"],
            "inter.broker.listener.name must be a listener name defined in advertised.listeners",
        ),
    ] {
        let mut arguments = vec!["start", "--data-dir", "/nonexistent"];
        for assignment in set {
            arguments.extend(["--set", assignment]);
        }
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(3), "{set:?}");
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
}

/// All files with their bytes.
fn content(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(content(&path));
        } else {
            files.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn a_folder_with_features_that_are_not_there_is_refused_and_not_touched() {
    use kafka_broker::metadata::batches::encode_batches;
    use kafka_shared::schema::metadata::FeatureLevelRecord;

    let dir = tempfile::tempdir().unwrap();
    let first = Started::new(dir.path(), &[]);
    assert_ne!(first.ready, "");
    first.signal(Signal::TERM);
    assert_eq!(first.ended().0, Some(0));
    // What Apache Kafka's controller appends when a feature is upgraded.
    let log = dir
        .path()
        .join("__cluster_metadata-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let batches = kafka_shared::record::batch::batches(&bytes);
    let last = batches.last().unwrap().unwrap();
    let (offset, epoch) = (last.next_offset(), last.partition_leader_epoch());
    let upgrade = FeatureLevelRecord {
        name: "group.version".to_owned(),
        feature_level: 1,
    };
    for batch in encode_batches(&[upgrade.into()], 30, offset, epoch, 0, true).unwrap() {
        bytes.extend_from_slice(&batch);
    }
    std::fs::write(&log, bytes).unwrap();
    let before = content(dir.path());
    let second = Started::new(dir.path(), &[]);
    assert_eq!(second.ready, "");
    let (code, said) = second.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("group.version is at level 1"), "{said}");
    assert!(
        said.contains("downgrade --feature group.version=0"),
        "{said}"
    );
    assert!(content(dir.path()) == before);
}
