//! Brokers and controllers of both kinds with each other: registration, heartbeats, fencing,
//! controlled shutdown, and what administrators see of it.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use kafka_protocol::messages::broker_registration_request::Feature;
use kafka_protocol::messages::{
    AllocateProducerIdsRequest, BrokerHeartbeatRequest, BrokerId, BrokerRegistrationRequest,
    EnvelopeRequest, UnregisterBrokerRequest,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Connection, ConnectionConfig};
use kafka_shared::types::{Uuid, random_uuid};

use crate::mixed::{CLUSTER_ID, Mixed};
use crate::node::Kind;
use crate::shell::{self, Stopwatch};
use crate::{Case, apache};

/// Short times, so that tests need not wait.
const SETTINGS: &str = "broker.session.timeout.ms=6000\nbroker.heartbeat.interval.ms=1000\n\
                        replica.lag.time.max.ms=4000";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "lifecycle: our broker comes, hangs, leaves and returns under Apache's controller",
            || a_broker_comes_and_goes(Kind::Apache, Kind::Ours),
        ),
        Case::new(
            "lifecycle: Apache's broker comes, hangs, leaves and returns under our controller",
            || a_broker_comes_and_goes(Kind::Ours, Kind::Apache),
        ),
        Case::new(
            "lifecycle: administrators work with our controller through Apache's brokers",
            administrators_work,
        ),
        Case::new(
            "lifecycle: both controllers judge registrations and the rest alike",
            controllers_judge_alike,
        ),
    ]
}

/// Runs a tool with its arguments at broker 1, which is the one that stays; what it printed.
fn tool(cluster: &Mixed, name: &str, args: &[&str]) -> anyhow::Result<String> {
    let bootstrap = cluster.bootstrap();
    let first = bootstrap.split(',').next().unwrap_or_default();
    let all = [&["--bootstrap-server", first], args].concat();
    let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    apache::tool(name, &all, None)?.success()
}

fn topic(cluster: &Mixed, name: &str) -> anyhow::Result<String> {
    tool(cluster, "kafka-topics", &["--describe", "--topic", name])
}

/// Whether a broker is in sync for all partitions of a topic, or for none of them.
fn wait_for_isr(cluster: &Mixed, name: &str, isr: &[&str]) -> anyhow::Result<()> {
    let mut seen = String::new();
    let settled = shell::wait_until(Duration::from_secs(60), || {
        seen = topic(cluster, name).unwrap_or_else(|error| error.to_string());
        let partitions = seen.lines().filter(|line| line.contains("Partition: "));
        let fits = |line: &str| {
            let shown = line.split("Isr: ").nth(1).unwrap_or_default();
            let shown = shown.split_whitespace().next().unwrap_or_default();
            let mut ids: Vec<&str> = shown.split(',').collect();
            ids.sort_unstable();
            ids == isr && !line.contains("Leader: none")
        };
        let lines: Vec<&str> = partitions.collect();
        !lines.is_empty() && lines.into_iter().all(fits)
    });
    ensure!(
        settled,
        "the ISR should be {isr:?}:\n{seen}\n{}",
        cluster.logs()
    );
    Ok(())
}

fn a_broker_comes_and_goes(controller: Kind, guest: Kind) -> anyhow::Result<()> {
    let host = if controller == Kind::Apache {
        Kind::Apache
    } else {
        Kind::Ours
    };
    let mut cluster = Mixed::start_under(controller, &[(1, host), (2, guest)], SETTINGS)?;
    let versions = tool(&cluster, "kafka-broker-api-versions", &[])?;
    for id in [1, 2] {
        ensure!(versions.contains(&format!("(id: {id} rack")), "{versions}");
    }
    let create = [
        "--create",
        "--topic",
        "t",
        "--partitions",
        "4",
        "--replication-factor",
        "2",
    ];
    tool(&cluster, "kafka-topics", &create)?;
    wait_for_isr(&cluster, "t", &["1", "2"])?;

    // Ten seconds without a sign of life: fenced, and back.
    let watch = Stopwatch::start();
    cluster.pause(2)?;
    wait_for_isr(&cluster, "t", &["1"])?;
    while watch.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(100));
    }
    cluster.resume(2)?;
    wait_for_isr(&cluster, "t", &["1", "2"])?;

    // In order: nobody waits for the session's end to lead.
    let watch = Stopwatch::start();
    cluster.stop(2)?;
    wait_for_isr(&cluster, "t", &["1"])?;
    ensure!(
        watch.elapsed() < Duration::from_secs(20),
        "leaving took too long"
    );
    let marker = cluster_file(&cluster, 2, ".kafka_cleanshutdown")?;
    ensure!(marker.contains("\"brokerEpoch\":"), "{marker}");
    cluster.up(2)?;
    wait_for_isr(&cluster, "t", &["1", "2"])?;
    cluster.kill(2);
    cluster.up(2)?;
    wait_for_isr(&cluster, "t", &["1", "2"])
}

