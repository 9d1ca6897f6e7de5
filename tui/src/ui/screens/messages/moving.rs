//! Export, import and copy: asked for in a form, looked at before anything is written, shown as a
//! plan and confirmed as every other change.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::choice::Choice;
use crate::cluster::{Isolation, NewRecord, ReadFrom, ReadLimits, ReadMessages};
use crate::transfer::{PartitionBy, Shape, Transfer, TransferFrom};
use crate::ui::cx::Cx;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::format;
use crate::ui::screen::{Dialog, Step, Toast};
use crate::ui::screens::declared::at_home;
use crate::ui::widgets::form::{Field, Form, Values, Wrong};

const PARTITIONS: &[&str] = &["the same", "by key"];

/// What a file holds.
const HOLDS: &[&str] = &["an export", "a value on each line", "one value"];

const FROM_NOTE: &str = "start, an offset, 2026-11-21 13:45, 13:45, or 10m for an age";

/// What is read: what was committed, of the partitions and the filter that are chosen.
fn read_of(
    topic: &str,
    choice: &Choice,
    (from, limit): (&str, Option<usize>),
    cx: &Cx<'_>,
) -> Result<ReadMessages, String> {
    let from = from.trim();
    let offset: Option<i64> = from.replace([',', '_'], "").parse().ok();
    let from = match (from, offset) {
        ("" | "start" | "beginning", _) => ReadFrom::Start,
        (_, Some(offset)) if offset >= 0 => ReadFrom::Offset(offset),
        (text, _) => format::parse_time(text, cx.now.wall_ms)
            .map(ReadFrom::Time)
            .ok_or_else(|| format!("\"{text}\" is none of: {FROM_NOTE}"))?,
    };
    Ok(ReadMessages {
        topic: topic.to_owned(),
        partitions: choice.partitions.clone(),
        from,
        limits: ReadLimits {
            messages: limit.unwrap_or(usize::MAX),
            ..ReadLimits::default()
        },
        isolation: Isolation::ReadCommitted,
        filter: choice.filter.clone(),
        decoders: choice.decoders,
        ..ReadMessages::default()
    })
}

/// What is chosen of a topic, to be told before it is taken.
fn chosen(choice: &Choice) -> Vec<String> {
    let mut words = vec!["What was committed is taken.".to_owned()];
    if let Some(ids) = &choice.partitions {
        words.push(format!("Only partitions {}.", format::ids(ids)));
    }
    if let Some(filter) = &choice.filter {
        words.push(format!("Only what fits: {}", format::clean(filter.text())));
    }
    words
}

fn limit(values: &Values<'_>, at: usize) -> Result<Option<usize>, Wrong> {
    match values.number::<usize>(at)? {
        Some(0) => Err(Wrong::new(at, "at least one, or empty for all")),
        limit => Ok(limit),
    }
}

/// Asks for the file that messages are written to.
pub(super) fn export_form(topic: &str, choice: &Choice) -> Form {
    let fields = vec![
        Field::text(
            "file",
            &format!("{topic}.jsonl"),
            "a new file of JSON lines",
        ),
        Field::text("from", "start", FROM_NOTE),
        Field::text("at most", "", "so many messages; empty: all"),
    ];
    let title = format!("export messages of {}", format::clean(topic));
    let (topic, choice) = (topic.to_owned(), choice.clone());
    let intro = chosen(&choice);
    let form = Form::new(title, fields, move |values, cx| {
        let path = match values.get(0).trim() {
            "" => return Err(Wrong::new(0, "which file?")),
            path => at_home(path),
        };
        let limit = limit(values, 2)?;
        let read = read_of(&topic, &choice, (values.get(1), limit), cx);
        let read = Box::new(read.map_err(|why| Wrong::new(1, why))?);
        let job = cx.new_job();
        Ok(vec![
            Step::Close,
            Step::Say(Toast::info(format!("writing {} …", path.display()))),
            Step::Effect(Effect::ExportMessages { job, read, path }),
        ])
    });
    form.intro(intro)
}

/// What stands in a file of records.
fn shape(values: &Values<'_>) -> Result<Shape, Wrong> {
    let headers = values.pairs(4)?.into_iter();
    let record = NewRecord {
        headers: headers
            .map(|(key, value)| (key, Some(value.into_bytes().into())))
            .collect(),
        ..NewRecord::default()
    };
    let separator = Some(values.raw(3)).filter(|text| !text.is_empty());
    // A tab can't be typed into a form.
    let separator = separator.map(|text| text.replace("\\t", "\t"));
    let is_of_values = separator.is_some() || !record.headers.is_empty();
    Ok(match values.get(2) {
        text if text == HOLDS[1] => Shape::Lines(record, separator),
        text if text == HOLDS[2] && separator.is_none() => Shape::Whole(record),
        _ if is_of_values => {
            let why = format!("for \"{}\" only", HOLDS[1]);
            return Err(Wrong::new(if separator.is_some() { 3 } else { 4 }, why));
        }
        _ => Shape::Jsonl,
    })
}

