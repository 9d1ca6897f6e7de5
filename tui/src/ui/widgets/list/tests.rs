//! Rows, columns, sorting, filters, the selection and the window over the rows.

use super::*;
use crate::ui::cx::tests::with_cx;

struct Row(&'static str, Option<i64>);

impl Named for Row {
    fn name(&self) -> &str {
        self.0
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column {
        title: "NAME",
        width: 6,
        grows: Growth::Name,
        align: Align::Left,
        priority: 0,
        key: |row, _| Key::Text(row.0.into()),
        cell: |row, cx| Span::styled(row.0, cx.theme.text),
    },
    Column {
        title: "SIZE",
        width: 6,
        grows: Growth::None,
        align: Align::Right,
        priority: 1,
        key: |row, _| Key::int(row.1),
        cell: |row, cx| {
            Span::styled(
                row.1.map_or(format::UNKNOWN.into(), format::count),
                cx.theme.text,
            )
        },
    },
];

fn list() -> List<Row> {
    let rows = vec![
        Row("b", Some(5)),
        Row("a", None),
        Row("Cc", Some(1234)),
        Row("d", Some(-1)),
    ];
    with_cx(|cx| {
        let mut list = List::new(COLUMNS);
        list.set_rows(rows, cx);
        list
    })
}

fn shown(list: &List<Row>) -> Vec<&str> {
    list.order
        .iter()
        .map(|i| list.rows[*i as usize].0)
        .collect()
}

fn painted(list: &List<Row>, width: u16, height: u16) -> Vec<String> {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    with_cx(|cx| list.draw(cx, true, area, &mut buffer));
    let line = |y| {
        (0..width)
            .map(|x| buffer[(x, y)].symbol())
            .collect::<String>()
    };
    (0..height).map(|y| line(y).trim_end().to_owned()).collect()
}

#[test]
fn unknown_values_come_last_in_both_directions() {
    let mut list = list();
    with_cx(|cx| list.sort_next(1, cx));
    assert_eq!(
        shown(&list),
        ["Cc", "b", "d", "a"],
        "numbers begin with the large ones"
    );
    with_cx(|cx| list.sort_reverse(cx));
    assert_eq!(shown(&list), ["d", "b", "Cc", "a"]);
}

#[test]
fn the_selection_follows_its_row() {
    let mut list = list();
    assert!(list.select_name("b"));
    with_cx(|cx| list.sort_next(1, cx));
    assert_eq!(list.selected_row().map(|r| r.0), Some("b"));
    with_cx(|cx| list.set_rows(vec![Row("x", None), Row("b", Some(1))], cx));
    assert_eq!(list.selected_row().map(|r| r.0), Some("b"));
}

#[test]
fn what_comes_before_the_selected_row_is_on_the_screen_when_there_is_room() {
    let mut list = List::new(COLUMNS);
    with_cx(|cx| list.set_rows(vec![Row("broker", None)], cx));
    // There is room for one row, as on a screen that has nothing to say.
    assert!(painted(&list, 30, 2)[1].contains("broker"));
    let rows = vec![Row("a-worse-thing", None), Row("broker", None)];
    with_cx(|cx| list.set_rows(rows, cx));
    assert_eq!(list.selected_row().map(|row| row.0), Some("broker"));
    assert!(painted(&list, 30, 10)[1].contains("a-worse-thing"));
}

#[test]
fn filters_take_small_letters_as_either_and_an_exclamation_mark_as_not() {
    let accepted = |filter: &str| {
        let mut list = list();
        with_cx(|cx| list.set_filter(filter, cx));
        shown(&list).join(" ")
    };
    assert_eq!(accepted("c"), "Cc");
    assert_eq!(accepted("C"), "Cc");
    assert_eq!(accepted("CC"), "");
    assert_eq!(accepted("!c"), "a b d");
    assert_eq!(accepted(""), "Cc a b d");
}

#[test]
fn a_narrow_screen_drops_columns_by_priority() {
    let list = list();
    let wide = painted(&list, 18, 5);
    assert_eq!(
        wide[..3],
        [" NAME▲     SIZE", " Cc       1,234", " a            …"]
    );
    assert_eq!(painted(&list, 10, 5)[..2], [" NAME▲", " Cc"]);
}

#[test]
fn paging_keeps_the_selection_on_screen() {
    let mut list = List::new(COLUMNS);
    let names: Vec<&'static str> = (0..100).map(|n| &*format!("{n:03}").leak()).collect();
    with_cx(|cx| list.set_rows(names.iter().map(|n| Row(n, None)).collect(), cx));
    painted(&list, 20, 11);
    list.move_pages(2);
    assert!(painted(&list, 20, 11)[10].starts_with(" 010"));
    list.move_to(99);
    assert!(painted(&list, 20, 11)[10].starts_with(" 099"));
    with_cx(|cx| list.set_filter("00", cx));
    assert!(painted(&list, 20, 11)[1].starts_with(" 000"));
}

#[test]
fn a_window_that_grows_is_filled_to_its_end() {
    let mut list = List::new(COLUMNS);
    let names: Vec<&'static str> = (0..100).map(|n| &*format!("{n:03}").leak()).collect();
    with_cx(|cx| list.set_rows(names.iter().map(|n| Row(n, None)).collect(), cx));
    painted(&list, 20, 11);
    list.move_to(99);
    painted(&list, 20, 11);
    let screen = painted(&list, 20, 31);
    assert!(screen[1].starts_with(" 070"), "{screen:#?}");
    assert!(screen[30].starts_with(" 099"), "{screen:#?}");
}

#[test]
fn what_is_cut_takes_the_room_that_its_neighbours_leave_empty_and_keeps_it() {
    const TEXTS: &[Column<Row>] = &[
        Column {
            title: "FROM",
            width: 12,
            grows: Growth::None,
            cell: |_, cx| Span::styled("x", cx.theme.text),
            ..COLUMNS[0]
        },
        Column {
            width: 6,
            ..COLUMNS[1]
        },
    ];
    let mut list = List::new(TEXTS);
    with_cx(|cx| list.set_rows(vec![Row("a", Some(1_234_567))], cx));
    assert_eq!(painted(&list, 22, 2)[1], " x          1,234,567");
    // Nothing jumps when the number becomes shorter.
    with_cx(|cx| list.set_rows(vec![Row("a", Some(7))], cx));
    assert_eq!(painted(&list, 22, 2)[1], " x                  7");
    // Where there is no room the number is cut, and not the window.
    with_cx(|cx| list.set_rows(vec![Row("a", Some(1_234_567_890))], cx));
    assert_eq!(painted(&list, 22, 2)[1], " x        1,234,567,…");
}

#[test]
fn where_there_is_no_room_a_name_is_cut_before_a_number_is() {
    const NARROW: &[Column<Row>] = &[
        Column {
            width: 18,
            ..COLUMNS[0]
        },
        Column {
            width: 11,
            grows: Growth::None,
            ..COLUMNS[0]
        },
        Column {
            width: 13,
            priority: 0,
            ..COLUMNS[1]
        },
    ];
    let widths = |width| {
        let shown = choose(NARROW, 18, width);
        let widths = layout(NARROW, &shown, &[18, 11, 13], width);
        widths.iter().map(|(_, width)| *width).collect::<Vec<u16>>()
    };
    assert_eq!(widths(80), [18, 11, 13]);
    assert_eq!(widths(40), [10, 11, 13]);
    assert_eq!(widths(36), [8, 9, 13]);
    assert_eq!(widths(30), [7, 7, 10], "nothing is left out of the window");
    assert_eq!(widths(3).iter().sum::<u16>(), 0);
}
