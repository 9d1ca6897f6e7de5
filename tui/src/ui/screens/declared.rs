//! Topics as files declare them: what differs from the cluster, looked at again and again, and the
//! plan that makes it the same, for all or for the marked ones.

use std::collections::HashSet;
use std::path::PathBuf;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::watch::Watch;
use super::{cells, forms, topics};
use crate::model::Fault;
use crate::ops::declared::{Drift, DriftState, Prepared, Wanted};
use crate::ops::execution::{BATCH, parse_rate};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::format;
use crate::ui::screen::{Place, Screen, Step, Toast, focused_list};
use crate::ui::widgets::form::{Field, Form, Wrong};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Key, List, Named, Rows as _};

/// Asks for the files.
pub fn apply_form() -> Form {
    let note = "a file of TOML, YAML or JSON, or a folder of such files";
    Form::new(
        "declared topics",
        vec![Field::text("path", "", note)],
        |values, _| match values.get(0).trim() {
            "" => Err(Wrong::new(0, "which file?")),
            path => Ok(vec![
                Step::Close,
                Step::Go(Place::Declared(path.to_owned())),
            ]),
        },
    )
}

/// Asks where topics are written to, as files that declare them.
pub(super) fn export_form(names: Vec<String>) -> Form {
    let note = "FILE.toml, FILE.yaml or FILE.json; else a folder with a file for each topic";
    let title = match names.len() {
        0 => "export all topics".to_owned(),
        n => format!("export {}", format::plural(n, "topic")),
    };
    let fields = vec![
        Field::text("path", "topics.toml", note),
        Field::choice("replicas", &["how many", "each of them"], 0),
    ];
    let intro = vec!["Files that `apply` takes; what is there is not written over.".to_owned()];
    let form = Form::new(title, fields, move |values, cx| {
        let path = match values.get(0).trim() {
            "" => return Err(Wrong::new(0, "where to?")),
            path => at_home(path),
        };
        let job = cx.new_job();
        Ok(vec![
            Step::Close,
            Step::Effect(Effect::ExportTopics {
                job,
                names: names.clone(),
                with_replicas: values.get(1) != "how many",
                path,
            }),
        ])
    });
    form.intro(intro)
}

/// A path as a shell would take it.
pub(super) fn at_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

impl Named for Drift {
    fn name(&self) -> &str {
        &self.topic
    }
}

fn state_style(drift: &Drift, cx: &Cx<'_>) -> Style {
    if !drift.obstacles.is_empty() {
        return cx.theme.bad;
    }
    match drift.state {
        DriftState::Same => cx.theme.dim,
        DriftState::New => cx.theme.good,
        DriftState::Changed => cx.theme.warn,
        DriftState::Deleted => cx.theme.bad,
    }
}

fn state_word(drift: &Drift) -> &'static str {
    match drift.obstacles.is_empty() {
        true => drift.state.as_str(),
        false => "can't be",
    }
}

/// What differs, in one line.
fn summary(drift: &Drift) -> String {
    if let Some(why) = drift.obstacles.first() {
        return why.clone();
    }
    let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let differences = drift.differences.iter();
    let texts: Vec<String> = differences
        .map(|d| match (&d.now, &d.declared) {
            (None, Some(declared)) => format!("{} {declared}", d.what),
            _ => format!("{} {} → {}", d.what, or(&d.now), or(&d.declared)),
        })
        .collect();
    texts.join(", ")
}

const COLUMNS: &[Column<Drift>] = &[
    Column::name(
        "TOPIC",
        14,
        |row, _| Key::text(&row.topic),
        |row, cx| cells::foreign(&row.topic, cx),
    ),
    Column::text(
        "STATE",
        8,
        0,
        |row, _| Key::Int(row.state as i64),
        |row, cx| Span::styled(state_word(row), state_style(row, cx)),
    ),
    Column::number(
        "CHANGES",
        7,
        2,
        |row, _| Key::size(row.differences.len()),
        |row, cx| cells::count(row.differences.len(), cx),
    ),
    Column::text(
        "DECLARED AT",
        14,
        3,
        |row, _| Key::text(&row.at.as_ref().map(ToString::to_string).unwrap_or_default()),
        |row, cx| match &row.at {
            // The folder is in the line above, and in full where the row is opened.
            Some(at) => {
                let at = at.to_string();
                let file = at.rsplit('/').next().unwrap_or_default();
                cells::dim(format::clean(file).into_owned(), cx)
            }
            None => cells::dim("not declared", cx),
        },
    ),
    Column::rest(
        "WHAT",
        20,
        0,
        |row, _| Key::text(&summary(row)),
        |row, cx| cells::foreign(&summary(row), cx),
    ),
];

/// The screen.
#[derive(Debug)]
pub struct Declared {
    path: String,
    wanted: Wanted,
    only_different: bool,
    list: List<Drift>,
    watch: Watch,
    found: Option<Box<Prepared>>,
    fault: Option<Fault>,
    /// Whether what was found is not yet what is asked for now.
    is_behind: bool,
    /// Whether it is to be executed as soon as it is.
    execute_then: bool,
}

