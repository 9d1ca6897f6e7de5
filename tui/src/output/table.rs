//! Plain tables: two blanks between columns, numbers to the right, nothing after the last column.

use unicode_width::UnicodeWidthStr;

/// A table under construction.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<(&'static str, bool)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Columns by title; a title that starts with `>` stands to the right.
    pub fn new(columns: &[&'static str]) -> Self {
        let column = |title: &&'static str| match title.strip_prefix('>') {
            Some(title) => (title, true),
            None => (*title, false),
        };
        Self {
            columns: columns.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn render(&self) -> String {
        let titles: Vec<String> = self
            .columns
            .iter()
            .map(|column| column.0.to_owned())
            .collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                let cells = self.rows.iter().chain([&titles]);
                cells
                    .filter_map(|row| row.get(at))
                    .map(|cell| cell.width())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in [&titles].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (at, (_, right)) in self.columns.iter().enumerate() {
                let cell = row.get(at).map_or("", String::as_str);
                let gap = " ".repeat(widths[at].saturating_sub(cell.width()));
                let separator = if at == 0 { "" } else { "  " };
                let (before, after) = if *right { (&*gap, "") } else { ("", &*gap) };
                line.push_str(separator);
                line.push_str(before);
                line.push_str(cell);
                line.push_str(after);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}
