//! A cluster manager for Kafka that runs in a terminal.
