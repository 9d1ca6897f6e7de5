//! Replicas on this broker.

pub mod delayed;
pub mod fetch_session;
pub mod partition;
