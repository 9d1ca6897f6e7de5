//! Files written by Apache Kafka, for tests; tests/golden/PROVENANCE.txt says how.

use super::batch::{Batch, batches};
use super::compression::Compression;

pub(crate) const RECORDS: [(Compression, &[u8]); 5] = [
    (
        Compression::None,
        include_bytes!("../../tests/golden/records_none.log"),
    ),
    (
        Compression::Gzip,
        include_bytes!("../../tests/golden/records_gzip.log"),
    ),
    (
        Compression::Snappy,
        include_bytes!("../../tests/golden/records_snappy.log"),
    ),
    (
        Compression::Lz4,
        include_bytes!("../../tests/golden/records_lz4.log"),
    ),
    (
        Compression::Zstd,
        include_bytes!("../../tests/golden/records_zstd.log"),
    ),
];
pub(crate) const CONSUMER_OFFSETS: &[u8] =
    include_bytes!("../../tests/golden/consumer_offsets.log");
pub(crate) const TRANSACTION_STATE: &[u8] =
    include_bytes!("../../tests/golden/transaction_state.log");
pub(crate) const METADATA: [(&str, &[u8]); 4] = [
    (
        "log",
        include_bytes!("../../tests/golden/cluster_metadata.log"),
    ),
    (
        "snapshot",
        include_bytes!("../../tests/golden/cluster_metadata_167_1.checkpoint"),
    ),
    (
        "first snapshot",
        include_bytes!("../../tests/golden/cluster_metadata_0_0.checkpoint"),
    ),
    (
        "bootstrap",
        include_bytes!("../../tests/golden/bootstrap.checkpoint"),
    ),
];

/// All golden files.
pub(crate) fn files() -> impl Iterator<Item = &'static [u8]> {
    let records = RECORDS.iter().map(|(_, bytes)| *bytes);
    let metadata = METADATA.iter().map(|(_, bytes)| *bytes);
    records
        .chain(metadata)
        .chain([CONSUMER_OFFSETS, TRANSACTION_STATE])
}

/// The batches of a file that is known to be whole.
pub(crate) fn all_batches(file: &[u8]) -> Vec<Batch<'_>> {
    batches(file).collect::<Result<_, _>>().unwrap()
}
