//! What stands where rows would be: that there are none, that they are being read, or why they
//! can't be read and what to do.
//!
//! Invariant: an empty list never passes for an empty cluster. Who sees only a part of it reads
//! that.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Fault, Resource};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::widgets::frame;

/// What is said to who sees no more than a part.
pub const PARTIAL: &str = "what this user may not see is missing here";

/// How to see more.
pub const RIGHTS: &str = "an administrator gives rights: kafka-acls --add --allow-principal \
                          User:NAME --operation Describe --cluster --topic '*' --group '*'";

/// Whether the cluster shows this user only a part of itself.
pub fn is_partial(cx: &Cx<'_>) -> bool {
    let metadata = cx.snapshot.metadata.get();
    metadata.is_some_and(|metadata| metadata.may_describe == Some(false))
}

/// Says why a list whose rows come from that part is empty. `nothing` is what to say where there
/// really is nothing.
pub fn draw<T>(part: &Resource<T>, nothing: &str, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
    let theme = cx.theme;
    match (part.get(), part.fault()) {
        (Some(_), _) if is_partial(cx) => {
            let lines = [(PARTIAL, theme.warn), (RIGHTS, theme.text)];
            say(&lines, area, buffer);
        }
        (Some(_), _) => say(&[(nothing, theme.dim)], area, buffer),
        (None, Some(fault)) => draw_fault(fault, cx, area, buffer),
        (None, None) => say(&[("reading …", theme.dim)], area, buffer),
    }
}

/// Why it could not be read, and what to do.
pub fn draw_fault(fault: &Fault, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
    let told = fault.to_string();
    let mut lines = vec![(&*told, cx.theme.bad)];
    lines.extend(fault.hint.as_deref().map(|hint| (hint, cx.theme.text)));
    say(&lines, area, buffer);
}

/// Writes texts one below the other, broken where the area ends; a line above them stays free
/// where there is room.
pub fn say(texts: &[(&str, Style)], area: Rect, buffer: &mut Buffer) {
    let width = area.width.saturating_sub(2);
    let lines: Vec<(String, Style)> = texts
        .iter()
        .flat_map(|(text, style)| {
            let lines = format::wrap(&format::clean(text), usize::from(width));
            lines.into_iter().map(move |line| (line, *style))
        })
        .collect();
    let has_room = lines.len() < usize::from(area.height);
    let top = area.y + u16::from(has_room);
    for (y, (line, style)) in (top..area.bottom()).zip(&lines) {
        frame::text(line, *style, area.x + 1, y, width, buffer);
    }
}
