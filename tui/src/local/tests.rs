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
    for name in ["", "..", "../1", "/1", "a b", &"x".repeat(65)] {
        assert_eq!(
            brokers.get(name).unwrap_err().kind,
            FaultKind::Refused,
            "{name}"
        );
    }
    let node = brokers.get("a/1").unwrap_err();
    assert_eq!(node.kind, FaultKind::NotFound, "there is no such cluster");
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
    let lines = tail(&log, 3, "").unwrap();
    let numbers: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(numbers, ["4997", "4998", "4999"]);
    assert!(
        tail(&log, usize::MAX, "").unwrap().len() < 1_100,
        "only the end was read"
    );
}

#[test]
fn nodes_of_a_cluster_have_ports_of_their_own_and_name_each_other() {
    let racks = ["a".to_owned(), "b".to_owned()];
    let settings = [("log.retention.hours".to_owned(), "1".to_owned())];
    let layout = ClusterLayout::new("start", 3, &racks, &settings, Ports::Any).unwrap();
    let ports = layout
        .nodes
        .iter()
        .flat_map(|n| [n.port, n.controller_port]);
    let ports: std::collections::BTreeSet<u16> = ports.collect();
    assert_eq!(ports.len(), 6);
    let text = layout.properties(&layout.nodes[2], Path::new("/a folder/node-3"));
    let read = kafka_shared::config::properties::Properties::parse(&text).unwrap();
    let controllers: Vec<String> = layout
        .nodes
        .iter()
        .map(|node| format!("127.0.0.1:{}", node.controller_port))
        .collect();
    let expected = [
        ("process.roles", "broker,controller"),
        ("node.id", "3"),
        (
            "controller.quorum.bootstrap.servers",
            &*controllers.join(","),
        ),
        ("log.dirs", "/a folder/node-3"),
        ("broker.rack", "a"),
        ("default.replication.factor", "3"),
        ("min.insync.replicas", "2"),
        ("log.retention.hours", "1"),
    ];
    for (key, value) in expected {
        assert_eq!(read.get(key), Some(value), "{key}");
    }
    let voters = layout.initial_controllers();
    for (voter, node) in voters.split(',').zip(&layout.nodes) {
        let (endpoint, directory) = voter.rsplit_once(':').unwrap();
        let expected = format!("{}@127.0.0.1:{}", node.id, node.controller_port);
        assert_eq!((endpoint, directory), (&*expected, &*node.directory_id));
    }
}

#[test]
fn two_nodes_ask_for_no_more_than_they_have() {
    let layout = ClusterLayout::new("start", 2, &[], &[], Ports::Any).unwrap();
    let text = layout.properties(&layout.nodes[0], Path::new("/data"));
    assert!(text.contains("\ndefault.replication.factor=2\n"), "{text}");
    assert!(text.contains("\nmin.insync.replicas=1\n"), "{text}");
    assert!(!text.contains("broker.rack"), "{text}");
}

#[test]
fn a_wanted_port_in_use_is_refused_for_a_cluster_too() {
    let used = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = used.local_addr().unwrap().port();
    let ports = Ports::From(port);
    let fault = ClusterLayout::new("start", 3, &[], &[], ports).unwrap_err();
    assert_eq!(fault.why, format!("port {port} is in use"));
    let fault = ClusterLayout::new("start", 3, &[], &[], Ports::From(u16::MAX)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused);
}

#[test]
fn a_paused_process_is_told_and_still_ends_when_it_is_stopped() {
    let root = tempfile::tempdir().unwrap();
    let brokers = LocalBrokers::new(root.path());
    let mut child = sleeper();
    write(&brokers, "mine", ProcessIdentity::of(pid(&child)).unwrap());
    assert_eq!(brokers.pause("mine").unwrap().name, "mine");
    runtime().block_on(async {
        for _ in 0..200 {
            if brokers.get("mine").unwrap().status == LocalStatus::Paused {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(brokers.get("mine").unwrap().status, LocalStatus::Paused);
        let stopped = brokers.stop("mine", 5_000).await.unwrap();
        assert_eq!(stopped.status, LocalStatus::Stopped);
    });
    assert_eq!(brokers.resume("mine").unwrap_err().why, "it does not run");
    // It was reaped when it was stopped.
    let _ = child.wait();
}
