//! Clusters of both kinds that were formatted at an old level, and are upgraded under load: the
//! metadata version step by step, while an Apache controller leads and while ours does, and then
//! the static quorum to one whose voters come and go (kraft.version 1).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use kafka_broker::metadata::MetadataImage;
use kafka_broker::metadata::cluster::FeatureRange;
use kafka_broker::metadata::features::{ELR_VERSION, KRAFT_VERSION, METADATA_VERSION, SUPPORTED};
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    ApiVersionsRequest, UnregisterBrokerRequest, UpdateFeaturesRequest,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;

use super::admin::{Admin, text};
use super::random::mirror::Mirror;
use super::traffic::Traffic;
use super::{Cluster, SOON, metadata_dir};
use crate::node::Kind;
use crate::{apache, shell};

/// 3.6-IV2: controllers do not register yet, and replicas have no directories.
const OLD: (i16, &str) = (14, "3.6-IV2");
const DIRECTORIES: i16 = 17;
const NEWEST: i16 = 30;

const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;

const CONTROLLERS: [i32; 3] = [1, 2, 3];
/// Of those who have as much of the log, a leader that leaves prefers the one with the lowest id.
const OUR_CONTROLLER: i32 = 1;
const APACHE_BROKER: i32 = 11;
const OUR_BROKER: i32 = 12;
/// Comes, leaves and is unregistered.
const PASSING_BROKER: i32 = 13;
/// The voter that is added at kraft.version 1.
const NEW_VOTER: i32 = 4;

struct Upgrade {
    cluster: Cluster,
    /// Through the Apache broker, which passes on what only the active controller does.
    admin: Admin,
    /// Of our controller's log.
    mirror: Mirror,
}

impl Upgrade {
    fn start() -> anyhow::Result<Self> {
        let nodes = [
            (OUR_CONTROLLER, Kind::Ours),
            (2, Kind::Apache),
            (3, Kind::Apache),
            (APACHE_BROKER, Kind::Apache),
            (OUR_BROKER, Kind::Ours),
            (PASSING_BROKER, Kind::Ours),
        ];
        let mut cluster = Cluster::new(&nodes, true)?;
        cluster.formatted_by = Some(Kind::Ours);
        for id in cluster.nodes.keys() {
            let options = if *id < 10 {
                vec!["--release-version".to_owned(), OLD.1.to_owned()]
            } else {
                Vec::new()
            };
            cluster.format(*id, &options)?;
        }
        cluster.up_all()?;
        let admin = Admin::new(cluster.endpoint(APACHE_BROKER))?;
        let mirror = Mirror::new(&metadata_dir(&cluster.nodes[&OUR_CONTROLLER]));
        Ok(Self {
            cluster,
            admin,
            mirror,
        })
    }

    fn image(&mut self) -> anyhow::Result<&MetadataImage> {
        self.mirror.read()?;
        Ok(&self.mirror.image)
    }

    /// Waits until the log of our controller says this.
    fn until(&mut self, what: &str, holds: impl Fn(&MetadataImage) -> bool) -> anyhow::Result<()> {
        let done = shell::wait_until(SOON, || self.image().is_ok_and(&holds));
        ensure!(done, "{what}: it is not so");
        Ok(())
    }

    /// Has a controller of this kind lead. A leader that leaves in order is followed by ours, one
    /// that is killed by an Apache controller: that one does not vote for another before it has
    /// missed the leader itself.
    fn lead(&mut self, kind: Kind) -> anyhow::Result<()> {
        for _ in 0..20 {
            let leader = self.admin.leader()?;
            if self.cluster.nodes[&leader].kind == kind {
                return Ok(());
            }
            for id in CONTROLLERS {
                self.cluster.node(id).wait_up()?;
            }
            self.admin.wait_caught_up(&CONTROLLERS)?;
            match kind {
                Kind::Ours => self.cluster.node(leader).stop()?,
                Kind::Apache => self.cluster.node(leader).kill(),
            }
            let is_followed = shell::wait_until(
                SOON,
                || matches!(self.admin.quorum(), Ok((other, ..)) if other >= 0 && other != leader),
            );
            ensure!(is_followed, "nobody follows {leader}");
            self.cluster.node(leader).spawn()?;
        }
        anyhow::bail!("no controller of {kind:?} leads")
    }

    /// UpdateFeatures; the code and the message.
    fn update(
        &self,
        updates: &[(&str, i16, i8)],
        validate_only: bool,
    ) -> anyhow::Result<(ErrorCode, String)> {
        let update = |(name, level, how): &(&str, i16, i8)| {
            FeatureUpdateKey::default()
                .with_feature(text(name))
                .with_max_version_level(*level)
                .with_upgrade_type(*how)
        };
        let request = UpdateFeaturesRequest::default()
            .with_timeout_ms(20_000)
            .with_feature_updates(updates.iter().map(update).collect())
            .with_validate_only(validate_only);
        let response = self.admin.send(&request)?;
        let message = response.error_message.map(|m| m.as_str().to_owned());
        Ok((ErrorCode(response.error_code), message.unwrap_or_default()))
    }

