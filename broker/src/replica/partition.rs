//! One partition's replica on this broker.

pub mod state;
