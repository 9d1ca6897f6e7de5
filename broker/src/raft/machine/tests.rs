//! Transitions and rules of the machine, by scripts.

mod elections;
mod follower;
mod leader;
mod roles;
mod script;
mod transcript;
mod voter_changes;
