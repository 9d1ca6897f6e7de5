//! The data folders before anything runs: whose they are, and their first format.
//!
//! A folder without `meta.properties` is new. A node that forms a quorum on its own formats its
//! folders when it starts for the first time. A node of a larger quorum has to be told the cluster's
//! id, at its first start or by `kafka-broker format`, because a made-up one would split the cluster. A controller's folder
//! whose metadata it cannot work on is refused before anything is written
//! ([`super::compatibility`]).
//!
//! Kafka: `KafkaRaftServer.initializeLogDirs`, `MetaPropertiesEnsemble.java` (4.3).

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use kafka_shared::types::{Uuid, random_uuid, uuid_to_base64};
use tracing::{info, warn};

use super::compatibility;
use crate::{
    config::BrokerConfig,
    log::meta_properties::MetaProperties,
    metadata::format::{FormatOptions, InitialQuorum, InitialVoter, format},
};

/// What the folders say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folders {
    pub(super) cluster_id: String,
    /// `directory.id` of the folder with the metadata log.
    pub(super) metadata_directory_id: Uuid,
}

/// Reads all folders, after formatting those that are new. A folder without metadata that can't be used is
/// left alone: the broker serves what is in the others, if there are any. `cluster_id` is the one that the node is
/// told to belong to.
///
/// # Errors
/// When folders belong to another node or to different clusters, must be formatted by hand, or hold
/// metadata that this node cannot lead. Nothing is written then.
pub(super) fn prepare(
    config: &BrokerConfig,
    cluster_id: Option<&str>,
    now_ms: i64,
) -> anyhow::Result<Folders> {
    let dirs = all_dirs(config);
    let wanted = cluster_id.map(str::to_owned);
    let mut cluster_id = wanted.clone();
    let mut is_metadata_formatted = false;
    let mut new = Vec::new();
    for dir in &dirs {
        let is_needed = *dir == config.metadata_log_dir || !config.is_broker;
        let properties = match usable(dir) {
            Ok(properties) => properties,
            Err(error) if is_needed || error.kind() == io::ErrorKind::InvalidData => {
                return Err(error)
                    .with_context(|| format!("read meta.properties in {}", dir.display()));
            }
            Err(error) => {
                let dir = dir.display();
                warn!(%dir, %error, "the log directory can't be used; going on without it");
                continue;
            }
        };
        let Some(properties) = properties else {
            new.push(dir.clone());
            continue;
        };
        check_node(dir, &properties, config.node_id)?;
        is_metadata_formatted |= *dir == config.metadata_log_dir;
        let id = properties.cluster_id.unwrap_or_default();
        match &cluster_id {
            Some(other) if *other != id && wanted.is_some() => {
                bail!("{} belongs to cluster {id}, not to {other}", dir.display());
            }
            Some(other) if *other != id => {
                bail!(
                    "{} belongs to cluster {id}, other folders to {other}",
                    dir.display()
                );
            }
            _ => cluster_id = Some(id),
        }
    }
    // A broker alone only follows the log, and what it has of it may be old: the controller judges.
    if is_metadata_formatted && config.is_controller {
        compatibility::check(&config.metadata_log_dir)?;
    }
    if !new.is_empty() {
        ensure!(
            is_metadata_formatted || wanted.is_some() || (cluster_id.is_none() && is_alone(config)),
            "{} is not formatted: run kafka-broker format, or give the cluster's id with \
             --cluster-id",
            config.metadata_log_dir.display()
        );
        let cluster_id = cluster_id.get_or_insert_with(|| uuid_to_base64(random_uuid()));
        let quorum = default_quorum(config);
        let mut options = format_options(config, cluster_id.clone(), quorum, true);
        options.dirs = new;
        for formatted in format(&options, now_ms).context("format the data folders")? {
            info!(dir = %formatted.dir.display(), "formatted");
        }
    }
    for dir in &dirs {
        add_directory_id(dir, &config.metadata_log_dir)?;
    }
    let metadata = read(&config.metadata_log_dir)?;
    let metadata_directory_id = metadata.and_then(|properties| properties.directory_id);
    Ok(Folders {
        cluster_id: cluster_id.context("there is no data folder")?,
        metadata_directory_id: metadata_directory_id.with_context(|| {
            let dir = config.metadata_log_dir.display();
            format!("meta.properties in {dir} has no directory.id")
        })?,
    })
}

