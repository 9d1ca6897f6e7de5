//! Who has written to a topic's partitions lately, and how far readers of committed records get
//! there: the last stable offset against the high watermark.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::watch::Watch;
use super::{absent, cells, topics};
use crate::model::{Cell, Fault, PartitionProducer, TopicProducers, WrittenPartition};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::format;
use crate::ui::screen::{Changed, Place, Screen, Step, focused_list};
use crate::ui::widgets::list::{Column, Filter, Key, List, Named};

/// A partition with one of its producers.
pub struct Row {
    name: String,
    look: Arc<TopicProducers>,
    /// Where its partition stands in the look.
    at: usize,
    /// None where nobody has written lately, or it is not known.
    producer: Option<PartitionProducer>,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.name
    }

    fn matches(&self, filter: &Filter) -> bool {
        filter.accepts(&self.name) || self.id().is_some_and(|id| filter.accepts(id))
    }
}

impl Row {
    fn partition(&self) -> &WrittenPartition {
        &self.look.partitions[self.at]
    }

    /// Its transactional id.
    fn id(&self) -> Option<&str> {
        let id = self.producer.as_ref()?.producer_id;
        self.look.transactional_ids.get(&id).map(|id| &**id)
    }

    fn open_from(&self) -> Option<i64> {
        self.producer.as_ref()?.open_from
    }

    /// Since its last record, by the time that its producer gave it.
    fn age_ms(&self, cx: &Cx<'_>) -> Option<i64> {
        let last = self.producer.as_ref()?.last_timestamp_ms;
        (last >= 0).then(|| cx.now.wall_ms.saturating_sub(last).max(0))
    }

    fn state(&self, cx: &Cx<'_>) -> (String, Style) {
        match (&self.partition().producers, &self.producer) {
            (Err(_), _) => ("unknown".to_owned(), cx.theme.bad),
            (Ok(_), None) => ("nobody".to_owned(), cx.theme.dim),
            (Ok(_), Some(producer)) if producer.open_from.is_some() => {
                ("open".to_owned(), cx.theme.accent)
            }
            (Ok(_), Some(_)) => ("idle".to_owned(), cx.theme.dim),
        }
    }
}

