//! Tables for people: aligned columns without borders.

use std::fmt::{self, Display, Formatter};

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// Room between two.
const PADDING: u16 = 2;

/// How wide a column becomes before its cells go on in further lines.
const WIDEST: u16 = 44;

/// Columns in the making.
pub(crate) struct Columns(Table);

impl Columns {
    pub(crate) fn new(titles: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        // What is printed is the same on a terminal and in a file.
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::MAX);
        table.set_header(titles.into_iter().map(Into::into).collect::<Vec<String>>());
        for column in table.column_iter_mut() {
            column.set_padding((0, PADDING));
            column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(WIDEST + PADDING)));
        }
        Self(table)
    }

    /// The same, with what is right of the first column aligned as numbers are.
    pub(crate) fn of_numbers(mut self) -> Self {
        for column in self.0.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self
    }

    pub(crate) fn add(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.add_row(cells.into_iter().collect::<Vec<_>>());
    }
}

impl Display for Columns {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.lines().try_for_each(|line| writeln!(f, "{}", line.trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut columns = Columns::new(["A", "B"]);
        columns.add(["long one".to_owned(), "1".to_owned()]);

        assert_eq!(columns.to_string(), "A         B\nlong one  1\n");
    }

    #[test]
    fn numbers_end_below_each_other() {
        let mut columns = Columns::new(["A", "BC"]).of_numbers();
        columns.add(["x".to_owned(), "1".to_owned()]);

        assert_eq!(columns.to_string(), "A  BC\nx   1\n");
    }

    #[test]
    fn a_long_cell_goes_on_below() {
        let mut columns = Columns::new(["A", "B"]);
        columns.add(["word ".repeat(12), "1".to_owned()]);

        let text = columns.to_string();

        let first = format!("{}  1", ["word"; 9].join(" "));
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), [first.as_str(), "word word word"]);
    }
}
