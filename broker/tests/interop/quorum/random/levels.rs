//! Every level of metadata.version, side by side: an Apache controller and one of ours, each the only
//! voter, formatted at the oldest level that Kafka 4.3 knows and raised one level at a time.
//!
//! At each level the same brokers and controllers ask to be registered, with the ranges, the
//! directories and the request versions that matter, the same features are asked for, up and down,
//! and the same topics come, change and go. Every answer, and every record with the version that it
//! is written in, has to be the same.

use anyhow::{Context, bail, ensure};
use kafka_broker::metadata::features::{ELR_VERSION, KRAFT_VERSION, METADATA_VERSION};
use kafka_protocol::messages::broker_registration_request::{Feature, Listener};
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    BrokerId, BrokerRegistrationRequest, ControllerRegistrationRequest, UnregisterBrokerRequest,
    UpdateFeaturesRequest, controller_registration_request,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Connection, ConnectionConfig};
use kafka_shared::error::ErrorCode;
use kafka_shared::types::Uuid;

use super::ops::{BROKERS, NewTopic, Op, Random, Registration, draw};
use super::target::{directory, text};
use super::{Side, first_ops, listeners};
use crate::node::Kind;
use crate::quorum::SOON;
use crate::quorum::admin::Admin;
use crate::shell::{self, Stopwatch};

const FIRST: i16 = 7;
const LAST: i16 = 30;
/// The level from which on controllers register.
const CONTROLLERS_SINCE: i16 = 15;
/// The voter, and a controller that the test plays.
const VOTER: i32 = 1;
const PLAYED: i32 = 77;
/// How many random operations there are at each level.
const DRAWS: usize = 8;

const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// What is in force.
#[derive(Debug, Clone, Copy)]
struct Levels {
    metadata: i16,
    kraft: i16,
    elr: i16,
}

/// One of the two controllers, and a connection for what [`super::Target`] does not do.
struct Tried {
    side: Side,
    connection: Connection,
}

/// Requests as they are sent, in the versions that they are sent in.
enum Trial {
    Broker(i16, BrokerRegistrationRequest),
    Controller(ControllerRegistrationRequest),
    Features(i16, UpdateFeaturesRequest),
}

impl Tried {
    fn start(kind: Kind, ports: &[u16]) -> anyhow::Result<Side> {
        let options = ["--release-version".to_owned(), "3.3-IV3".to_owned()];
        Side::start_alone(kind, &options, ports)
    }

    /// What is answered; who was registered is unregistered again.
    async fn send(&self, trial: &Trial) -> anyhow::Result<String> {
        let name = |code: i16| ErrorCode(code).name();
        match trial {
            Trial::Broker(version, request) => {
                let mut request = request.clone();
                request.cluster_id = match request.cluster_id.as_str() {
                    "" => text(&self.side.cluster.cluster_id),
                    _ => request.cluster_id,
                };
                let id = request.broker_id;
                let response = self.connection.send_version(request, *version).await?;
                if response.error_code == 0 {
                    let request = UnregisterBrokerRequest::default().with_broker_id(id);
                    let response = self.connection.send(request).await?;
                    ensure!(response.error_code == 0, "unregistering failed");
                }
                Ok(name(response.error_code).to_owned())
            }
            Trial::Controller(request) => {
                let response = self.connection.send(request.clone()).await?;
                Ok(name(response.error_code).to_owned())
            }
            Trial::Features(version, request) => {
                let response = (self.connection.send_version(request.clone(), *version)).await?;
                let mut answer = name(response.error_code).to_owned();
                // About kraft.version ours says the same in other words.
                let mut features = request.feature_updates.iter();
                if !features.any(|update| update.feature.as_str() == KRAFT_VERSION) {
                    answer.push_str(response.error_message.as_deref().unwrap_or_default());
                }
                for result in &response.results {
                    let (feature, code) = (result.feature.as_str(), result.error_code);
                    answer.push_str(&format!(" {feature} {}", name(code)));
                }
                Ok(answer)
            }
        }
    }
}

/// Both, and what has differed so far.
struct Pair {
    runtime: tokio::runtime::Runtime,
    apache: Tried,
    ours: Tried,
    differences: Vec<String>,
    answers: usize,
    records: usize,
}

