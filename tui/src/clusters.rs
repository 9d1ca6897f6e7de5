//! The clusters that a person has saved, and what it takes to reach one.
//!
//! Owns: the configuration file (`clusters/file.rs`), what an entry says (`clusters/entry.rs`,
//! `clusters/access.rs`), and the way from an entry, an address or a file of Kafka's client properties to a session
//! (`clusters/target.rs`).
//!
//! Invariants:
//! - No secret is written into the configuration file by this program: entries refer to files,
//!   variables and commands.
//! - What a person wrote into the file stays, comments too.
//! - Secrets are read when a cluster is connected to, and not before.

mod access;
mod entry;
mod file;
mod registry;
mod target;

pub use crate::metrics::Endpoints;
pub use access::{ShownLogin, Store, place_of};
pub use entry::{
    Colour, Entry, Level, Login, SecretFrom, legal_name, login_reference, shown_login,
};
pub use file::ClustersFile;
pub use target::{Target, confirmation, connect_confirmation};

#[cfg(test)]
mod tests;
