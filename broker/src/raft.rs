//! KRaft's Raft, which replicates the metadata log: a pure state machine and its driver.
//!
//! * [`state`] the machine: roles, votes, epochs, high watermark; no I/O, no clock;
//! * [`machine`] the same for a quorum of many, to replace it;
//! * [`rpc`] what the nodes of a quorum say to each other;
//! * [`voters`] who votes, read from the log's control records;
//! * [`quorum_records`] what the log's control records say;
//! * [`quorum_state`] the file with the epoch and the vote;
//! * [`store`] the log that the driver writes, behind a small trait;
//! * [`driver`] the thread that owns the log: appends, flushes, and only then commits.
//!
//! Invariants: at most one leader per epoch; a vote or an epoch is on disk before anybody is told;
//! what is committed is flushed on a majority of voters; the high watermark never goes back.
//!
//! Deliberately not here yet: the RPCs between voters. The machine takes votes and fetch offsets
//! of others as inputs, but the driver runs a quorum of one only and refuses a larger voter set.
//!
//! Kafka: `org.apache.kafka.raft` (4.3), KIP-595, KIP-853.

pub mod driver;
pub mod log_store;
pub mod machine;
pub mod quorum_records;
pub mod quorum_state;
pub mod rpc;
pub mod state;
pub mod store;
pub mod voters;

pub use driver::{LeaderAndEpoch, RaftConfig, RaftHandle};
pub use voters::{ReplicaKey, VoterEndpoint, VoterNode, VoterSet};

#[cfg(test)]
mod tests;
