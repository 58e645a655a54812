//! The help: keys, and what the columns say.

use ratatui::{Frame, layout::Rect, text::Line as Text, widgets::Paragraph};

use super::{super::keys::KEYS, HEAD};
use crate::top::listing::Column;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, columns: &[Column]) {
    let keys = KEYS.iter().map(|(keys, does)| Text::raw(format!("{keys:<27}  {does}")));
    let columns = columns.iter().enumerate().map(|(at, Column { title, about, .. })| {
        Text::raw(format!("{}  {title:<24}  {about}", (at + 1) % 10))
    });
    let mut lines = vec![Text::styled("KEYS", HEAD)];
    lines.extend(keys);
    lines.extend([Text::raw(""), Text::styled("COLUMNS", HEAD)]);
    lines.extend(columns);
    frame.render_widget(Paragraph::new(lines), area);
}