impl Declared {
    pub fn new(path: String) -> Self {
        Self {
            path,
            wanted: Wanted::default(),
            only_different: false,
            list: List::sorted_by(COLUMNS, 1, false),
            watch: Watch::default(),
            found: None,
            fault: None,
            is_behind: false,
            execute_then: false,
        }
    }

    /// Looks from now on, with what is asked for now.
    fn look(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        (self.is_behind, self.execute_then) = (true, false);
        let (files, wanted) = (vec![at_home(&self.path)], self.wanted.clone());
        let watch = |job| Effect::WatchDeclared { job, files, wanted };
        self.watch.begin(cx, watch)
    }

    fn show(&mut self, cx: &Cx<'_>) {
        let rows = self.found.iter().flat_map(|found| &found.compared.topics);
        let is_shown = |drift: &&Drift| {
            let is_same = drift.state == DriftState::Same && drift.obstacles.is_empty();
            !self.only_different || !is_same
        };
        let rows = rows.filter(is_shown).cloned().collect();
        self.list.set_rows(rows, cx);
    }

    /// The marked topics, where some are.
    fn marked(&self) -> Option<HashSet<&str>> {
        let marked = || self.list.chosen().into_iter().map(|row| &*row.topic);
        (self.list.n_marked() > 0).then(|| marked().collect())
    }

    /// Asks how fast replicas may be moved.
    fn pace_form(&self) -> Form {
        let (rate, batch) = self.wanted.pace.unwrap_or((None, BATCH));
        let rate = rate.map(|rate| rate.to_string()).unwrap_or_default();
        let fields = forms::pace_fields(&rate, batch);
        Form::new("pace of the moves", fields, |values, _| {
            let (rate, batch) = forms::pace(values)?;
            let rate = rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string());
            let line = format!("{rate} {batch}");
            Ok(vec![Step::Close, Step::Run(Id::RunPace, line)])
        })
    }

    /// What the form above answered, or was typed: `20M 5`, `none 5`, `20M`.
    fn set_pace(&mut self, line: &str, cx: &Cx<'_>) -> Vec<Step> {
        let mut words = line.split_whitespace();
        let rate = match words.next() {
            None | Some("none") => Ok(None),
            Some(text) => parse_rate(text).map(Some),
        };
        let batch = words.next().map_or(Ok(BATCH), str::parse);
        match (rate, batch) {
            (Ok(rate), Ok(batch @ 1..)) => {
                self.wanted.pace = Some((rate, batch));
                self.look(cx)
            }
            (Err(why), _) => vec![Step::Say(Toast::bad(format!("throttle: {why}")))],
            _ => vec![Step::Say(Toast::bad("at a time: at least one"))],
        }
    }

    fn execute(&mut self) -> Vec<Step> {
        if self.is_behind {
            self.execute_then = true;
            return vec![Step::Say(Toast::info("comparing as it is asked for now"))];
        }
        let Some(found) = &self.found else {
            return Vec::new();
        };
        let action = match self.marked() {
            Some(topics) => found.compared.action_for(&topics),
            None => found.compared.action.clone(),
        };
        match action {
            Some(action) => vec![Step::PlanOn(action, found.updates.clone())],
            None => vec![Step::Say(Toast::info("nothing to do: it is as declared"))],
        }
    }
}

/// Everything that is known of a topic's difference, to read.
fn details(drift: &Drift, cx: &Cx<'_>) -> TextDialog {
    let theme = cx.theme;
    let clean = |text: &str| format::clean(text).into_owned();
    let at = match &drift.at {
        Some(at) => format!("{}, declared at {at}", state_word(drift)),
        None => "not declared".to_owned(),
    };
    let mut lines = vec![(clean(&at), state_style(drift, cx))];
    for why in &drift.obstacles {
        lines.push((clean(why), theme.bad));
    }
    lines.push((String::new(), theme.text));
    for d in &drift.differences {
        lines.push((clean(&d.what), theme.title));
        let source = d.source.as_ref().map(|from| format!("  (from: {from})"));
        let now = d.now.as_deref().unwrap_or("-");
        let now = format!("  - {now}{}", source.unwrap_or_default());
        lines.push((clean(&now), theme.bad));
        let declared = d.declared.as_deref().unwrap_or("none of its own");
        lines.push((clean(&format!("  + {declared}")), theme.good));
    }
    if drift.differences.is_empty() {
        lines.push(("it is as declared".to_owned(), theme.dim));
    }
    let copy: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
    let copy = copy.join("\n");
    TextDialog::new(format!("topic {}", clean(&drift.topic)), lines, copy)
}

impl Screen for Declared {
    fn place(&self) -> Place {
        Place::Declared(self.path.clone())
    }

