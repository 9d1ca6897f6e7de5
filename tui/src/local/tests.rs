use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::start::{arguments, choose_port};
use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn sleeper() -> std::process::Child {
    Command::new("sleep")
        .arg("60")
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn pid(child: &std::process::Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

/// A broker folder as a start would leave it.
fn write(brokers: &LocalBrokers, name: &str, process: ProcessIdentity) {
    let folder = brokers.folder(name).unwrap();
    fs::create_dir_all(&folder).unwrap();
    let state = State {
        port: 9092,
        settings: vec![],
        started_ms: 1,
        process,
    };
    fs::write(
        folder.join(STATE_FILE),
        serde_json::to_string(&state).unwrap(),
    )
    .unwrap();
}

#[test]
fn a_process_is_known_by_its_id_and_its_start_time() {
    let mut child = sleeper();
    let identity = ProcessIdentity::of(pid(&child)).unwrap();
    assert!(identity.is_alive());
    let recycled = ProcessIdentity {
        started: "long ago".to_owned(),
        ..identity.clone()
    };
    assert!(!recycled.is_alive());
    child.kill().unwrap();
    // A child that has ended and was not waited for is gone too.
    runtime().block_on(async { assert!(identity.wait_until_gone(5_000).await) });
    assert!(!identity.is_alive());
    let _ = child.wait();
}

#[test]
fn stopping_ends_the_process_that_was_started_and_no_other() {
    let root = tempfile::tempdir().unwrap();
    let brokers = LocalBrokers::new(root.path());
    let mut other = sleeper();
    let recycled = ProcessIdentity {
        pid: pid(&other),
        started: "long ago".to_owned(),
    };
    write(&brokers, "recycled", recycled);
    let mut mine = sleeper();
    write(&brokers, "mine", ProcessIdentity::of(pid(&mine)).unwrap());
    assert_eq!(brokers.get("mine").unwrap().status, LocalStatus::Running);
    assert_eq!(brokers.delete("mine").unwrap_err().why, "it runs");
    runtime().block_on(async {
        assert_eq!(
            brokers.stop("mine", 5_000).await.unwrap().status,
            LocalStatus::Stopped
        );
        assert_eq!(
            brokers.kill("recycled").await.unwrap().status,
            LocalStatus::Stopped
        );
    });
    assert!(
        matches!(other.try_wait(), Ok(None)),
        "the other process was left alone"
    );
    other.kill().unwrap();
    other.wait().unwrap();
    // It was reaped when it was stopped.
    let _ = mine.wait();
    brokers.delete("mine").unwrap();
    let names: Vec<String> = brokers
        .list()
        .unwrap()
        .into_iter()
        .map(|b| b.name)
        .collect();
    assert_eq!(names, ["recycled"]);
}

#[test]
fn unknown_and_impossible_names_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let brokers = LocalBrokers::new(root.path().join("not yet"));
    assert_eq!(brokers.list().unwrap(), []);
    assert_eq!(
        brokers.get("default").unwrap_err().kind,
        FaultKind::NotFound
    );
    for name in ["", "..", "a/b", "a b", &"x".repeat(65)] {
        assert_eq!(
            brokers.get(name).unwrap_err().kind,
            FaultKind::Refused,
            "{name}"
        );
    }
    fs::create_dir_all(root.path().join("not yet/foreign")).unwrap();
    let fault = brokers.delete("foreign").unwrap_err();
    assert_eq!(
        fault.kind,
        FaultKind::NotFound,
        "a folder without a state is not ours"
    );
}

#[test]
fn a_broker_that_does_not_come_up_says_its_last_words() {
    let root = tempfile::tempdir().unwrap();
    let script = root.path().join("broker");
    fs::write(
        &script,
        "#!/bin/sh\nsleep 0.3\necho bad value for log.dirs >&2\nexit 3\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let brokers = LocalBrokers::new(root.path().join("state"));
    let options = StartOptions {
        program: Program::Other(script),
        ..StartOptions::default()
    };
    let fault = runtime()
        .block_on(brokers.start("default", &options))
        .unwrap_err();
    assert!(
        fault.why.contains("bad value for log.dirs"),
        "{}",
        fault.why
    );
    assert!(fault.why.contains("exit status: 3"), "{}", fault.why);
    assert_eq!(brokers.get("default").unwrap().status, LocalStatus::Stopped);
}

#[test]
fn a_port_in_use_is_refused_and_a_free_one_found() {
    let used = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = used.local_addr().unwrap().port();
    let fault = choose_port("start", Some(port)).unwrap_err();
    assert_eq!(
        (fault.kind, fault.why),
        (FaultKind::Refused, format!("port {port} is in use"))
    );
    assert!(choose_port("start", None).is_ok());
}

#[test]
fn settings_are_given_to_the_broker_after_the_usual_ones() {
    let settings = [("num.partitions".to_owned(), "3".to_owned())];
    let arguments = arguments(Path::new("/data"), 9092, &settings);
    let expected = [
        "--data-dir",
        "/data",
        "--set",
        "listeners=PLAINTEXT://127.0.0.1:9092",
        "--set",
        "num.partitions=3",
    ];
    assert_eq!(arguments, expected);
}

#[test]
fn the_end_of_a_long_log_is_read_without_the_rest() {
    let root = tempfile::tempdir().unwrap();
    let log = root.path().join("log");
    let line = "x".repeat(1_000);
    let text: String = (0..5_000).map(|n| format!("{n} {line}\n")).collect();
    fs::write(&log, text).unwrap();
    let lines = tail(&log, 3).unwrap();
    let numbers: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(numbers, ["4997", "4998", "4999"]);
    assert!(
        tail(&log, usize::MAX).unwrap().len() < 1_100,
        "only the end was read"
    );
}
