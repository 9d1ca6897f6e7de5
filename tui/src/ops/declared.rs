//! Topics that are declared in files: read, compared with a cluster, applied, and written from one.
//!
//! [`read`](read::read) takes TOML, YAML and JSON, files and folders, into a [`Declared`].
//! [`compare`](compare::compare) is pure: it says for each topic what differs from the cluster, and
//! which action would make it so. [`export`](export::print) writes such files.
//!
//! Invariants:
//! - What is not declared of a topic is left as it is, unless `prune` is asked for; topics that are
//!   not declared are left alone, unless their deletion is asked for.
//! - A topic whose name begins with an underscore, or that Kafka calls internal, is never deleted.
//! - Applying twice changes nothing the second time: what is declared and what is compared are the
//!   same words.
//! - A file is read whole or refused: an unknown field, a topic that is there twice, another
//!   cluster's id. Each complaint names file, line and topic.

mod compare;
mod document;
mod export;
mod file;
mod prepare;
mod read;

use std::fmt;
use std::sync::Arc;

pub use compare::{Compared, Difference, Drift, DriftState, Wanted, compare};
pub use export::{ExportFormat, Exported, declare, print, write_files};
pub use prepare::{Prepared, export, prepare};
pub use read::{parse, read};

/// What is tried, in the words of every refusal here.
const WHAT: &str = "read the declared topics";

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: Arc<str>,
    /// From 1 on; 0 where it is not known.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// A setting of a declared topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    /// `None`: the topic has none of its own.
    pub value: Option<String>,
    pub line: usize,
}

/// One declared topic. What is `None` is left as it is, and to the broker where the topic is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredTopic {
    pub name: String,
    pub at: Place,
    pub partitions: Option<i32>,
    pub replication_factor: Option<i16>,
    /// Replicas of each partition from 0 on, the preferred leader first.
    pub replicas: Option<Vec<Vec<i32>>>,
    /// The brokers that may have replicas.
    pub brokers: Option<Vec<i32>>,
    pub settings: Vec<Setting>,
}

/// All that some files declare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// In the order of the files and in them.
    pub topics: Vec<DeclaredTopic>,
    /// The ids of the cluster that they are for, where they say.
    pub cluster_ids: Vec<(String, Place)>,
    /// Undeclared topics of such names are never deleted; `*` stands for anything.
    pub keep: Vec<String>,
    pub files: Vec<String>,
}

#[cfg(test)]
mod tests;