fn partition_by(values: &Values<'_>, at: usize) -> PartitionBy {
    match values.get(at) == PARTITIONS[0] {
        true => PartitionBy::Same,
        false => PartitionBy::Key,
    }
}

/// The form of an import or a copy, and the look at it that follows.
#[derive(Debug)]
pub(super) struct MovingDialog {
    form: Form,
    job: Option<JobId>,
}

fn prepare(transfer: Transfer, cx: &Cx<'_>) -> Vec<Step> {
    let job = cx.new_job();
    let transfer = Box::new(transfer);
    vec![
        Step::Effect(Effect::PrepareTransfer { job, transfer }),
        Step::Say(Toast::info("looking at what there is …")),
    ]
}

impl MovingDialog {
    /// Asks for a file whose records are to be written to a topic.
    pub(super) fn import(topic: &str) -> Self {
        let fields = vec![
            Field::text("file", "", "with ~ for the own folder"),
            Field::choice("partitions", PARTITIONS, 0),
            Field::choice("holds", HOLDS, 0),
            Field::text(
                "key ends at",
                "",
                "what stands between key and value on each line; empty: no keys",
            ),
            Field::text("headers", "", "of values: key=value, separated by commas"),
        ];
        let title = format!("import messages into {}", format::clean(topic));
        let topic = topic.to_owned();
        let form = Form::new(title, fields, move |values, cx| {
            let path = match values.get(0).trim() {
                "" => return Err(Wrong::new(0, "which file?")),
                path => at_home(path),
            };
            let transfer = Transfer {
                from: TransferFrom::File(path, shape(values)?),
                to_topic: topic.clone(),
                to_cluster: None,
                partition_by: partition_by(values, 1),
                records: None,
            };
            Ok(prepare(transfer, cx))
        });
        Self { form, job: None }
    }

    /// Asks for the topic, and the cluster, that messages are copied to.
    pub(super) fn copy(topic: &str, choice: &Choice) -> Self {
        let fields = vec![
            Field::text("to topic", "", "a topic that is there"),
            Field::text(
                "cluster",
                "",
                "empty: this one; a saved cluster by its name, or host:port,…",
            ),
            Field::text("from", "start", FROM_NOTE),
            Field::text("at most", "", "so many messages; empty: all"),
            Field::choice("partitions", PARTITIONS, 0),
        ];
        let title = format!("copy messages of {}", format::clean(topic));
        let (topic, choice) = (topic.to_owned(), choice.clone());
        let intro = chosen(&choice);
        let form = Form::new(title, fields, move |values, cx| {
            let cluster = Some(values.get(1).trim()).filter(|name| !name.is_empty());
            let to_topic = match values.get(0).trim() {
                "" if cluster.is_some() => topic.clone(),
                "" => return Err(Wrong::new(0, "which topic?")),
                name => name.to_owned(),
            };
            let limit = limit(values, 3)?;
            let read = read_of(&topic, &choice, (values.get(2), limit), cx);
            let read = Box::new(read.map_err(|why| Wrong::new(2, why))?);
            let transfer = Transfer {
                from: TransferFrom::Topic(read),
                to_topic,
                to_cluster: cluster.map(str::to_owned),
                partition_by: partition_by(values, 4),
                records: None,
            };
            Ok(prepare(transfer, cx))
        });
        let form = form.intro(intro);
        Self { form, job: None }
    }
}

impl Dialog for MovingDialog {
    fn key(&mut self, key: KeyEvent, cx: &Cx<'_>) -> Vec<Step> {
        let steps = self.form.key(key, cx);
        for step in &steps {
            if let Step::Effect(Effect::PrepareTransfer { job, .. }) = step {
                self.job = Some(*job);
            }
        }
        steps
    }

    fn paste(&mut self, text: &str, cx: &Cx<'_>) {
        self.form.paste(text, cx);
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, _cx: &Cx<'_>) -> Vec<Step> {
        if self.job != Some(job) {
            return Vec::new();
        }
        self.job = None;
        match answer.take() {
            Some(Answer::TransferPrepared(Ok((transfer, there)))) => {
                vec![Step::PlanTransfer(transfer, there)]
            }
            Some(Answer::TransferPrepared(Err(fault))) => vec![Step::Say(Toast::fault(&fault))],
            _ => Vec::new(),
        }
    }

    fn on_close(&mut self) -> Vec<JobId> {
        self.job.take().into_iter().collect()
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> Option<Position> {
        self.form.draw(cx, area, buffer)
    }

    fn hints(&self) -> Vec<(&'static str, &'static str)> {
        self.form.hints()
    }
}
