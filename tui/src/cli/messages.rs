//! `messages`: read, follow, export, import, copy, produce.
//!
//! Invariants: what is held is bounded whatever a topic's size is; a read says how much it took and
//! where it stopped; an export or a copy that is not whole is an error.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::cluster::{
    ClusterClient, Isolation, NewRecord, ReadFrom, ReadLimits, ReadMessages, TailMessages,
};
use crate::clusters::{Level, Target};
use crate::decode::{Decoder, MessageFilter, SchemaBook};
use crate::model::Fault;
use crate::output::{self, Format, MessagesJson, MovedJson};
use crate::times::parse_time;
use crate::transfer::{self, NewFile, PartitionBy, Shape, Source, Writing};

use super::{ChangeArgs, GlobalArgs, Io};

/// How often progress is told.
const PROGRESS_S: u64 = 5;

#[derive(Debug, Subcommand)]
pub enum MessagesCommand {
    /// Read messages and print them decoded; says how much was read and whether there is more
    #[command(after_help = super::examples::READ)]
    Read(ReadArgs),
    /// Follow new messages until interrupted
    Tail(TailArgs),
    /// Write messages as lines of JSON with nothing lost, to a file or stdout
    Export(ExportArgs),
    /// Write the messages of an export to a topic
    Import(ImportArgs),
    /// Copy a topic's messages to another topic, also of another cluster
    #[command(after_help = super::examples::COPY)]
    Copy(CopyArgs),
    /// Write messages: one, or each line of a file or stdin
    #[command(after_help = super::examples::PRODUCE)]
    Produce(Box<ProduceArgs>),
}

/// Which messages, and how they are read.
#[derive(Clone, Debug, Default, Args)]
pub struct ChoiceArgs {
    /// Only these partitions
    #[arg(long = "partition", value_name = "ID,...", value_delimiter = ',')]
    partitions: Vec<i32>,
    /// Only messages that fit: 'value.user.id == 7 and not header.source ~ test'
    ///
    /// Tests of key, value, key.PATH, value.PATH, header.NAME, partition, offset, time, size,
    /// aborted, control; operators == != < <= > >= ~ (contains) !~ =~ (regular expression); joined
    /// by and, or, not and parentheses. A word alone is looked for in key, value and headers.
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// How keys are read
    #[arg(long, value_name = "DECODER", default_value = "auto", value_parser = decoder)]
    key_decoder: Decoder,
    /// How values are read
    #[arg(long, value_name = "DECODER", default_value = "auto", value_parser = decoder)]
    value_decoder: Decoder,
    /// What is read of transactions; reads show everything and mark it, exports and copies take
    /// what was committed
    #[arg(long, value_enum)]
    isolation: Option<IsolationArg>,
    /// Control records too: markers of transactions
    #[arg(long)]
    control: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum IsolationArg {
    ReadUncommitted,
    ReadCommitted,
}

/// Where reading begins.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// `beginning`, `end` (the newest ones), an offset, or a time: 2026-11-21T13:45, 13:45, 10m
    /// ago as 10m
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    /// Offsets of single partitions, as a read prints them to go on: 0:120,1:77
    #[arg(long, value_name = "PARTITION:OFFSET,...", value_delimiter = ',', value_parser = place)]
    start: Vec<(i32, i64)>,
}

#[derive(Debug, Args)]
pub struct ReadArgs {
    /// The topic's name
    topic: String,
    #[command(flatten)]
    place: PlaceArgs,
    /// So many messages at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Stop after so many bytes
    #[arg(long, value_name = "N", default_value_t = 256 * 1024 * 1024)]
    max_bytes: u64,
    /// Stop after this long
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = super::wait::duration)]
    max_time: Duration,
    #[command(flatten)]
    choice: ChoiceArgs,
}

