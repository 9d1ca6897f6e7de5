//! A cluster manager for Kafka that runs in a terminal.

pub mod cli;
pub mod cluster;
pub mod clusters;
pub mod connect;
pub mod decode;
pub mod demo;
pub mod derive;
pub mod docs;
pub mod exporter;
pub mod local;
pub mod metrics;
pub mod model;
pub mod ops;
pub mod output;
pub mod recording;
pub mod state;
pub mod times;
pub mod transfer;
pub mod ui;
pub mod units;