    /// An update that is to be taken, once all nodes have said of themselves what they can do.
    fn accepted(&mut self, updates: &[(&str, i16, i8)]) -> anyhow::Result<()> {
        for validate_only in [true, false] {
            let mut seen = None;
            let done = shell::wait_until(SOON, || {
                seen = Some(self.update(updates, validate_only));
                matches!(seen, Some(Ok((ErrorCode::NONE, _))))
            });
            ensure!(done, "{updates:?}: {seen:?}");
            if validate_only {
                self.mirror.read()?;
                let features = &self.mirror.image.features;
                let is_done = |(name, level, _): &(&str, i16, i8)| features.level(name) == *level;
                ensure!(!updates.iter().all(is_done), "asking was enough");
            }
        }
        Ok(())
    }

    fn refused(&self, updates: &[(&str, i16, i8)], why: &str) -> anyhow::Result<()> {
        let (code, message) = self.update(updates, false)?;
        ensure!(
            code == ErrorCode::INVALID_UPDATE_VERSION && message.contains(why),
            "{updates:?}: {} {message}",
            code.name()
        );
        Ok(())
    }

    /// What both brokers say is finalized.
    fn until_finalized(&self, wanted: &[(&str, i16)]) -> anyhow::Result<()> {
        for broker in [APACHE_BROKER, OUR_BROKER] {
            let admin = Admin::new(self.cluster.endpoint(broker))?;
            let mut seen = BTreeMap::new();
            let done = shell::wait_until(SOON, || {
                let request = ApiVersionsRequest::default()
                    .with_client_software_name(StrBytes::from_static_str("interop"))
                    .with_client_software_version(StrBytes::from_static_str("1"));
                if let Ok(response) = admin.send(&request) {
                    let finalized = response.finalized_features.into_iter();
                    let level = |f: kafka_protocol::messages::api_versions_response::FinalizedFeatureKey| {
                        (f.name.as_str().to_owned(), f.max_version_level)
                    };
                    seen = finalized.map(level).collect();
                }
                wanted
                    .iter()
                    .all(|(name, level)| seen.get(*name).copied().unwrap_or(0) == *level)
            });
            ensure!(done, "broker {broker} has {seen:?} and not {wanted:?}");
        }
        Ok(())
    }

    /// Raises metadata.version.
    fn raise(&mut self, level: i16) -> anyhow::Result<()> {
        self.accepted(&[(METADATA_VERSION, level, UPGRADE)])?;
        self.raised(level)
    }

    /// What has to follow from the upgrade to this level.
    fn raised(&mut self, level: i16) -> anyhow::Result<()> {
        self.until_finalized(&[(METADATA_VERSION, level)])?;
        // Controllers register from 3.7-IV0 on, brokers with their directories from 3.7-IV2 on.
        self.until("registrations", |image| {
            let controllers: BTreeSet<i32> = image.cluster.controllers.keys().copied().collect();
            let brokers = [APACHE_BROKER, OUR_BROKER].map(|id| image.cluster.brokers.get(&id));
            controllers.is_superset(&CONTROLLERS.into())
                && brokers.into_iter().all(|broker| {
                    broker.is_some_and(|b| {
                        !b.fenced && b.directories.len() == usize::from(level >= DIRECTORIES)
                    })
                })
        })?;
        let image = self.image()?;
        let declared = |id| -> BTreeMap<String, FeatureRange> {
            let features = image.cluster.brokers[&id].features.iter();
            features
                .map(|(name, range)| (name.to_string(), *range))
                .collect()
        };
        let (theirs, own) = (declared(APACHE_BROKER), declared(OUR_BROKER));
        for (name, range) in &own {
            ensure!(
                theirs.get(name) == Some(range),
                "{name}: {range:?}, {theirs:?}"
            );
        }
        // Ours declares what it implements, and nothing else.
        let implemented = SUPPORTED.iter().filter(|feature| feature.supported.max > 0);
        let implemented: BTreeSet<&str> = implemented.map(|feature| feature.name).collect();
        let names: BTreeSet<&str> = own.keys().map(String::as_str).collect();
        ensure!(names == implemented, "{names:?}");
        Ok(())
    }

