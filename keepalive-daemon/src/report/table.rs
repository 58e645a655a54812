//! Tables: aligned columns without borders, so that `awk` and people both can read them.

use comfy_table::{ColumnConstraint, ContentArrangement, presets};

/// Columns with what others may have named.
const NAMES: [&str; 5] = ["CGROUP", "POD, OR CGROUP", "POD OR CGROUP", "POLICY", "PROCESS"];

/// How long a name may be before it is cut: longer than those of pods and services are, and short enough that nobody who
/// names a cgroup pushes everything else out of sight.
const LONGEST_NAME: usize = 128;

/// Room between columns.
const PADDING: u16 = 3;

/// The least width in which the last column is wrapped.
const NARROWEST: usize = 16;

/// A table in the making.
pub(crate) struct Table {
    table: comfy_table::Table,
    header: Vec<String>,
    longest_name: usize,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header);
        for column in table.column_iter_mut() {
            column.set_padding((0, PADDING));
        }
        Self { table, header: header.map(str::to_owned).to_vec(), longest_name: LONGEST_NAME }
    }

    /// The same with names no longer than this, of rows that are added from now on.
    pub(crate) fn with_names_of(mut self, longest_name: usize) -> Self {
        self.longest_name = self.longest_name.min(longest_name);
        self
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.iter().zip(&self.header).map(|(cell, column)| {
            let cell = printable(cell);
            if NAMES.contains(&column.as_str()) { shortened(cell, self.longest_name) } else { cell }
        });
        self.table.add_row(cells.collect::<Vec<_>>());
    }

    /// The table for a screen of so many columns: without as many of the `dispensable` ones as it takes, the first of them
    /// first, and with the last column on several lines, unless the rest is still too wide for that.
    pub(crate) fn within(mut self, columns: usize, dispensable: &[&str]) -> Self {
        let widths = self.table.column_max_content_widths();
        let mut widths: Vec<_> = widths.into_iter().map(|width| Some(usize::from(width + PADDING))).collect();
        let last = widths.pop().flatten().unwrap_or_default();
        let needed = |widths: &[Option<usize>]| widths.iter().flatten().sum::<usize>() + last.min(NARROWEST);
        for name in dispensable {
            if needed(&widths) > columns
                && let Some(index) = self.header.iter().position(|column| column == name)
                && let Some(width) = widths.get_mut(index)
            {
                *width = None;
            }
        }
        let is_wide_enough = needed(&widths) <= columns;
        for (column, width) in self.table.column_iter_mut().zip(&widths) {
            let is_hidden = width.is_none();
            let constraint =
                if is_hidden { ColumnConstraint::Hidden } else { ColumnConstraint::ContentWidth };
            column.set_constraint(constraint);
        }
        if let Some(screen) = u16::try_from(columns).ok().filter(|_| is_wide_enough) {
            self.table.set_content_arrangement(ContentArrangement::Dynamic).set_width(screen);
        }
        self
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in self.table.lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Text for a terminal: whoever may name a cgroup must not be able to write to it, nor to show something else than what
/// is there.
pub(crate) fn printable(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !is_unseen(c);
    text.chars().map(|c| if is_plain(c) { c.to_string() } else { c.escape_default().to_string() }).collect()
}

/// Characters that have no look of their own and change that of others: their order, where lines end, or whether two
/// names look the same.
const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// A name without its middle if it is long: paths differ at their ends.
fn shortened(name: String, longest: usize) -> String {
    let length = name.chars().count();
    if length <= longest {
        return name;
    }
    let kept = longest.saturating_sub(1);
    let end = kept - kept / 2;
    let start: String = name.chars().take(kept / 2).collect();
    let end: String = name.chars().skip(length - end).collect();
    format!("{start}\u{2026}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 4]]) -> Table {
        let mut table = Table::new(["CGROUP", "STATE", "REMOTE", "WHY"]).with_names_of(20);
        for row in rows {
            table.row(row.map(str::to_owned));
        }
        table
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut table = Table::new(["NAME"]);
        table.row(["a\u{1b}[31mb\r".to_owned()]);
        assert_eq!(table.to_string(), "NAME\na\\u{1b}[31mb\\r\n");
    }

    #[test]
    fn what_would_turn_a_name_round_is_seen() {
        assert_eq!(printable("a\u{202e}b\u{200b}\u{2028}\u{feff}"), "a\\u{202e}b\\u{200b}\\u{2028}\\u{feff}");
        assert_eq!(printable("Größe 東京 \u{2026} \\x2d"), "Größe 東京 \u{2026} \\x2d");
    }

    #[test]
    fn a_long_name_loses_its_middle_and_other_cells_do_not() {
        let long = "0123456789".repeat(30);
        let mut table = Table::new(["CGROUP", "WHY"]);
        table.row([long.clone(), long.clone()]);

        let text = table.to_string();

        let row = text.lines().nth(1).unwrap_or_default();
        let (name, why) = row.split_once("   ").unwrap_or_default();
        assert_eq!((name.chars().count(), why.trim()), (LONGEST_NAME, long.as_str()));
        assert!(name.starts_with("0123") && name.contains('\u{2026}') && name.ends_with("6789"), "{name}");
        assert_eq!(shortened("0123456789".to_owned(), 5), "01\u{2026}89");
        assert_eq!([0, 1].map(|longest| shortened("ab".to_owned(), longest)), ["\u{2026}", "\u{2026}"]);
    }

    #[test]
    fn a_narrow_screen_shows_less_and_wraps_the_last_column() {
        let why = "looser than the policy's: idle 7200s";
        let rows = [["a.service", "ESTAB", "10.0.0.9:5432", why]];

        let wide = table(&rows).within(200, &["STATE"]).to_string();
        let narrow = table(&rows).within(50, &["STATE"]).to_string();
        let tiny = table(&rows).within(10, &["STATE"]).to_string();

        assert_eq!(wide, table(&rows).to_string());
        assert!(!narrow.contains("ESTAB") && narrow.contains("10.0.0.9:5432"), "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 50), "{narrow}");
        let words: Vec<_> = narrow.split_whitespace().collect();
        assert!(why.split(' ').all(|word| words.contains(&word)), "{narrow}");
        assert!(tiny.contains(why) && !tiny.contains("ESTAB"), "{tiny}");
    }
}
