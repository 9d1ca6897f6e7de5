//! Offsets in a file, as kafka-consumer-groups exports and reads them: `topic,partition,offset`
//! without a header, or with the group in front.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use kafka_shared::types::TopicPartition;

use crate::model::Fault;

use super::AlterOffsets;

/// Lines of a file that are read.
const LINES_MAX: usize = 1_000_000;

/// Writes the offsets that a change leads to; partitions without one are left out.
pub fn write_csv(alter: &AlterOffsets) -> String {
    let mut text = String::new();
    for change in &alter.changes {
        if let Some(to) = &change.to {
            let topic = quoted(&change.topic);
            let _ = writeln!(text, "{topic},{},{}", change.partition, to.offset);
        }
    }
    text
}

fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

/// Files of offsets are small; anything larger is something else.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads a file of offsets for a group. Waits for the disk.
///
/// # Errors
/// `NotFound` where there is no such file; as [`parse_csv`].
pub fn read_csv(file: &Path, group: &str) -> Result<BTreeMap<TopicPartition, i64>, Fault> {
    let what = format!("read {}", file.display());
    let fault = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Fault::not_found(&what, "there is no such file"),
        _ => Fault::refused(&what, error.to_string()),
    };
    let size = std::fs::metadata(file).map_err(fault)?.len();
    if size > FILE_BYTES_MAX {
        let why = format!("{size} bytes are no file of offsets");
        return Err(Fault::refused(&what, why));
    }
    parse_csv(&std::fs::read_to_string(file).map_err(fault)?, group)
}

/// Reads offsets for a group. Lines that name a group count where it is this one.
///
/// # Errors
/// With the first line that is none, and when nothing is there for the group.
pub fn parse_csv(text: &str, group: &str) -> Result<BTreeMap<TopicPartition, i64>, Fault> {
    let what = "read the file of offsets";
    let mut offsets = BTreeMap::new();
    let mut others = 0;
    for (at, line) in text.lines().enumerate() {
        if at >= LINES_MAX {
            let why = format!("it has more than {LINES_MAX} lines");
            return Err(Fault::refused(what, why));
        }
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |why: &str| {
            let why = format!("line {}: {why}: {line}", at + 1);
            Fault::refused(what, why)
                .with_hint("a line is topic,partition,offset, or group,topic,partition,offset")
        };
        let fields = fields(line).ok_or_else(|| wrong("a quote is not closed"))?;
        let (topic, partition, offset) = match &fields[..] {
            [topic, partition, offset] => (topic, partition, offset),
            [of, topic, partition, offset] => {
                if of != group {
                    others += 1;
                    continue;
                }
                (topic, partition, offset)
            }
            _ => return Err(wrong("it has not three or four fields")),
        };
        let partition: i32 = partition
            .trim()
            .parse()
            .map_err(|_| wrong("the partition is no number"))?;
        let offset: i64 = offset
            .trim()
            .parse()
            .map_err(|_| wrong("the offset is no number"))?;
        if topic.is_empty() || partition < 0 {
            return Err(wrong("it names no partition"));
        }
        let key = TopicPartition::new(topic, partition);
        if offsets.insert(key, offset).is_some() {
            return Err(wrong("this partition stands there twice"));
        }
    }
    if offsets.is_empty() {
        let why = match others {
            0 => "it is empty".to_owned(),
            n => format!("none of its {n} lines is of group \"{group}\""),
        };
        return Err(Fault::refused(what, why));
    }
    Ok(offsets)
}

/// The fields of a line; `None` for a quote that is not closed.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' if is_quoted => is_quoted = false,
            '"' if field.is_empty() => is_quoted = true,
            ',' if !is_quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    (!is_quoted).then_some(fields)
}
