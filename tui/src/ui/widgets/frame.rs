//! Boxes, lines of text, keys and values.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Widget};
use unicode_width::UnicodeWidthStr;

use crate::ui::format;
use crate::ui::theme::Theme;

/// A box of at most `width` by `height` cells in the middle of `area`; the answer is its inside.
pub fn dialog_box(
    title: &str,
    width: u16,
    height: u16,
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
) -> Rect {
    let width = width.min(area.width.saturating_sub(2));
    let height = height.min(area.height);
    let outside = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(outside, buffer);
    let title = format::cut(&format!(" {title} "), usize::from(width.saturating_sub(4)));
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.accent)
        .title(Span::styled(title, theme.title));
    let inside = block.inner(outside);
    block.render(outside, buffer);
    Rect {
        x: inside.x + 1,
        width: inside.width.saturating_sub(2),
        ..inside
    }
}

/// Draws one line; a `…` stands for what does not fit, be it more than blanks and rules.
pub fn line(spans: Vec<Span<'_>>, x: u16, y: u16, width: u16, buffer: &mut Buffer) {
    if y >= buffer.area.bottom() || width == 0 {
        return;
    }
    let (mut at, mut needed) = (0, 0);
    for span in &spans {
        let said = span.content.trim_end_matches([' ', '─']).width();
        needed = if said > 0 { at + said } else { needed };
        at += span.content.width();
    }
    let is_cut = needed > usize::from(width);
    let (end, _) = buffer.set_line(x, y, &Line::from(spans), width);
    if is_cut && let Some(cell) = buffer.cell_mut((end.saturating_sub(1), y)) {
        cell.set_symbol("…");
    }
}

/// Draws short texts beside each other and, where they need more than a line, below each other;
/// how many lines that took. What does not fit into the area is left out as a whole: half a number
/// is none. Only what is wider than the area is cut.
pub fn parts(parts: Vec<Vec<Span<'_>>>, area: Rect, buffer: &mut Buffer) -> u16 {
    let (left, width) = (area.x + 1, area.width.saturating_sub(1));
    let (mut x, mut y) = (0, 0);
    for part in parts {
        let wanted: usize = part.iter().map(|span| span.content.width()).sum();
        let wanted = u16::try_from(wanted).unwrap_or(u16::MAX);
        let gap = if x == 0 { 0 } else { 2 };
        if x > 0 && x + gap + wanted.min(width) > width {
            if y + 1 >= area.height {
                continue;
            }
            (x, y) = (0, y + 1);
        }
        let at = if x == 0 { 0 } else { x + gap };
        line(part, left + at, area.y + y, width - at, buffer);
        x = at + wanted.min(width - at);
    }
    y + 1
}

/// Draws text of one style on one line.
pub fn text(text: &str, style: Style, x: u16, y: u16, width: u16, buffer: &mut Buffer) {
    line(
        vec![Span::styled(format::cut(text, usize::from(width)), style)],
        x,
        y,
        width,
        buffer,
    );
}

/// A title with a rule after it.
pub fn rule(title: &str, style: Style, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let rest = usize::from(area.width).saturating_sub(title.width() + 2);
    let spans = vec![
        Span::styled(format!(" {title} "), style),
        Span::styled("─".repeat(rest), theme.border),
    ];
    line(spans, area.x, area.y, area.width, buffer);
}

/// The last points as bars, the highest of them full; a line of dots where nothing is known.
pub fn sparkline(points: impl ExactSizeIterator<Item = f64>, width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let skip = points.len().saturating_sub(width);
    let points: Vec<f64> = points.skip(skip).collect();
    let highest = points.iter().copied().fold(0.0, f64::max);
    let bar = |point: f64| {
        let share = if highest > 0.0 { point / highest } else { 0.0 };
        BARS[((share * 7.0).round() as usize).min(7)]
    };
    points.into_iter().map(bar).collect()
}

/// A share as a bar: `██████░░░░`.
pub fn bar(share: f64, width: usize) -> String {
    let full = ((share.clamp(0.0, 1.0) * width as f64).round() as usize).min(width);
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}
