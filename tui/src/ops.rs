//! Everything that changes a cluster, shared by the screens and the command line.
//!
//! An [`Action`] is what somebody wants. [`plan`] turns it into a [`Plan`]: pure, from a snapshot
//! of the cluster, with each change as before and after, with warnings, the command of Kafka's own
//! tools that would do the same, and the action that would undo it. [`check`] lets the broker
//! validate without changing anything where it can. [`execute`] does it and reports per item.
//! [`verify`] reads the cluster again and compares. [`undo`] keeps what takes a change back.
//!
//! Invariants:
//! - Planning reads no clock and no socket; a plan says what it will not do.
//! - A refusal names the reason and what to do about it.
//! - `--read-only` is enforced by [`ClusterClient`](crate::cluster::ClusterClient), below this
//!   layer, so that nothing can forget it; planning is allowed there.

mod action;
pub mod declared;
mod execute;
pub mod execution;
pub mod offsets;
mod plan;
pub mod plan_file;
mod planning;
pub mod reassign;
mod serial;
pub mod undo;
mod verify;

pub use action::{
    AbortTransaction, Action, AddPartitions, AddVoter, AlterConfigs, ApplyTopics, ConfigChange,
    CreateTopic, Direction, ProduceMessage, QuorumAction, Reassign, RunReassign, SecurityAction,
    SetFeature, SetPassword,
};
pub use execute::{check, execute};
pub use offsets::{AlterOffsets, ResetRequest, ResetScope, ResetTo};
pub use plan::{Change, Danger, ItemReport, Plan, Report, Verification};
pub use planning::{plan, topic_name_fault};
pub use verify::verify;