impl Pair {
    fn start(ports: &[u16]) -> anyhow::Result<Self> {
        let mut sides = [Kind::Apache, Kind::Ours].map(|kind| Tried::start(kind, ports));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        for side in sides.iter_mut().flatten() {
            side.cluster.node(VOTER).wait_up()?;
        }
        let [apache, ours] = sides;
        let tried = |side: Side| {
            let endpoint = side.cluster.endpoint(VOTER);
            Admin::new(endpoint.clone())?.leader()?;
            let connecting =
                async { Connection::connect(&endpoint, &ConnectionConfig::default()).await };
            let connection = runtime.block_on(connecting)?;
            anyhow::Ok(Tried { side, connection })
        };
        let (apache, ours) = (tried(apache?)?, tried(ours?)?);
        Ok(Self {
            runtime,
            apache,
            ours,
            differences: Vec::new(),
            answers: 0,
            records: 0,
        })
    }

    fn note(&mut self, what: String, theirs: &str, own: &str) {
        self.answers += 1;
        if theirs != own {
            let difference = format!("{what}\n  Apache {theirs}\n  ours   {own}");
            self.differences.push(difference);
        }
    }

    /// Sends it to both; the answer.
    fn send(&mut self, what: &str, trial: &Trial) -> anyhow::Result<String> {
        let (apache, ours) = (&self.apache, &self.ours);
        let both = async { tokio::join!(apache.send(trial), ours.send(trial)) };
        let (theirs, own) = self.runtime.block_on(both);
        let theirs = theirs.with_context(|| format!("Apache: {what}"))?;
        let own = own.with_context(|| format!("ours: {what}"))?;
        self.note(what.to_owned(), &theirs, &own);
        Ok(own)
    }

    fn perform(&mut self, level: i16, op: &Op) -> anyhow::Result<()> {
        let (apache, ours) = (&mut self.apache.side, &mut self.ours.side);
        let both = async {
            tokio::join!(
                apache.target.perform(op, &apache.mirror.image),
                ours.target.perform(op, &ours.mirror.image)
            )
        };
        let (theirs, own) = self.runtime.block_on(both);
        let (theirs, own) = (theirs.context("Apache")?, own.context("ours")?);
        self.note(
            format!("at {level}: {op:?}"),
            &theirs.join("; "),
            &own.join("; "),
        );
        self.compare_records(&format!("at {level}: {op:?}"))
    }

    /// Compares what was written since the last time.
    fn compare_records(&mut self, what: &str) -> anyhow::Result<()> {
        let own_registration = format!("controller_id: {VOTER},");
        let read = |side: &mut Side| -> anyhow::Result<Vec<String>> {
            let mut lines = side.mirror.read()?;
            lines.retain(|line| !line.contains(&own_registration));
            Ok(lines)
        };
        let mut theirs = read(&mut self.apache.side)?;
        let mut own = read(&mut self.ours.side)?;
        // What follows from a change of its own accord comes a moment later.
        let is_same = shell::wait_until(std::time::Duration::from_secs(2), || {
            if theirs != own {
                theirs.extend(read(&mut self.apache.side).unwrap_or_default());
                own.extend(read(&mut self.ours.side).unwrap_or_default());
                theirs.sort();
                own.sort();
            }
            theirs == own
        });
        self.records += theirs.len();
        if !is_same {
            let only = |some: &[String], other: &[String]| {
                let lines = some.iter().filter(|line| !other.contains(line));
                lines.cloned().collect::<Vec<_>>().join("\n    ")
            };
            self.differences.push(format!(
                "{what} wrote\n  only Apache\n    {}\n  only ours\n    {}",
                only(&theirs, &own),
                only(&own, &theirs)
            ));
        }
        Ok(())
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.differences.is_empty() {
            return Ok(());
        }
        let count = self.differences.len();
        let some: Vec<_> = self.differences.iter().take(20).cloned().collect();
        bail!("{count} differences:\n{}", some.join("\n"))
    }
}

fn range(name: &str, min: i16, max: i16) -> Feature {
    Feature::default()
        .with_name(text(name))
        .with_min_supported_version(min)
        .with_max_supported_version(max)
}

