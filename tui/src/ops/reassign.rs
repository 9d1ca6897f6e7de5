//! Reassigning partitions: proposals, previews, and the file format of Kafka's own tool.
//!
//! Pure. A [`Proposal`] is asked for by what shall change ([`Request`]) and answered with an
//! assignment of every partition that changes, no other. [`Preview`] compares it with the present.
//!
//! Invariants of every proposal made here (explicit lists are taken as they are, but checked, and a
//! placement from scratch is what Kafka's own tool makes of it):
//! - A partition keeps its number of replicas, or gets the one asked for, and no replica twice.
//! - Only live brokers receive replicas.
//! - The number of different racks of a partition never falls, unless fewer replicas can't be on
//!   as many.
//! - A replica moves only if the request forces it; the order of those that stay is kept.
//!
//! Kafka: tools/reassign/ReassignPartitionsCommand.java (4.3) for the JSON file.

mod estimate;
mod json;
mod plan_file;
mod planner;
mod preview;

pub use estimate::{Estimate, Pace, estimate, inflow, never_ends, time_text};
pub use json::{parse_assignment, print_assignment};
pub use plan_file::{PlanFile, print_plan};
pub use planner::{Request, place, propose, propose_while, settled};
pub use preview::{BrokerLoad, Preview, PreviewRow, preview, settled_replicas};

#[cfg(test)]
mod tests;
