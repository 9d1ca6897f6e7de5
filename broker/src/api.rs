//! api.

pub mod topic_name;
