//! A plan: what would change, what to know before, what the broker says to it; then the question,
//! the execution, and what came of it.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::Span;
use tui_input::Input;
use unicode_width::UnicodeWidthStr as _;

use crate::clusters::{Target, confirmation};
use crate::model::Fault;
use crate::ops::{Action, Danger, Plan, Report, Verification};
use crate::ui::cx::Cx;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::format;
use crate::ui::screen::{Dialog, Step, Toast};
use crate::ui::theme::Theme;
use crate::ui::widgets::{form, frame};

/// Where the plan is on its way.
#[derive(Debug)]
enum Stage {
    /// The broker validates it; `None` when it has said yes or can't.
    Asking {
        check: Check,
    },
    Executing(JobId),
    Done {
        report: Report,
        verified: Verified,
    },
    /// Nothing could be tried.
    Failed(Fault),
}

#[derive(Debug)]
enum Check {
    /// Kafka has no way to check this kind of change.
    NotPossible,
    Running(JobId),
    Accepted,
    Refused(Vec<String>),
    Failed(Fault),
}

#[derive(Debug)]
enum Verified {
    Running(JobId),
    Ended(Verification),
    Failed(Fault),
    NotTried,
}

/// The dialog of one plan.
#[derive(Debug)]
pub struct PlanDialog {
    plan: Arc<Plan>,
    /// What has to be typed before it is executed.
    wanted: Option<String>,
    stage: Stage,
    typed: Input,
    first: usize,
    height: std::cell::Cell<usize>,
    asked_without_typing: bool,
    /// It changes another cluster than the one that is looked at.
    is_elsewhere: bool,
    /// How far the execution is.
    told: Option<String>,
}

fn can_be_checked(action: &Action) -> bool {
    matches!(
        action,
        Action::CreateTopic(_)
            | Action::AddPartitions(_)
            | Action::AddPartitionsToMany(_)
            | Action::AlterConfigs(_)
            | Action::Apply(_)
    ) || matches!(action, Action::Security(action) if action.can_be_checked())
        || matches!(action, Action::Quorum(action) if action.can_be_checked())
}

impl PlanDialog {
    /// Shows a plan, of the cluster that is looked at or of another one; the effect lets the broker
    /// check it.
    pub fn new(plan: Plan, there: Option<&Target>, cx: &Cx<'_>) -> (Self, Option<Effect>) {
        let plan = Arc::new(plan);
        let (check, effect) = if can_be_checked(&plan.action) && !cx.read_only {
            let job = cx.new_job();
            (
                Check::Running(job),
                Some(Effect::Check {
                    job,
                    plan: Arc::clone(&plan),
                }),
            )
        } else {
            (Check::NotPossible, None)
        };
        let target = there.unwrap_or(cx.target);
        let wanted = confirmation(&plan, target.level, target.name.as_deref());
        let dialog = Self {
            plan,
            wanted,
            stage: Stage::Asking { check },
            typed: Input::default(),
            first: 0,
            height: std::cell::Cell::new(10),
            asked_without_typing: false,
            is_elsewhere: there.is_some(),
            told: None,
        };
        (dialog, effect)
    }

    /// Why it can't be executed now.
    fn obstacle(&self, cx: &Cx<'_>) -> Option<String> {
        if cx.read_only && !self.is_elsewhere {
            return Some(match &cx.target.name {
                Some(name) => {
                    format!("{name} is read-only: w in the list of clusters allows changes")
                }
                None => "this session is read-only: start it without --read-only".to_owned(),
            });
        }
        match &self.stage {
            Stage::Asking {
                check: Check::Running(_),
            } => Some("the broker is still checking this".to_owned()),
            Stage::Asking {
                check: Check::Refused(_),
            } => Some("the broker refuses this: esc, and change it".to_owned()),
            Stage::Asking { .. } => None,
            _ => Some("this has been executed already".to_owned()),
        }
    }

    fn execute(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        if let Some(why) = self.obstacle(cx) {
            return vec![Step::Say(Toast::bad(why))];
        }
        let job = cx.new_job();
        self.stage = Stage::Executing(job);
        self.first = 0;
        vec![Step::Effect(Effect::Execute {
            job,
            plan: Arc::clone(&self.plan),
        })]
    }

