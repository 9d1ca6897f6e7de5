//! Kafka's checkpoint files: text, one fact per line.
//!
//! `0` (version), the number of entries, then the entries; an empty file has none. Offset checkpoints of a
//! log folder have lines `<topic> <partition> <offset>`. Always replaced as a whole.
//! Kafka: `CheckpointFile`, `OffsetCheckpointFile`.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use kafka_shared::types::TopicPartition;

use super::fsx;

/// Offsets below which everything was on disk.
pub const RECOVERY_POINT: &str = "recovery-point-offset-checkpoint";
/// High watermarks.
pub const HIGH_WATERMARK: &str = "replication-offset-checkpoint";
/// Log start offsets that lie inside a segment.
pub const LOG_START: &str = "log-start-offset-checkpoint";
/// How far compaction has come; kept for Apache Kafka.
pub const CLEANER: &str = "cleaner-offset-checkpoint";

/// The entry lines of a checkpoint.
///
/// # Errors
/// `InvalidData` for another version or a wrong number of entries.
pub fn entries(text: &str) -> io::Result<Vec<&str>> {
    let mut lines = text.lines();
    let Some(version) = lines.next() else {
        return Ok(Vec::new());
    };
    if version != "0" {
        return Err(malformed(version));
    }
    let Some(count) = lines.next() else {
        return Ok(Vec::new());
    };
    let entries: Vec<&str> = lines.collect();
    if count.parse() == Ok(entries.len()) {
        Ok(entries)
    } else {
        Err(malformed(count))
    }
}

/// The text of a checkpoint.
pub fn text<S: AsRef<str>>(lines: &[S]) -> String {
    let mut text = format!("0\n{}\n", lines.len());
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    text
}

/// The error for a line that makes no sense.
pub fn malformed(line: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("malformed checkpoint line {line:?}"),
    )
}

/// Reads an offset checkpoint; a missing or empty file has no entries.
pub fn read_offsets(path: &Path) -> io::Result<HashMap<TopicPartition, i64>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        other => other?,
    };
    let parse = |line: &str| {
        let mut fields = line.split_whitespace();
        let topic = fields.next()?;
        let partition = fields.next()?.parse().ok()?;
        let offset = fields.next()?.parse().ok()?;
        fields
            .next()
            .is_none()
            .then(|| (TopicPartition::new(topic, partition), offset))
    };
    entries(&text)?
        .into_iter()
        .map(|line| parse(line).ok_or_else(|| malformed(line)))
        .collect()
}

/// Replaces an offset checkpoint.
pub fn write_offsets(
    path: &Path,
    offsets: impl IntoIterator<Item = (TopicPartition, i64)>,
) -> io::Result<()> {
    let lines: Vec<String> = offsets
        .into_iter()
        .map(|(tp, offset)| format!("{} {} {offset}", tp.topic, tp.partition))
        .collect();
    fsx::write_atomically(path, text(&lines).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_survive_in_kafkas_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RECOVERY_POINT);
        assert!(read_offsets(&path).unwrap().is_empty());
        write_offsets(&path, [(TopicPartition::new("a-b.c", 3), 42)]).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "0\n1\na-b.c 3 42\n"
        );
        let expected = HashMap::from([(TopicPartition::new("a-b.c", 3), 42)]);
        assert_eq!(read_offsets(&path).unwrap(), expected);
    }

    #[test]
    fn damaged_checkpoints_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RECOVERY_POINT);
        for broken in [
            "2\n0\n",
            "0\n2\na 0 1\n",
            "0\n1\na 0\n",
            "0\n1\na 0 1 2\n",
            "0\n1\na x 1\n",
        ] {
            std::fs::write(&path, broken).unwrap();
            assert!(read_offsets(&path).is_err(), "{broken:?}");
        }
        for empty in ["", "0\n", "0\n0\n"] {
            std::fs::write(&path, empty).unwrap();
            assert!(read_offsets(&path).unwrap().is_empty(), "{empty:?}");
        }
    }
}
