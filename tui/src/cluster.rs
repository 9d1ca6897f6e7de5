//! Everything that talks to a cluster: typed calls over Kafka's own protocol.
//!
//! The only file family that sees `kafka_shared::client` and protocol messages. What comes out are
//! the plain types of `model`; what fails is a [`Fault`](crate::model::Fault) for a whole call, a
//! `Cell::Failed` for one partition, a fault in a map for one broker.
//!
//! Invariants:
//! - Every call has a deadline; a slow or dead broker costs its own part of an answer only.
//! - A cluster that lacks an API loses the columns that need it, nothing else.
//! - A read-only session can't send a request that changes anything: [`wire`] hands requests over
//!   by type, and only a session that may write gets the handle that sends the others.

mod admin;
mod commit_tail;
mod configs;
pub mod consumer_protocol;
mod group_answers;
mod group_log;
mod group_look;
mod group_offsets;
mod groups;
mod log_dirs;
mod messages;
mod metadata;
mod metrics;
mod offsets;
mod poller;
mod probe;
mod produce;
mod quorum;
mod quorum_changes;
mod registry;
mod security;
mod seen;
mod streams_groups;
mod transactions;
mod wire;
mod write;

pub use admin::CreatedTopic;
pub use group_log::GroupLogLimits;
pub use messages::{
    Isolation, MessageTail, Pages, ReadFrom, ReadLimits, ReadMessages, TailMessages,
};
pub use metrics::MetricsOptions;
pub use poller::{Interest, PollIntervals, Poller, PollerHandle};
pub use registry::{Registry, RegistryOptions};
pub use wire::{ClusterClient, ConnectOptions};
pub use write::{NewRecord, RecordWriter};

#[cfg(test)]
mod tests;
