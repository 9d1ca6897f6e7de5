//! Draws the application: one line of the cluster, one of the screen, the screen, one of keys.
//!
//! Pure: the same state draws the same cells. Nothing here is proportional to the cluster.

mod connecting;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::Span;
use ratatui::widgets::{Clear, Widget};
use unicode_width::UnicodeWidthStr;

use crate::clusters::Level;
use crate::model::Moment;
use crate::ui::app::App;
use crate::ui::command::{self, Scope};
use crate::ui::dialogs::refusal;
use crate::ui::format;
use crate::ui::screen::{Part, Toast, Tone};
use crate::ui::widgets::{form, frame};

/// Smaller terminals get a word instead of a screen.
const WIDTH_MIN: u16 = 40;
const HEIGHT_MIN: u16 = 8;

/// Lines of failures above a screen.
const NOTICES_MAX: usize = 2;

/// Where a screen has fewer lines than this, one has to do.
const NOTICES_HEIGHT_MIN: u16 = 10;

/// Draws everything; the answer is where the cursor stands, if it shows.
pub fn draw(app: &App, buffer: &mut Buffer) -> Option<Position> {
    let area = *buffer.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        let text = format!("too small: {WIDTH_MIN}x{HEIGHT_MIN} at least");
        frame::text(
            &text,
            app.world.theme.warn,
            area.x,
            area.y,
            area.width,
            buffer,
        );
        return None;
    }
    draw_header(app, Rect { height: 1, ..area }, buffer);
    draw_title(
        app,
        Rect {
            y: area.y + 1,
            height: 1,
            ..area
        },
        buffer,
    );
    let body = Rect {
        y: area.y + 2,
        height: area.height - 3,
        ..area
    };
    draw_body(app, body, buffer);
    let last = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..area
    };
    let mut cursor = draw_last_line(app, last, buffer);
    if let Some(dialog) = app.dialogs.last() {
        cursor = dialog.draw(&app.world.cx(), body, buffer);
    }
    if let Some((toast, _)) = app.toasts.front() {
        draw_toast(app, toast, body, buffer);
    }
    cursor
}

fn draw_header(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = &app.world.theme;
    let cx = app.world.cx();
    let snapshot = cx.snapshot;
    let mut right: Vec<Span<'_>> = Vec::new();
    if app.world.read_only {
        right.push(Span::styled("READ-ONLY ", theme.warn));
    }
    match &app.world.past {
        Some(past) => right.push(Span::styled(as_of(app, past), theme.warn)),
        None => right.extend(freshness(app)),
    }
    let right_width: usize = right.iter().map(|span| span.content.width()).sum();
    let right_width = u16::try_from(right_width).unwrap_or(0).min(area.width);
    frame::line(
        right,
        area.right() - right_width,
        area.y,
        right_width,
        buffer,
    );
    // Which cluster it is must be seen: everything else goes before it.
    let mut left = vec![(3, Span::styled(" kafka-tui", theme.title))];
    if app.is_connected() {
        let target = &app.world.target;
        if let Some(name) = &target.name {
            let mark = if target.level == Level::High {
                " !"
            } else {
                ""
            };
            let style = theme.cluster(target.colour);
            left.push((0, Span::styled(format!("  {name}{mark}"), style)));
        }
        let priority = if target.name.is_some() { 7 } else { 1 };
        let address = format::cut(&target.address(), 40);
        left.push((priority, Span::styled(format!("  {address}"), theme.text)));
    }
    if let Some(metadata) = snapshot.metadata.get() {
        let id = metadata.cluster_id.as_deref().unwrap_or("unknown");
        left.push((
            6,
            Span::styled(format!("  {}", format::clean(id)), theme.dim),
        ));
        let brokers = format::plural(metadata.brokers.len(), "broker");
        left.push((5, Span::styled(format!("  {brokers}"), theme.text)));
        let fenced = metadata.brokers.iter().filter(|b| b.fenced == Some(true));
        match fenced.count() {
            0 => {}
            n => left.push((5, Span::styled(format!(" ({n} fenced)"), theme.bad))),
        }
        let controller = snapshot
            .controller_id()
            .map_or("?".to_owned(), |id| id.to_string());
        left.push((
            4,
            Span::styled(format!("  controller {controller}"), theme.text),
        ));
    }
    // The least important parts go first where the line is short.
    let room = usize::from(area.width.saturating_sub(right_width + 1));
    let width = |parts: &[(u8, Span<'_>)]| -> usize {
        parts.iter().map(|(_, span)| span.content.width()).sum()
    };
    while width(&left) > room && left.len() > 1 {
        let worst = left
            .iter()
            .enumerate()
            .max_by_key(|(_, (priority, _))| *priority);
        match worst.map(|(at, _)| at) {
            Some(at) => left.remove(at),
            None => break,
        };
    }
    if let Some((_, first)) = left.first_mut()
        && first.content.starts_with("  ")
    {
        first.content = format!(" {}", first.content.trim_start()).into();
    }
    let left = left.into_iter().map(|(_, span)| span).collect();
    frame::line(
        left,
        area.x,
        area.y,
        u16::try_from(room).unwrap_or(0),
        buffer,
    );
}

/// Which moment is looked at.
fn as_of(app: &App, past: &Moment) -> String {
    if app.world.tape.is_some() {
        let text = format::timestamp_ms(past.at.wall_ms);
        return format!("AS OF {} ", text.get(..19).unwrap_or(&text));
    }
    let now = app.world.now;
    let ago = now.monotonic_ms.saturating_sub(past.at.monotonic_ms);
    let without = if past.is_without_offsets {
        ", without offsets"
    } else {
        ""
    };
    format!(
        "AS OF {}, {} ago{without} ",
        format::clock_ms(past.at.wall_ms),
        format::duration_ms(ago)
    )
}

/// How fresh what is shown is; nothing while all is well.
fn freshness(app: &App) -> Vec<Span<'static>> {
    let theme = &app.world.theme;
    let metadata = &app.world.snapshot.metadata;
    if !app.is_connected() || metadata.get().is_none() {
        return Vec::new();
    }
    match (app.stale_ms(), metadata.fault()) {
        (Some(age), Some(_)) => {
            vec![Span::styled(
                format!("NO ANSWER for {} ", format::duration_ms(age)),
                theme.bad,
            )]
        }
        (Some(age), None) => {
            vec![Span::styled(
                format!("{} old ", format::duration_ms(age)),
                theme.warn,
            )]
        }
        (None, Some(_)) => vec![Span::styled("no answer ", theme.warn)],
        (None, None) => vec![Span::styled("live ", theme.good)],
    }
}

