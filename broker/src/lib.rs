//! A light broker that speaks Kafka's protocol and keeps Kafka's files.

pub mod api;
pub mod cli;
pub mod config;
pub mod controller;
pub mod coordinator;
pub mod log;
pub mod metadata;
pub mod network;
pub mod raft;
pub mod replica;
pub mod server;
#[cfg(test)]
mod simulation;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
