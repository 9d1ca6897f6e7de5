//! Reassigning partitions: proposals, previews, and the file format of Kafka's own tool.
//!
//! Pure. A [`Proposal`] is asked for by what shall change ([`Request`]) and answered with an
//! assignment of every partition that changes, no other. [`Preview`] compares it with the present.
//!
//! Invariants of every proposal made here (explicit lists are taken as they are, but checked):
//! - A partition keeps its number of replicas, and no replica twice.
//! - Only live brokers receive replicas.
//! - The number of different racks of a partition never falls.
//! - A replica moves only if the request forces it; the order of those that stay is kept.
//!
//! Kafka: tools/reassign/ReassignPartitionsCommand.java (4.3) for the JSON file.

mod json;
mod planner;
mod preview;

pub use json::{parse_assignment, print_assignment};
pub use planner::{Request, propose, settled};
pub use preview::{BrokerLoad, Preview, PreviewRow, preview, settled_replicas};

#[cfg(test)]
mod tests;