fn draw_title(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = &app.world.theme;
    let n = app.screens.len();
    let mut crumbs: Vec<String> = Vec::new();
    for (at, screen) in app.screens.iter().enumerate() {
        let most = if at + 1 == n { 60 } else { 20 };
        crumbs.push(format::cut(&format::clean(&screen.title()), most));
    }
    let status = app
        .screens
        .last()
        .map(|screen| screen.status(&app.world.cx()))
        .unwrap_or_default();
    // The way back is known; where one is and how many there are must be seen.
    let mut dropped = 0;
    let needed = |crumbs: &[String]| {
        let titles: usize = crumbs.iter().map(|title| title.width() + 3).sum();
        titles + status.width() + 1
    };
    while crumbs.len() > 1 && needed(&crumbs) > usize::from(area.width) {
        crumbs.remove(0);
        dropped += 1;
    }
    let mut spans = vec![Span::raw(" ")];
    if dropped > 0 {
        spans.push(Span::styled("… › ", theme.dim));
    }
    let last = crumbs.pop();
    for title in crumbs {
        spans.push(Span::styled(title, theme.dim));
        spans.push(Span::styled(" › ", theme.dim));
    }
    spans.extend(last.map(|title| Span::styled(title, theme.title)));
    if !status.is_empty() {
        spans.push(Span::styled(format!("  {status}"), theme.dim));
    }
    let used: usize = spans.iter().map(|span| span.content.width()).sum();
    let rest = usize::from(area.width).saturating_sub(used + 1);
    spans.push(Span::styled(format!(" {}", "─".repeat(rest)), theme.border));
    frame::line(spans, area.x, area.y, area.width, buffer);
}

fn draw_body(app: &App, area: Rect, buffer: &mut Buffer) {
    let Some(screen) = app.screens.last() else {
        return;
    };
    let cx = app.world.cx();
    if screen.place().needs_cluster() && app.world.snapshot.metadata.get().is_none() {
        return connecting::draw(app, area, buffer);
    }
    let mut area = area;
    let about_cluster = screen.place().needs_cluster().then(|| warnings(app));
    let about_parts = notices(app, &screen.parts(&cx));
    let all = about_cluster.into_iter().flatten().chain(about_parts);
    let most = match area.height {
        ..NOTICES_HEIGHT_MIN => 1,
        _ => NOTICES_MAX,
    };
    for notice in all.take(most) {
        let (x, width) = (area.x + 1, area.width - 1);
        let style = app.world.theme.warn;
        frame::text(&notice.text(width), style, x, area.y, width, buffer);
        area = Rect {
            y: area.y + 1,
            height: area.height - 1,
            ..area
        };
    }
    screen.draw(&cx, area, buffer);
}

/// A line above a screen: what is the matter, and what to do where there is room to say it.
struct Notice {
    what: String,
    hint: Option<String>,
}

impl Notice {
    fn text(&self, width: u16) -> String {
        let whole = self
            .hint
            .as_ref()
            .map(|hint| format!("{}: {hint}", self.what));
        let fits = |text: &String| text.width() <= usize::from(width);
        whole.filter(fits).unwrap_or_else(|| self.what.clone())
    }
}

/// What is the matter with the cluster as a whole.
fn warnings(app: &App) -> Vec<Notice> {
    let Some(metadata) = app.world.snapshot.metadata.get() else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    let saved = app.world.target.cluster_id.as_deref();
    if let (Some(saved), Some(found)) = (saved, metadata.cluster_id.as_deref())
        && saved != found
    {
        let found = format::clean(found).into_owned();
        let text = "! this is not the cluster you saved";
        warnings.push(Notice {
            what: format!("{text} ({found}, not {saved}): changes are refused"),
            hint: None,
        });
    }
    if metadata.may_describe == Some(false) {
        let seen = match metadata.topics.len() {
            0 => "no topic is shown to it",
            _ => "what it may not see is missing",
        };
        let what = format!("! this user may not describe the cluster: {seen}");
        warnings.push(Notice { what, hint: None });
    }
    warnings
}