    fn confirm(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        match &self.wanted {
            Some(wanted) if self.typed.value().trim() != wanted => {
                self.asked_without_typing = true;
                Vec::new()
            }
            _ => self.execute(cx),
        }
    }

    fn on_executed(&mut self, result: Result<Report, Fault>, cx: &Cx<'_>) -> Vec<Step> {
        match result {
            Err(fault) => {
                self.stage = Stage::Failed(fault);
                Vec::new()
            }
            Ok(report) => {
                let any_done = report.items.iter().any(|item| item.outcome.is_ok());
                let mut steps = vec![Step::Effect(Effect::Refresh)];
                let verified = if any_done {
                    let job = cx.new_job();
                    let plan = Arc::clone(&self.plan);
                    steps.push(Step::Effect(Effect::Verify { job, plan }));
                    Verified::Running(job)
                } else {
                    Verified::NotTried
                };
                self.stage = Stage::Done { report, verified };
                steps
            }
        }
    }

    /// A success that needs no reading closes by itself.
    fn on_verified(&mut self, result: Result<Verification, Fault>) -> Vec<Step> {
        let Stage::Done { report, verified } = &mut self.stage else {
            return Vec::new();
        };
        let is_success = report.is_success();
        *verified = match result {
            Ok(verification) => Verified::Ended(verification),
            Err(fault) => Verified::Failed(fault),
        };
        if !is_success || !matches!(verified, Verified::Ended(Verification::Done)) {
            return Vec::new();
        }
        let detail = match &report.items[..] {
            [item] => item.outcome.as_deref().unwrap_or("done"),
            _ => "done",
        };
        let text = format!("{}: {detail}", self.plan.title);
        vec![Step::CloseAll, Step::Say(Toast::good(text))]
    }

    fn scroll(&mut self, lines: isize) {
        self.first = self.first.saturating_add_signed(lines);
    }

    fn lines(&self, theme: &Theme, width: usize) -> Vec<Vec<Span<'static>>> {
        let mut lines = Lines {
            width,
            lines: Vec::new(),
        };
        match &self.stage {
            Stage::Asking { check } => {
                lines.changes(&self.plan, theme);
                lines.notes(&self.plan, theme);
                lines.check(check, theme);
            }
            Stage::Executing(_) => {
                lines.changes(&self.plan, theme);
                lines.gap();
                let told = self.told.as_deref().unwrap_or("executing…");
                lines.text("", told, theme.accent, theme.accent);
            }
            Stage::Failed(fault) => lines.fault("failed  ", fault, theme),
            Stage::Done { report, verified } => {
                lines.report(report, theme);
                lines.verified(verified, theme);
            }
        }
        lines.lines
    }

    fn question(&self, cx: &Cx<'_>, y: u16, inside: Rect, buffer: &mut Buffer) -> Option<Position> {
        let theme = cx.theme;
        let Stage::Asking { .. } = self.stage else {
            return None;
        };
        if let Some(why) = self.obstacle(cx) {
            frame::text(&why, theme.warn, inside.x, y, inside.width, buffer);
            return None;
        }
        let Some(wanted) = &self.wanted else {
            let text = "press y to execute, esc to leave everything as it is";
            frame::text(text, theme.accent, inside.x, y, inside.width, buffer);
            return None;
        };
        let style = if self.asked_without_typing {
            theme.bad
        } else {
            theme.accent
        };
        let prompt = format!("type {} to confirm: ", format::clean(wanted));
        let room = usize::from(inside.width).saturating_sub(12);
        let width = unicode_width::UnicodeWidthStr::width(&*prompt);
        // What has to be typed must be seen: a long name gets the line above for itself.
        let (line, shift) = match u16::try_from(width) {
            Ok(shift) if width <= room => (y, shift),
            _ => (y.saturating_sub(1), 0),
        };
        frame::text(&prompt, style, inside.x, line, inside.width, buffer);
        let area = Rect {
            x: inside.x + shift,
            y,
            width: inside.width.saturating_sub(shift),
            height: 1,
        };
        Some(form::draw_input(&self.typed, theme.text, area, buffer))
    }
}