/// A broker that can do all, in a folder of its own.
fn broker(id: i32) -> BrokerRegistrationRequest {
    let features = [
        range(ELR_VERSION, 0, 1),
        range(KRAFT_VERSION, 0, 1),
        range(METADATA_VERSION, FIRST, LAST),
    ];
    let listener = |name: &str, port, security_protocol| {
        Listener::default()
            .with_name(text(name))
            .with_host(text("127.0.0.1"))
            .with_port(port)
            .with_security_protocol(security_protocol)
    };
    BrokerRegistrationRequest::default()
        .with_broker_id(BrokerId(id))
        .with_incarnation_id(Uuid::from_u128((7 << 100) + id.unsigned_abs() as u128))
        .with_listeners(vec![listener("PLAINTEXT", 9, 0), listener("INNER", 11, 3)])
        .with_features(features.to_vec())
        .with_rack(None)
        .with_log_dirs(vec![directory(id, 0)])
        .with_previous_broker_epoch(-1)
}

fn with(id: i32, name: &str, level: Option<(i16, i16)>) -> BrokerRegistrationRequest {
    let mut request = broker(id);
    request
        .features
        .retain(|feature| feature.name.as_str() != name);
    request
        .features
        .extend(level.map(|(min, max)| range(name, min, max)));
    request
}

/// Registrations by what is special about them, each of a broker of its own.
fn registrations(levels: Levels) -> Vec<(&'static str, Trial)> {
    const MV: &str = METADATA_VERSION;
    let level = levels.metadata;
    let dirs = |id, dirs: &[Uuid]| broker(id).with_log_dirs(dirs.to_vec());
    let twice = directory(1, 0);
    let mut trials: Vec<_> = [
        ("all", broker(1000)),
        ("no listeners", broker(1001).with_listeners(vec![])),
        (
            "an unknown feature",
            with(1002, "new.version", Some((0, 9))),
        ),
        (
            "an unknown feature it must have",
            with(1003, "new.version", Some((1, 9))),
        ),
        ("this level only", with(1004, MV, Some((level, level)))),
        (
            "up to the level before",
            with(1005, MV, Some((1, level - 1))),
        ),
        ("up to this level", with(1006, MV, Some((FIRST, level)))),
        (
            "from the next level on",
            with(1007, MV, Some((level + 1, 40))),
        ),
        ("no metadata.version", with(1008, MV, None)),
        ("no kraft.version", with(1009, KRAFT_VERSION, None)),
        ("kraft.version 0", with(1010, KRAFT_VERSION, Some((0, 0)))),
        ("kraft.version 1", with(1011, KRAFT_VERSION, Some((1, 1)))),
        ("no eligible leaders", with(1012, ELR_VERSION, None)),
        ("eligible leaders", with(1013, ELR_VERSION, Some((1, 1)))),
        (
            "eligible leaders of later",
            with(1014, ELR_VERSION, Some((2, 3))),
        ),
        (
            "a feature that is off",
            with(1015, "group.version", Some((1, 1))),
        ),
        (
            "share groups or none",
            with(1016, "share.version", Some((0, 1))),
        ),
        ("no directories", dirs(1017, &[])),
        ("the zero directory", dirs(1018, &[Uuid::nil()])),
        ("a reserved directory", dirs(1019, &[Uuid::from_u128(99)])),
        (
            "the first that is not reserved",
            dirs(1020, &[Uuid::from_u128(100)]),
        ),
        ("a directory twice", dirs(1021, &[twice, twice])),
        (
            "somebody else's directory",
            dirs(1022, &[directory(BROKERS[0], 0)]),
        ),
        (
            "two directories",
            dirs(1023, &[directory(1023, 1), directory(1023, 0)]),
        ),
        (
            "another cluster",
            broker(1024).with_cluster_id(text("other")),
        ),
        ("an old epoch", broker(1025).with_previous_broker_epoch(5)),
        ("a rack", broker(1026).with_rack(Some(text("r1")))),
        (
            "from ZooKeeper",
            broker(1027).with_is_migrating_zk_broker(true),
        ),
        ("another incarnation of who lives", broker(BROKERS[0])),
        ("a negative id", broker(-1)),
        ("nothing it can do", broker(1028).with_features(vec![])),
    ]
    .into_iter()
    .map(|(name, request)| (name, Trial::Broker(4, request)))
    .collect();
    let older = |version: i16, id, keeps_dirs: bool| {
        let mut request = broker(id);
        if !keeps_dirs {
            request.log_dirs.clear();
        }
        (
            ["version 0", "version 1", "version 2", "version 3"][version as usize],
            Trial::Broker(version, request),
        )
    };
    trials.extend([
        older(0, 1040, false),
        older(1, 1041, false),
        older(2, 1042, true),
        older(3, 1043, true),
        older(2, 1044, false),
    ]);
    trials
}