    fn title(&self) -> String {
        "declared topics".to_owned()
    }

    fn status(&self, _cx: &Cx<'_>) -> String {
        let mut parts = vec![self.list.status(), format::clean(&self.path).into_owned()];
        if let Some(found) = &self.found {
            let n = |state, word: &str| match found.compared.n(state) {
                0 => None,
                n => Some(format!("{n} {word}")),
            };
            parts.extend(n(DriftState::New, "new"));
            parts.extend(n(DriftState::Changed, "changed"));
            parts.extend(n(DriftState::Deleted, "to be deleted"));
            if found.compared.is_in_agreement() {
                parts.push("all as declared".to_owned());
            }
            match found.compared.undeclared.len() {
                0 => {}
                n => parts.push(format!("{n} not declared")),
            }
        }
        if self.wanted.prune {
            parts.push("undeclared settings go".to_owned());
        }
        parts.extend(self.wanted.pace.map(|(rate, batch)| match rate {
            Some(rate) => {
                let rate = crate::units::byte_rate(rate);
                format!("moves at most {rate}, {batch} at a time")
            }
            None => format!("moves {batch} at a time"),
        }));
        parts.join(" · ")
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Declared, Scope::List]
    }

    focused_list!(self.list);

    fn on_open(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        self.look(cx)
    }

    fn on_close(&mut self) -> Vec<JobId> {
        self.watch.end()
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        match self.watch.found(job, answer) {
            Some(Answer::Declared(Ok(found))) => {
                self.fault = None;
                self.found = Some(found);
                self.is_behind = false;
                self.show(cx);
                if std::mem::take(&mut self.execute_then) {
                    return match self.refusal(Id::Execute, cx) {
                        Some(why) => vec![Step::Say(Toast::bad(why))],
                        None => self.execute(),
                    };
                }
            }
            Some(Answer::Declared(Err(fault))) => {
                self.execute_then = false;
                self.fault = Some(fault);
            }
            _ => {}
        }
        Vec::new()
    }

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        if command != Id::Execute {
            return None;
        }
        let Some(found) = &self.found else {
            return Some("nothing was compared yet".to_owned());
        };
        // What was found before may be of files that say something else by now.
        if let (Some(fault), false) = (&self.fault, self.is_behind) {
            return Some(format!(
                "it can't be compared: {}",
                format::clean(&fault.why)
            ));
        }
        let marked = self.marked();
        let is_meant = |drift: &&Drift| match &marked {
            Some(topics) => topics.contains(&*drift.topic),
            None => true,
        };
        let meant = found.compared.topics.iter().filter(is_meant);
        let why = meant.flat_map(|drift| &drift.obstacles).next();
        why.map(|why| format!("{}; mark the others to go on with them", format::clean(why)))
    }

    fn run(&mut self, command: Id, argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        Some(match command {
            Id::Open => match self.list.selected_row() {
                Some(row) => vec![Step::Dialog(Box::new(details(row, cx)))],
                None => Vec::new(),
            },
            Id::Copy => match self.list.selected_row() {
                Some(row) => topics::copy(&row.topic, cx),
                None => Vec::new(),
            },
            Id::Execute => self.execute(),
            Id::RunPace if argument.is_empty() => vec![Step::Dialog(Box::new(self.pace_form()))],
            Id::RunPace => self.set_pace(argument, cx),
            Id::Prune => {
                self.wanted.prune = !self.wanted.prune;
                self.look(cx)
            }
            Id::DeleteUndeclared => {
                self.wanted.delete_undeclared = !self.wanted.delete_undeclared;
                self.look(cx)
            }
            Id::ShowDifferent => {
                self.only_different = !self.only_different;
                self.show(cx);
                Vec::new()
            }
            Id::Refresh => self.look(cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let mut area = area;
        let mut say = |text: &str, style: Style, area: &mut Rect| {
            let width = usize::from(area.width.saturating_sub(2));
            let lines = text
                .lines()
                .flat_map(|line| format::wrap(&format::clean(line), width));
            for line in lines {
                if area.height == 0 {
                    return;
                }
                let width = area.width.saturating_sub(1);
                frame::text(&line, style, area.x + 1, area.y, width, buffer);
                area.y += 1;
                area.height -= 1;
            }
        };
        if let Some(fault) = &self.fault {
            say(&format!("! {fault}"), theme.warn, &mut area);
            if let Some(hint) = &fault.hint {
                say(&format!("  {hint}"), theme.dim, &mut area);
            }
        }
        if self.list.rows().is_empty() {
            match (&self.found, &self.fault) {
                (None, None) => say("reading …", theme.dim, &mut area),
                (None, Some(_)) => {}
                (Some(found), _) if found.compared.topics.is_empty() => {
                    say("no topic is declared there", theme.dim, &mut area);
                }
                (Some(_), _) => say("everything is as declared", theme.good, &mut area),
            }
            return;
        }
        self.list.draw(cx, true, area, buffer);
    }
}
