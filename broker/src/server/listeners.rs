//! The sockets of a node, bound before anything is recovered, and what others are told of them.
//!
//! Kafka: `SocketServer.scala`, `ListenerInfo.java`, `KafkaConfig.effectiveAdvertised…` (4.3).

use anyhow::Context as _;

use super::folders;
use crate::{
    config::{BrokerConfig, Listener, listeners::advertised_host},
    metadata::ListenerEndpoint,
    network::{BoundListener, ListenerConfig},
    raft::VoterEndpoint,
};

/// The bound listeners of both roles.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) broker: Vec<BoundListener>,
    pub(super) controller: Vec<BoundListener>,
}

impl Bound {
    /// Takes all ports of the node's roles.
    ///
    /// # Errors
    /// The first one that can't be had.
    pub(super) fn bind(config: &BrokerConfig) -> anyhow::Result<Self> {
        let mut bound = Self {
            broker: Vec::new(),
            controller: Vec::new(),
        };
        for listener in &config.listeners.bound {
            let is_controller = config.listeners.is_controller(&listener.name);
            let listener = bind(config, listener)?;
            if is_controller {
                bound.controller.push(listener);
            } else {
                bound.broker.push(listener);
            }
        }
        Ok(bound)
    }

    fn port(&self, name: &str) -> Option<u16> {
        let all = self.broker.iter().chain(&self.controller);
        let bound = all
            .into_iter()
            .find(|listener| &**listener.name() == name)?;
        Some(bound.local_addr().port())
    }

    fn endpoint(&self, listener: &Listener) -> ListenerEndpoint {
        ListenerEndpoint {
            name: listener.name.as_str().into(),
            host: advertised_host(&listener.host).into(),
            port: match listener.port {
                0 => self.port(&listener.name).unwrap_or(0),
                port => port,
            },
            security_protocol: listener.security_protocol.id(),
        }
    }

    /// What clients and brokers are told, with the hosts and ports that the configuration leaves
    /// open.
    pub(super) fn advertised(&self, config: &BrokerConfig) -> Vec<ListenerEndpoint> {
        let listeners = config.listeners.advertised.iter();
        listeners.map(|listener| self.endpoint(listener)).collect()
    }

    /// Where others reach this node's controller; empty without that role.
    ///
    /// The only voter of a quorum is never connected to, but its entry in the voter set must not be
    /// without an address, so there is one also when nothing listens.
    pub(super) fn controllers(&self, config: &BrokerConfig) -> Vec<ListenerEndpoint> {
        if !config.is_controller {
            return Vec::new();
        }
        if self.controller.is_empty() {
            let (name, host, port) = folders::controller_endpoint(config);
            return vec![ListenerEndpoint {
                name: name.into(),
                host: host.into(),
                port,
                security_protocol: 0,
            }];
        }
        let listeners = config.listeners.advertised_controllers.iter();
        listeners.map(|listener| self.endpoint(listener)).collect()
    }
}

fn bind(config: &BrokerConfig, listener: &Listener) -> anyhow::Result<BoundListener> {
    let wanted = ListenerConfig {
        name: listener.name.as_str().into(),
        host: listener.host.clone(),
        port: listener.port,
        backlog: config.socket_listen_backlog_size,
    };
    BoundListener::bind(&wanted, &config.network).with_context(|| {
        let Listener {
            name, host, port, ..
        } = listener;
        format!("listen at {name}://{host}:{port}")
    })
}

/// The endpoints as the voter set has them.
pub(super) fn voter_endpoints(endpoints: &[ListenerEndpoint]) -> Vec<VoterEndpoint> {
    let endpoint = |endpoint: &ListenerEndpoint| VoterEndpoint {
        name: endpoint.name.to_string(),
        host: endpoint.host.to_string(),
        port: endpoint.port,
    };
    endpoints.iter().map(endpoint).collect()
}