    /// A broker leaves in order, is unregistered, and may come again.
    fn unregister(&mut self) -> anyhow::Result<()> {
        let request = UnregisterBrokerRequest::default().with_broker_id(PASSING_BROKER.into());
        let is_there = |image: &MetadataImage| image.cluster.brokers.contains_key(&PASSING_BROKER);
        self.cluster.node(PASSING_BROKER).stop()?;
        ensure!(is_there(self.image()?), "it was unregistered before");
        let response = self.admin.send(&request)?;
        ensure!(response.error_code == 0, "{response:?}");
        self.until("unregistered", |image| !is_there(image))?;
        let again = self.admin.send(&request)?;
        let unknown = ErrorCode::BROKER_ID_NOT_REGISTERED;
        ensure!(ErrorCode(again.error_code) == unknown, "{again:?}");
        self.cluster.node(PASSING_BROKER).up()?;
        self.until("registered again", is_there)
    }

    fn features_tool(&self, args: &[&str]) -> anyhow::Result<String> {
        let bootstrap = self.admin.endpoint.to_string();
        let all = [&["--bootstrap-server", &bootstrap], args].concat();
        let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        apache::tool("kafka-features", &all, None)?.success()
    }

    /// From static voters to those that are in the log.
    fn make_dynamic(&mut self) -> anyhow::Result<()> {
        // While the quorum is static, nobody can be added to it.
        let passing = self.cluster.voter(OUR_CONTROLLER)?;
        let code = self.admin.add_voter(&passing)?.0;
        ensure!(code == ErrorCode::UNSUPPORTED_VERSION, "{}", code.name());
        let code = self.admin.remove_voter(&passing)?.0;
        ensure!(code == ErrorCode::UNSUPPORTED_VERSION, "{}", code.name());
        // Every voter tells the leader its directory and what it supports, some time after the
        // election.
        self.accepted(&[(KRAFT_VERSION, 1, UPGRADE)])?;
        self.until_finalized(&[(KRAFT_VERSION, 1)])?;
        self.refused(&[(KRAFT_VERSION, 0, SAFE_DOWNGRADE)], "downgrade")?;
        let mut wanted = BTreeSet::new();
        for id in CONTROLLERS {
            wanted.insert((id, self.cluster.voter(id)?.directory_id));
        }
        let voters = self.admin.voters()?;
        ensure!(voters == wanted, "voters {voters:?}, not {wanted:?}");
        Ok(())
    }
}

/// The upgrade to the newest level, with controllers of these kinds leading: the first at first, the
/// other then, and the first again, which makes the quorum dynamic.
pub fn with_leaders(first: Kind) -> anyhow::Result<()> {
    let mut upgrade = Upgrade::start()?;
    let result = run(&mut upgrade, first);
    let result = result.with_context(|| {
        let nodes = upgrade.cluster.nodes.iter();
        nodes
            .map(|(id, node)| node.log_end(*id))
            .collect::<String>()
    });
    let told = result?;
    let kept = upgrade.cluster.stop_and_compare_strictly()?;
    println!("     {told}; {kept}");
    ensure!(kept.apache > 0 && kept.ours > 0, "no snapshots: {kept}");
    Ok(())
}