/// One line for each part of the screen that could not be read.
fn notices(app: &App, parts: &[Part]) -> Vec<Notice> {
    let now = app.world.now.monotonic_ms;
    let mut notices = Vec::new();
    for part in parts {
        let Some(fault) = &part.fault else { continue };
        let age = match part.taken {
            Some(taken) => match (now - taken.monotonic_ms).max(0) / 1000 * 1000 {
                0 => "from just now".to_owned(),
                age => format!("from {} ago", format::duration_ms(age)),
            },
            None => "not read".to_owned(),
        };
        let why = format::clean(&fault.why).into_owned();
        notices.push(Notice {
            what: format!("! {} {age}: {why}", part.name),
            hint: fault
                .hint
                .as_deref()
                .map(|hint| format::clean(hint).into_owned()),
        });
    }
    notices
}

/// The filter while it is typed, else the keys that work here.
fn draw_last_line(app: &App, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let theme = &app.world.theme;
    if let (Some((input, _)), true) = (&app.filter, app.dialogs.is_empty()) {
        frame::text("/", theme.accent, area.x + 1, area.y, 1, buffer);
        let hint = "enter keep · esc drop · !text all others";
        let hint_width = u16::try_from(hint.width()).unwrap_or(0);
        let x = area.right().saturating_sub(hint_width + 1);
        frame::text(hint, theme.dim, x, area.y, hint_width, buffer);
        let line = Rect {
            x: area.x + 2,
            width: area.width.saturating_sub(hint_width + 4),
            ..area
        };
        return Some(form::draw_input(input, theme.text, line, buffer));
    }
    let hints: Vec<(String, String, bool)> = match app.dialogs.last() {
        Some(dialog) => {
            let hints = dialog.hints().into_iter();
            hints
                .map(|(key, text)| (key.to_owned(), text.to_owned(), true))
                .collect()
        }
        None => hints(app),
    };
    let mut x = area.x + 1;
    for (key, text, possible) in hints {
        let width = u16::try_from(key.width() + text.width() + 1).unwrap_or(0);
        if x + width > area.right() {
            break;
        }
        let style = if possible { theme.text } else { theme.dim };
        let spans = vec![
            Span::styled(key, if possible { theme.key } else { theme.dim }),
            Span::styled(format!(" {text}"), style),
        ];
        frame::line(spans, x, area.y, width, buffer);
        x += width + 2;
    }
    None
}

/// The keys of the screen: help first so that it never falls off, then its own.
fn hints(app: &App) -> Vec<(String, String, bool)> {
    let Some(screen) = app.screens.last() else {
        return Vec::new();
    };
    let cx = app.world.cx();
    let order = |command: &command::Command| match (command.id, command.scope) {
        (command::Id::Help, _) => 0,
        (_, Scope::Panes) => 1,
        (_, Scope::List) => 3,
        (_, Scope::Everywhere) => 4,
        _ => 2,
    };
    let scopes = app.scopes();
    let mut commands: Vec<_> = command::available(&scopes)
        .filter(|c| !c.hint.is_empty())
        .collect();
    commands.sort_by_key(|command| order(command));
    let mut hints = Vec::new();
    for command in commands {
        let Some(key) = command.keys.first() else {
            continue;
        };
        let possible = refusal(&**screen, command, &cx).is_none();
        hints.push((key.label(), command.hint.to_owned(), possible));
    }
    hints
}

fn draw_toast(app: &App, toast: &Toast, area: Rect, buffer: &mut Buffer) {
    let theme = &app.world.theme;
    let width = usize::from(area.width).saturating_sub(4);
    let (mark, style) = match toast.tone {
        Tone::Good => ("✓ ", theme.good),
        Tone::Info => ("· ", theme.accent),
        Tone::Bad => ("✗ ", theme.bad),
    };
    let mut lines: Vec<(String, Style)> = Vec::new();
    for (at, line) in format::wrap(&format::clean(&toast.text), width)
        .into_iter()
        .enumerate()
    {
        lines.push((
            format!("{}{line}", if at == 0 { mark } else { "  " }),
            style,
        ));
    }
    for line in toast
        .hint
        .iter()
        .flat_map(|hint| format::wrap(&format::clean(hint), width))
    {
        lines.push((format!("  {line}"), theme.text));
    }
    lines.truncate(5);
    let height = u16::try_from(lines.len()).unwrap_or(1);
    let area = Rect {
        y: area.bottom().saturating_sub(height),
        height,
        ..area
    };
    Clear.render(area, buffer);
    for (y, (line, style)) in (area.y..area.bottom()).zip(&lines) {
        frame::text(
            line,
            *style,
            area.x + 1,
            y,
            area.width.saturating_sub(1),
            buffer,
        );
    }
}
