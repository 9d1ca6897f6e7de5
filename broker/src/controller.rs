//! The active controller: decides about topics, configurations, brokers and features.
//!
//! * [`handle`] what the rest of the node calls;
//! * [`config`] settings, and what the controller has to ask the configuration table.
//!
//! A request becomes records and a response. It is answered when the records are committed and
//! this node's own image holds them, so that who gets the answer also sees the consequences.
//!
//! Kafka: `org.apache.kafka.controller`, `kafka/server/ControllerApis.scala` (4.3).

pub mod config;
pub mod handle;

pub use config::{ConfigValidator, ControllerConfig, EffectiveConfig};
pub use handle::{ControllerHandle, RequestContext};
