//! Columns: what they sort by, how rows become their cells, and which of them fit.

use std::cmp::Ordering;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use unicode_width::UnicodeWidthStr;

use crate::derive::Total;
use crate::ui::cx::Cx;
use crate::ui::format;

/// What a column sorts by. What is unknown comes last in both directions.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    Text(Arc<str>),
    Int(i64),
    Float(f64),
    Unknown,
}

impl Key {
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// Partitions in the order of their numbers, topic by topic.
    pub fn partition(topic: &str, id: i32) -> Self {
        Self::Text(format!("{topic}\0{id:010}").into())
    }

    pub fn size(n: usize) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }

    /// What is known of a sum; a sum that lacks parts sorts by the parts it has.
    pub fn total<T: Copy + Default + std::ops::AddAssign>(
        total: &Total<T>,
        number: impl Fn(T) -> f64,
    ) -> Self {
        total
            .partial()
            .map_or(Self::Unknown, |sum| Self::Float(number(sum)))
    }

    pub fn int(n: Option<impl Into<i64>>) -> Self {
        n.map_or(Self::Unknown, |n| Self::Int(n.into()))
    }

    pub(super) fn compare(&self, other: &Self, descending: bool) -> Ordering {
        let order = match (self, other) {
            (Self::Unknown, Self::Unknown) => return Ordering::Equal,
            (Self::Unknown, _) => return Ordering::Greater,
            (_, Self::Unknown) => return Ordering::Less,
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (a, b) => a.number().total_cmp(&b.number()),
        };
        if descending { order.reverse() } else { order }
    }

    fn number(&self) -> f64 {
        match self {
            Self::Int(n) => *n as f64,
            Self::Float(n) => *n,
            Self::Text(_) | Self::Unknown => f64::NAN,
        }
    }
}

/// How short a name and another text may become.
const NAME_LEAST: u16 = 8;
const TEXT_LEAST: u16 = 7;

/// What a column does with room that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    None,
    /// Takes what the longest name of a row needs, and others make way for it.
    Name,
    /// Takes its share, up to three times its width: a table that is spread over a wide screen is
    /// hard to read.
    Share,
    /// Takes all that the others leave.
    Rest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// One column over rows of type `R`, which are read with the help of what is known.
