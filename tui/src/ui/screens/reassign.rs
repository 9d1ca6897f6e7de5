//! The wizard of reassignments: a proposal beside the present, to be edited before it is planned.
//!
//! The proposal is made from what is known when it is asked for and does not change under the
//! reader's eyes; executing refuses when the cluster has moved on since.

mod proposal;

use std::collections::BTreeSet;

use kafka_shared::types::TopicPartition;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{cells, forms, topics};
use crate::cluster::Interest;
use crate::derive::Total;
use crate::model::{Assignment, ClusterMetadata, Fault};
use crate::ops::execution::BATCH;
use crate::ops::reassign::{Preview, Request, print_assignment};
use crate::ops::{Action, Reassign, RunReassign};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::format;
use crate::ui::screen::{Changed, Moving, Part, Place, Screen, Step, Toast, focused_list};
use crate::ui::widgets::form::{Field, Form, Wrong};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Key, List};

use proposal::Row;

pub use proposal::{ProposeWish, Proposed};

const COLUMNS: &[Column<Row>] = &[
    Column::name(
        "PARTITION",
        18,
        |row, _| Key::partition(&row.key.topic, row.key.partition),
        |row, cx| cells::foreign(&row.name, cx),
    ),
    Column::text(
        "NOW",
        12,
        0,
        |row, _| Key::text(&format::ids(&row.current)),
        |row, cx| cells::plain(format::ids(&row.current), cx),
    ),
    Column::text(
        "PROPOSED",
        12,
        0,
        |row, _| Key::text(&format::ids(&row.proposed)),
        |row, cx| {
            let style = if row.changes() {
                cx.theme.accent
            } else {
                cx.theme.dim
            };
            Span::styled(format::ids(&row.proposed), style)
        },
    ),
    Column::text(
        "CHANGE",
        14,
        0,
        |row, _| Key::Int(i64::from(!row.changes())),
        |row, cx| {
            let style = if row.changes() {
                cx.theme.text
            } else {
                cx.theme.dim
            };
            Span::styled(row.what(), style)
        },
    ),
    Column::number(
        "TO COPY",
        9,
        1,
        |row, _| Key::int(row.bytes),
        |row, cx| match row.bytes {
            Some(0) => cells::dim("0 B", cx),
            Some(bytes) => cells::plain(format::bytes(bytes), cx),
            None => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::text(
        "RACKS",
        8,
        3,
        |row, _| Key::int(row.racks.map(|(_, after)| after as i64)),
        |row, cx| match row.racks {
            Some((before, after)) if after < before => {
                Span::styled(format!("{before} → {after}"), cx.theme.bad)
            }
            Some((before, after)) if after > before => {
                Span::styled(format!("{before} → {after}"), cx.theme.good)
            }
            Some((_, after)) => cells::dim(after.to_string(), cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
];

/// How the proposal is made.
#[derive(Debug, Clone, PartialEq, Eq)]
enum How {
    /// Evenly over these brokers.
    Balance(Vec<i32>),
    /// Off this broker, onto these.
    Drain(i32, Vec<i32>),
    /// The order of replicas only, for even leaders.
    Leaders,
    /// So many replicas each, on these brokers.
    Factor(usize, Vec<i32>),
    /// From scratch over these brokers.
    Scratch(Vec<i32>),
    /// As edited by hand only.
    Manual,
}

/// The choices of the form, in its order.
const PROPOSALS: &[&str] = &["computed", "leaders only", "from scratch", "by hand"];

/// Topics whose rates are read while one looks at the proposal.
const RATES_MAX: usize = 200;

/// The parts of the cluster that are shown.
const SHOWN: Changed = Changed::METADATA.and(Changed::LOG_DIRS);

/// The screen.
#[derive(Debug)]
pub struct Wizard {
    moving: Moving,
    how: Option<How>,
    allow_fewer_racks: bool,
    list: List<Row>,
    based_on: Assignment,
    target: Assignment,
    preview: Preview,
    fault: Option<Fault>,
    /// Makes the proposal, where that takes its time.
    job: Option<JobId>,
    /// Whether sizes were known when it was made.
    has_sizes: bool,
}

fn live_brokers(metadata: &ClusterMetadata) -> Vec<i32> {
    let live = metadata
        .brokers
        .iter()
        .filter(|broker| broker.fenced != Some(true));
    live.map(|broker| broker.id).collect()
}

impl Wizard {
    pub fn new(moving: Moving) -> Self {
        Self {
            moving,
            how: None,
            allow_fewer_racks: false,
            list: List::sorted_by(COLUMNS, 3, false),
            based_on: Assignment::new(),
            target: Assignment::new(),
            preview: Preview::default(),
            fault: None,
            job: None,
            has_sizes: false,
        }
    }

    fn topics_in_scope(&self) -> Option<Vec<String>> {
        match &self.moving {
            Moving::Topics(topics) => Some(topics.clone()),
            Moving::Partitions(partitions) => {
                let topics: BTreeSet<&str> = partitions.iter().map(|key| &*key.topic).collect();
                Some(topics.into_iter().map(str::to_owned).collect())
            }
            Moving::Drain(_) => None,
        }
    }

    /// The first proposal.
    fn begin(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        let Some(metadata) = cx.snapshot.metadata.get() else {
            return Vec::new();
        };
        let live = live_brokers(metadata);
        let how = match &self.moving {
            Moving::Drain(broker) => {
                let others = live.into_iter().filter(|id| id != broker);
                How::Drain(*broker, others.collect())
            }
            _ => How::Balance(live),
        };
        self.propose(how, cx)
    }

    /// Makes the proposal anew from the present.
    fn propose(&mut self, how: How, cx: &Cx<'_>) -> Vec<Step> {
        let request = match &how {
            How::Balance(brokers) => Some(Request::Balance {
                brokers: Some(brokers.clone()),
                topics: self.topics_in_scope(),
                allow_fewer_racks: self.allow_fewer_racks,
            }),
            How::Drain(broker, to) => Some(Request::Drain {
                brokers: vec![*broker],
                to: Some(to.clone()),
                topics: None,
                allow_fewer_racks: self.allow_fewer_racks,
            }),
            How::Leaders => Some(Request::Leaders {
                topics: self.topics_in_scope(),
            }),
            How::Factor(factor, brokers) => Some(Request::SetReplication {
                factor: *factor,
                to: Some(brokers.clone()),
                topics: self.topics_in_scope(),
                allow_fewer_racks: self.allow_fewer_racks,
            }),
            How::Scratch(brokers) => Some(Request::Generate {
                brokers: Some(brokers.clone()),
                topics: self.topics_in_scope(),
                seed: 0,
            }),
            How::Manual => None,
        };
        self.how = Some(how);
        self.fault = None;
        if request.is_none() {
            self.target.clear();
            self.based_on.clear();
        }
        self.ask(request, cx)
    }

    /// Makes a proposal, or compares the one there is with the present.
    fn ask(&mut self, request: Option<Request>, cx: &Cx<'_>) -> Vec<Step> {
        let Some(metadata) = cx.snapshot.metadata.value() else {
            return Vec::new();
        };
        let dirs = cx.snapshot.log_dirs.value().cloned();
        self.has_sizes = dirs.is_some();
        let is_quick = ProposeWish::is_quick(metadata);
        let wish = ProposeWish {
            metadata: metadata.clone(),
            dirs,
            moving: self.moving.clone(),
            target: self.target.clone(),
            based_on: self.based_on.clone(),
            request,
        };
        if is_quick {
            self.take(wish.make(&|| true), cx);
            return Vec::new();
        }
        let earlier = self.job.replace(cx.new_job());
        let wish = Box::new(wish);
        let start = self.job.map(|job| Effect::Propose { job, wish });
        let effects = earlier.map(Effect::Cancel).into_iter().chain(start);
        effects.map(Step::Effect).collect()
    }

    fn take(&mut self, made: Proposed, cx: &Cx<'_>) {
        self.fault = made
            .fault
            .or(self.fault.take().filter(|_| made.target.is_empty()));
        self.target = made.target;
        self.based_on = made.based_on;
        self.preview = made.preview;
        self.list.set_rows(made.rows, cx);
    }

    fn chosen(&self) -> Vec<TopicPartition> {
        self.list
            .chosen()
            .iter()
            .map(|row| row.key.clone())
            .collect()
    }

    fn edit_form(&self, cx: &Cx<'_>) -> Option<Form> {
        let metadata = cx.snapshot.metadata.get()?;
        let known: Vec<i32> = metadata.brokers.iter().map(|broker| broker.id).collect();
        let now = self.list.chosen().first()?.proposed.clone();
        Some(forms::replicas_form(&self.chosen(), &now, &known, |ids| {
            vec![Step::Close, Step::Run(Id::EditReplicas, format::ids(&ids))]
        }))
    }

    fn how_form(&self, cx: &Cx<'_>) -> Option<Form> {
        let live = live_brokers(cx.snapshot.metadata.get()?);
        let now = match &self.how {
            Some(
                How::Balance(brokers)
                | How::Drain(_, brokers)
                | How::Factor(_, brokers)
                | How::Scratch(brokers),
            ) => brokers.clone(),
            _ => live.clone(),
        };
        let note = format!(
            "who may hold replicas afterwards; alive are {}",
            format::ids(&live)
        );
        let fields = vec![
            Field::text("brokers", &format::ids(&now), note),
            Field::choice("proposal", PROPOSALS, 0),
            Field::choice(
                "fewer racks",
                &["refuse", "allow"],
                usize::from(self.allow_fewer_racks),
            ),
            Field::text("replicas", "", "of each partition; empty: as many as now"),
        ];
        Some(Form::new("how to reassign", fields, move |values, _| {
            let ids = values.ids(0)?;
            if ids.is_empty() {
                return Err(Wrong::new(0, "name at least one broker"));
            }
            let factor = values.number::<usize>(3)?.unwrap_or(0);
            let (ids, proposal, racks) = (format::ids(&ids), values.get(1), values.get(2));
            let line = format!("{ids} {factor} {proposal} {racks}");
            Ok(vec![Step::Close, Step::Run(Id::SetBrokers, line)])
        }))
    }

    /// Asks how fast it shall be; the plan says how long that takes.
    fn batch_form(&self) -> Form {
        let reassign = self.proposal();
        let fields = forms::pace_fields("", BATCH);
        Form::new("reassign in batches", fields, move |values, _| {
            let (throttle, batch) = forms::pace(values)?;
            Ok(vec![Step::Plan(Action::RunReassign(RunReassign {
                reassign: reassign.clone(),
                throttle,
                batch,
            }))])
        })
    }

    /// What the form above answered: `1,2,3 0 computed refuse`.
    fn set_how(&mut self, answer: &str, cx: &Cx<'_>) -> Vec<Step> {
        let ids: Result<Vec<i32>, _> = answer
            .split(' ')
            .next()
            .unwrap_or_default()
            .split(',')
            .map(|id| id.trim().parse())
            .collect();
        let Ok(ids) = ids else {
            return vec![Step::Say(Toast::bad("brokers are written as 1,2,3"))];
        };
        self.allow_fewer_racks = answer.ends_with("allow");
        let factor = answer.split(' ').nth(1).and_then(|n| n.parse().ok());
        let how = match &self.moving {
            _ if answer.contains("by hand") => How::Manual,
            _ if answer.contains("leaders only") => How::Leaders,
            _ if answer.contains("from scratch") => How::Scratch(ids),
            Moving::Drain(broker) => {
                let broker = *broker;
                How::Drain(broker, ids.into_iter().filter(|id| *id != broker).collect())
            }
            _ => match factor {
                Some(factor @ 1..) => How::Factor(factor, ids),
                _ => How::Balance(ids),
            },
        };
        self.propose(how, cx)
    }

    fn set_replicas(&mut self, ids: &str, cx: &Cx<'_>) -> Vec<Step> {
        let ids: Result<Vec<i32>, _> = ids.split(',').map(|id| id.trim().parse()).collect();
        let Ok(ids) = ids else {
            return vec![Step::Say(Toast::bad("replicas are written as 1,2,3"))];
        };
        for key in self.chosen() {
            self.target.insert(key, ids.clone());
        }
        self.ask(None, cx)
    }

    fn proposal(&self) -> Reassign {
        let target = self.preview.proposed();
        let based_on = target
            .keys()
            .filter_map(|key| Some((key.clone(), self.based_on.get(key)?.clone())));
        Reassign {
            based_on: based_on.collect(),
            target,
        }
    }

    fn draw_head(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let how = match &self.how {
            Some(How::Balance(brokers)) => format!("spread evenly over {}", format::ids(brokers)),
            Some(How::Drain(broker, to)) => {
                format!("off broker {broker}, onto {}", format::ids(to))
            }
            Some(How::Leaders) => "leaders evenly, by the order of replicas".to_owned(),
            Some(How::Factor(factor, brokers)) => {
                format!("{factor} replicas each, on {}", format::ids(brokers))
            }
            Some(How::Scratch(brokers)) => {
                format!("from scratch over {}", format::ids(brokers))
            }
            Some(How::Manual) => "as edited by hand".to_owned(),
            None => String::new(),
        };
        let n = self.preview.rows.len();
        if self.job.is_some() {
            let spans = vec![
                Span::styled(how, theme.accent),
                Span::styled("   planning …", theme.warn),
            ];
            frame::line(spans, area.x + 1, area.y, area.width - 1, buffer);
            let text = "the cluster is large: esc stops it";
            let y = area.y + 1;
            return frame::text(text, theme.dim, area.x + 1, y, area.width - 1, buffer);
        }
        let spans = vec![
            Span::styled(how, theme.accent),
            Span::styled(
                format!(
                    "   {} of {} change   copy {}, {}",
                    format::count(n as i64),
                    format::plural(self.list.rows().len(), "partition"),
                    format::plural(self.preview.n_moves(), "replica"),
                    format::total(&self.preview.bytes, format::bytes),
                ),
                theme.text,
            ),
        ];
        frame::line(spans, area.x + 1, area.y, area.width - 1, buffer);
        if let Some(fault) = &self.fault {
            let hint = fault.hint.as_deref().unwrap_or_default();
            let lines = [
                (format!("no proposal: {}", fault.why), theme.bad),
                (format!("{hint} (b), or edit by hand (e)"), theme.text),
            ];
            for (y, (text, style)) in (area.y + 1..area.bottom()).zip(lines) {
                let text = format::clean(&text);
                frame::text(&text, style, area.x + 1, y, area.width - 1, buffer);
            }
        } else if n == 0 {
            let text = "nothing changes: b chooses brokers, e edits replicas by hand";
            frame::text(
                text,
                theme.dim,
                area.x + 1,
                area.y + 1,
                area.width - 1,
                buffer,
            );
        } else {
            let text = "x plans it; nothing is sent before you confirm";
            frame::text(
                text,
                theme.dim,
                area.x + 1,
                area.y + 1,
                area.width - 1,
                buffer,
            );
        }
    }

    /// What each broker holds before, at the height of the move, and after.
    fn draw_brokers(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let title = format!(
            "{:>8}  {:>20}  {:>17}  {:>10}  {:>10}",
            "BROKER", "REPLICAS NOW→THEN", "LEADERS NOW→THEN", "IN", "OUT"
        );
        frame::text(&title, theme.header, area.x, area.y, area.width, buffer);
        let rows = self.preview.brokers.iter();
        for (y, (id, load)) in (area.y + 1..area.bottom()).zip(rows) {
            let replicas = match load.during {
                during if during > load.before.max(load.after) => {
                    format!("{} →({during})→ {}", load.before, load.after)
                }
                _ => format!("{} → {}", load.before, load.after),
            };
            let leaders = format!("{} → {}", load.preferred_before, load.preferred_after);
            let bytes = |total: &Total<i64>| match total.n_parts() {
                0 => format::NONE.to_owned(),
                _ => format::total(total, format::bytes),
            };
            let changed =
                load.before != load.after || load.preferred_before != load.preferred_after;
            let style = if changed { theme.text } else { theme.dim };
            let text = format!(
                "{id:>8}  {replicas:>20}  {leaders:>17}  {:>10}  {:>10}",
                bytes(&load.bytes_in),
                bytes(&load.bytes_out),
            );
            frame::text(&text, style, area.x, y, area.width, buffer);
        }
    }
}

impl Screen for Wizard {
    fn place(&self) -> Place {
        Place::Reassign(self.moving.clone())
    }

    fn title(&self) -> String {
        match &self.moving {
            Moving::Topics(topics) => match &topics[..] {
                [one] => format!("reassign {one}"),
                many => format!("reassign {} topics", many.len()),
            },
            Moving::Partitions(partitions) => {
                format!("reassign {}", format::plural(partitions.len(), "partition"))
            }
            Moving::Drain(broker) => format!("drain broker {broker}"),
        }
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Reassign, Scope::List]
    }

    /// What is written meanwhile decides whether a throttle is enough.
    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        let topics = self.topics_in_scope().unwrap_or_default();
        let topics = topics.iter().take(RATES_MAX);
        Interest {
            topics: topics.map(|topic| topic.as_str().into()).collect(),
            ..Interest::default()
        }
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        vec![
            Part::of("metadata", &cx.snapshot.metadata),
            Part::of("sizes", &cx.snapshot.log_dirs),
        ]
    }

    focused_list!(self.list);

    fn shows(&self) -> Changed {
        SHOWN
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
        // What takes its time is asked for in `wants`, and stays as it was made.
        if cx
            .snapshot
            .metadata
            .get()
            .is_some_and(ProposeWish::is_quick)
        {
            // Both are done at once: they leave nothing to be started.
            match &self.how {
                None => drop(self.begin(cx)),
                Some(_) => drop(self.ask(None, cx)),
            }
        }
    }

    fn wants(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        let metadata = cx.snapshot.metadata.get();
        if metadata.is_none_or(ProposeWish::is_quick) || self.job.is_some() {
            return Vec::new();
        }
        let sizes_came = !self.has_sizes && cx.snapshot.log_dirs.get().is_some();
        match &self.how {
            None => self.begin(cx),
            Some(_) if sizes_came => self.ask(None, cx),
            Some(_) => Vec::new(),
        }
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        if self.job != Some(job) {
            return Vec::new();
        }
        self.job = None;
        match answer.take() {
            Some(Answer::Proposed(Ok(made))) => self.take(*made, cx),
            Some(Answer::Proposed(Err(fault))) => self.fault = Some(fault),
            _ => {}
        }
        Vec::new()
    }

    fn on_close(&mut self) -> Vec<JobId> {
        self.job.take().into_iter().collect()
    }

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        match command {
            Id::Execute | Id::RunBatches | Id::EditReplicas | Id::KeepReplicas | Id::ShowJson
                if self.job.is_some() =>
            {
                Some("it is still being planned".to_owned())
            }
            Id::Execute | Id::RunBatches if self.preview.rows.is_empty() => {
                Some("nothing changes in this proposal".to_owned())
            }
            _ => None,
        }
    }

    fn run(&mut self, command: Id, argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        Some(match command {
            Id::Execute => vec![Step::Plan(Action::Reassign(self.proposal()))],
            Id::RunBatches => vec![Step::Dialog(Box::new(self.batch_form()))],
            Id::SetBrokers if argument.is_empty() => {
                vec![Step::Dialog(Box::new(self.how_form(cx)?))]
            }
            Id::SetBrokers => self.set_how(argument, cx),
            Id::EditReplicas | Id::Open if argument.is_empty() => {
                vec![Step::Dialog(Box::new(self.edit_form(cx)?))]
            }
            Id::EditReplicas => self.set_replicas(argument, cx),
            Id::KeepReplicas => {
                for key in self.chosen() {
                    self.target.remove(&key);
                }
                self.ask(None, cx)
            }
            Id::ShowJson => {
                let text = print_assignment(&self.preview.proposed());
                let dialog =
                    TextDialog::plain("for kafka-reassign-partitions", &text, cx.theme.text);
                vec![Step::Dialog(Box::new(dialog))]
            }
            Id::Copy => topics::copy(&self.list.selected_row()?.name, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        self.draw_head(cx, Rect { height: 3, ..area }, buffer);
        let n_brokers = u16::try_from(self.preview.brokers.len()).unwrap_or(u16::MAX);
        let brokers = n_brokers.saturating_add(2).min(area.height * 2 / 5);
        let height = area.height.saturating_sub(3 + brokers);
        let list = Rect {
            y: area.y + 3,
            height,
            ..area
        };
        self.list.draw(cx, true, list, buffer);
        let below = Rect {
            y: list.bottom() + 1,
            height: brokers.saturating_sub(1),
            ..area
        };
        if below.height > 1 {
            self.draw_brokers(cx, below.intersection(area), buffer);
        }
    }
}
