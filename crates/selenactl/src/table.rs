//! Aligned columns.

use crate::visible::visible;

/// Widest a cell gets, the last column's apart; the rest of a longer one is cut.
const MAX_CELL_CHARS: usize = 48;

/// A table for people: cells are made visible, columns aligned.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these heads.
    pub(crate) fn new<const N: usize>(heads: [&str; N]) -> Self {
        let mut table = Self { rows: Vec::new() };
        table.row(heads);
        table
    }

    /// A table without heads.
    pub(crate) fn plain() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a row; an empty cell becomes `-`.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        let last = N.saturating_sub(1);
        let cell = |(column, text): (usize, &str)| match text {
            "" => "-".to_owned(),
            text if column == last => visible(text),
            text => cut(visible(text)),
        };
        self.rows.push(cells.into_iter().enumerate().map(cell).collect());
    }

    /// The lines, without spaces at their ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let chars = |column: usize, row: &Vec<String>| row.get(column).map_or(0, |cell| cell.chars().count());
        let width = |column| self.rows.iter().map(|row| chars(column, row)).max().unwrap_or(0);
        let widths: Vec<_> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

fn cut(text: String) -> String {
    if text.chars().count() <= MAX_CELL_CHARS {
        return text;
    }
    text.chars().take(MAX_CELL_CHARS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let mut table = Table::new(["NAME", "STATUS", "PORT"]);
        table.row(["lämpchen", "RUNNING", "8100"]);
        table.row(["x", "", "8101"]);
        assert_eq!(table.lines(), ["NAME      STATUS   PORT", "lämpchen  RUNNING  8100", "x         -        8101"]);
    }

    #[test]
    fn x14_cells_are_visible_before_they_are_measured() {
        let mut table = Table::plain();
        table.row(["\x1b[1m", "a"]);
        table.row(["x", "b\n"]);
        assert_eq!(table.lines(), [r"\u{1b}[1m  a", r"x          b\n"]);
    }

    #[test]
    fn long_cells_are_cut_but_in_the_last_column() {
        let mut table = Table::plain();
        let long = "y".repeat(60);
        table.row([&long, &long]);
        assert_eq!(table.lines(), [format!("{}…  {long}", "y".repeat(47))]);
    }
}
