//! A picture of a terminal, as SVG: small, sharp at any size, and of what was really written to it.

use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

/// The size of a character, in the picture's units.
const WIDTH: f64 = 8.4;
const HEIGHT: u32 = 18;
/// Around all of it.
const MARGIN: u32 = 10;

const BACKGROUND: &str = "#1d2026";
const TEXT: &str = "#d6d9df";

/// How characters look.
#[derive(Clone, PartialEq, Eq)]
struct Look {
    color: &'static str,
    bold: bool,
    dim: bool,
    inverse: bool,
}

/// A screen, without the empty rows at its end.
pub(crate) fn svg(screen: &Screen) -> String {
    let columns = screen.size().1.get();
    let rows = u16::try_from(screen.contents().lines().count()).unwrap();
    let width = (f64::from(columns) * WIDTH).ceil() + 2.0 * f64::from(MARGIN);
    let height = u32::from(rows) * HEIGHT + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-size=\"14\" \
         font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{BACKGROUND}\"/>\n"
    );
    for row in 0..rows {
        for (column, look, text) in runs(screen, row, columns) {
            draw(&mut svg, row, column, &look, &text);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// What looks alike, by where it begins. Blanks that nobody sees are in none.
fn runs(screen: &Screen, row: u16, columns: u16) -> Vec<(u16, Look, String)> {
    let mut runs: Vec<(u16, Look, String)> = Vec::new();
    for column in 0..columns {
        let cell = screen.cell(row, column).unwrap();
        let text = if cell.has_contents() { cell.contents() } else { " " };
        let look = look(cell);
        match runs.last_mut() {
            Some((_, last, run)) if *last == look => run.push_str(text),
            _ => runs.push((column, look, text.to_owned())),
        }
    }
    let parts = runs.into_iter().flat_map(|(column, look, text)| {
        let separator = if look.inverse { "\0" } else { "  " };
        words(&text, separator)
            .into_iter()
            .map(move |(at, word)| (column + at, look.clone(), word))
            .collect::<Vec<_>>()
    });
    parts.collect()
}

/// The parts of a text between wide gaps, by where they begin: not every font is as wide as another.
fn words(text: &str, separator: &str) -> Vec<(u16, String)> {
    let mut words = Vec::new();
    let mut at = 0;
    for part in text.split(separator) {
        let blanks = part.chars().take_while(|c| *c == ' ').count();
        let word = if separator == "\0" { part } else { part.trim() };
        let length = |text: &str| u16::try_from(text.chars().count()).unwrap();
        if !word.is_empty() {
            let before = if separator == "\0" { 0 } else { u16::try_from(blanks).unwrap() };
            words.push((at + before, word.to_owned()));
        }
        at += length(part) + length(separator);
    }
    words
}

fn look(cell: &Cell) -> Look {
    let color = match cell.fgcolor() {
        Color::Idx(1 | 9) => "#f0717b",
        Color::Idx(2 | 10) => "#98c379",
        Color::Idx(3 | 11) => "#e5c07b",
        _ => TEXT,
    };
    Look { color, bold: cell.bold(), dim: cell.dim(), inverse: cell.inverse() }
}

fn draw(svg: &mut String, row: u16, column: u16, look: &Look, text: &str) {
    let x = f64::from(MARGIN) + f64::from(column) * WIDTH;
    let y = u32::from(row) * HEIGHT + MARGIN;
    let length = f64::from(u16::try_from(text.chars().count()).unwrap()) * WIDTH;
    let Look { color, bold, dim, inverse } = look;
    if *inverse {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{length:.1}\" height=\"{HEIGHT}\" fill=\"{color}\"/>"
        );
    }
    let color = if *inverse { BACKGROUND } else { color };
    let text = text.trim_end().replace('&', "&amp;").replace('<', "&lt;");
    if text.is_empty() {
        return;
    }
    let length = f64::from(u16::try_from(text.chars().count()).unwrap()) * WIDTH;
    let bold = if *bold { " font-weight=\"bold\"" } else { "" };
    let dim = if *dim { " opacity=\".6\"" } else { "" };
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{}\" textLength=\"{length:.0}\" xml:space=\"preserve\" fill=\"{color}\"{bold}{dim}>{text}</text>",
        y + 13
    );
}
