//! The tasks of a streams group: who does each, and who shall.

use std::collections::BTreeMap;
use std::sync::Arc;

use ratatui::text::Span;

use super::lags::labelled;
use super::members::member_name;
use crate::derive::{GroupLag, StreamsTask, streams_tasks};
use crate::model::{GroupDescription, TaskRole};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screens::cells;
use crate::ui::widgets::list::{Column, Key, Named};

/// One task in one role.
pub struct TaskRow {
    name: String,
    task: StreamsTask,
    owners: String,
    targets: String,
    reads: String,
    /// Of what it reads; of active tasks only.
    lag: Option<i64>,
}

impl Named for TaskRow {
    fn name(&self) -> &str {
        &self.name
    }
}

pub const TASK_COLUMNS: &[Column<TaskRow>] = &[
    Column::name(
        "TASK",
        8,
        |row, _| Key::partition(&row.task.subtopology, row.task.partition),
        |row, cx| cells::foreign(&row.name, cx),
    ),
    Column::text(
        "ROLE",
        8,
        0,
        |row, _| Key::text(row.task.role.as_str()),
        |row, cx| cells::plain(row.task.role.as_str().to_owned(), cx),
    ),
    Column::wide(
        "OWNER",
        18,
        0,
        |row, _| Key::text(&row.owners),
        |row, cx| match row.task.owners.is_empty() {
            true => Span::styled("nobody", cx.theme.warn),
            false => cells::foreign(&row.owners, cx),
        },
    ),
    Column::wide(
        "SHALL BE",
        18,
        1,
        |row, _| Key::text(&row.targets),
        |row, cx| {
            let text = match (row.task.is_moving(), row.task.targets.is_empty()) {
                (false, _) => return cells::dim("the same", cx),
                (true, true) => "nobody".to_owned(),
                (true, false) => format::clean(&row.targets).into_owned(),
            };
            Span::styled(text, cx.theme.warn)
        },
    ),
    Column::number(
        "LAG",
        11,
        1,
        |row, _| Key::int(row.lag),
        |row, cx| match row.task.role {
            TaskRole::Active => cells::maybe(row.lag, cx),
            _ => cells::dim(format::NONE, cx),
        },
    ),
    Column::rest(
        "READS",
        20,
        2,
        |row, _| Key::text(&row.reads),
        |row, cx| cells::foreign(&row.reads, cx),
    ),
];

/// Members by what tells them apart: their clients, which a process numbers.
fn names(group: &GroupDescription) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for member in &group.members {
        *counts.entry(member_name(member)).or_default() += 1;
    }
    let name = |member| {
        let name = member_name(member);
        match counts.get(&name) {
            Some(n) if *n > 1 => {
                let id: Vec<char> = member.id.chars().collect();
                let end: String = id.iter().skip(id.len().saturating_sub(4)).collect();
                format!("{name}…{end}")
            }
            _ => name,
        }
    };
    group.members.iter().map(name).collect()
}

/// The rows of a group's tasks.
pub fn rows(group: &GroupDescription, lag: Option<&GroupLag>) -> Vec<TaskRow> {
    let names = names(group);
    let list = |members: &[usize]| {
        let of = members.iter().filter_map(|at| names.get(*at).cloned());
        of.collect::<Vec<_>>().join(", ")
    };
    let parts = group.topology.iter().flat_map(|t| &t.subtopologies);
    let parts: BTreeMap<&Arc<str>, _> = parts.map(|part| (&part.id, part)).collect();
    let row = |task: StreamsTask| {
        let reads: Vec<&Arc<str>> = (parts.get(&task.subtopology).into_iter())
            .flat_map(|part| part.reads())
            .collect();
        let lag = lag.and_then(|lag| {
            let mut of = lag
                .partitions
                .iter()
                .filter(|row| row.partition == task.partition && reads.contains(&&row.topic));
            of.try_fold(0, |sum, row| match row.committed {
                Some(_) => Some(sum + row.lag.records()?),
                None => Some(sum),
            })
        });
        let reads: Vec<String> = (reads.iter())
            .map(|topic| format!("{topic}-{}", task.partition))
            .collect();
        TaskRow {
            name: task.name(),
            owners: list(&task.owners),
            targets: list(&task.targets),
            reads: reads.join(" "),
            lag,
            task,
        }
    };
    streams_tasks(group).into_iter().map(row).collect()
}

/// `topology 0`, `active 4`, `standby 2`, `moving 1`.
pub fn summary(group: &GroupDescription, cx: &Cx<'_>) -> Vec<Vec<Span<'static>>> {
    let Some(topology) = &group.topology else {
        return Vec::new();
    };
    let theme = cx.theme;
    let tasks = streams_tasks(group);
    let mut parts = Vec::new();
    let mut add = |label: &str, text: String, style| {
        parts.push(labelled(label, text, style, cx));
    };
    add("topology", topology.epoch.to_string(), theme.text);
    for role in TaskRole::ALL {
        let of_role = tasks.iter().filter(|task| task.role == role);
        let n: usize = of_role.map(|task| task.owners.len()).sum();
        if n > 0 || role == TaskRole::Active {
            add(role.as_str(), n.to_string(), theme.text);
        }
    }
    let moving = tasks.iter().filter(|task| task.is_moving()).count();
    if moving > 0 {
        add("moving", moving.to_string(), theme.warn);
    }
    parts
}
