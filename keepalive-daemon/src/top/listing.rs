//! A list that a person sorts, filters and walks through.

use std::cmp::Ordering;

use super::Scope;
use crate::report::printable;

/// A column of a list.
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Which of them stay where a terminal is too narrow for all: those with the lowest.
    pub(super) importance: u8,
    /// Numbers are aligned by their ends, and the largest come first.
    pub(super) is_number: bool,
    /// What it says, for the help.
    pub(super) about: &'static str,
}

/// An entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// What makes it the same entry in the next picture.
    pub(super) id: String,
    /// One a column.
    pub(super) cells: Vec<Cell>,
    /// What there is to say of it besides, when it is selected.
    pub(super) details: Vec<String>,
    /// Whether somebody should look at it.
    pub(super) is_trouble: bool,
    /// What opens when it is gone into.
    pub(super) scope: Option<Scope>,
}

/// What an entry has in a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Text(String),
    /// A number, and how it is written.
    Number(f64, String),
    /// Nothing is known.
    Unknown,
}

/// The list.
pub(super) struct Listing {
    columns: &'static [Column],
    lines: Vec<Line>,
    /// Those that are shown, in order.
    order: Vec<usize>,
    /// What each column needs to show all of them.
    widths: Vec<usize>,
    sorted_by: usize,
    reversed: bool,
    filter: String,
    selected: Option<String>,
    /// The first that is on the screen.
    offset: usize,
}

impl Cell {
    pub(super) fn count(number: u64) -> Self {
        Self::Number(approximate(number), number.to_string())
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(_, text) => text,
            Self::Unknown => "-",
        }
    }

    /// Nothing is less than anything.
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one, _), Self::Number(other, _)) => one.total_cmp(other),
            (Self::Unknown, Self::Unknown) => Ordering::Equal,
            (Self::Unknown, _) => Ordering::Less,
            (_, Self::Unknown) => Ordering::Greater,
            (one, other) => one.text().cmp(other.text()),
        }
    }
}

/// A count to sort by and to divide.
#[expect(clippy::cast_precision_loss, reason = "what is lost beyond 2^53 nobody sees")]
pub(super) const fn approximate(number: u64) -> f64 {
    number as f64
}

impl Line {
    fn matches(&self, filter: &str) -> bool {
        self.cells.iter().any(|cell| cell.text().to_lowercase().contains(filter))
    }
}

impl Listing {
    pub(super) fn new(columns: &'static [Column], sorted_by: usize) -> Self {
        Self {
            columns,
            lines: Vec::new(),
            order: Vec::new(),
            widths: columns.iter().map(|column| column.title.len()).collect(),
            sorted_by,
            reversed: false,
            filter: String::new(),
            selected: None,
            offset: 0,
        }
    }

    pub(super) const fn columns(&self) -> &'static [Column] {
        self.columns
    }

    pub(super) fn widths(&self) -> &[usize] {
        &self.widths
    }

    pub(super) const fn sorted_by(&self) -> (usize, bool) {
        (self.sorted_by, self.reversed)
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    /// How many there are, and how many of them pass the filter.
    pub(super) const fn counts(&self) -> (usize, usize) {
        (self.lines.len(), self.order.len())
    }

    /// Takes the entries of a new picture. Who names a cgroup must not write to the terminal.
    pub(super) fn replace(&mut self, mut lines: Vec<Line>) {
        for line in &mut lines {
            for cell in &mut line.cells {
                if let Cell::Text(text) = cell {
                    *text = printable(text);
                }
            }
            line.details.iter_mut().for_each(|detail| *detail = printable(detail));
        }
        let at = self.place();
        self.lines = lines;
        self.arrange(at);
    }

    /// Sorts by a column; by the one that it is sorted by already, the other way round.
    pub(super) fn sort_by(&mut self, column: usize) {
        if column < self.columns.len() {
            self.reversed = column == self.sorted_by && !self.reversed;
            self.sorted_by = column;
            self.arrange(None);
        }
    }

    /// Sorts by the column beside the one that it is sorted by.
    pub(super) fn sort_beside(&mut self, step: isize) {
        if let Some(column) = self.sorted_by.checked_add_signed(step) {
            self.sort_by(column);
        }
    }

    pub(super) fn reverse(&mut self) {
        self.sort_by(self.sorted_by);
    }

    pub(super) fn set_filter(&mut self, filter: String) {
        let at = self.place();
        self.filter = filter;
        self.arrange(at);
    }

    /// Walks on by `step` entries, as far as there are any.
    pub(super) fn walk(&mut self, step: isize) {
        let last = self.order.len().saturating_sub(1);
        let at = self.place().map_or(0, |at| at.saturating_add_signed(step).min(last));
        self.selected = self.order.get(at).map(|&line| self.lines[line].id.clone());
    }

    pub(super) fn selected(&self) -> Option<&Line> {
        self.place().map(|at| &self.lines[self.order[at]])
    }

    /// The entries for a screen with room for so many, and which of them is selected.
    pub(super) fn window(&mut self, room: usize) -> (Vec<&Line>, Option<usize>) {
        let at = self.place();
        let last_offset = self.order.len().saturating_sub(room.max(1));
        if let Some(at) = at {
            self.offset = self.offset.clamp((at + 1).saturating_sub(room.max(1)), at);
        }
        self.offset = self.offset.min(last_offset);
        let seen = self.order.iter().skip(self.offset).take(room).map(|&line| &self.lines[line]);
        (seen.collect(), at.map(|at| at - self.offset))
    }

    fn place(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.order.iter().position(|&line| self.lines[line].id == *selected)
    }

    /// Puts in order what is shown. If the selected one is gone, the one that comes to its place is selected: `at` is
    /// where it was.
    fn arrange(&mut self, at: Option<usize>) {
        let filter = self.filter.to_lowercase();
        let mut order: Vec<usize> =
            (0..self.lines.len()).filter(|&line| self.lines[line].matches(&filter)).collect();
        let falls = self.columns[self.sorted_by].is_number != self.reversed;
        order.sort_by(|&one, &other| {
            let (one, other) = (&self.lines[one], &self.lines[other]);
            let by_column = one.cells[self.sorted_by].compare(&other.cells[self.sorted_by]);
            let by_column = if falls { by_column.reverse() } else { by_column };
            by_column.then_with(|| one.cells[0].compare(&other.cells[0])).then_with(|| one.id.cmp(&other.id))
        });
        self.order = order;
        let widest = |(at, column): (usize, &Column)| {
            let cells = self.order.iter().map(|&line| self.lines[line].cells[at].text().chars().count());
            cells.max().unwrap_or(0).max(column.title.len())
        };
        self.widths = self.columns.iter().enumerate().map(widest).collect();
        if self.place().is_none() {
            let at = at.unwrap_or(0).min(self.order.len().saturating_sub(1));
            self.selected = self.order.get(at).map(|&line| self.lines[line].id.clone());
        }
    }
}
