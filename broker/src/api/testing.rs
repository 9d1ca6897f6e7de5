//! Requests of followers without a network, for tests of replication.

pub(crate) use super::fetch::fetch_in_memory;
pub(crate) use super::list_offsets::list_offsets as list_offsets_in_memory;
