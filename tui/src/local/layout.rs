//! How several local nodes make one cluster: their ports, racks, files of properties, first voters.
//!
//! Every node is broker and controller. The quorum is a dynamic one (KIP-853): its first voters are
//! written into every node's folder when it is formatted, which is done once and never again. A
//! node whose data is lost must not come back as the voter that it was.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use kafka_shared::config::properties::Properties;
use kafka_shared::types::{random_uuid, uuid_to_base64};
use serde::{Deserialize, Serialize};

use crate::model::{Fault, FaultKind};

use super::start::{FIRST_PORT, HOST, PORTS_TRIED};

/// More nodes than this are no use on one machine.
pub const NODES_MAX: usize = 9;

/// Kafka's own number of replicas of what must not be lost.
const REPLICAS_MAX: usize = 3;

/// Where ports are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ports {
    /// The brokers' from this one on, without gaps.
    From(u16),
    /// The first free ones from Kafka's own on.
    Near,
    /// Whichever are free.
    Any,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeLayout {
    pub id: i32,
    /// For clients.
    pub port: u16,
    pub controller_port: u16,
    pub rack: Option<String>,
    /// Of its data folder, by which the first voters know it.
    pub directory_id: String,
    /// The installation of Apache Kafka that runs it; `None`: a broker of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apache: Option<PathBuf>,
}

/// A whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterLayout {
    pub cluster_id: String,
    /// By id, from 1 on.
    pub nodes: Vec<NodeLayout>,
    /// For all nodes, over the usual ones.
    pub settings: Vec<(String, String)>,
    /// Whether all data folders were formatted.
    pub is_formatted: bool,
}

impl ClusterLayout {
    /// A new one. Racks are dealt out in turn; none is fine.
    ///
    /// # Errors
    /// When ports that are wanted are in use.
    pub fn new(
        what: &str,
        brokers: usize,
        racks: &[String],
        settings: &[(String, String)],
        ports: Ports,
    ) -> Result<Self, Fault> {
        let ports = choose_ports(what, brokers, ports)?;
        let (broker_ports, controller_ports) = ports.split_at(brokers);
        let pairs = broker_ports.iter().zip(controller_ports);
        let mut racks = racks.iter().cycle();
        let nodes = (1..)
            .zip(pairs)
            .map(|(id, (port, controller_port))| NodeLayout {
                id,
                port: *port,
                controller_port: *controller_port,
                rack: racks.next().cloned(),
                directory_id: uuid_to_base64(random_uuid()),
                apache: None,
            });
        Ok(Self {
            cluster_id: uuid_to_base64(random_uuid()),
            nodes: nodes.collect(),
            settings: settings.to_vec(),
            is_formatted: false,
        })
    }

    /// A node's file of properties; its data goes into `data`.
    pub fn properties(&self, node: &NodeLayout, data: &Path) -> String {
        let replicas = self.nodes.len().min(REPLICAS_MAX).to_string();
        let min_isr = if self.nodes.len() < REPLICAS_MAX {
            "1"
        } else {
            "2"
        };
        let controllers: Vec<String> = self
            .nodes
            .iter()
            .map(|node| format!("{HOST}:{}", node.controller_port))
            .collect();
        let listeners = format!(
            "PLAINTEXT://{HOST}:{},CONTROLLER://{HOST}:{}",
            node.port, node.controller_port
        );
        let usual = [
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", node.id.to_string()),
            ("listeners", listeners),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
            ),
            ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("controller.quorum.bootstrap.servers", controllers.join(",")),
            ("log.dirs", data.display().to_string()),
            ("default.replication.factor", replicas.clone()),
            ("min.insync.replicas", min_isr.to_owned()),
            ("offsets.topic.replication.factor", replicas.clone()),
            // A developer's group has its members at once; waiting for more only costs time.
            ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ];
        let mut properties = Properties::new();
        for (key, value) in usual {
            properties.set(key, value);
        }
        // Kafka's own numbers are right where there are enough nodes for them.
        if self.nodes.len() < REPLICAS_MAX {
            for topic in ["transaction.state.log", "share.coordinator.state.topic"] {
                properties.set(format!("{topic}.replication.factor"), replicas.clone());
                properties.set(format!("{topic}.min.isr"), min_isr);
            }
        }
        if let Some(rack) = &node.rack {
            properties.set("broker.rack", rack.clone());
        }
        for (key, value) in &self.settings {
            properties.set(key.clone(), value.clone());
        }
        properties.to_text(&[])
    }

    /// The first voters, as `format` wants them.
    pub fn initial_controllers(&self) -> String {
        let voter = |node: &NodeLayout| {
            format!(
                "{}@{HOST}:{}:{}",
                node.id, node.controller_port, node.directory_id
            )
        };
        self.nodes.iter().map(voter).collect::<Vec<_>>().join(",")
    }

    /// The arguments that format the folders of the node with this file of properties.
    pub fn format_arguments(&self, properties: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![
            "--config".into(),
            properties.into(),
            "--cluster-id".into(),
            (&self.cluster_id).into(),
            "--initial-controllers".into(),
            self.initial_controllers().into(),
            "--ignore-formatted".into(),
        ];
        let n_apache = self.nodes.iter().filter(|n| n.apache.is_some()).count();
        if (1..self.nodes.len()).contains(&n_apache) {
            for feature in super::apache::FEATURES_OFF {
                arguments.extend(["--feature".into(), feature.into()]);
            }
        }
        arguments
    }
}

/// Ports for the brokers, then as many for the controllers; all are free and no two are the same.
fn choose_ports(what: &str, brokers: usize, ports: Ports) -> Result<Vec<u16>, Fault> {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
    // Held until all are found, so that none is found twice.
    let mut held: Vec<TcpListener> = Vec::new();
    let near = match ports {
        Ports::From(first) => {
            let last = first.checked_add(u16::try_from(brokers).unwrap_or(u16::MAX) - 1);
            let last = last.ok_or_else(|| Fault::refused(what, "there are no such ports"))?;
            for port in first..=last {
                let listener = bind(port).ok_or_else(|| {
                    Fault::refused(what, format!("port {port} is in use"))
                        .with_hint("stop what uses it, or choose others with --port")
                })?;
                held.push(listener);
            }
            last.checked_add(1)
        }
        Ports::Near => Some(FIRST_PORT),
        Ports::Any => None,
    };
    if let Some(near) = near {
        let tried = (near..=near.saturating_add(PORTS_TRIED)).filter_map(bind);
        held.extend(tried.take((2 * brokers).saturating_sub(held.len())));
    }
    while held.len() < 2 * brokers {
        let any = bind(0).ok_or_else(|| {
            Fault::new(FaultKind::Failed, what, "no port is free on this machine")
        })?;
        held.push(any);
    }
    let ports = held
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()));
    let ports: std::io::Result<Vec<u16>> = ports.collect();
    ports.map_err(|error| Fault::new(FaultKind::Failed, what, error.to_string()))
}
