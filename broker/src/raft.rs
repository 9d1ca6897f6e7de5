//! KRaft's Raft, which replicates the metadata log: a pure state machine and its driver.
//!
//! * [`machine`] the machine: roles, votes, epochs, high watermark; no I/O, no clock;
//! * [`rpc`] what the nodes of a quorum say to each other;
//! * [`voters`] who votes, read from the log's control records;
//! * [`quorum_records`] what the log's control records say;
//! * [`quorum_state`] the file with the epoch and the vote;
//! * [`store`] the log that the driver writes, behind a small trait;
//! * [`snapshots`] snapshots' files on their way from node to node;
//! * [`transport`] how requests reach the other nodes;
//! * [`driver`] the thread that owns the log: appends, flushes, and only then commits.
//!
//! Invariants: at most one leader per epoch; a vote or an epoch is on disk before anybody is told;
//! what is committed is flushed on a majority of voters; the high watermark never goes back.
//!
//! Kafka: `org.apache.kafka.raft` (4.3), KIP-595, KIP-853.

pub mod driver;
pub mod log_store;
pub mod machine;
pub mod quorum_records;
pub mod quorum_state;
pub mod rpc;
pub mod snapshots;
pub mod store;
pub mod transport;
pub mod voters;

pub use driver::{LeaderAndEpoch, RaftConfig, RaftHandle};
pub use voters::{ReplicaKey, VoterEndpoint, VoterNode, VoterSet};

#[cfg(test)]
pub(crate) mod simulation;
