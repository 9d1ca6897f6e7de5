//! Names of files and folders, as Kafka's `LogFileUtils` and `LocalLog` spell them.

use std::path::{Path, PathBuf};

use kafka_shared::types::TopicPartition;

pub const LOG: &str = ".log";
pub const INDEX: &str = ".index";
pub const TIME_INDEX: &str = ".timeindex";
pub const TXN_INDEX: &str = ".txnindex";
pub const SNAPSHOT: &str = ".snapshot";
pub const DELETED: &str = ".deleted";
pub const CLEANED: &str = ".cleaned";
pub const SWAP: &str = ".swap";
pub const DELETE_DIR: &str = "-delete";
pub const STRAY_DIR: &str = "-stray";
pub const FUTURE_DIR: &str = "-future";
/// Longest name that file systems take for a folder.
const MAX_NAME: usize = 255;

/// The file of a segment or snapshot: the offset in 20 digits and a suffix.
pub fn file(dir: &Path, offset: i64, suffix: &str) -> PathBuf {
    dir.join(format!("{offset:020}{suffix}"))
}

/// The offset in a file name of the form `<digits><suffix>`, where the suffix begins with a dot.
pub fn offset_of(name: &str) -> Option<i64> {
    let digits = name.split('.').next()?;
    let offset: i64 = digits.parse().ok()?;
    (digits.bytes().all(|byte| byte.is_ascii_digit()) && offset >= 0).then_some(offset)
}

/// What the name of a partition folder says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirKind {
    Current,
    Deleted,
    Stray,
    Future,
}

/// `<topic>-<partition>`.
pub fn partition_dir(tp: &TopicPartition) -> String {
    format!("{}-{}", tp.topic, tp.partition)
}

/// `<topic>-<partition>.<32 hex>-delete`, cut to what file systems take.
pub fn delete_dir(tp: &TopicPartition) -> String {
    unique_dir(tp, DELETE_DIR)
}

/// `<topic>-<partition>.<32 hex>-stray`, cut to what file systems take.
pub fn stray_dir(tp: &TopicPartition) -> String {
    unique_dir(tp, STRAY_DIR)
}

/// `<topic>-<partition>.<32 hex>-future`; `None` when that is longer than file systems take.
pub fn future_dir(tp: &TopicPartition) -> Option<String> {
    let id = uuid::Uuid::new_v4().simple();
    let name = format!("{tp}.{id}{FUTURE_DIR}");
    (name.len() <= MAX_NAME).then_some(name)
}

fn unique_dir(tp: &TopicPartition, suffix: &str) -> String {
    let id = uuid::Uuid::new_v4().simple();
    let tail = format!("-{}.{id}{suffix}", tp.partition);
    let keep = tp.topic.len().min(MAX_NAME - tail.len());
    format!("{}{tail}", &tp.topic[..keep])
}

/// Reads the name of a partition folder. `None` for anything that is not one.
///
/// The topic of a deleted or stray folder may have been cut short.
pub fn parse_partition_dir(name: &str) -> Option<(TopicPartition, DirKind)> {
    let (kind, base) = if let Some(rest) = name.strip_suffix(DELETE_DIR) {
        (DirKind::Deleted, rest.rsplit_once('.')?.0)
    } else if let Some(rest) = name.strip_suffix(STRAY_DIR) {
        (DirKind::Stray, rest.rsplit_once('.')?.0)
    } else if let Some(rest) = name.strip_suffix(FUTURE_DIR) {
        (DirKind::Future, rest.rsplit_once('.')?.0)
    } else {
        (DirKind::Current, name)
    };
    let (topic, partition) = base.rsplit_once('-')?;
    let partition: i32 = partition.parse().ok().filter(|number| *number >= 0)?;
    (!topic.is_empty()).then(|| (TopicPartition::new(topic, partition), kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_are_read_as_kafka_writes_them() {
        let id = "0123456789abcdef0123456789abcdef";
        let cases = [
            ("t-0".to_owned(), Some(("t", 0, DirKind::Current))),
            ("a-b-12".to_owned(), Some(("a-b", 12, DirKind::Current))),
            (
                "__consumer_offsets-49".to_owned(),
                Some(("__consumer_offsets", 49, DirKind::Current)),
            ),
            (format!("t-3.{id}-delete"), Some(("t", 3, DirKind::Deleted))),
            (
                format!("a.b-3.{id}-stray"),
                Some(("a.b", 3, DirKind::Stray)),
            ),
            (format!("t-3.{id}-future"), Some(("t", 3, DirKind::Future))),
            ("t".to_owned(), None),
            ("-0".to_owned(), None),
            ("t-x".to_owned(), None),
            ("t--1".to_owned(), Some(("t-", 1, DirKind::Current))),
            ("lost+found".to_owned(), None),
        ];
        for (name, expected) in cases {
            let parsed = parse_partition_dir(&name);
            let expected = expected.map(|(t, p, kind)| (TopicPartition::new(t, p), kind));
            assert_eq!(parsed, expected, "{name}");
        }
    }

    #[test]
    fn a_long_topic_is_cut_so_that_the_folder_name_fits() {
        let tp = TopicPartition::new("x".repeat(249), 1000);
        let name = delete_dir(&tp);
        assert_eq!(name.len(), 255);
        let (parsed, kind) = parse_partition_dir(&name).unwrap();
        assert_eq!((parsed.partition, kind), (1000, DirKind::Deleted));
    }

    #[test]
    fn offsets_come_from_the_digits_before_the_first_dot() {
        assert_eq!(offset_of("00000000000000000042.log"), Some(42));
        assert_eq!(offset_of("00000000000000000042.index.deleted"), Some(42));
        assert_eq!(offset_of("leader-epoch-checkpoint"), None);
        assert_eq!(offset_of("-1.log"), None);
        assert_eq!(offset_of("+1.log"), None);
    }
}
