//! What the broker and the manager both need, and nothing that only one of them needs.

pub mod client;
pub mod config;
pub mod error;
pub mod http;
pub mod keystore;
pub mod protocol;
pub mod record;
pub mod sasl;
pub mod schema;
pub mod secret;
pub mod task;
pub mod time;
pub mod tls;
pub mod types;
