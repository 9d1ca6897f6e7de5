//! The active controller: decides about topics, configurations, brokers and features.
//!
//! * [`handle`] what the rest of the node calls;
//! * [`config`] settings, and what the controller has to ask the configuration table.
//!
//! A request becomes records and a response. It is answered when the records are committed and
//! this node's own image holds them, so that who gets the answer also sees the consequences.
//!
//! Kafka: `org.apache.kafka.controller`, `kafka/server/ControllerApis.scala` (4.3).

pub mod brokers;
pub mod config;
pub mod configs;
mod driver;
mod error_response;
pub mod features;
pub mod handle;
pub mod heartbeat;
pub mod node;
pub mod partition_change;
pub mod partitions;
pub mod placement;
pub mod random;
pub mod reassignment;
pub mod state;
#[cfg(test)]
pub(crate) mod testing;
pub mod topic_deletion;
pub mod topics;

pub use config::{ConfigValidator, ControllerConfig, EffectiveConfig};
pub use handle::{ControllerHandle, RequestContext};

#[cfg(test)]
mod tests;
