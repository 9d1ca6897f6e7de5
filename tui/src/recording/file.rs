//! The files of a recording: written by a thread of their own, read line by line.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kafka_shared::task;
use kafka_shared::types::{random_uuid, uuid_to_base64};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::codec::{Decoder, Encoder, Told};
use super::form::{Header, VERSION};
use crate::model::{Fault, FaultKind, Taken, Update};

/// Updates that wait for the disk.
const QUEUE_MAX: usize = 1_024;
/// No line of a sound recording is longer.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The smallest size that a file is cut at.
const CUT_BYTES_MIN: u64 = 64 * 1024;

/// How to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub file: PathBuf,
    /// Of both files together, about.
    pub bytes_max: u64,
}

fn fault(what: &str, path: &Path, error: &io::Error) -> Fault {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => FaultKind::NotFound,
        io::ErrorKind::AlreadyExists => FaultKind::AlreadyExists,
        _ => FaultKind::Failed,
    };
    Fault::new(kind, what, format!("{}: {error}", path.display()))
}

enum Message {
    Update(Box<Update>, Taken),
    Cluster(String, Taken),
    /// Answered when everything before it is written.
    Flush(tokio::sync::oneshot::Sender<()>),
}

/// Writes a recording. Cloning gives another handle of the same; the file is whole when the last
/// one is dropped and the thread has ended.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: mpsc::Sender<Message>,
    lost: Arc<AtomicU64>,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Recorder {
    /// Makes the file and begins.
    ///
    /// # Errors
    /// It exists already, or can't be made.
    pub fn start(options: &Options, cluster: &str) -> Result<Self, Fault> {
        let header = Header {
            kafka_tui_recording: VERSION,
            id: uuid_to_base64(random_uuid()),
            part: 0,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: cluster.to_owned(),
        };
        let mut writer = Writer::start(options, header).map_err(|error| {
            let made = fault("record", &options.file, &error);
            match made.kind {
                FaultKind::AlreadyExists => made.with_hint("name another file, or delete it"),
                _ => made,
            }
        })?;
        let (queue, mut messages) = mpsc::channel(QUEUE_MAX);
        let recorder = Self {
            queue,
            lost: Arc::new(AtomicU64::new(0)),
            fault: Arc::new(Mutex::new(None)),
        };
        let (lost, failed) = (Arc::clone(&recorder.lost), Arc::clone(&recorder.fault));
        let path = options.file.clone();
        drop(task::spawn_blocking("recorder", move || {
            while let Some(message) = messages.blocking_recv() {
                let n_lost = lost.swap(0, Ordering::Relaxed);
                let is_last = messages.is_empty();
                if let Err(error) = writer.take(message, n_lost, is_last) {
                    *failed.lock() = Some(fault("record", &path, &error));
                    return;
                }
            }
        }));
        Ok(recorder)
    }

    /// Keeps an update, without waiting.
    pub fn note(&self, update: &Update, at: Taken) {
        self.send(Message::Update(Box::new(update.clone()), at));
    }

    /// What comes from here on is of another cluster.
    pub fn cluster(&self, name: &str, at: Taken) {
        self.send(Message::Cluster(name.to_owned(), at));
    }

    fn send(&self, message: Message) {
        if self.queue.try_send(message).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Why nothing is recorded any more.
    pub fn fault(&self) -> Option<Fault> {
        self.fault.lock().clone()
    }

    /// Waits until everything is in the file.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn flush(&self) -> Result<(), Fault> {
        let (done, waited) = tokio::sync::oneshot::channel();
        // An ended thread drops the question, which ends the wait too.
        let _ = self.queue.send(Message::Flush(done)).await;
        let _ = waited.await;
        self.fault().map_or(Ok(()), Err)
    }
}

struct Writer {
    path: PathBuf,
    cut_bytes: u64,
    header: Header,
    file: BufWriter<File>,
    n_bytes: u64,
    encoder: Encoder,
    /// Of the newest message.
    at: Taken,
}

