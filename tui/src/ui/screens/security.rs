//! Who may do what: ACL rules, users with passwords, quotas. Each is a screen of its own.

pub mod acls;
pub mod quotas;
pub mod users;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::absent;
use crate::cluster::Interest;
use crate::model::Resource;
use crate::ui::cx::Cx;
use crate::ui::screen::Part;

/// All three are read while one of them is on the screen.
fn interest() -> Interest {
    Interest {
        security: true,
        ..Interest::default()
    }
}

/// The part of the cluster that a screen shows, for what is said above it. Where nothing of it was
/// read yet, the screen itself says why.
fn part<T>(name: &'static str, resource: &Resource<T>) -> Vec<Part> {
    let part = Part::of(name, resource);
    resource.get().map(|_| part).into_iter().collect()
}

/// What stands where rows would be; `false` where there are rows to draw.
fn draw_empty<T>(
    resource: &Resource<Vec<T>>,
    nothing: &str,
    cx: &Cx<'_>,
    area: Rect,
    buffer: &mut Buffer,
) -> bool {
    if resource.get().is_some_and(|rows| !rows.is_empty()) {
        return false;
    }
    absent::draw(resource, nothing, cx, area, buffer);
    true
}
