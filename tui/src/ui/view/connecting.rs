//! What is shown instead of a screen while nothing is known of the cluster: what is being tried,
//! or which step failed, why, and what to do.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::ui::app::App;
use crate::ui::format;
use crate::ui::widgets::frame;

/// After so long it is worth saying how long it has been tried.
const PATIENCE_MS: i64 = 2_000;

/// Lines of a reason that stay where there is little room, and how soon the others go.
const REASON_LINES: usize = 3;
const TAIL: u8 = 3;

/// A part of the page, and how soon it goes where there is no room: the highest first.
struct Line {
    text: String,
    style: Style,
    dispensable: u8,
}

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let margin = if area.width < 60 { 1 } else { 3 };
    let width = usize::from(area.width.saturating_sub(2 * margin));
    let mut lines = lines(app, width);
    while lines.len() > usize::from(area.height) {
        let worst = lines.iter().map(|line| line.dispensable).max().unwrap_or(0);
        match lines.iter().rposition(|line| line.dispensable == worst) {
            Some(at) if worst > 0 => lines.remove(at),
            _ => break,
        };
    }
    for (y, line) in (area.y..area.bottom()).zip(&lines) {
        let room = area.width.saturating_sub(margin);
        frame::text(&line.text, line.style, area.x + margin, y, room, buffer);
    }
}

fn lines(app: &App, width: usize) -> Vec<Line> {
    let theme = &app.world.theme;
    let mut lines = Vec::new();
    let mut add = |text: &str, style: Style, dispensable: u8| {
        for (at, text) in format::wrap(&format::clean(text), width)
            .into_iter()
            .enumerate()
        {
            // What to do is worth more than the end of a long reason.
            let is_tail = dispensable == 0 && at >= REASON_LINES;
            lines.push(Line {
                text,
                style,
                dispensable: if is_tail { TAIL } else { dispensable },
            });
        }
    };
    let gap = |add: &mut dyn FnMut(&str, Style, u8)| add(" ", theme.text, 9);
    let address = app.world.target.address();
    gap(&mut add);
    match app.world.snapshot.metadata.fault() {
        None => {
            add(&format!("connecting to {address} …"), theme.accent, 0);
            let since = app.world.now.monotonic_ms - app.session.started_at.monotonic_ms;
            if since >= PATIENCE_MS {
                let for_long = format::duration_ms(since / 1000 * 1000);
                add(&format!("no answer for {for_long} yet"), theme.warn, 0);
            }
        }
        Some(fault) => {
            add(&format!("not connected to {address}"), theme.bad, 8);
            gap(&mut add);
            add(&fault.why, theme.bad, 0);
            if let Some(hint) = &fault.hint {
                add(hint, theme.text, 1);
            }
            gap(&mut add);
            add(&countdown(app), theme.warn, 2);
        }
    }
    gap(&mut add);
    let other = "8 saved clusters · :connect HOST:PORT · ctrl-r to try now · q to leave";
    add(other, theme.dim, 7);
    lines
}

fn countdown(app: &App) -> String {
    let session = &app.session;
    if session.is_resting {
        return "not tried again by itself: ctrl-r tries again".to_owned();
    }
    let pause = app.intervals.metadata_pause_ms(session.n_failures);
    let pause = i64::try_from(pause).unwrap_or(i64::MAX);
    let left = session.failed_at.monotonic_ms + pause - app.world.now.monotonic_ms;
    let attempts = format::plural(usize::try_from(session.n_failures).unwrap_or(0), "attempt");
    match (left + 999) / 1000 {
        left if left > 0 => format!("{attempts} failed, trying again in {left}s"),
        _ => format!("{attempts} failed, trying again now …"),
    }
}
