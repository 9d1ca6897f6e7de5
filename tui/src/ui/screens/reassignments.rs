//! Running reassignments with their progress.

use kafka_shared::types::TopicPartition;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{absent, cells, topics};
use crate::derive::{self, CopyRate, MoveProgress, Total};
use crate::ops::Action;
use crate::ops::execution::{Brake, NewOrders, Run, Wish};
use crate::ops::reassign;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::event::Effect;
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step, Toast, focused_list};
use crate::ui::widgets::form::Form;
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Key, List, Named};

/// One partition on the move.
pub struct Row {
    name: String,
    progress: MoveProgress,
    cancel_is_unclean: bool,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.name
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::name(
        "PARTITION",
        18,
        |row, _| {
            let partition = &row.progress.partition;
            Key::partition(&partition.topic, partition.partition)
        },
        |row, cx| cells::foreign(&row.name, cx),
    ),
    Column::text(
        "FROM",
        10,
        1,
        |row, _| Key::text(&format::ids(&row.progress.ongoing.original())),
        |row, cx| cells::dim(format::ids(&row.progress.ongoing.original()), cx),
    ),
    Column::text(
        "TO",
        10,
        0,
        |row, _| Key::text(&format::ids(&row.progress.ongoing.target())),
        |row, cx| cells::plain(format::ids(&row.progress.ongoing.target()), cx),
    ),
    Column::text(
        "PROGRESS",
        19,
        0,
        |row, _| row.progress.fraction().map_or(Key::Unknown, Key::Float),
        |row, cx| match row.progress.fraction() {
            _ if row.progress.is_endless => Span::styled("never ends", cx.theme.bad),
            _ if !row.progress.waits_for.is_empty() => {
                let brokers = format::ids(&row.progress.waits_for);
                Span::styled(format!("waits for {brokers}"), cx.theme.bad)
            }
            _ if row.progress.is_leaderless => Span::styled("no leader", cx.theme.bad),
            Some(share) => {
                let percent = (share * 100.0).floor();
                Span::styled(
                    format!("{} {percent:3.0}%", frame::bar(share, 14)),
                    cx.theme.accent,
                )
            }
            None => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::number(
        "COPIED",
        9,
        1,
        |row, _| Key::total(&row.progress.bytes_done, |n| n as f64),
        |row, cx| cells::total(&row.progress.bytes_done, format::bytes, cx),
    ),
    Column::number(
        "OF",
        9,
        1,
        |row, _| Key::total(&row.progress.bytes_total, |n| n as f64),
        |row, cx| cells::total(&row.progress.bytes_total, format::bytes, cx),
    ),
    Column::text(
        "IN SYNC",
        9,
        2,
        |row, _| Key::size(row.progress.n_added),
        |row, cx| {
            let of = row.progress.ongoing.adding.len();
            cells::plain(format!("{} of {of}", row.progress.n_added), cx)
        },
    ),
    Column::text(
        "CANCEL",
        10,
        3,
        |row, _| Key::Int(i64::from(row.cancel_is_unclean)),
        |row, cx| {
            if row.cancel_is_unclean {
                Span::styled("loses data", cx.theme.bad)
            } else {
                cells::dim("clean", cx)
            }
        },
    ),
];

/// With fewer lines nothing is left blank.
const LOW: u16 = 10;

/// The parts of the cluster that are shown.
const SHOWN: Changed = Changed::METADATA
    .and(Changed::REASSIGNMENTS)
    .and(Changed::LOG_DIRS);

/// The screen.
#[derive(Debug)]
pub struct ReassignmentsScreen {
    list: List<Row>,
    done: Total<i64>,
    total: Total<i64>,
    rate: CopyRate,
}

impl ReassignmentsScreen {
    pub fn new() -> Self {
        Self {
            list: List::new(COLUMNS),
            done: Total::new(),
            total: Total::new(),
            rate: CopyRate::default(),
        }
    }

    /// How fast it goes, and how long it takes still; what waits in the run is still to be copied.
    fn pace(&self, cx: &Cx<'_>) -> Option<String> {
        let rate = self.rate.bytes_per_second()?;
        let mut text = format!("{}/s", format::bytes(rate as i64));
        let waiting = cx.run.map_or(Some(0), Run::waiting_bytes);
        let left = self.total.complete().zip(self.done.complete());
        if let (Some((total, done)), Some(waiting)) = (left, waiting)
            && let Some(ms) = self.rate.left_ms(total - done + waiting)
        {
            text.push_str(&format!(", {} left", reassign::time_text(ms)));
        }
        Some(text)
    }

    /// What will not end by itself, and what to do.
    fn waiting(&self) -> Option<String> {
        let rows = self.list.rows().iter();
        let endless = rows.filter(|row| row.progress.is_endless).count();
        if endless > 0 {
            let moves = if endless == 1 {
                "move adds and removes"
            } else {
                "moves add and remove"
            };
            return Some(format!(
                "! {endless} {moves} the same replica, which Kafka never ends: cancel with x"
            ));
        }
        let waiting = || self.list.rows().iter().map(|row| &row.progress.waits_for);
        let n = waiting().filter(|brokers| !brokers.is_empty()).count();
        let mut brokers: Vec<i32> = waiting().flatten().copied().collect();
        brokers.sort_unstable();
        brokers.dedup();
        let (brokers, start) = match &brokers[..] {
            [] => return None,
            [broker] => (format!("broker {broker}, which is down"), "start it"),
            brokers => {
                let ids = format::ids(brokers);
                (format!("brokers {ids}, which are down"), "start them")
            }
        };
        let moves = if n == 1 { "move waits" } else { "moves wait" };
        Some(format!(
            "! {n} {moves} for {brokers}: {start}, or cancel with x"
        ))
    }

    fn chosen(&self) -> Vec<TopicPartition> {
        self.list
            .chosen()
            .iter()
            .map(|row| row.progress.partition.clone())
            .collect()
    }
}

fn order(wish: Wish) -> Step {
    Step::Plan(Action::OrderRun(NewOrders {
        wish: Some(wish),
        ..NewOrders::default()
    }))
}

/// Asks for another pace of the run.
fn pace_form(cx: &Cx<'_>) -> Option<Form> {
    let orders = &cx.run?.orders;
    let rate = orders
        .throttle
        .map(|rate| rate.to_string())
        .unwrap_or_default();
    let fields = super::forms::pace_fields(&rate, orders.batch);
    let form = Form::new("pace of the run", fields, |values, _| {
        let (throttle, batch) = super::forms::pace(values)?;
        Ok(vec![Step::Plan(Action::OrderRun(NewOrders {
            wish: None,
            throttle,
            unthrottled: throttle.is_none(),
            batch: Some(batch),
        }))])
    });
    Some(form)
}

/// The run in two lines; what is left of the area.
fn draw_run(cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> Rect {
    let Some(run) = cx.run else {
        return area;
    };
    let theme = cx.theme;
    let is_stuck = !run.waits_for.is_empty() || run.leaderless > 0;
    let style = match (run.is_over, &run.brake, &run.trouble) {
        (_, _, Some(_)) => theme.bad,
        (false, _, None) if is_stuck => theme.bad,
        (true, _, _) => theme.dim,
        (false, Brake::Free, None) => theme.text,
        (false, _, None) => theme.warn,
    };
    let (x, width) = (area.x + 1, area.width.saturating_sub(1));
    let title = format!("run: {}", format::clean(&run.title));
    frame::text(&title, theme.accent, x, area.y, width, buffer);
    let line = run.line();
    let lines = format::wrap(&format::clean(&line), usize::from(width));
    // In a low terminal the moves below are worth more than all of it.
    let (most, gap) = match area.height {
        ..LOW => (1, 0),
        _ => (2, 1),
    };
    let shown = lines.iter().take(most);
    for (y, line) in (area.y + 1..area.bottom()).zip(shown) {
        frame::text(line, style, x, y, width, buffer);
    }
    let used = u16::try_from(lines.len().min(most)).unwrap_or(1) + 1 + gap;
    Rect {
        y: area.y.saturating_add(used).min(area.bottom()),
        height: area.height.saturating_sub(used),
        ..area
    }
}

impl Screen for ReassignmentsScreen {
    fn place(&self) -> Place {
        Place::Reassignments
    }

    fn title(&self) -> String {
        "reassignments".to_owned()
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Reassignments, Scope::List]
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        vec![
            Part::of("reassignments", &cx.snapshot.reassignments),
            Part::of("sizes", &cx.snapshot.log_dirs),
        ]
    }

    focused_list!(self.list);

    fn shows(&self) -> Changed {
        SHOWN
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
        let (Some(metadata), Some(running)) =
            (cx.snapshot.metadata.get(), cx.snapshot.reassignments.get())
        else {
            return;
        };
        let moves = derive::moves(running, metadata, cx.snapshot.log_dirs.get());
        if let Some(taken) = cx.snapshot.log_dirs.taken() {
            self.rate.note(taken.monotonic_ms, &moves);
        }
        (self.done, self.total) = (Total::new(), Total::new());
        let mut rows = Vec::new();
        for progress in moves {
            self.done.merge(progress.bytes_done);
            self.total.merge(progress.bytes_total);
            let topic = metadata.topic(&progress.partition.topic);
            let partition = topic.and_then(|topic| topic.partition(progress.partition.partition));
            rows.push(Row {
                name: progress.partition.to_string(),
                cancel_is_unclean: partition
                    .is_some_and(|partition| progress.ongoing.cancel_is_unclean(partition)),
                progress,
            });
        }
        self.list.set_rows(rows, cx);
    }

    fn refusal(&self, command: Id, cx: &Cx<'_>) -> Option<String> {
        let has_run = cx.run.is_some_and(|run| !run.is_over);
        match command {
            Id::CancelReassignment if self.list.rows().is_empty() => {
                Some("nothing is being reassigned".to_owned())
            }
            Id::Pause | Id::RunPace | Id::CancelRun if !has_run => {
                Some("no run is under way: r in a proposal begins one".to_owned())
            }
            _ => None,
        }
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        match command {
            Id::Pause => {
                let is_paused = cx.run.is_some_and(|run| run.orders.wish == Wish::Pause);
                let wish = if is_paused { Wish::Run } else { Wish::Pause };
                return Some(vec![order(wish)]);
            }
            Id::CancelRun => return Some(vec![order(Wish::Cancel)]),
            Id::RunPace => return Some(vec![Step::Dialog(Box::new(pace_form(cx)?))]),
            Id::Janitor => {
                let find = Effect::FindLeftOver { job: cx.new_job() };
                let said = Toast::info("looking through all topics and brokers …");
                return Some(vec![Step::Effect(find), Step::Say(said)]);
            }
            _ => {}
        }
        let row = self.list.selected_row()?;
        Some(match command {
            Id::Open => vec![Step::Push(Place::Topic(
                row.progress.partition.topic.to_string(),
            ))],
            Id::CancelReassignment => vec![Step::Plan(Action::CancelReassignments(self.chosen()))],
            Id::Copy => topics::copy(&row.name, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let area = draw_run(cx, area, buffer);
        if self.list.rows().is_empty() {
            let part = &cx.snapshot.reassignments;
            if part.get().is_none() {
                return absent::draw(part, "", cx, area, buffer);
            }
            let lines = [
                ("nothing is being reassigned", theme.dim),
                (
                    "a on a topic, or d on a broker, plans a reassignment",
                    theme.dim,
                ),
            ];
            return absent::say(&lines, area, buffer);
        }
        let mut spans = vec![
            Span::styled(format::total(&self.done, format::bytes), theme.text),
            Span::styled(" of ", theme.dim),
            Span::styled(format::total(&self.total, format::bytes), theme.text),
            Span::styled(" copied  ", theme.dim),
        ];
        let pace = self.pace(cx).map(|pace| format!("{pace}  "));
        spans.extend(pace.map(|pace| Span::styled(pace, theme.text)));
        if let (Some(done), Some(total)) = (self.done.complete(), self.total.complete())
            && total > 0
        {
            let width = usize::from(area.width).saturating_sub(60).min(60);
            spans.push(Span::styled(
                frame::bar(done as f64 / total as f64, width),
                theme.accent,
            ));
        }
        frame::line(spans, area.x + 1, area.y, area.width - 1, buffer);
        let mut used = 1;
        if let Some(text) = self.waiting() {
            let width = usize::from(area.width.saturating_sub(2));
            for line in format::wrap(&text, width).iter().take(2) {
                let y = area.y + used;
                frame::text(line, theme.bad, area.x + 1, y, area.width - 2, buffer);
                used += 1;
            }
        }
        used += u16::from(area.height >= LOW);
        let used = used.min(area.height);
        let rest = Rect {
            y: area.y + used,
            height: area.height - used,
            ..area
        };
        self.list.draw(cx, true, rest, buffer);
    }
}