fn offset(cell: Cell<i64>, cx: &Cx<'_>) -> Span<'static> {
    match cell {
        Cell::Known(offset) => cells::plain(format::count(offset), cx),
        Cell::Unknown => cells::dim(format::UNKNOWN, cx),
        Cell::Failed(error) => Span::styled(error.name(), cx.theme.bad),
    }
}

/// Nothing where nobody writes.
fn number(n: Option<impl Into<i64>>, cx: &Cx<'_>) -> Span<'static> {
    match n {
        Some(n) => cells::id(Some(n), cx),
        None => cells::plain("", cx),
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::number(
        "PART",
        5,
        0,
        |row, _| Key::Int(row.partition().partition.into()),
        |row, cx| cells::plain(row.partition().partition.to_string(), cx),
    ),
    Column::number(
        "PRODUCER",
        10,
        0,
        |row, _| Key::int(row.producer.as_ref().map(|of| of.producer_id)),
        |row, cx| number(row.producer.as_ref().map(|of| of.producer_id), cx),
    ),
    Column::number(
        "EPOCH",
        5,
        4,
        |row, _| Key::int(row.producer.as_ref().map(|of| of.producer_epoch)),
        |row, cx| number(row.producer.as_ref().map(|of| of.producer_epoch), cx),
    ),
    Column::number(
        "SEQUENCE",
        10,
        5,
        |row, _| Key::int(row.producer.as_ref().map(|of| of.last_sequence)),
        |row, cx| number(row.producer.as_ref().map(|of| of.last_sequence), cx),
    ),
    Column::text(
        "STATE",
        7,
        0,
        |row, cx| Key::text(&row.state(cx).0),
        |row, cx| {
            let (text, style) = row.state(cx);
            Span::styled(text, style)
        },
    ),
    Column::number(
        "LAST",
        format::AGE_WIDTH,
        3,
        |row, cx| Key::int(row.age_ms(cx)),
        |row, cx| match row.producer {
            Some(_) => cells::age(row.age_ms(cx), cx),
            None => cells::plain("", cx),
        },
    ),
    Column::number(
        "OPEN FROM",
        11,
        1,
        |row, _| Key::int(row.open_from()),
        |row, cx| cells::plain(row.open_from().map_or(String::new(), format::count), cx),
    ),
    Column::number(
        "STABLE",
        11,
        1,
        |row, _| Key::int(row.partition().last_stable_offset.known()),
        |row, cx| offset(row.partition().last_stable_offset, cx),
    ),
    Column::number(
        "HIGH WATER",
        11,
        2,
        |row, _| Key::int(row.partition().high_watermark.known()),
        |row, cx| offset(row.partition().high_watermark, cx),
    ),
    Column::number(
        "BEHIND",
        8,
        2,
        |row, _| Key::int(row.partition().behind()),
        |row, cx| match row.partition().behind() {
            Some(0) => cells::dim("0", cx),
            Some(n) => Span::styled(format::count(n), cx.theme.warn),
            None => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::wide(
        "TRANSACTIONAL ID",
        16,
        3,
        |row, _| Key::text(row.id().unwrap_or_default()),
        |row, cx| match (row.id(), &row.producer, &row.partition().producers) {
            (Some(id), ..) => cells::foreign(id, cx),
            (None, _, Err(error)) => Span::styled(error.name(), cx.theme.bad),
            (None, Some(_), _) if row.look.ids_missing => cells::dim(format::UNKNOWN, cx),
            (None, ..) => cells::plain("", cx),
        },
    ),
];

/// The screen.
#[derive(Debug)]
pub struct ProducersScreen {
    topic: String,
    list: List<Row>,
    watch: Watch,
    look: Option<Arc<TopicProducers>>,
    fault: Option<Fault>,
}

impl ProducersScreen {
    pub fn new(topic: String) -> Self {
        Self {
            topic,
            list: List::new(COLUMNS),
            watch: Watch::default(),
            look: None,
            fault: None,
        }
    }

    fn set_rows(&mut self, cx: &Cx<'_>) {
        let Some(look) = &self.look else { return };
        let mut rows = Vec::new();
        for (at, partition) in look.partitions.iter().enumerate() {
            let row = |producer: Option<&PartitionProducer>| Row {
                name: match producer {
                    Some(of) => format!("{} {}", partition.partition, of.producer_id),
                    None => partition.partition.to_string(),
                },
                look: Arc::clone(look),
                at,
                producer: producer.cloned(),
            };
            match partition.producers.as_deref() {
                Ok([]) | Err(_) => rows.push(row(None)),
                Ok(all) => rows.extend(all.iter().map(|producer| row(Some(producer)))),
            }
        }
        self.list.set_rows(rows, cx);
    }

    fn detail(&self, cx: &Cx<'_>) -> Option<Vec<(String, Style)>> {
        let row = self.list.selected_row()?;
        let (theme, partition) = (cx.theme, row.partition());
        let text = |cell: Cell<i64>| match cell {
            Cell::Known(offset) => format::count(offset),
            Cell::Unknown => "not known".to_owned(),
            Cell::Failed(error) => error.name(),
        };
        let mut lines = vec![
            (
                format!("{}-{}", self.topic, partition.partition),
                theme.accent,
            ),
            (
                format!(
                    "readers of committed records get to {}, all others to {}",
                    text(partition.last_stable_offset),
                    text(partition.high_watermark)
                ),
                theme.text,
            ),
        ];
        let Some(producer) = &row.producer else {
            let (why, style) = match &partition.producers {
                Err(error) => (format!("its producers are not known: {error}"), theme.warn),
                Ok(_) => ("nobody has written to it lately".to_owned(), theme.dim),
            };
            lines.push((why, style));
            return Some(lines);
        };
        lines.push((
            format!(
                "producer {} epoch {}, last sequence number {}",
                producer.producer_id, producer.producer_epoch, producer.last_sequence
            ),
            theme.text,
        ));
        let at = match producer.last_timestamp_ms {
            ..0 => "its last record has no time".to_owned(),
            ms => format!(
                "its last record says that it is of {}",
                format::timestamp_ms(ms)
            ),
        };
        lines.push((at, theme.text));
        if producer.coordinator_epoch >= 0 {
            let epoch = producer.coordinator_epoch;
            let text = format!("its last marker was written in epoch {epoch} of its coordinator");
            lines.push((text, theme.text));
        }
        lines.push(match producer.open_from {
            Some(offset) => (
                format!(
                    "a transaction is open from offset {}",
                    format::count(offset)
                ),
                theme.warn,
            ),
            None => ("no transaction is open".to_owned(), theme.text),
        });
        lines.push(match row.id() {
            Some(id) => (format!("transactional id \"{id}\""), theme.text),
            None if row.look.ids_missing => {
                let text = "a coordinator did not tell its transactional ids".to_owned();
                (text, theme.warn)
            }
            None => (
                "no transactional id has this producer".to_owned(),
                theme.dim,
            ),
        });
        Some(lines)
    }
}

impl Screen for ProducersScreen {
    fn place(&self) -> Place {
        Place::Producers(self.topic.clone())
    }

    fn title(&self) -> String {
        format!("producers of {}", self.topic)
    }

    fn status(&self, _cx: &Cx<'_>) -> String {
        let Some(look) = &self.look else {
            return String::new();
        };
        let all = || look.partitions.iter();
        let producers = || all().flat_map(|of| of.producers.iter().flatten());
        let open = producers().filter(|of| of.open_from.is_some()).count();
        let behind = all()
            .filter(|of| of.behind().is_some_and(|n| n > 0))
            .count();
        let mut status = format!(
            "{} · {open} open · {} held up",
            format::plural(producers().count(), "producer"),
            format::plural(behind, "partition")
        );
        if self.fault.is_some() {
            status.push_str(" · old");
        }
        status
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Producers, Scope::List]
    }

    focused_list!(self.list);

    fn shows(&self) -> Changed {
        Changed::default()
    }

    fn on_open(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        let topic = self.topic.clone();
        let watch = |job| Effect::WatchProducers { job, topic };
        self.watch.begin(cx, watch)
    }

    fn on_close(&mut self) -> Vec<JobId> {
        self.watch.end()
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        if let Some(Answer::Producers(result)) = self.watch.found(job, answer) {
            match result {
                Ok(look) => (self.look, self.fault) = (Some(look), None),
                Err(fault) => self.fault = Some(fault),
            }
            self.set_rows(cx);
        }
        Vec::new()
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        let told = || {
            let lines = self.detail(cx)?.into_iter();
            let clean = |(text, style): (String, Style)| (format::clean(&text).into_owned(), style);
            let lines: Vec<(String, Style)> = lines.map(clean).collect();
            let all: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
            let copy = all.join("\n");
            Some((lines, copy))
        };
        match command {
            Id::Open => {
                let (lines, copy) = told()?;
                let dialog = TextDialog::new("producer", lines, copy);
                Some(vec![Step::Dialog(Box::new(dialog))])
            }
            Id::Copy => Some(topics::copy(&told()?.1, cx)),
            Id::Topic => Some(vec![Step::Push(Place::Topic(self.topic.clone()))]),
            Id::Messages => Some(vec![Step::Push(Place::Messages(self.topic.clone()))]),
            _ => None,
        }
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        match (&self.look, &self.fault) {
            (None, None) => absent::say(&[("reading …", cx.theme.dim)], area, buffer),
            (None, Some(fault)) => absent::draw_fault(fault, cx, area, buffer),
            (Some(_), fault) => {
                let told = fault.as_ref().map(ToString::to_string);
                let below = u16::from(told.is_some()).min(area.height);
                let list = Rect {
                    height: area.height - below,
                    ..area
                };
                self.list.draw(cx, true, list, buffer);
                if let Some(told) = told {
                    let last = Rect {
                        y: list.bottom(),
                        height: below,
                        ..area
                    };
                    absent::say(&[(&told, cx.theme.bad)], last, buffer);
                }
            }
        }
    }
}
