//! Aligned columns without borders.

use std::fmt::{self, Display, Formatter};

/// Room between two.
const PADDING: usize = 2;

/// How wide a column becomes before its cells go on in further lines.
const WIDEST: usize = 44;

/// Columns in the making.
pub(super) struct Columns {
    rows: Vec<Vec<String>>,
}

impl Columns {
    pub(super) fn new(titles: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { rows: vec![titles.into_iter().map(Into::into).collect()] }
    }

    pub(super) fn add(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl Display for Columns {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rows: Vec<Vec<Vec<String>>> =
            self.rows.iter().map(|row| row.iter().map(|cell| wrapped(cell)).collect()).collect();
        let count = rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let lines = rows.iter().filter_map(|row| row.get(column)).flatten();
            lines.map(|line| line.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..count).map(width).collect();
        for row in &rows {
            let height = row.iter().map(Vec::len).max().unwrap_or_default();
            for line in 0..height {
                let mut text = String::new();
                for (column, width) in widths.iter().enumerate() {
                    let cell = row.get(column).and_then(|cell| cell.get(line)).map_or("", String::as_str);
                    let padding = " ".repeat(width + PADDING - cell.chars().count());
                    text.push_str(cell);
                    text.push_str(&padding);
                }
                writeln!(f, "{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// A cell in lines, none longer than a column is wide unless a single word is.
fn wrapped(cell: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in cell.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDEST {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
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
    fn a_long_cell_goes_on_below() {
        let mut columns = Columns::new(["A", "B"]);
        columns.add(["word ".repeat(12), "1".to_owned()]);

        let text = columns.to_string();

        let first = format!("{}  1", ["word"; 9].join(" "));
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), [first.as_str(), "word word word"]);
    }
}