/// Lines of the dialog, each with a label in front.
struct Lines {
    width: usize,
    lines: Vec<Vec<Span<'static>>>,
}

/// Changes that are listed one by one.
const CHANGES_MAX: usize = 500;

/// Command lines that are shown; all of them are copied.
const EQUIVALENT_MAX: usize = 8;

/// Cells of a label.
const LABEL: usize = 10;

impl Lines {
    fn gap(&mut self) {
        if !self.lines.is_empty() {
            self.lines.push(Vec::new());
        }
    }

    fn text(&mut self, label: &str, text: &str, label_style: Style, style: Style) {
        let room = self.width.saturating_sub(LABEL);
        for (at, part) in format::wrap(&format::clean(text), room)
            .into_iter()
            .enumerate()
        {
            let label = if at == 0 { label } else { "" };
            self.lines.push(vec![
                Span::styled(format!("{label:<LABEL$}"), label_style),
                Span::styled(part, style),
            ]);
        }
    }

    fn changes(&mut self, plan: &Plan, theme: &Theme) {
        let widest = plan
            .changes
            .iter()
            .map(|change| change.subject.chars().count())
            .max();
        let subject_width = widest.unwrap_or(0).min(self.width / 2);
        for change in plan.changes.iter().take(CHANGES_MAX) {
            let subject = format::cut(&format::clean(&change.subject), subject_width);
            let mut spans = vec![Span::styled(
                format!("{subject:<subject_width$}  "),
                theme.text,
            )];
            let room = self.width.saturating_sub(subject_width + 2);
            let cut = |text: &str, room: usize| format::cut(&format::clean(text), room);
            match (&change.before, &change.after) {
                (Some(before), Some(after)) => {
                    let before = cut(before, room / 2);
                    let left = room.saturating_sub(before.width() + 3);
                    spans.push(Span::styled(before, theme.dim));
                    spans.push(Span::styled(" → ", theme.dim));
                    spans.push(Span::styled(cut(after, left), theme.good));
                }
                (None, Some(after)) => spans.push(Span::styled(cut(after, room), theme.good)),
                (Some(before), None) => {
                    spans.push(Span::styled(
                        cut(before, room.saturating_sub(10)),
                        theme.text,
                    ));
                    spans.push(Span::styled(" → removed", theme.bad));
                }
                (None, None) => {}
            }
            if let Some(note) = &change.note {
                let used: usize = spans.iter().map(|span| span.content.width()).sum();
                let left = self.width.saturating_sub(used + 2);
                let note = format::cut(&format::clean(note), left);
                spans.push(Span::styled(format!("  {note}"), theme.text));
            }
            self.lines.push(spans);
        }
        if let Some(more) = plan
            .changes
            .len()
            .checked_sub(CHANGES_MAX)
            .filter(|more| *more > 0)
        {
            let text = format!("… and {} more", format::count(more as i64));
            self.lines.push(vec![Span::styled(text, theme.dim)]);
        }
    }

    fn notes(&mut self, plan: &Plan, theme: &Theme) {
        if let Some(preview) = &plan.reassignment {
            self.gap();
            let bytes = format::total(&preview.bytes, format::bytes);
            let moves = format::plural(preview.n_moves(), "replica");
            self.text(
                "to copy",
                &format!("{moves}, {bytes}"),
                theme.dim,
                theme.text,
            );
            if let Some(estimate) = &preview.estimate {
                self.text("takes", &estimate.to_string(), theme.dim, theme.text);
            }
        }
        if !plan.warnings.is_empty() || !plan.irrevocable.is_empty() {
            self.gap();
        }
        for warning in plan.warnings.iter().take(CHANGES_MAX) {
            self.text("warning", warning, theme.warn, theme.text);
        }
        for left in plan.not_done.iter().take(CHANGES_MAX) {
            self.text("left", left, theme.dim, theme.dim);
        }
        for stays in plan.irrevocable.iter().take(CHANGES_MAX) {
            self.text("no undo", stays, theme.warn, theme.text);
        }
        if !plan.equivalent.is_empty() {
            self.gap();
        }
        for line in plan.equivalent.iter().take(EQUIVALENT_MAX) {
            self.text("same as", line, theme.dim, theme.dim);
        }
    }

