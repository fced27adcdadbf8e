//! The one table: Markdown for people, JSON for programs.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// One measured thing.
#[derive(Debug, Default, Serialize)]
pub(super) struct Row {
    /// What was measured.
    pub(super) what: String,
    /// Our figure.
    pub(super) ours: String,
    /// What a peer or a baseline did in the same run.
    pub(super) peer: String,
    /// Ours by the peer's.
    pub(super) ratio: Option<f64>,
    /// What is to be reached.
    pub(super) goal: &'static str,
    /// Whether it was; `None` if the row has no goal.
    pub(super) reached: Option<bool>,
    /// The same in numbers, with the unit in the name.
    pub(super) figures: BTreeMap<&'static str, f64>,
}

/// All rows, in order.
#[derive(Debug, Default, Serialize)]
pub(super) struct Table(pub(super) Vec<Row>);

const HEAD: [&str; 6] = ["what", "ours", "peer or baseline in the same run", "ratio", "goal", "reached?"];

impl Row {
    fn cells(&self) -> [String; 6] {
        let reached = match self.reached {
            None => "–",
            Some(true) => "yes",
            Some(false) => "**no**",
        };
        let ratio = self.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        let or_dash = |text: &str| if text.is_empty() { "–".to_owned() } else { text.to_owned() };
        [or_dash(&self.what), or_dash(&self.ours), or_dash(&self.peer), ratio, or_dash(self.goal), reached.to_owned()]
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.0.iter().map(Row::cells).collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([HEAD[column].chars().count()]).max().unwrap_or_default()
        };
        let widths: [usize; 6] = std::array::from_fn(width);
        let line = |f: &mut fmt::Formatter<'_>, cells: &[String; 6]| {
            for (cell, width) in cells.iter().zip(widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")
        };
        line(f, &HEAD.map(str::to_owned))?;
        line(f, &widths.map(|width| "-".repeat(width)))?;
        rows.iter().try_for_each(|row| line(f, row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_markdown_in_columns() {
        let row = Row {
            what: "GET".into(),
            ours: "21/s".into(),
            ratio: Some(0.5),
            goal: "≥ 20/s",
            reached: Some(true),
            ..Row::default()
        };
        let text = Table(vec![row, Row { what: "longer".into(), reached: Some(false), ..Row::default() }]).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "| ------ | ---- | -------------------------------- | ----- | ------ | -------- |");
        assert_eq!(lines[2], "| GET    | 21/s | –                                | 0.50  | ≥ 20/s | yes      |");
        assert_eq!(lines[3], "| longer | –    | –                                | –     | –      | **no**   |");
    }
}