/// What to format, for the first start and for `kafka-broker format`.
pub(crate) fn format_options(
    config: &BrokerConfig,
    cluster_id: String,
    quorum: InitialQuorum,
    ignore_formatted: bool,
) -> FormatOptions {
    FormatOptions {
        cluster_id,
        node_id: config.node_id,
        dirs: all_dirs(config),
        metadata_log_dir: config.metadata_log_dir.clone(),
        controller_listener: controller_endpoint(config).0,
        quorum,
        release_version: None,
        feature_levels: Vec::new(),
        ignore_formatted,
    }
}

/// The quorum of a node of which nothing else is said: with static voters it is theirs, a node
/// without others is the only voter of its own, and all others join one.
pub(crate) fn default_quorum(config: &BrokerConfig) -> InitialQuorum {
    if !config.controller_quorum_voters.is_empty() {
        InitialQuorum::Static
    } else if is_alone(config) {
        standalone_quorum(config)
    } else {
        InitialQuorum::Unknown
    }
}

/// The quorum whose only voter is this node.
pub(crate) fn standalone_quorum(config: &BrokerConfig) -> InitialQuorum {
    let (_, host, port) = controller_endpoint(config);
    InitialQuorum::Voters(vec![InitialVoter {
        id: config.node_id,
        host,
        port,
        directory_id: random_uuid(),
    }])
}

/// Listener name, host and port under which this node's controller is to be found.
pub(super) fn controller_endpoint(config: &BrokerConfig) -> (String, String, u16) {
    let name = config.listeners.controller_names.first().cloned();
    let name = name.unwrap_or_else(|| "CONTROLLER".to_owned());
    let listeners = &config.listeners.advertised_controllers;
    let (host, port) = match listeners.iter().find(|listener| listener.name == name) {
        Some(listener) if !listener.host.is_empty() => (listener.host.clone(), listener.port),
        Some(listener) => ("localhost".to_owned(), listener.port),
        // Nobody connects to the only voter.
        None => ("localhost".to_owned(), 9093),
    };
    (name, host, port)
}

/// `log.dirs` and, if it is another one, `metadata.log.dir`.
pub(super) fn all_dirs(config: &BrokerConfig) -> Vec<PathBuf> {
    let mut dirs = config.log_dirs.clone();
    if !dirs.contains(&config.metadata_log_dir) {
        dirs.push(config.metadata_log_dir.clone());
    }
    dirs
}

/// Whether this node is broker and controller, and its quorum has nobody else.
pub(crate) fn is_alone(config: &BrokerConfig) -> bool {
    config.is_broker
        && config.is_controller
        && config
            .controller_quorum_voters
            .iter()
            .all(|(id, _)| *id == config.node_id)
        && config
            .values
            .list("controller.quorum.bootstrap.servers")
            .len()
            <= 1
}

/// What a folder says of itself, if it can be used; it is made if it isn't there.
fn usable(dir: &Path) -> io::Result<Option<MetaProperties>> {
    std::fs::create_dir_all(dir)?;
    std::fs::read_dir(dir)?;
    MetaProperties::read(dir)
}

/// Gives a folder an id that was formatted before folders had one.
fn add_directory_id(dir: &Path, metadata_log_dir: &Path) -> anyhow::Result<()> {
    let Ok(Some(properties)) = MetaProperties::read(dir) else {
        return Ok(());
    };
    if properties.directory_id.is_some() {
        return Ok(());
    }
    let with_id = MetaProperties {
        directory_id: Some(random_uuid()),
        ..properties
    };
    match with_id.write(dir) {
        Err(error) if dir == metadata_log_dir => {
            Err(error).with_context(|| format!("write meta.properties in {}", dir.display()))
        }
        Err(error) => {
            warn!(dir = %dir.display(), %error, "the log directory gets no id");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn read(dir: &Path) -> anyhow::Result<Option<MetaProperties>> {
    MetaProperties::read(dir).with_context(|| format!("read meta.properties in {}", dir.display()))
}

fn check_node(dir: &Path, properties: &MetaProperties, node_id: i32) -> anyhow::Result<()> {
    match properties.node_id {
        Some(id) if id != node_id => bail!(
            "{} belongs to node {id}, but this is node {node_id}: check node.id and log.dirs",
            dir.display()
        ),
        _ => Ok(()),
    }
}