    fn check(&mut self, check: &Check, theme: &Theme) {
        match check {
            Check::NotPossible => {}
            Check::Running(_) => {
                self.gap();
                self.text("broker", "checking…", theme.dim, theme.dim);
            }
            Check::Accepted => {
                self.gap();
                self.text("broker", "accepts this", theme.dim, theme.good);
            }
            Check::Refused(whys) => {
                self.gap();
                for why in whys {
                    self.text("broker", &format!("refuses: {why}"), theme.bad, theme.bad);
                }
            }
            Check::Failed(fault) => {
                self.gap();
                self.text(
                    "broker",
                    &format!("not checked: {fault}"),
                    theme.warn,
                    theme.warn,
                );
            }
        }
    }

    fn fault(&mut self, label: &str, fault: &Fault, theme: &Theme) {
        self.text(label, &fault.to_string(), theme.bad, theme.bad);
        if let Some(hint) = &fault.hint {
            self.text("", hint, theme.dim, theme.text);
        }
    }

    fn report(&mut self, report: &Report, theme: &Theme) {
        for item in &report.items {
            match &item.outcome {
                Ok(done) => {
                    self.text(
                        "done",
                        &format!("{}: {done}", item.subject),
                        theme.good,
                        theme.text,
                    );
                }
                Err(fault) => {
                    let why = format!("{}: {}", item.subject, fault.why);
                    self.text("failed", &why, theme.bad, theme.bad);
                    if let Some(hint) = &fault.hint {
                        self.text("", hint, theme.dim, theme.text);
                    }
                }
            }
        }
    }

    fn verified(&mut self, verified: &Verified, theme: &Theme) {
        self.gap();
        match verified {
            Verified::NotTried => {}
            Verified::Running(_) => {
                self.text("cluster", "reading it again…", theme.dim, theme.dim);
            }
            Verified::Ended(Verification::Done) => {
                self.text("cluster", "is as planned", theme.dim, theme.good);
            }
            Verified::Ended(Verification::InProgress { detail }) => {
                self.text(
                    "cluster",
                    &format!("on its way: {detail}"),
                    theme.dim,
                    theme.warn,
                );
            }
            Verified::Ended(Verification::Differs { detail }) => {
                self.text(
                    "cluster",
                    &format!("differs: {detail}"),
                    theme.bad,
                    theme.bad,
                );
            }
            Verified::Failed(fault) => {
                self.text(
                    "cluster",
                    &format!("not verified: {fault}"),
                    theme.warn,
                    theme.warn,
                );
            }
        }
    }
}

impl Dialog for PlanDialog {
    fn key(&mut self, key: KeyEvent, cx: &Cx<'_>) -> Vec<Step> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let page = isize::try_from(self.height.get()).unwrap_or(1);
        let asking = matches!(self.stage, Stage::Asking { .. });
        let executing = matches!(self.stage, Stage::Executing(_));
        let typing = asking && self.wanted.is_some();
        match key.code {
            KeyCode::Esc => return vec![Step::Close],
            KeyCode::Down => self.scroll(1),
            KeyCode::Up => self.scroll(-1),
            KeyCode::PageDown => self.scroll(page),
            KeyCode::PageUp => self.scroll(-page),
            KeyCode::Enter if typing => return self.confirm(cx),
            _ if typing => self.asked_without_typing &= !form::edit(&mut self.typed, key),
            KeyCode::Char('y') if asking => return self.confirm(cx),
            KeyCode::Enter if asking && self.plan.danger == Danger::Safe => {
                return self.confirm(cx);
            }
            KeyCode::Enter | KeyCode::Char('q') if executing => {}
            KeyCode::Enter | KeyCode::Char('q') if !asking => return vec![Step::Close],
            KeyCode::Char('n' | 'q') if asking => return vec![Step::Close],
            KeyCode::Char('c') if !control => {
                let lines = self.plan.equivalent.join("\n");
                let copied = Toast::good("the equivalent command is copied");
                return vec![Step::Effect(Effect::Copy(lines)), Step::Say(copied)];
            }
            KeyCode::Char('j') => self.scroll(1),
            KeyCode::Char('k') => self.scroll(-1),
            _ => {}
        }
        Vec::new()
    }

