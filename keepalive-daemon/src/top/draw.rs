//! How it looks, on a terminal of any size.

mod columns;
mod help;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line as Text, Span},
    widgets::Paragraph,
};

use super::{Top, listing::Listing};
use crate::report::printable;

const TROUBLE: Style = Style::new().fg(Color::Red);
const WARNING: Style = Style::new().fg(Color::Yellow);
const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);
const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);

/// How many troubles are told at most: the list is what one came for.
const MOST_TROUBLES: usize = 3;

/// A list gets at least that many lines, its head included, before the details of one entry get any.
const LEAST_LIST: u16 = 8;

/// Draws it all.
pub(crate) fn draw(frame: &mut Frame<'_>, top: &mut Top) {
    let troubles: Vec<Text<'_>> =
        top.header.troubles().take(MOST_TROUBLES).map(|it| Text::styled(it.to_owned(), WARNING)).collect();
    let mut notes: Vec<Text<'_>> = Vec::new();
    if let Some(inside) = &top.inside {
        let name = inside.scope.pod.as_ref().unwrap_or(&inside.scope.cgroup);
        let mut note = vec![Span::raw("connections of "), Span::styled(printable(name), HEAD)];
        let said = inside.note.iter().map(|said| Span::styled(format!("  {}", printable(said)), WARNING));
        note.extend(said);
        notes.push(Text::from(note));
    }
    let details = details(top.listing());
    let above = 1 + lines(&troubles) + lines(&notes);
    let room = frame.area().height.saturating_sub(above + 1 + LEAST_LIST);
    let [title_at, troubles_at, notes_at, list_at, details_at, foot_at] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(lines(&troubles)),
        Constraint::Length(lines(&notes)),
        Constraint::Min(1),
        Constraint::Length(lines(&details).min(room)),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(title(top, title_at.width), title_at);
    frame.render_widget(Paragraph::new(troubles), troubles_at);
    frame.render_widget(Paragraph::new(notes), notes_at);
    if top.helps {
        help::draw(frame, list_at.union(details_at), top.listing().columns());
    } else {
        list(frame, list_at, top.listing());
        frame.render_widget(Paragraph::new(details), details_at);
    }
    frame.render_widget(foot(top), foot_at);
}

fn lines(texts: &[Text<'_>]) -> u16 {
    u16::try_from(texts.len()).unwrap_or(u16::MAX)
}

fn title(top: &Top, width: u16) -> Paragraph<'static> {
    let mut spans = vec![Span::styled(top.header.who().to_owned(), HEAD)];
    if !top.header.totals().is_empty() {
        spans.push(Span::raw(format!("  {}", top.header.totals())));
    }
    if top.paused {
        // Where there is no room for all, this is what must be seen.
        let at = if usize::from(width) < Text::from(spans.clone()).width() + 8 { 0 } else { spans.len() };
        spans.insert(at, Span::styled(if at == 0 { "PAUSED " } else { "  PAUSED" }, WARNING));
    }
    Paragraph::new(Text::from(spans))
}

fn list(frame: &mut Frame<'_>, area: Rect, listing: &mut Listing) {
    let sorted_by = listing.sorted_by();
    let columns = columns::fit(listing.columns(), listing.widths(), sorted_by.0, area.width.into());
    let mut shown = vec![Text::styled(columns::head(&columns, listing.columns(), sorted_by), HEAD)];
    let nothing = match listing.counts() {
        (0, _) => "nothing to show",
        _ => "nothing has that in it",
    };
    let all = listing.columns();
    let (seen, selected) = listing.window(usize::from(area.height.saturating_sub(1)));
    if seen.is_empty() {
        shown.push(Text::styled(nothing, FAINT));
    }
    for (at, line) in seen.into_iter().enumerate() {
        let style = if line.is_trouble { TROUBLE } else { Style::new() };
        let style = if selected == Some(at) { style.patch(SELECTED) } else { style };
        let row = columns::row(&columns, all, line);
        shown.push(Text::styled(format!("{row:<width$}", width = usize::from(area.width)), style));
    }
    frame.render_widget(Paragraph::new(shown), area);
}

fn details(listing: &Listing) -> Vec<Text<'static>> {
    let details = listing.selected().map(|line| line.details.clone()).unwrap_or_default();
    // A blank line sets them off.
    let blank = (!details.is_empty()).then(|| Text::raw(""));
    blank.into_iter().chain(details.into_iter().map(Text::raw)).collect()
}

fn foot(top: &mut Top) -> Paragraph<'static> {
    let edits = top.edits;
    let is_inside = top.inside.is_some();
    let listing = top.listing();
    let (all, shown) = listing.counts();
    let filter = listing.filter().to_owned();
    if edits {
        return Paragraph::new(Text::from(vec![
            Span::styled("/", HEAD),
            Span::raw(filter),
            Span::styled(" ", SELECTED),
            Span::styled(format!("  {shown} of {all}; Enter keeps it, Esc drops it"), FAINT),
        ]));
    }
    let mut text = format!("{shown} of {all}");
    if !filter.is_empty() {
        text.push_str(&format!(" with \"{filter}\""));
    }
    let go = if is_inside { "Esc back" } else { "Enter connections" };
    text.push_str(&format!("   ? help   / filter   0-9 sort   {go}   Space pause   q end"));
    Paragraph::new(Text::styled(text, FAINT))
}