#[derive(Debug, Args)]
pub struct TailArgs {
    /// The topic's name
    topic: String,
    /// Begin with the newest so many
    #[arg(long, value_name = "N", default_value_t = 0)]
    last: usize,
    /// End after so many messages
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    /// End after this long
    #[arg(long, value_name = "TIME", value_parser = super::wait::duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    choice: ChoiceArgs,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The topic's name
    topic: String,
    /// Write here instead of stdout; a file that exists is not overwritten
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
    /// So many messages at most
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    choice: ChoiceArgs,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The topic to write to
    topic: String,
    /// The export; stdin if absent or `-`
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Which partition each message goes to
    #[arg(long, value_enum, default_value_t)]
    partition_by: PartitionBy,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
pub struct CopyArgs {
    /// The topic to read
    #[arg(value_name = "FROM")]
    source: String,
    /// The topic to write to, which is there already
    #[arg(value_name = "TO")]
    target: String,
    /// The saved cluster to write to; this one if absent
    #[arg(long, value_name = "NAME", conflicts_with = "to_bootstrap")]
    to_cluster: Option<String>,
    /// The brokers to write to
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    to_bootstrap: Vec<kafka_shared::types::Endpoint>,
    /// Which partition each message goes to
    #[arg(long, value_enum, default_value_t)]
    partition_by: PartitionBy,
    #[command(flatten)]
    place: PlaceArgs,
    /// So many messages at most
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

/// What stands in a file of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// A value on each line
    #[default]
    Lines,
    /// The whole file is one value
    Whole,
    /// As `messages export` writes it
    Jsonl,
}

#[derive(Debug, Args)]
pub struct ProduceArgs {
    /// The topic to write to
    topic: String,
    /// The key; without one the message has none
    #[arg(long)]
    key: Option<String>,
    /// The value; else it comes from a file or stdin
    #[arg(long, conflicts_with_all = ["file", "tombstone"])]
    value: Option<String>,
    /// Write a null value, which deletes the key in compacted topics
    #[arg(long, requires = "key", conflicts_with = "file")]
    tombstone: bool,
    /// A header; may be given more than once
    #[arg(long = "header", value_name = "KEY=VALUE", value_parser = super::key_value)]
    headers: Vec<(String, String)>,
    /// By key if absent
    #[arg(long, value_name = "ID")]
    partition: Option<i32>,
    /// Read values from here; stdin if absent or `-`
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What the file or stdin holds
    #[arg(long, value_enum, default_value_t)]
    format: FileFormat,
    /// What stands between key and value on each line
    #[arg(long, value_name = "TEXT", conflicts_with = "key")]
    key_separator: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

fn decoder(text: &str) -> Result<Decoder, String> {
    text.parse()
}

fn place(text: &str) -> Result<(i32, i64), String> {
    let pair = text.split_once(':');
    let pair = pair.and_then(|(id, offset)| Some((id.parse().ok()?, offset.parse().ok()?)));
    pair.ok_or_else(|| "it must have the form PARTITION:OFFSET".to_owned())
}

pub(super) async fn run(
    global: &GlobalArgs,
    command: MessagesCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    match command {
        MessagesCommand::Read(args) => read(global, &args, io).await,
        MessagesCommand::Tail(args) => tail(global, &args, io).await,
        MessagesCommand::Export(args) => export(global, &args, io).await,
        MessagesCommand::Import(args) => import(global, &args, io).await,
        MessagesCommand::Copy(args) => copy(global, &args, io).await,
        MessagesCommand::Produce(args) => produce(global, &args, io).await,
    }
}

impl ChoiceArgs {
    fn filter(&self, now_ms: i64) -> Result<Option<MessageFilter>, Fault> {
        let Some(text) = &self.filter else {
            return Ok(None);
        };
        let filter = MessageFilter::parse(text, &|text| parse_time(text, now_ms));
        filter.map(Some).map_err(|why| {
            Fault::refused(format!("read the filter '{text}'"), why)
                .with_hint("`kafka-tui messages read --help` shows what can be asked")
        })
    }

    fn partitions(&self) -> Option<Vec<i32>> {
        Some(self.partitions.clone()).filter(|ids| !ids.is_empty())
    }

    fn isolation(&self, usual: Isolation) -> Isolation {
        match self.isolation {
            None => usual,
            Some(IsolationArg::ReadCommitted) => Isolation::ReadCommitted,
            Some(IsolationArg::ReadUncommitted) => Isolation::ReadUncommitted,
        }
    }

    fn decoders(&self) -> (Decoder, Decoder) {
        (self.key_decoder, self.value_decoder)
    }

