//! `partition.metadata`: which topic id a partition folder belongs to.
//!
//! Two lines without a final newline: `version: 0` and `topic_id: <22 characters of base64>`.
//! Kafka: `PartitionMetadataFile`.

use std::io;
use std::path::Path;

use kafka_shared::types::{Uuid, uuid_from_base64, uuid_to_base64};

use super::fsx;

/// Name of the file in a partition folder.
pub const FILE: &str = "partition.metadata";

/// Writes the file; with `sync` it survives a power loss.
pub fn write(dir: &Path, topic_id: Uuid, sync: bool) -> io::Result<()> {
    let text = format!("version: 0\ntopic_id: {}", uuid_to_base64(topic_id));
    fsx::replace(&dir.join(FILE), text.as_bytes(), sync)
}

/// Reads the topic id; none when there is no file.
///
/// # Errors
/// `InvalidData` when the file makes no sense.
pub fn read(dir: &Path) -> io::Result<Option<Uuid>> {
    let path = dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut lines = text.lines();
    let mut value = |key: &str| {
        let rest = lines.next()?.strip_prefix(key)?.strip_prefix(':')?;
        rest.starts_with(char::is_whitespace).then(|| rest.trim())
    };
    let version = value("version").and_then(|version| version.parse::<i32>().ok());
    let topic_id = value("topic_id")
        .and_then(uuid_from_base64)
        .filter(|id| !id.is_nil());
    match (version, topic_id) {
        (Some(0..), Some(id)) => Ok(Some(id)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is damaged: {text:?}", path.display()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_kafkas_bytes() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let id = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
        write(dir.path(), id, true).unwrap();
        let bytes = std::fs::read(dir.path().join(FILE)).unwrap();
        assert_eq!((bytes.len(), bytes.ends_with(b"\n")), (43, false));
        assert_eq!(read(dir.path()).unwrap(), Some(id));
    }

    #[test]
    fn damaged_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "",
            "version: 0",
            "version: x\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ",
            "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
            "version: 0\ntopic_id: nonsense",
            "version: -1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ",
        ] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            assert!(read(dir.path()).is_err(), "{text:?}");
        }
    }
}