    fn paste(&mut self, text: &str, _cx: &Cx<'_>) {
        if self.wanted.is_some() {
            form::paste(&mut self.typed, text);
        }
    }

    fn wheel(&mut self, lines: isize) {
        self.scroll(lines);
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        let is_ours = match &self.stage {
            Stage::Asking {
                check: Check::Running(ours),
            } => *ours == job,
            Stage::Executing(ours) => *ours == job,
            Stage::Done {
                verified: Verified::Running(ours),
                ..
            } => *ours == job,
            _ => false,
        };
        if !is_ours {
            return Vec::new();
        }
        match answer.take() {
            Some(Answer::Checked(result)) => {
                let check = match result {
                    Err(fault) => Check::Failed(fault),
                    Ok(report) if report.is_success() => Check::Accepted,
                    Ok(report) => Check::Refused(
                        report
                            .faults()
                            .map(|(_, fault)| fault.why.clone())
                            .collect(),
                    ),
                };
                self.stage = Stage::Asking { check };
                Vec::new()
            }
            Some(Answer::Progress(text)) => {
                self.told = Some(text);
                Vec::new()
            }
            Some(Answer::Executed(result)) => self.on_executed(result, cx),
            Some(Answer::Verified(result)) => self.on_verified(result),
            _ => Vec::new(),
        }
    }

    fn on_close(&mut self) -> Vec<JobId> {
        match &self.stage {
            Stage::Asking {
                check: Check::Running(job),
            }
            | Stage::Done {
                verified: Verified::Running(job),
                ..
            } => vec![*job],
            // A change that is under way is not torn off.
            _ => Vec::new(),
        }
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> Option<Position> {
        let width = 100.min(area.width.saturating_sub(4));
        let inner = usize::from(width).saturating_sub(4);
        let lines = self.lines(cx.theme, inner);
        let question = u16::from(matches!(self.stage, Stage::Asking { .. })) * 2;
        let height = u16::try_from(lines.len())
            .unwrap_or(u16::MAX)
            .saturating_add(2 + question);
        let title = format::clean(&self.plan.title);
        let inside = frame::dialog_box(&title, width, height, cx.theme, area, buffer);
        let room = usize::from(inside.height.saturating_sub(question));
        self.height.set(room.max(1));
        let first = self.first.min(lines.len().saturating_sub(room));
        let n_lines = lines.len();
        for (y, spans) in (inside.y..).zip(lines.into_iter().skip(first).take(room)) {
            frame::line(spans, inside.x, y, inside.width, buffer);
        }
        if n_lines > room {
            let place = format!(
                " {}-{} of {n_lines} ",
                first + 1,
                (first + room).min(n_lines)
            );
            let x = inside
                .right()
                .saturating_sub(u16::try_from(place.len()).unwrap_or(0));
            frame::text(&place, cx.theme.dim, x, inside.bottom(), 24, buffer);
        }
        self.question(cx, inside.bottom().saturating_sub(1), inside, buffer)
    }

    fn hints(&self) -> Vec<(&'static str, &'static str)> {
        match &self.stage {
            Stage::Executing(_) => vec![("esc", "go on without waiting")],
            Stage::Asking { .. } if self.wanted.is_some() => {
                vec![("enter", "execute"), ("esc", "cancel"), ("↑ ↓", "scroll")]
            }
            Stage::Asking { .. } => vec![
                ("y", "execute"),
                ("esc", "cancel"),
                ("c", "copy the command"),
                ("↑ ↓", "scroll"),
            ],
            _ => vec![("esc", "close"), ("↑ ↓", "scroll")],
        }
    }
}
