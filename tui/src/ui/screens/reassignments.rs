//! Running reassignments with their progress.

use kafka_shared::types::TopicPartition;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{cells, topics};
use crate::derive::{self, MoveProgress, Total};
use crate::ops::Action;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step, focused_list};
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
}

impl ReassignmentsScreen {
    pub fn new() -> Self {
        Self {
            list: List::new(COLUMNS),
            done: Total::new(),
            total: Total::new(),
        }
    }

    fn chosen(&self) -> Vec<TopicPartition> {
        self.list
            .chosen()
            .iter()
            .map(|row| row.progress.partition.clone())
            .collect()
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

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        (command == Id::CancelReassignment && self.list.rows().is_empty())
            .then(|| "nothing is being reassigned".to_owned())
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
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
        if self.list.rows().is_empty() {
            let known = cx.snapshot.reassignments.get().is_some();
            let text = if known {
                "nothing is being reassigned"
            } else {
                "reading …"
            };
            frame::text(
                text,
                theme.dim,
                area.x + 1,
                area.y + 1,
                area.width - 2,
                buffer,
            );
            let hint = "a on a topic, or d on a broker, plans a reassignment";
            frame::text(
                hint,
                theme.dim,
                area.x + 1,
                area.y + 2,
                area.width - 2,
                buffer,
            );
            return;
        }
        let mut spans = vec![
            Span::styled(format::total(&self.done, format::bytes), theme.text),
            Span::styled(" of ", theme.dim),
            Span::styled(format::total(&self.total, format::bytes), theme.text),
            Span::styled(" copied  ", theme.dim),
        ];
        if let (Some(done), Some(total)) = (self.done.complete(), self.total.complete())
            && total > 0
        {
            let width = usize::from(area.width).saturating_sub(40).min(60);
            spans.push(Span::styled(
                frame::bar(done as f64 / total as f64, width),
                theme.accent,
            ));
        }
        frame::line(spans, area.x + 1, area.y, area.width - 1, buffer);
        let rest = Rect {
            y: area.y + 2,
            height: area.height.saturating_sub(2),
            ..area
        };
        self.list.draw(cx, true, rest, buffer);
    }
}
