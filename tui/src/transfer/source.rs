//! Records from a file or stdin, read by a thread of its own, a bounded number ahead.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use kafka_shared::task;
use tokio::sync::mpsc;

use crate::cluster::NewRecord;
use crate::model::{Fault, FaultKind};

use super::{WRITE_BYTES, WRITE_RECORDS, lines};

/// Bytes of one line, and of a whole file that is one value: no broker takes more.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Pages that wait to be written.
const AHEAD: usize = 2;

/// What stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// An export.
    #[default]
    Jsonl,
    /// All of it is the value of this record.
    Whole(NewRecord),
    /// Each line is a value of such a record, or with a separator a key and a value.
    Lines(NewRecord, Option<String>),
}

type Page = Result<Vec<NewRecord>, Fault>;

/// A source that is open.
#[derive(Debug)]
pub struct Source(mpsc::Receiver<Page>);

const WHAT: &str = "read the messages";

impl Source {
    /// Opens a file, or stdin for none and for `-`.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn open(path: Option<&Path>, shape: Shape) -> Result<Self, Fault> {
        let path = path.filter(|path| path.as_os_str() != "-");
        let (name, input): (String, Box<dyn Read + Send>) = match path {
            None => ("stdin".to_owned(), Box::new(std::io::stdin())),
            Some(path) => {
                let name = path.display().to_string();
                let file = std::fs::File::open(path).map_err(|error| {
                    Fault::new(FaultKind::Failed, WHAT, format!("{name}: {error}"))
                })?;
                (name, Box::new(file))
            }
        };
        let (sender, receiver) = mpsc::channel(AHEAD);
        drop(task::spawn_blocking("read-messages", move || {
            if let Err(why) = read(BufReader::new(input), shape, &sender) {
                let fault = Fault::new(FaultKind::Failed, WHAT, format!("{name}: {why}"));
                // Nobody listens where writing has failed already.
                let _ = sender.blocking_send(Err(fault));
            }
        }));
        Ok(Self(receiver))
    }

    /// The next records; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<NewRecord>>, Fault> {
        self.0.recv().await.transpose()
    }
}

fn read(mut input: impl BufRead, shape: Shape, sender: &mpsc::Sender<Page>) -> Result<(), String> {
    let mut page = Vec::new();
    let mut size = 0;
    let mut line_number = 0_u64;
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut input).take(LINE_BYTES_MAX + 1);
        let n = match shape {
            Shape::Whole(_) => bounded.read_to_end(&mut line),
            _ => bounded.read_until(b'\n', &mut line),
        };
        let n = n.map_err(|error| error.to_string())?;
        line_number += 1;
        if line.len() as u64 > LINE_BYTES_MAX {
            return Err(format!(
                "line {line_number} has more than {LINE_BYTES_MAX} bytes"
            ));
        }
        let is_last = n == 0 || matches!(shape, Shape::Whole(_));
        if n > 0 || matches!(shape, Shape::Whole(_)) {
            size += line.len();
            let record = record(line, &shape);
            page.extend(record.map_err(|why| format!("line {line_number}: {why}"))?);
        }
        if !page.is_empty() && (is_last || page.len() >= WRITE_RECORDS || size >= WRITE_BYTES) {
            if sender.blocking_send(Ok(std::mem::take(&mut page))).is_err() {
                return Ok(());
            }
            size = 0;
        }
        if is_last {
            return Ok(());
        }
    }
}

/// The record of one line; an empty line of JSON lines is none.
fn record(mut line: Vec<u8>, shape: &Shape) -> Result<Option<NewRecord>, String> {
    if !matches!(shape, Shape::Whole(_)) && line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    match shape {
        Shape::Jsonl => {
            let text = std::str::from_utf8(&line).map_err(|error| error.to_string())?;
            match text.trim() {
                "" => Ok(None),
                text => lines::read(text).map(Some),
            }
        }
        Shape::Whole(own) | Shape::Lines(own, None) => Ok(Some(NewRecord {
            value: Some(Bytes::from(line)),
            ..own.clone()
        })),
        Shape::Lines(own, Some(separator)) => {
            let separator = separator.as_bytes();
            let at = line
                .windows(separator.len().max(1))
                .position(|part| part == separator)
                .ok_or("the separator of key and value is missing")?;
            let line = Bytes::from(line);
            Ok(Some(NewRecord {
                key: Some(line.slice(..at)),
                value: Some(line.slice(at + separator.len()..)),
                ..own.clone()
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, shape: Shape) -> Result<Vec<NewRecord>, String> {
        let (sender, mut receiver) = mpsc::channel(100);
        read(text.as_bytes(), shape, &sender)?;
        drop(sender);
        let mut records = Vec::new();
        while let Ok(page) = receiver.try_recv() {
            records.extend(page.map_err(|fault| fault.why)?);
        }
        Ok(records)
    }

    fn texts(records: &[NewRecord]) -> Vec<(Option<&str>, &str)> {
        records
            .iter()
            .map(|record| {
                let key = record
                    .key
                    .as_deref()
                    .map(|key| std::str::from_utf8(key).unwrap());
                let value = record.value.as_deref().unwrap();
                (key, std::str::from_utf8(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn lines_files_and_keys_become_records() {
        let own = NewRecord {
            partition: Some(2),
            ..NewRecord::default()
        };
        let lines = all("a\r\n\nb", Shape::Lines(own.clone(), None)).unwrap();
        assert_eq!(texts(&lines), [(None, "a"), (None, ""), (None, "b")]);
        assert!(lines.iter().all(|record| record.partition == Some(2)));
        let keyed = all("k:v:w\n:x", Shape::Lines(own.clone(), Some(":".to_owned()))).unwrap();
        assert_eq!(texts(&keyed), [(Some("k"), "v:w"), (Some(""), "x")]);
        let why = all("k:v\nw", Shape::Lines(own.clone(), Some(":".to_owned()))).unwrap_err();
        assert!(why.starts_with("line 2: the separator"), "{why}");
        let whole = all("a\nb\n", Shape::Whole(own)).unwrap();
        assert_eq!(texts(&whole), [(None, "a\nb\n")]);
        let why = all("{\"value\":\"a\"}\n\n{", Shape::Jsonl).unwrap_err();
        assert!(why.starts_with("line 3: EOF"), "{why}");
        assert_eq!(all("", Shape::Jsonl).unwrap(), []);
    }

    #[test]
    fn a_long_file_comes_in_pages() {
        let text = "x\n".repeat(WRITE_RECORDS * 2 + 1);
        let lines = all(&text, Shape::Lines(NewRecord::default(), None)).unwrap();
        assert_eq!(lines.len(), WRITE_RECORDS * 2 + 1);
    }
}