pub struct Column<R> {
    pub title: &'static str,
    /// Cells of the screen that it needs, its title among them.
    pub width: u16,
    pub grows: Growth,
    pub align: Align,
    /// Columns of the largest number go first when the screen is narrow; 0 stays.
    pub priority: u8,
    pub key: fn(&R, &Cx<'_>) -> Key,
    pub cell: fn(&R, &Cx<'_>) -> Span<'static>,
}

type KeyOf<R> = fn(&R, &Cx<'_>) -> Key;
type CellOf<R> = fn(&R, &Cx<'_>) -> Span<'static>;

impl<R> Column<R> {
    pub const fn text(
        title: &'static str,
        width: u16,
        priority: u8,
        key: KeyOf<R>,
        cell: CellOf<R>,
    ) -> Self {
        Self {
            title,
            width,
            grows: Growth::None,
            align: Align::Left,
            priority,
            key,
            cell,
        }
    }

    /// The name of the rows: stays, and takes the room that it needs.
    pub const fn name(title: &'static str, width: u16, key: KeyOf<R>, cell: CellOf<R>) -> Self {
        Self {
            grows: Growth::Name,
            ..Self::text(title, width, 0, key, cell)
        }
    }

    pub const fn number(
        title: &'static str,
        width: u16,
        priority: u8,
        key: KeyOf<R>,
        cell: CellOf<R>,
    ) -> Self {
        Self {
            align: Align::Right,
            ..Self::text(title, width, priority, key, cell)
        }
    }

    /// A text that takes all the room that is left.
    pub const fn rest(
        title: &'static str,
        width: u16,
        priority: u8,
        key: KeyOf<R>,
        cell: CellOf<R>,
    ) -> Self {
        Self {
            grows: Growth::Rest,
            ..Self::text(title, width, priority, key, cell)
        }
    }

    /// A text that takes its share of the room that is left.
    pub const fn wide(
        title: &'static str,
        width: u16,
        priority: u8,
        key: KeyOf<R>,
        cell: CellOf<R>,
    ) -> Self {
        Self {
            grows: Growth::Share,
            ..Self::text(title, width, priority, key, cell)
        }
    }
}

pub(super) fn draw_cell(span: Span<'static>, align: Align, area: Rect, buffer: &mut Buffer) {
    let wanted = span.content.width();
    let available = usize::from(area.width);
    let style: Style = span.style;
    if wanted > available {
        let text = format::cut(&span.content, available);
        Line::from(Span::styled(text, style)).render(area, buffer);
    } else if align == Align::Right {
        let shift = u16::try_from(available - wanted).unwrap_or(0);
        let area = Rect {
            x: area.x + shift,
            width: area.width - shift,
            ..area
        };
        Line::from(span).render(area, buffer);
    } else {
        Line::from(span).render(area, buffer);
    }
}

/// A cell of one column; a name that is too long keeps the number it ends with.
pub(super) fn draw_row_cell<R>(
    column: &Column<R>,
    mut span: Span<'static>,
    area: Rect,
    buffer: &mut Buffer,
) {
    if column.grows == Growth::Name {
        span.content = format::cut_name(&span.content, usize::from(area.width)).into();
    }
    draw_cell(span, column.align, area, buffer);
}

/// The columns that fit into `width` with two cells between them. The first cell is kept for
/// marks. Columns of priority 2 and more make way for a long name.
pub(super) fn choose<R>(columns: &[Column<R>], name_width: u16, width: u16) -> Vec<usize> {
    let width = width.saturating_sub(2);
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let least = |i: usize| columns[i].width;
    let wanted = |i: usize| match columns[i].grows {
        Growth::Name => least(i).max(name_width),
        _ => least(i),
    };
    let sum = |shown: &[usize], of: &dyn Fn(usize) -> u16| -> u16 {
        let all = shown.iter().map(|i| of(*i) + 2);
        all.sum::<u16>().saturating_sub(2)
    };
    loop {
        let worst = shown
            .iter()
            .enumerate()
            .max_by_key(|(_, i)| columns[**i].priority);
        let Some((at, i)) = worst else { break };
        let priority = columns[*i].priority;
        let fits = sum(&shown, &wanted) <= width;
        let must_stay = priority == 0 || (priority < 2 && sum(&shown, &least) <= width);
        if fits || must_stay || shown.len() == 1 {
            break;
        }
        shown.remove(at);
    }
    shown
}

/// How wide the chosen columns become. `needs` says of every column how wide the widest cell is
/// that was drawn; what would be cut takes room that is left, then room that texts do not use.
pub(super) fn layout<R>(
    columns: &[Column<R>],
    shown: &[usize],
    needs: &[u16],
    width: u16,
) -> Vec<(usize, u16)> {
    let width = width.saturating_sub(2);
    let gaps = u16::try_from(shown.len().saturating_sub(1) * 2).unwrap_or(u16::MAX);
    let mut widths: Vec<(usize, u16)> = shown.iter().map(|i| (*i, columns[*i].width)).collect();
    let all: u16 = widths.iter().map(|(_, width)| *width).sum();
    let mut spare = width.saturating_sub(all.saturating_add(gaps));
    let need = |i: usize| needs.get(i).copied().unwrap_or(0);
    // Names first, then numbers, then texts: what is cut of a number is lost.
    let rank = |i: usize| match (columns[i].grows, columns[i].align) {
        (Growth::Name, _) => 0,
        (_, Align::Right) => 1,
        (Growth::Rest, _) => 3,
        _ => 2,
    };
    for kind in 0..3 {
        for at in 0..widths.len() {
            let (i, own) = widths[at];
            if rank(i) != kind || need(i) <= own {
                continue;
            }
            let missing = need(i) - own;
            // A text takes from its neighbours no more than it needs to be read.
            let missing = if kind == 2 {
                missing.min(own * 2)
            } else {
                missing
            };
            let mut got = spare.min(missing);
            spare -= got;
            for (giver, room) in widths.iter_mut().rev() {
                let column = &columns[*giver];
                let gives = *giver != i && column.align == Align::Left;
                let title = u16::try_from(column.title.width()).unwrap_or(0);
                let least = match need(*giver) {
                    // Nothing stands there at all.
                    0 => title,
                    need => need.max(title).max(TEXT_LEAST),
                };
                if gives && got < missing {
                    let taken = room.saturating_sub(least).min(missing - got);
                    *room -= taken;
                    got += taken;
                }
            }
            widths[at].1 += got;
        }
    }
    let mut grow = |growth: Growth, most: &dyn Fn(usize) -> u16| {
        let of_kind = |i: &usize| columns[*i].grows == growth;
        let mut left = shown.iter().filter(|i| of_kind(i)).count();
        for (i, width) in widths.iter_mut().filter(|(i, _)| of_kind(i)) {
            let share = spare / u16::try_from(left.max(1)).unwrap_or(1);
            let extra = share.min(most(*i).saturating_sub(*width));
            *width += extra;
            spare -= extra;
            left -= 1;
        }
    };
    grow(Growth::Share, &|i| columns[i].width * 3);
    grow(Growth::Rest, &|_| u16::MAX);
    shrink(&mut widths, columns, width);
    widths
}

/// A name is cut before a number is: what has to stay where there is no room takes it from the
/// name, then from the other texts, from the last to the first.
fn shrink<R>(widths: &mut [(usize, u16)], columns: &[Column<R>], width: u16) {
    let gaps = u16::try_from(widths.len().saturating_sub(1) * 2).unwrap_or(u16::MAX);
    let all: u16 = widths.iter().map(|(_, width)| *width).sum();
    let mut over = all.saturating_add(gaps).saturating_sub(width);
    let is_name = |i: usize| columns[i].grows == Growth::Name;
    let is_text = |i: usize| columns[i].align == Align::Left;
    let kinds: [(&dyn Fn(usize) -> bool, u16); 3] = [
        (&is_name, NAME_LEAST),
        (&is_text, TEXT_LEAST),
        (&|_| true, 0),
    ];
    for (is_kind, least) in kinds {
        for (i, width) in widths.iter_mut().rev() {
            if is_kind(*i) {
                let taken = over.min(width.saturating_sub(least));
                *width -= taken;
                over -= taken;
            }
        }
    }
}
