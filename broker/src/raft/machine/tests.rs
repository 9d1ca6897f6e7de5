//! Transitions and rules of the machine, by scripts.

mod elections;
mod follower;
mod leader;
mod script;
mod voter_changes;