fn cluster_file(cluster: &Mixed, id: i32, name: &str) -> anyhow::Result<String> {
    let (_, node) = cluster
        .brokers()
        .find(|(broker, _)| *broker == id)
        .context("there is such a broker")?;
    let path = node.data().join(name);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn administrators_work() -> anyhow::Result<()> {
    let brokers = [(1, Kind::Apache), (2, Kind::Apache)];
    let settings = format!("{SETTINGS}\noffsets.topic.replication.factor=2");
    let mut cluster = Mixed::start_under(Kind::Ours, &brokers, &settings)?;
    let create = [
        "--create",
        "--topic",
        "t",
        "--partitions",
        "2",
        "--replication-factor",
        "2",
    ];
    tool(&cluster, "kafka-topics", &create)?;
    match tool(&cluster, "kafka-topics", &create) {
        Ok(again) => bail!("the topic was created twice: {again}"),
        Err(why) => {
            let why = why.to_string();
            ensure!(why.contains("Topic 't' already exists"), "{why}");
        }
    }
    let entity = ["--entity-type", "topics", "--entity-name", "t"];
    let alter = [
        &["--alter", "--add-config", "retention.ms=1000000"],
        &entity[..],
    ]
    .concat();
    tool(&cluster, "kafka-configs", &alter)?;
    let described = tool(
        &cluster,
        "kafka-configs",
        &[&["--describe"], &entity[..]].concat(),
    )?;
    ensure!(described.contains("retention.ms=1000000"), "{described}");
    let refused = ["--alter", "--add-config", "retention.ms=soon"];
    let refused = tool(
        &cluster,
        "kafka-configs",
        &[&refused[..], &entity[..]].concat(),
    );
    ensure!(refused.is_err(), "a value that is no number was taken");
    tool(
        &cluster,
        "kafka-topics",
        &["--alter", "--topic", "t", "--partitions", "3"],
    )?;
    wait_for_isr(&cluster, "t", &["1", "2"])?;
    let quorum = tool(&cluster, "kafka-metadata-quorum", &["describe", "--status"])?;
    ensure!(quorum.contains("LeaderId:               100"), "{quorum}");

    let controller = cluster.controller();
    for (name, args) in [
        (
            "kafka-cluster",
            ["list-endpoints", "--bootstrap-controller", &controller, ""],
        ),
        (
            "kafka-metadata-quorum",
            [
                "--bootstrap-controller",
                &controller,
                "describe",
                "--status",
            ],
        ),
    ] {
        let args = args.into_iter().filter(|arg| !arg.is_empty());
        let args: Vec<String> = args.map(str::to_owned).collect();
        let told = apache::tool(name, &args, None)?.success()?;
        ensure!(told.contains("100"), "{told}");
    }

    let lines: String = (0..100).map(|n| format!("{n}\n")).collect();
    let produce = ["--bootstrap-server", &cluster.bootstrap(), "--topic", "t"].map(str::to_owned);
    apache::tool("kafka-console-producer", &produce, Some(&lines))?.success()?;
    let consume = [
        "--topic",
        "t",
        "--group",
        "g",
        "--from-beginning",
        "--max-messages",
        "100",
    ];
    let consumed = tool(&cluster, "kafka-console-consumer", &consume)?;
    ensure!(consumed.lines().count() >= 100, "{consumed}");
    let groups = tool(
        &cluster,
        "kafka-consumer-groups",
        &["--describe", "--group", "g"],
    )?;
    ensure!(groups.contains('t'), "{groups}");

    cluster.stop(2)?;
    wait_for_isr(&cluster, "t", &["1"])?;
    let unregister = ["unregister".to_owned(), "--id".to_owned(), "2".to_owned()];
    let unregister = [
        &unregister[..],
        &["--bootstrap-server".into(), cluster.bootstrap()],
    ]
    .concat();
    apache::tool("kafka-cluster", &unregister, None)?.success()?;
    cluster.up(2)?;
    wait_for_isr(&cluster, "t", &["1", "2"])
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// What this cluster has finalized, and what a broker may declare to be taken.
fn features(changes: &[(&str, Option<(i16, i16)>)]) -> Vec<Feature> {
    let mut ranges: Vec<(&str, (i16, i16))> = vec![
        ("eligible.leader.replicas.version", (0, 1)),
        ("kraft.version", (0, 1)),
        ("metadata.version", (7, 30)),
    ];
    for (name, range) in changes {
        ranges.retain(|(known, _)| known != name);
        ranges.extend(range.map(|range| (*name, range)));
    }
    let feature = |(name, (min, max)): (&str, (i16, i16))| {
        Feature::default()
            .with_name(text(name))
            .with_min_supported_version(min)
            .with_max_supported_version(max)
    };
    ranges.into_iter().map(feature).collect()
}

fn registration(id: i32) -> BrokerRegistrationRequest {
    BrokerRegistrationRequest::default()
        .with_broker_id(BrokerId(id))
        .with_cluster_id(text(CLUSTER_ID))
        .with_incarnation_id(random_uuid())
        .with_features(features(&[]))
        .with_log_dirs(vec![random_uuid()])
        .with_previous_broker_epoch(-1)
}

/// Registrations by what is special about them; each with an id of its own.
fn registrations() -> Vec<(&'static str, BrokerRegistrationRequest)> {
    const MV: &str = "metadata.version";
    let with = |id, changes: &[(&str, Option<(i16, i16)>)]| {
        registration(id).with_features(features(changes))
    };
    let dirs = |id, dirs: Vec<Uuid>| registration(id).with_log_dirs(dirs);
    let twice = random_uuid();
    vec![
        ("nothing", registration(10)),
        (
            "a feature that nobody knows",
            with(11, &[("new.version", Some((0, 9)))]),
        ),
        (
            "no level but the one in use",
            with(12, &[(MV, Some((30, 30)))]),
        ),
        ("too old a level", with(13, &[(MV, Some((7, 29)))])),
        ("no metadata.version", with(14, &[(MV, None)])),
        ("no kraft.version", with(15, &[("kraft.version", None)])),
        (
            "no eligible leaders",
            with(16, &[("eligible.leader.replicas.version", None)]),
        ),
        (
            "a feature that is off",
            with(17, &[("group.version", Some((1, 1)))]),
        ),
        ("no directories", dirs(18, vec![])),
        ("the zero directory", dirs(19, vec![Uuid::nil()])),
        ("a reserved directory", dirs(20, vec![Uuid::from_u128(50)])),
        ("a directory twice", dirs(21, vec![twice, twice])),
        (
            "another cluster",
            registration(22).with_cluster_id(text("other")),
        ),
        (
            "an older epoch",
            registration(23).with_previous_broker_epoch(5),
        ),
    ]
}

async fn judgements(controller: &str) -> anyhow::Result<Vec<(String, i16)>> {
    let config = ConnectionConfig::default();
    let connection = Connection::connect(&controller.parse()?, &config).await?;
    let mut judged = Vec::new();
    let mut epoch = -1;
    for (name, request) in registrations() {
        let id = request.broker_id;
        let response = connection.send(request).await?;
        judged.push((name.to_owned(), response.error_code));
        if id == BrokerId(10) {
            epoch = response.broker_epoch;
        }
    }
    for version in [0, 1, 2] {
        let request = registration(30 + i32::from(version)).with_previous_broker_epoch(-1);
        let request = match version {
            2 => request,
            _ => request.with_log_dirs(vec![]),
        };
        let response = connection.send_version(request, version).await?;
        judged.push((format!("registration {version}"), response.error_code));
    }
    // It lives: somebody else can't have its id, but itself may register again.
    let beat = |id, epoch| {
        BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(id))
            .with_broker_epoch(epoch)
            .with_want_fence(true)
    };
    for (name, request) in [
        ("a heartbeat", beat(10, epoch)),
        ("a heartbeat of another epoch", beat(10, epoch - 1)),
        ("a heartbeat of nobody", beat(99, 5)),
    ] {
        let response = connection.send(request).await?;
        judged.push((name.to_owned(), response.error_code));
    }
    let other = connection.send(registration(10)).await?;
    judged.push(("another incarnation".to_owned(), other.error_code));
    let ids = AllocateProducerIdsRequest::default().with_broker_id(BrokerId(10));
    for (name, epoch) in [("ids", epoch), ("ids for another epoch", epoch - 1)] {
        let response = connection
            .send(ids.clone().with_broker_epoch(epoch))
            .await?;
        judged.push((name.to_owned(), response.error_code));
    }
    let nobody = UnregisterBrokerRequest::default().with_broker_id(BrokerId(99));
    let response = connection.send(nobody).await?;
    judged.push(("unregister nobody".to_owned(), response.error_code));
    judged.extend(envelopes(&connection).await?);
    Ok(judged)
}

async fn envelopes(connection: &Connection) -> anyhow::Result<Vec<(String, i16)>> {
    const PRINCIPAL: &[u8] = b"\0\0\x05User\x0aANONYMOUS\0\0";
    // ListPartitionReassignments 0 of all, and of a client that asks to register a broker.
    const LIST: &[u8] = b"\0\x2e\0\0\0\0\0\x07\0\x01c\0\0\0\x27\x10\0\0";
    const REGISTER: &[u8] = b"\0\x3e\0\x04\0\0\0\x07\0\x01c\0";
    const NO_VERSION: &[u8] = b"\0\x2e\0\x63\0\0\0\x07\0\x01c\0\0\0\x27\x10\0\0";
    let local: &[u8] = &[127, 0, 0, 1];
    let mut judged = Vec::new();
    for (name, data, principal, address) in [
        ("an envelope", LIST, PRINCIPAL, local),
        (
            "an envelope from an odd address",
            LIST,
            PRINCIPAL,
            &[127, 0, 0][..],
        ),
        ("an envelope from nobody", LIST, &b"\0\x09"[..], local),
        (
            "an envelope with what is not forwarded",
            REGISTER,
            PRINCIPAL,
            local,
        ),
        (
            "an envelope with an unknown version",
            NO_VERSION,
            PRINCIPAL,
            local,
        ),
    ] {
        let request = EnvelopeRequest::default()
            .with_request_data(Bytes::from_static(data))
            .with_request_principal(Some(Bytes::copy_from_slice(principal)))
            .with_client_host_address(Bytes::copy_from_slice(address));
        let response = connection.send(request).await?;
        judged.push((name.to_owned(), response.error_code));
        let answered = response.response_data.map(|data| data.to_vec());
        judged.push((format!("{name}: {answered:?}"), 0));
    }
    Ok(judged)
}

fn controllers_judge_alike() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut all = Vec::new();
    for kind in [Kind::Apache, Kind::Ours] {
        let cluster = Mixed::start_under(kind, &[], SETTINGS)?;
        let port = cluster
            .controller()
            .rsplit(':')
            .next()
            .unwrap_or_default()
            .parse()?;
        let up = shell::wait_until(Duration::from_secs(60), || shell::listens(port));
        ensure!(up, "no controller:\n{}", cluster.logs());
        let judged = runtime.block_on(async {
            // It listens before it is active.
            loop {
                let judged = judgements(&cluster.controller()).await?;
                let not_yet = judged.iter().any(|(_, code)| *code == 41);
                if !not_yet {
                    return anyhow::Ok(judged);
                }
            }
        });
        all.push(judged.with_context(|| cluster.logs())?);
    }
    for (apache, ours) in all[0].iter().zip(&all[1]) {
        ensure!(apache == ours, "Apache says {apache:?}, we say {ours:?}");
    }
    ensure!(all[0].len() == all[1].len(), "{all:?}");
    let of = |name: &str| {
        all[1]
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, code)| *code)
    };
    // The table of what Apache Kafka was seen to answer.
    for (name, code) in [
        ("nothing", 0),
        ("too old a level", 35),
        ("no metadata.version", 119),
        ("no directories", 119),
        ("another cluster", 104),
        ("another incarnation", 101),
        ("a heartbeat of another epoch", 77),
    ] {
        ensure!(of(name) == Some(code), "{name}: {:?}", of(name));
    }
    Ok(())
}
