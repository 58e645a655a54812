//! A listing that is drawn again and again.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};
use ratatui::crossterm::terminal;

use super::{ForPeople, Output, printable_lines, text};

/// Clears the screen, and goes to its first line; what was scrolled off before stays.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Draws a listing over the one before on a terminal, as much of it as fits, and else appends it. Whether there is still
/// somebody to draw for.
///
/// # Errors
/// If standard output cannot be written to.
pub(crate) fn redraw<T: serde::Serialize + ForPeople>(listing: &T, output: Output) -> Result<bool> {
    let picture = match terminal::size() {
        Ok((columns, lines)) if io::stdout().is_terminal() => {
            let (columns, lines) = (columns.into(), lines.into());
            let text = match output {
                Output::Table => printable_lines(listing.for_people_within(columns).trim_end()),
                Output::Json | Output::Yaml => text(listing, output)?,
            };
            format!("{CLEAR}{}\n", fit(&text, columns, lines))
        }
        _ => format!("{}\n\n", text(listing, output)?),
    };
    let mut stdout = io::stdout();
    match stdout.write_all(picture.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// What of a text fits on a screen, whose last line stays empty. The last line of the text does: it sums up.
fn fit(text: &str, columns: usize, lines: usize) -> String {
    let cut = |line: &str| line.chars().take(columns).collect::<String>();
    let all: Vec<&str> = text.lines().collect();
    let room = lines.saturating_sub(1);
    let (Some((last, rest)), true) = (all.split_last(), all.len() > room) else {
        return all.into_iter().map(cut).collect::<Vec<_>>().join("\n");
    };
    let shown = room.saturating_sub(2);
    let more = format!("\u{2026} and {} more lines", rest.len().saturating_sub(shown));
    let shown = rest.iter().take(shown).copied();
    shown.chain([more.as_str(), *last]).map(cut).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_shown_whole() {
        assert_eq!(fit("a\nb\nc", 80, 4), "a\nb\nc");
    }

    #[test]
    fn of_what_does_not_fit_the_beginning_and_the_sum_are_shown() {
        let text: String = (0..10).map(|n| format!("{n}23456789\n")).collect();

        assert_eq!(fit(&text, 5, 6), "02345\n12345\n22345\n\u{2026} and\n92345");
        assert_eq!(fit(&text, 80, 6).lines().count(), 5);
    }

    #[test]
    fn a_screen_too_small_for_anything_does_no_harm() {
        for lines in 0..3 {
            assert!(fit("a\nb\nc\nd", 0, lines).chars().all(|c| c == '\n'));
        }
    }
}
