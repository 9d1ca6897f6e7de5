//! The active controller: decides about topics, configurations, brokers and features.
//!
//! * [`channel`] what the rest of the node calls: the active controller, here or elsewhere;
//! * [`handle`] the controller of this node;
//! * [`config`] settings, and what the controller has to ask the configuration table.
//!
//! A request becomes records and a response. It is answered when the records are committed and
//! this node's own image holds them, so that who gets the answer also sees the consequences.
//!
//! Kafka: `org.apache.kafka.controller`, `kafka/server/ControllerApis.scala` (4.3).

pub mod brokers;
pub mod channel;
pub mod config;
pub mod configs;
mod driver;
pub(crate) mod error_response;
pub mod features;
pub mod handle;
pub mod heartbeat;
pub mod node;
pub(crate) mod not_controller;
pub mod partition_change;
pub mod partitions;
pub mod placement;
pub mod principal;
pub mod quotas;
pub mod random;
pub mod reassignment;
pub mod scram;
pub mod state;
#[cfg(test)]
pub(crate) mod testing;
pub mod topic_deletion;
pub mod topics;
mod watch;

pub use channel::{ChannelConfig, ControllerChannel};
pub use config::{ConfigValidator, ControllerConfig, EffectiveConfig};
pub use handle::{ControllerHandle, RequestContext};
pub use principal::Principal;

#[cfg(test)]
pub(crate) mod tests;