    fn read(
        &self,
        topic: &str,
        place: &PlaceArgs,
        usual: (ReadFrom, Isolation),
        now_ms: i64,
    ) -> Result<ReadMessages, Fault> {
        Ok(ReadMessages {
            topic: topic.to_owned(),
            partitions: self.partitions(),
            from: place.from(usual.0, now_ms)?,
            starts: place.start.iter().copied().collect(),
            limits: ReadLimits::default(),
            isolation: self.isolation(usual.1),
            control: self.control,
            filter: self.filter(now_ms)?,
            decoders: self.decoders(),
        })
    }
}

impl PlaceArgs {
    fn from(&self, usual: ReadFrom, now_ms: i64) -> Result<ReadFrom, Fault> {
        let Some(text) = self.from.as_deref() else {
            return Ok(usual);
        };
        let short: Option<i64> = text.parse().ok().filter(|_| text.len() < 12);
        match (text, short) {
            ("beginning" | "earliest" | "start", _) => Ok(ReadFrom::Start),
            ("end" | "latest", _) => Ok(ReadFrom::End),
            (_, Some(offset)) if offset >= 0 => Ok(ReadFrom::Offset(offset)),
            _ => parse_time(text, now_ms).map(ReadFrom::Time).ok_or_else(|| {
                Fault::refused("read --from", format!("\"{text}\" is no place")).with_hint(
                    "beginning, end, an offset, 2026-11-21T13:45, 13:45, or 10m for an age",
                )
            }),
        }
    }
}

fn book_of(client: &ClusterClient) -> SchemaBook {
    let registry = client.registry();
    registry.map_or_else(SchemaBook::default, |registry| registry.book().clone())
}

async fn read(global: &GlobalArgs, args: &ReadArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    let client = global.client().await?;
    let now_ms = client.now().wall_ms;
    let usual = (ReadFrom::End, Isolation::ReadUncommitted);
    let mut read = args.choice.read(&args.topic, &args.place, usual, now_ms)?;
    read.limits = ReadLimits {
        messages: args.limit,
        bytes: args.max_bytes,
        time_ms: u64::try_from(args.max_time.as_millis()).unwrap_or(u64::MAX),
    };
    let (messages, report) = client.read_messages(&read).await?;
    let book = book_of(&client);
    let decoders = read.decoders;
    let row = |message| output::message_row(message, decoders, &book);
    let report = output::read(&report);
    // What could be read is printed all the same.
    let code = u8::from(!report.failed.is_empty());
    if global.output == Format::Jsonl {
        for message in &messages {
            io.write(&json_line(&row(message)));
        }
        io.tell(&report.line());
        return Ok(code);
    }
    let shown = MessagesJson {
        topic: args.topic.clone(),
        messages: messages.iter().map(row).collect(),
        read: report,
    };
    io.print(global.output, &shown);
    Ok(code)
}

fn json_line(row: &output::MessageRow) -> String {
    let mut text = serde_json::to_string(row).unwrap_or_default();
    text.push('\n');
    text
}

async fn tail(global: &GlobalArgs, args: &TailArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    let client = global.client().await?;
    let now_ms = client.now().wall_ms;
    let choice = &args.choice;
    let place = PlaceArgs {
        from: None,
        start: Vec::new(),
    };
    let usual = (ReadFrom::End, Isolation::ReadUncommitted);
    let mut read = choice.read(&args.topic, &place, usual, now_ms)?;
    let deadline = args.timeout.map(|time| tokio::time::Instant::now() + time);
    let limit = args.limit.unwrap_or(usize::MAX);
    let decoders = read.decoders;
    let book = book_of(&client);
    let mut n = 0;
    let print = |message: &crate::model::Message, io: &mut Io<'_>| {
        let row = output::message_row(message, decoders, &book);
        match global.output {
            Format::Table => io.out.write_all(row.line().as_bytes()),
            Format::Json | Format::Jsonl => io.out.write_all(json_line(&row).as_bytes()),
        }
        .and_then(|()| io.out.flush())
    };
    let mut starts = BTreeMap::new();
    if args.last > 0 {
        read.limits.messages = args.last.min(limit);
        let (messages, report) = client.read_messages(&read).await?;
        starts = report.next.into_iter().collect();
        for message in &messages {
            n += 1;
            if print(message, io).is_err() {
                return Ok(0);
            }
        }
    }
    let tail = TailMessages {
        topic: args.topic.clone(),
        partitions: choice.partitions(),
        starts,
        isolation: read.isolation,
        control: choice.control,
        filter: read.filter,
        decoders,
    };
    let mut tail = client.tail_messages(&tail).await?;
    while n < limit {
        let next = match deadline {
            None => tail.next().await,
            Some(deadline) => match tokio::time::timeout_at(deadline, tail.next()).await {
                Ok(next) => next,
                Err(_) => break,
            },
        };
        match next {
            None => break,
            Some(Ok(message)) => {
                n += 1;
                // A reader that has gone away (`| head`) is no failure.
                if print(&message, io).is_err() {
                    break;
                }
            }
            Some(Err(fault)) => io.tell(&output::error_text(&fault)),
        }
    }
    Ok(0)
}

/// Tells on stderr how far a long command is, not too often.
struct Progress {
    next: tokio::time::Instant,
}

impl Progress {
    fn new() -> Self {
        Self {
            next: tokio::time::Instant::now() + Duration::from_secs(PROGRESS_S),
        }
    }

