//! What the broker and the manager both need, and nothing that only one of them needs.

pub mod client;
pub mod config;
pub mod error;
pub mod protocol;
pub mod record;
pub mod schema;
pub mod task;
pub mod time;
pub mod types;