fn run(upgrade: &mut Upgrade, first: Kind) -> anyhow::Result<String> {
    const MV: &str = METADATA_VERSION;
    let mut traffic = Traffic::start(&upgrade.cluster, [APACHE_BROKER, OUR_BROKER])?;
    upgrade.until_finalized(&[(MV, OLD.0), (KRAFT_VERSION, 0)])?;
    upgrade.admin.changes(10)?;

    upgrade.lead(first)?;
    upgrade.refused(
        &[(ELR_VERSION, 1, UPGRADE)],
        "depends on metadata.version level 23",
    )?;
    upgrade.refused(&[(MV, 99, UPGRADE)], "only supports versions")?;
    upgrade.raise(DIRECTORIES)?;
    upgrade.refused(&[(MV, OLD.0, SAFE_DOWNGRADE)], "might delete metadata")?;
    traffic.go_on()?;
    upgrade.admin.changes(10)?;

    upgrade.lead(first.other())?;
    upgrade.raise(21)?;
    // 3.9-IV0 has no records that 3.7-IV4 lacks.
    upgrade.refused(&[(MV, 19, UPGRADE)], "without setting the upgrade type")?;
    upgrade.accepted(&[(MV, 19, SAFE_DOWNGRADE)])?;
    upgrade.until_finalized(&[(MV, 19)])?;
    traffic.go_on()?;
    upgrade.raise(25)?;
    traffic.go_on()?;
    upgrade.admin.changes(10)?;
    upgrade.unregister()?;

    upgrade.lead(first)?;
    // All or nothing: our nodes have no groups of the new protocol.
    upgrade.refused(
        &[("group.version", 1, UPGRADE), (MV, NEWEST, UPGRADE)],
        "group.version",
    )?;
    upgrade.until_finalized(&[(MV, 25), ("group.version", 0)])?;
    upgrade.features_tool(&["upgrade", "--feature", "metadata.version=30"])?;
    upgrade.raised(NEWEST)?;
    upgrade.accepted(&[(ELR_VERSION, 1, UPGRADE)])?;
    upgrade.until_finalized(&[(ELR_VERSION, 1)])?;
    upgrade.refused(&[(MV, 25, SAFE_DOWNGRADE)], "might delete metadata")?;
    traffic.go_on()?;
    upgrade.admin.changes(10)?;

    upgrade.make_dynamic()?;
    upgrade.admin.changes(10)?;
    // One comes, one goes; the leader dies, and the new one is elected by the new voters.
    upgrade.cluster.join(NEW_VOTER, first.other())?;
    upgrade
        .admin
        .until_added(&upgrade.cluster.voter(NEW_VOTER)?)?;
    let leader = upgrade.admin.leader()?;
    let gone = CONTROLLERS.into_iter().rev().find(|id| *id != leader);
    let gone = gone.context("three controllers")?;
    upgrade.admin.until_removed(&upgrade.cluster.voter(gone)?)?;
    upgrade.cluster.node(gone).stop()?;
    upgrade.admin.wait_caught_up(&[NEW_VOTER])?;
    upgrade.cluster.node(leader).kill();
    upgrade.admin.changes(10)?;
    let next = upgrade.admin.leader()?;
    ensure!(next != leader && next != gone, "{next} leads");
    upgrade.cluster.node(leader).spawn()?;
    traffic.go_on()?;
    let rest: Vec<i32> = (CONTROLLERS.into_iter().chain([NEW_VOTER]))
        .filter(|id| *id != gone)
        .collect();
    upgrade.admin.wait_caught_up(&rest)?;
    let voters: Vec<i32> = upgrade
        .admin
        .voters()?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    ensure!(voters == rest, "{voters:?} vote, not {rest:?}");
    traffic.finish(&upgrade.cluster)
}

/// An Apache Kafka as it is formatted by default, whose features ours do not have: our nodes end and
/// say why, and are taken once the features are off.
pub fn features_that_we_lack() -> anyhow::Result<()> {
    const LACKING: [&str; 4] = [
        "group.version",
        "share.version",
        "streams.version",
        "transaction.version",
    ];
    const OUR_CONTROLLER: i32 = 2;
    let nodes = [
        (1, Kind::Apache),
        (OUR_CONTROLLER, Kind::Ours),
        (OUR_BROKER, Kind::Ours),
    ];
    let mut cluster = Cluster::new(&nodes, false)?;
    cluster.features = &[];
    cluster.format(1, &["--standalone".to_owned()])?;
    for id in [OUR_CONTROLLER, OUR_BROKER] {
        cluster.format(id, &["--no-initial-controllers".to_owned()])?;
    }
    cluster.node(1).up()?;
    let admin = Admin::new(cluster.endpoint(1))?;
    admin.leader()?;
    for id in [OUR_CONTROLLER, OUR_BROKER] {
        cluster.node(id).spawn()?;
    }
    for id in [OUR_CONTROLLER, OUR_BROKER] {
        let log = cluster.node(id).wait_ended()?;
        let unnamed = LACKING.iter().find(|name| !log.contains(**name));
        ensure!(
            unnamed.is_none(),
            "node {id} does not name {unnamed:?}:\n{log}"
        );
    }
    let downgrade = |name: &&str| {
        FeatureUpdateKey::default()
            .with_feature(text(name))
            .with_max_version_level(0)
            .with_upgrade_type(SAFE_DOWNGRADE)
    };
    let request = UpdateFeaturesRequest::default()
        .with_timeout_ms(20_000)
        .with_feature_updates(LACKING.iter().map(downgrade).collect());
    let response = admin.send(&request)?;
    ensure!(response.error_code == 0, "{response:?}");
    // What the controller has of the log is of before that; it has never voted, so it begins anew.
    std::fs::remove_dir_all(cluster.nodes[&OUR_CONTROLLER].data())?;
    cluster.format(OUR_CONTROLLER, &["--no-initial-controllers".to_owned()])?;
    for id in [OUR_CONTROLLER, OUR_BROKER] {
        cluster.node(id).up()?;
    }
    admin.until_added(&cluster.voter(OUR_CONTROLLER)?)?;
    // The broker asks whoever leads.
    let mut ours = Admin::new(cluster.endpoint(OUR_BROKER))?;
    ours.until_removed(&cluster.voter(1)?)?;
    ensure!(ours.leader()? == OUR_CONTROLLER, "ours does not lead");
    ours.changes(5)
}
