//! Which columns a terminal has room for, and what is written in them.

use super::super::listing::{Column, Line};

/// Between two columns.
const GAP: usize = 2;

/// What the most important column gets before others do, if it needs so much.
const LEAST: usize = 24;

/// What any other column gets at most.
const MOST: usize = 36;

/// Columns by their place and width: those that fit, in their order.
pub(super) fn fit(
    columns: &[Column],
    widths: &[usize],
    sorted_by: usize,
    room: usize,
) -> Vec<(usize, usize)> {
    let wanted = |at: usize| {
        // The mark of the column that is sorted by takes one more.
        let titled = columns[at].title.len() + usize::from(at == sorted_by);
        widths[at].max(titled)
    };
    let mut by_importance: Vec<usize> = (0..columns.len()).collect();
    by_importance.sort_by_key(|&at| columns[at].importance);
    let mut fitting: Vec<(usize, usize)> = Vec::new();
    let mut left = room;
    for at in by_importance {
        let (most, gap) = if fitting.is_empty() { (LEAST, 0) } else { (MOST, GAP) };
        let width = wanted(at).min(most);
        if fitting.is_empty() {
            fitting.push((at, width.min(room)));
            left = room.saturating_sub(width);
        } else if width + gap <= left {
            fitting.push((at, width));
            left -= width + gap;
        } else {
            // What is less important would take the place of what is more.
            break;
        }
    }
    if let Some((at, width)) = fitting.first_mut() {
        *width = (*width + left).min(wanted(*at));
    }
    fitting.sort_unstable();
    fitting
}

/// The titles, with a mark at the one that is sorted by.
pub(super) fn head(
    columns: &[(usize, usize)],
    all: &[Column],
    (sorted_by, reversed): (usize, bool),
) -> String {
    let title = |at: usize| {
        let falls = all[at].is_number != reversed;
        let mark = if falls { "\u{25bc}" } else { "\u{25b2}" };
        format!("{}{}", all[at].title, if at == sorted_by { mark } else { "" })
    };
    join(columns, all, |at, width| shorten_end(&title(at), width))
}

/// An entry.
pub(super) fn row(columns: &[(usize, usize)], all: &[Column], line: &Line) -> String {
    join(columns, all, |at, width| {
        let text = line.cells[at].text();
        // The end of a path says what it is, the start where.
        if all[at].importance == 0 { shorten_start(text, width) } else { shorten_end(text, width) }
    })
}

fn join(columns: &[(usize, usize)], all: &[Column], write: impl Fn(usize, usize) -> String) -> String {
    let cells = columns.iter().map(|&(at, width)| {
        let text = write(at, width);
        if all[at].is_number { format!("{text:>width$}") } else { format!("{text:<width$}") }
    });
    cells.collect::<Vec<_>>().join(&" ".repeat(GAP))
}

fn shorten_end(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain((width > 0).then_some('\u{2026}')).collect()
}

fn shorten_start(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let kept = text.chars().skip(length - width.saturating_sub(1));
    (width > 0).then_some('\u{2026}').into_iter().chain(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column { title: "NAME", importance: 0, is_number: false, about: "" },
        Column { title: "POLICY", importance: 2, is_number: false, about: "" },
        Column { title: "COUNT", importance: 1, is_number: true, about: "" },
    ];

    #[test]
    fn what_matters_least_goes_first_and_the_name_takes_what_is_left() {
        for (room, fitting) in [
            (100, vec![(0, 60), (1, 10), (2, 6)]),
            (50, vec![(0, 30), (1, 10), (2, 6)]),
            (44, vec![(0, 24), (1, 10), (2, 6)]),
            (43, vec![(0, 35), (2, 6)]),
            (31, vec![(0, 31)]),
            (10, vec![(0, 10)]),
            (0, vec![(0, 0)]),
        ] {
            assert_eq!(fit(COLUMNS, &[60, 10, 5], 2, room), fitting, "{room}");
        }
    }

    #[test]
    fn a_path_keeps_its_end_and_anything_else_its_start() {
        assert_eq!(shorten_start("system.slice/nginx.service", 14), "\u{2026}nginx.service");
        assert_eq!(shorten_end("payments/checkout", 9), "payments\u{2026}");
        for (text, width, short) in [("ab", 2, "ab"), ("ab", 1, "\u{2026}"), ("ab", 0, ""), ("", 0, "")] {
            assert_eq!(
                (shorten_start(text, width), shorten_end(text, width)),
                (short.to_owned(), short.to_owned())
            );
        }
    }
}