impl Writer {
    fn start(options: &Options, header: Header) -> io::Result<Self> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .open(&options.file)?;
        let mut writer = Self {
            path: options.file.clone(),
            cut_bytes: (options.bytes_max / 2).max(CUT_BYTES_MIN),
            header,
            file: BufWriter::new(file),
            n_bytes: 0,
            encoder: Encoder::default(),
            at: Taken::default(),
        };
        writer.write_header()?;
        Ok(writer)
    }

    fn write_header(&mut self) -> io::Result<()> {
        let mut line = serde_json::to_string(&self.header)?;
        line.push('\n');
        self.write(&line)?;
        self.file.flush()
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.n_bytes += line.len() as u64;
        self.file.write_all(line.as_bytes())
    }

    fn take(&mut self, message: Message, n_lost: u64, is_last: bool) -> io::Result<()> {
        if let Message::Update(_, at) | Message::Cluster(_, at) = &message {
            self.at = *at;
        }
        if n_lost > 0
            && let Some(line) = self.encoder.lost(n_lost, self.at)
        {
            self.write(&line)?;
        }
        let line = match message {
            Message::Update(update, at) => self.encoder.line(&update, at),
            Message::Cluster(name, at) => {
                self.header.cluster.clone_from(&name);
                self.encoder.cluster(&name, at)
            }
            Message::Flush(done) => {
                self.file.flush()?;
                let _ = done.send(());
                return Ok(());
            }
        };
        if let Some(line) = line {
            self.write(&line)?;
        }
        if self.n_bytes > self.cut_bytes {
            self.cut()?;
        }
        // A line for each read of a cluster: whoever looks at the file sees whole ones.
        if is_last { self.file.flush() } else { Ok(()) }
    }

    /// Goes on in a new file that begins with everything that is known.
    fn cut(&mut self) -> io::Result<()> {
        self.file.flush()?;
        rename(&self.path, &older(&self.path))?;
        let file = File::options()
            .write(true)
            .create_new(true)
            .open(&self.path)?;
        self.file = BufWriter::new(file);
        self.n_bytes = 0;
        self.header.part += 1;
        self.write_header()?;
        for line in self.encoder.all() {
            self.write(&line)?;
        }
        // What does not fit twice is not cut at every line.
        self.cut_bytes = self.cut_bytes.max(2 * self.n_bytes);
        self.file.flush()
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the durable rename belongs to the broker's log; a lost recording loses no data"
)]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// The file with what came before.
fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// What a recording says, in order.
#[derive(Debug)]
pub enum Played {
    Update(Update, Taken),
    /// Another cluster from here on.
    Cluster(String),
    /// So many updates are missing here.
    Lost(u64),
}

/// Reads a recording, from the older of its files on; whether its last line is torn.
///
/// # Errors
/// It can't be read, is no recording, is damaged in its middle, or is of a newer version.
pub fn play(path: &Path, mut told: impl FnMut(Played)) -> Result<bool, Fault> {
    let mut lines = Lines::open(path)?;
    let before = older(path);
    let earlier = Lines::open(&before).ok().filter(|earlier| {
        earlier.header.id == lines.header.id && earlier.header.part + 1 == lines.header.part
    });
    let first = earlier
        .as_ref()
        .map_or(&lines.header, |earlier| &earlier.header);
    told(Played::Cluster(first.cluster.clone()));
    if let Some(mut earlier) = earlier {
        earlier.play(&mut told)?;
    }
    lines.play(&mut told)
}

struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    header: Header,
    n_lines: u64,
}

const WHAT: &str = "play a recording";

impl Lines {
    fn open(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path).map_err(|error| fault(WHAT, path, &error))?;
        let mut reader = BufReader::new(file);
        let refused = |why: &str| Fault::refused(WHAT, format!("{}: {why}", path.display()));
        let mut text = Vec::new();
        // A header is short; what is none may be of any length.
        let limited = reader.by_ref().take(64 * 1024).read_until(b'\n', &mut text);
        limited.map_err(|error| fault(WHAT, path, &error))?;
        // What a later version adds to the header must not keep it from being told.
        #[derive(serde::Deserialize)]
        struct Version {
            kafka_tui_recording: u32,
        }
        let version: Version =
            serde_json::from_slice(&text).map_err(|_| refused("it is no recording"))?;
        if version.kafka_tui_recording > VERSION {
            let why = format!(
                "it is of version {}, and this program reads {VERSION}",
                version.kafka_tui_recording
            );
            return Err(refused(&why).with_hint("play it with a newer kafka-tui"));
        }
        let header = serde_json::from_slice(&text).map_err(|_| refused("its header is damaged"))?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            header,
            n_lines: 1,
        })
    }

    fn play(&mut self, told: &mut impl FnMut(Played)) -> Result<bool, Fault> {
        let mut decoder = Decoder::default();
        let mut text = Vec::new();
        loop {
            text.clear();
            let limited = self.reader.by_ref().take(LINE_BYTES_MAX);
            let n = { limited }.read_until(b'\n', &mut text);
            let n = n.map_err(|error| fault(WHAT, &self.path, &error))?;
            if n == 0 {
                return Ok(false);
            }
            self.n_lines += 1;
            if text.last() != Some(&b'\n') {
                // It was torn while it was written.
                return Ok(true);
            }
            let line = std::str::from_utf8(&text).map_err(|error| error.to_string());
            match line.and_then(|line| decoder.read(line)) {
                Ok(Told::Update(update, at)) => told(Played::Update(update, at)),
                Ok(Told::Cluster(name)) => told(Played::Cluster(name)),
                Ok(Told::Lost(n)) => told(Played::Lost(n)),
                Err(why) => {
                    let path = self.path.display();
                    let why = format!("{path}: line {} is damaged: {why}", self.n_lines);
                    return Err(Fault::refused(WHAT, why));
                }
            }
        }
    }
}