/// A controller that supports metadata.version up to this level.
fn controller(max: i16) -> ControllerRegistrationRequest {
    let feature = |(name, min, max)| {
        controller_registration_request::Feature::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_supported_version(min)
            .with_max_supported_version(max)
    };
    let features = [
        (ELR_VERSION, 0, 1),
        (KRAFT_VERSION, 0, 1),
        (METADATA_VERSION, FIRST, max),
    ];
    let listener = controller_registration_request::Listener::default()
        .with_name(text("CONTROLLER"))
        .with_host(text("127.0.0.1"))
        .with_port(9);
    ControllerRegistrationRequest::default()
        .with_controller_id(PLAYED)
        .with_incarnation_id(Uuid::from_u128((8 << 100) + 1))
        .with_listeners(vec![listener])
        .with_features(features.map(feature).to_vec())
}

fn features(version: i16, updates: &[(&str, i16, i8)], validate_only: bool) -> Trial {
    let update = |(name, level, upgrade_type): &(&str, i16, i8)| {
        // Version 0 has a flag instead of the type.
        let update = FeatureUpdateKey::default()
            .with_feature(text(name))
            .with_max_version_level(*level);
        match version {
            0 => update.with_allow_downgrade(*upgrade_type != UPGRADE),
            _ => update.with_upgrade_type(*upgrade_type),
        }
    };
    let request = UpdateFeaturesRequest::default()
        .with_feature_updates(updates.iter().map(update).collect())
        .with_validate_only(validate_only)
        .with_timeout_ms(30_000);
    Trial::Features(version, request)
}