    fn tell(&mut self, messages: u64, err: &mut dyn std::io::Write) {
        let now = tokio::time::Instant::now();
        if now >= self.next {
            self.next = now + Duration::from_secs(PROGRESS_S);
            // A reader that has gone away is no failure.
            let _ = writeln!(err, "{messages} messages so far");
        }
    }
}

/// What an export or a copy reads: from the start, and what was committed, unless told otherwise.
fn reading(
    client: &ClusterClient,
    choice: &ChoiceArgs,
    topic: &str,
    place: &PlaceArgs,
    limit: Option<usize>,
) -> Result<ReadMessages, Fault> {
    let usual = (ReadFrom::Start, Isolation::ReadCommitted);
    let mut read = choice.read(topic, place, usual, client.now().wall_ms)?;
    read.limits.messages = limit.unwrap_or(usize::MAX);
    Ok(read)
}

async fn export(global: &GlobalArgs, args: &ExportArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    let client = global.client().await?;
    let read = reading(&client, &args.choice, &args.topic, &args.place, args.limit)?;
    let path = args.file.as_deref().filter(|path| path.as_os_str() != "-");
    let mut progress = Progress::new();
    let err = &mut *io.err;
    let tell = |n| progress.tell(n, err);
    let report = match path {
        None => {
            let out = &mut *io.out;
            let mut is_gone = false;
            let put = |text: &str| {
                let done = out.write_all(text.as_bytes());
                is_gone = matches!(&done, Err(error) if error.kind() == ErrorKind::BrokenPipe);
                done
            };
            let report = match transfer::export(&client, &read, put, tell).await {
                // A reader that has seen enough (`| head`) is no failure.
                Err(_) if is_gone => return Ok(0),
                report => report?,
            };
            let _ = io.out.flush();
            report
        }
        Some(path) => {
            let mut file = NewFile::create(path)?;
            let report = transfer::export(&client, &read, |text| file.put(text), tell).await?;
            file.finish()?;
            report
        }
    };
    let done = MovedJson {
        done: "exported",
        from: Some(args.topic.clone()),
        to: args.file.as_ref().map(|path| path.display().to_string()),
        messages: report.messages,
        read: Some(output::read(&report)),
        ..MovedJson::default()
    };
    finish(global, &done, args.file.is_none(), io);
    Ok(0)
}

/// Where stdout holds the messages, what was done goes to stderr.
fn finish(global: &GlobalArgs, done: &MovedJson, to_stderr: bool, io: &mut Io<'_>) {
    match to_stderr {
        true => io.tell(&output::Printable::print(done, Format::Table)),
        false => io.print(global.output, done),
    }
}

/// As every change that can't be taken back is confirmed, by how careful one has to be with the
/// cluster that is written to.
fn confirm_writing(
    what: String,
    target: &Target,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<(), Fault> {
    let by_cluster = matches!(target.level, Level::High).then(|| target.name.clone());
    let Some(wanted) = by_cluster.flatten() else {
        return Ok(());
    };
    if change.yes || change.is_dry(target) {
        return Ok(());
    }
    match (io.ask)(&format!("{what}\nType {wanted} to go on: ")) {
        Some(typed) if typed.trim() == wanted => Ok(()),
        Some(_) => Err(Fault::refused(what, "it was not confirmed")),
        None => Err(Fault::refused(what, "nobody can be asked to confirm it")
            .with_hint("use --yes to go on without a question")),
    }
}

async fn import(global: &GlobalArgs, args: &ImportArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    global.saves_no_plan("import records")?;
    let (client, target) = global.client_and_target().await?;
    let what = format!("import records into topic \"{}\"", args.topic);
    client.refuse_if_read_only(&what)?;
    confirm_writing(what, &target, args.change, io)?;
    let source = Source::open(args.file.as_deref(), Shape::Jsonl)?;
    let (by, dry_run) = (args.partition_by, args.change.is_dry(&target));
    let mut progress = Progress::new();
    let tell = |n| progress.tell(n, &mut *io.err);
    let messages = transfer::import(&client, &args.topic, source, by, dry_run, tell).await?;
    let done = MovedJson {
        done: "imported",
        from: args.file.as_ref().map(|path| path.display().to_string()),
        to: Some(args.topic.clone()),
        dry_run,
        messages,
        ..MovedJson::default()
    };
    io.print(global.output, &done);
    args.change.tell(&target, io);
    Ok(0)
}

async fn copy(global: &GlobalArgs, args: &CopyArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    global.saves_no_plan("copy records")?;
    let (client, here) = global.client_and_target().await?;
    let other = match (&args.to_cluster, &args.to_bootstrap[..]) {
        (None, []) => None,
        _ => {
            let there = GlobalArgs {
                bootstrap: args.to_bootstrap.clone(),
                cluster: args.to_cluster.clone(),
                properties: None,
                registry: None,
                registry_ca: None,
                ..global.clone()
            };
            Some(there.client_and_target().await?)
        }
    };
    if other.is_none() && args.source == args.target {
        let why = "a topic can't be copied to itself: it would never end";
        return Err(Fault::refused("copy messages", why));
    }
    let (to, target) = match &other {
        Some((client, target)) => (client, target),
        None => (&client, &here),
    };
    let what = format!("copy records to topic \"{}\"", args.target);
    to.refuse_if_read_only(&what)?;
    confirm_writing(what, target, args.change, io)?;
    let read = reading(&client, &args.choice, &args.source, &args.place, args.limit)?;
    let dry_run = args.change.is_dry(target);
    let how = (args.partition_by, dry_run);
    let mut progress = Progress::new();
    let tell = |n| progress.tell(n, &mut *io.err);
    let copied = transfer::copy(&client, &read, to, &args.target, how, tell).await?;
    let (messages, report) = copied;
    let done = MovedJson {
        done: "copied",
        from: Some(args.source.clone()),
        to: Some(match &args.to_cluster {
            Some(name) => format!("{} of {name}", args.target),
            None => args.target.clone(),
        }),
        dry_run,
        messages,
        read: Some(output::read(&report)),
        ..MovedJson::default()
    };
    io.print(global.output, &done);
    args.change.tell(target, io);
    Ok(0)
}

async fn produce(global: &GlobalArgs, args: &ProduceArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    global.saves_no_plan("write records")?;
    let (client, target) = global.client_and_target().await?;
    let what = format!("write records to topic \"{}\"", args.topic);
    client.refuse_if_read_only(&what)?;
    confirm_writing(what, &target, args.change, io)?;
    let dry_run = args.change.is_dry(&target);
    let mut writing = Writing::new(&client, &args.topic, dry_run).await?;
    let bytes = |text: &String| bytes::Bytes::from(text.clone().into_bytes());
    let own = NewRecord {
        partition: args.partition,
        timestamp_ms: None,
        key: args.key.as_ref().map(bytes),
        value: args.value.as_ref().map(bytes),
        headers: (args.headers.iter())
            .map(|(key, value)| (key.clone(), Some(bytes(value))))
            .collect(),
    };
    if args.value.is_some() || args.tombstone {
        writing.write(vec![own]).await?;
    } else {
        let shape = match args.format {
            FileFormat::Jsonl => Shape::Jsonl,
            FileFormat::Whole => Shape::Whole(own),
            FileFormat::Lines => Shape::Lines(own, args.key_separator.clone()),
        };
        let source = Source::open(args.file.as_deref(), shape)?;
        let mut progress = Progress::new();
        let tell = |n| progress.tell(n, &mut *io.err);
        writing.write_all(source, PartitionBy::Same, tell).await?;
    }
    let done = MovedJson {
        done: "produced",
        from: args.file.as_ref().map(|path| path.display().to_string()),
        to: Some(args.topic.clone()),
        dry_run,
        messages: writing.messages(),
        partition: writing.last().map(|(partition, _)| partition),
        offset: writing.last().map(|(_, offset)| offset),
        ..MovedJson::default()
    };
    io.print(global.output, &done);
    args.change.tell(&target, io);
    Ok(0)
}
