//! Who may do what: ACL rules, users with passwords, quotas. Each is a screen of its own.

pub mod acls;
pub mod quotas;
pub mod users;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cluster::Interest;
use crate::model::Resource;
use crate::ui::cx::Cx;
use crate::ui::widgets::frame;

/// All three are read while one of them is on the screen.
fn interest() -> Interest {
    Interest {
        security: true,
        ..Interest::default()
    }
}

/// What stands where rows would be; `false` where there are rows to draw.
fn draw_empty<T>(
    resource: &Resource<Vec<T>>,
    nothing: &str,
    cx: &Cx<'_>,
    area: Rect,
    buffer: &mut Buffer,
) -> bool {
    let text = match (resource.get(), resource.fault()) {
        (Some(rows), _) if !rows.is_empty() => return false,
        (Some(_), _) => nothing,
        // The failure stands above.
        (None, Some(_)) => return true,
        (None, None) => "reading …",
    };
    let (x, width) = (area.x + 1, area.width.saturating_sub(2));
    frame::text(text, cx.theme.dim, x, area.y + 1, width, buffer);
    true
}