/// Features with the levels that are asked for, and how.
type Updates = Vec<(&'static str, i16, i8)>;

/// Levels that are asked for and not to be taken on, in force or not.
fn questions(level: i16) -> Vec<(i16, Updates)> {
    const MV: &str = METADATA_VERSION;
    vec![
        (2, vec![(MV, level, UPGRADE)]),
        (2, vec![(MV, level + 1, UPGRADE)]),
        (2, vec![(MV, LAST, UPGRADE)]),
        (2, vec![(MV, level + 1, SAFE_DOWNGRADE)]),
        (2, vec![(MV, level + 1, UNSAFE_DOWNGRADE)]),
        (2, vec![(MV, level - 1, UPGRADE)]),
        (2, vec![(MV, level - 1, SAFE_DOWNGRADE)]),
        (1, vec![(MV, level - 1, UNSAFE_DOWNGRADE)]),
        (2, vec![(MV, FIRST, SAFE_DOWNGRADE)]),
        (2, vec![(MV, level, SAFE_DOWNGRADE)]),
        (2, vec![(MV, level, 0)]),
        (1, vec![(MV, level, 9)]),
        (2, vec![(MV, -1, UPGRADE)]),
        (2, vec![(MV, 0, UNSAFE_DOWNGRADE)]),
        (2, vec![(MV, LAST + 10, UPGRADE)]),
        (2, vec![("new.version", 1, UPGRADE)]),
        (2, vec![("new.version", 0, UPGRADE)]),
        (2, vec![(ELR_VERSION, 0, UPGRADE)]),
        (2, vec![(ELR_VERSION, 1, UPGRADE)]),
        (2, vec![(ELR_VERSION, 1, SAFE_DOWNGRADE)]),
        (2, vec![(ELR_VERSION, 0, SAFE_DOWNGRADE)]),
        (2, vec![(ELR_VERSION, 2, UPGRADE)]),
        (1, vec![(ELR_VERSION, 1, UPGRADE), (MV, LAST, UPGRADE)]),
        (2, vec![(KRAFT_VERSION, 0, UPGRADE)]),
        (2, vec![(KRAFT_VERSION, 1, UPGRADE)]),
        (2, vec![(KRAFT_VERSION, 1, SAFE_DOWNGRADE)]),
        (2, vec![(KRAFT_VERSION, 0, SAFE_DOWNGRADE)]),
        (2, vec![(KRAFT_VERSION, 0, UNSAFE_DOWNGRADE)]),
        (2, vec![(KRAFT_VERSION, 2, UPGRADE)]),
        (2, vec![]),
    ]
}

/// What is done with topics and brokers at each level.
fn operations(level: i16) -> Vec<Op> {
    let [first, second, third, ..] = BROKERS;
    let name = format!("level-{level}");
    let partition = (name.clone(), 0);
    let isr = |isr: &[i32]| Op::AlterPartition {
        partition: partition.clone(),
        by: first,
        isr: isr.to_vec(),
        leader_epoch_change: 0,
        partition_epoch_change: 0,
        knows_epochs: true,
        recovery: 0,
    };
    let beat = |broker, fence, is_first_dir_offline| Op::Heartbeat {
        broker,
        fence,
        shut_down: false,
        is_first_dir_offline,
        is_stale: false,
    };
    let mut ops: Vec<Op> = BROKERS
        .iter()
        .map(|broker| Op::Register {
            broker: *broker,
            kind: Registration::Again,
        })
        .collect();
    // Apache Kafka forgets what an unfenced broker has told when it registers.
    let brokers = &BROKERS[..BROKERS.len() - 1];
    ops.extend(brokers.iter().map(|broker| beat(*broker, false, false)));
    let topic = NewTopic {
        name: name.clone(),
        partitions: -1,
        replication_factor: -1,
        assignments: vec![
            (0, vec![first, second, third]),
            (1, vec![second, third, first]),
        ],
        configs: Vec::new(),
    };
    ops.extend([
        Op::CreateTopics {
            topics: vec![topic],
            validate_only: false,
        },
        isr(&[first]),
        isr(&[first, second]),
        isr(&[first, second, third]),
        Op::AssignDirs {
            broker: second,
            partition: partition.clone(),
            dir: 1,
        },
        beat(third, true, false),
        beat(third, false, false),
        beat(third, false, false),
        isr(&[first, second, third]),
        Op::Reassign {
            moves: vec![(partition.clone(), Some(vec![second, first, BROKERS[3]]))],
            allow_factor_change: true,
        },
        Op::CreatePartitions {
            topic: name.clone(),
            count: 3,
            assignments: Some(vec![vec![third, first]]),
            validate_only: false,
        },
        Op::Scram {
            deletions: Vec::new(),
            upsertions: vec![(name, 1, 4096)],
            seed: 1,
        },
        Op::ProducerIds {
            broker: first,
            is_stale: false,
        },
    ]);
    ops
}

/// An operation whose outcome doesn't depend on what came of registrations and of levels.
fn passing(random: &mut Random, pair: &Pair) -> Op {
    loop {
        let op = draw(random, &pair.apache.side.mirror.image);
        let is_other = matches!(
            op,
            Op::Register { .. }
                | Op::Heartbeat { .. }
                | Op::Unregister(_)
                | Op::UpdateFeatures { .. }
                | Op::PassingTopic { .. }
                // Ours forgets whom the move before was to remove.
                | Op::Reassign { .. }
        );
        if !is_other {
            return op;
        }
    }
}

/// Asks all that can be asked while these levels are in force.
fn ask(pair: &mut Pair, levels: Levels) -> anyhow::Result<()> {
    for (name, trial) in registrations(levels) {
        pair.send(&format!("at {levels:?}, a broker with {name}"), &trial)?;
    }
    pair.compare_records(&format!("registrations at {levels:?}"))?;
    for (version, updates) in questions(levels.metadata) {
        let what = format!("at {levels:?}, whether {updates:?}");
        pair.send(&what, &features(version, &updates, true))?;
    }
    pair.compare_records(&format!("questions at {levels:?}"))
}

/// Goes to the next level: refused while a controller does not support it.
fn raise(pair: &mut Pair, level: i16) -> anyhow::Result<()> {
    let next = level + 1;
    let up = features(level % 3, &[(METADATA_VERSION, next, UPGRADE)], false);
    if level >= CONTROLLERS_SINCE {
        pair.send("a controller", &Trial::Controller(controller(level)))?;
        let answer = pair.send(&format!("up to {next}, too early"), &up)?;
        ensure!(answer.starts_with("INVALID_UPDATE_VERSION"), "{answer}");
        pair.send("a controller", &Trial::Controller(controller(LAST)))?;
    } else {
        let answer = pair.send("a controller", &Trial::Controller(controller(LAST)))?;
        ensure!(answer.starts_with("UNSUPPORTED_VERSION"), "{answer}");
    }
    let answer = pair.send(&format!("up to {next}"), &up)?;
    ensure!(answer.starts_with("NONE"), "up to {next}: {answer}");
    // Back, where nothing would be lost.
    let down = features(2, &[(METADATA_VERSION, level, SAFE_DOWNGRADE)], false);
    let answer = pair.send(&format!("back to {level}"), &down)?;
    if answer.starts_with("NONE") {
        pair.send(&format!("up to {next} again"), &up)?;
    }
    if next == CONTROLLERS_SINCE {
        // The controllers register now, and until then no level is raised.
        for tried in [&mut pair.apache, &mut pair.ours] {
            let mut written = Vec::new();
            let known = shell::wait_until(SOON, || {
                written.extend(tried.side.mirror.read().unwrap_or_default());
                let controllers = &tried.side.mirror.image.cluster.controllers;
                controllers.contains_key(&VOTER)
            });
            ensure!(known, "the controller does not register: {written:?}");
        }
        return Ok(());
    }
    pair.compare_records(&format!("up to {next}"))
}

pub fn climb() -> anyhow::Result<()> {
    let listeners = listeners()?;
    let ports: Vec<_> = listeners.iter().map(|(_, port)| *port).collect();
    let watch = Stopwatch::start();
    let mut pair = Pair::start(&ports)?;
    let mut random = Random::new(super::number("KAFKA_RANDOM_SEED", 2)? as u64);
    pair.compare_records("the first records")?;
    for op in first_ops() {
        pair.perform(FIRST, &op)?;
    }
    let mut levels = Levels {
        metadata: FIRST,
        kraft: 0,
        elr: 0,
    };
    for level in FIRST..=LAST {
        levels.metadata = level;
        ask(&mut pair, levels)?;
        for op in operations(level) {
            pair.perform(level, &op)?;
        }
        for _ in 0..DRAWS {
            let op = passing(&mut random, &pair);
            pair.perform(level, &op)?;
        }
        pair.check()?;
        if level < LAST {
            raise(&mut pair, level)?;
            pair.check()?;
        }
    }
    for (name, level, how, done) in [
        (ELR_VERSION, 1, UPGRADE, true),
        (KRAFT_VERSION, 1, UPGRADE, true),
        (KRAFT_VERSION, 1, UPGRADE, true),
        (KRAFT_VERSION, 0, UPGRADE, false),
        (KRAFT_VERSION, 0, SAFE_DOWNGRADE, false),
        (KRAFT_VERSION, 0, UNSAFE_DOWNGRADE, false),
        (ELR_VERSION, 0, SAFE_DOWNGRADE, true),
        (ELR_VERSION, 1, UPGRADE, true),
        (METADATA_VERSION, 22, SAFE_DOWNGRADE, false),
    ] {
        let what = format!("{name} {level} ({how})");
        let answer = pair.send(&what, &features(2, &[(name, level, how)], false))?;
        ensure!(answer.starts_with("NONE") == done, "{what}: {answer}");
        pair.compare_records(&what)?;
        (levels.kraft, levels.elr) = (1, 1);
    }
    ask(&mut pair, levels)?;
    for op in operations(LAST + 1) {
        pair.perform(LAST, &op)?;
    }
    pair.check()?;
    println!(
        "     levels {FIRST} to {LAST}: {} answers and {} records alike in {:.1} s",
        pair.answers,
        pair.records,
        watch.elapsed().as_secs_f64()
    );
    Ok(())
}
