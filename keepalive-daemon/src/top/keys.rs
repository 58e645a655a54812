//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::Top;

/// All of them, for the help.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("Up Down PgUp PgDn Home End", "walk through the list; also k j g G"),
    ("Enter", "the connections of the selected cgroup"),
    ("Esc", "back; and out of a filter"),
    ("1 \u{2026} 9 0", "sort by that column; again: the other way round"),
    ("< >", "sort by the column to the left, to the right"),
    ("r", "sort the other way round"),
    ("/", "show only what has a text in it; Enter keeps the filter, Esc drops it"),
    ("Space", "pause, and go on"),
    ("?", "this help"),
    ("q, Ctrl-C", "end"),
];

/// How far PgUp and PgDn go: what is seen of a list on the smallest of usual terminals.
const PAGE: isize = 15;

/// Beyond the end of any list.
const FAR: isize = isize::MAX / 2;

impl Top {
    /// Does what a key stands for.
    pub(crate) fn press(&mut self, key: KeyEvent) {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if is_control && key.code == KeyCode::Char('c') {
            self.over = true;
        } else if self.edits {
            self.edit(key.code, is_control);
        } else if self.helps {
            // Any key ends the help.
            self.helps = false;
        } else if !is_control {
            self.command(key.code);
        }
    }

    fn command(&mut self, key: KeyCode) {
        match key {
            KeyCode::Char('q') => self.over = true,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.helps = true,
            KeyCode::Char(' ' | 'p') => self.paused = !self.paused,
            KeyCode::Char('/') => self.edits = true,
            KeyCode::Char('r') => self.listing().reverse(),
            KeyCode::Char('<') => self.listing().sort_beside(-1),
            KeyCode::Char('>') => self.listing().sort_beside(1),
            // The tenth is that of 0, as it is on the keyboard.
            KeyCode::Char('0') => self.listing().sort_by(9),
            KeyCode::Char(digit @ '1'..='9') => {
                let column = digit.to_digit(10).map_or(0, |digit| digit as usize - 1);
                self.listing().sort_by(column);
            }
            KeyCode::Up | KeyCode::Char('k') => self.listing().walk(-1),
            KeyCode::Down | KeyCode::Char('j') => self.listing().walk(1),
            KeyCode::PageUp => self.listing().walk(-PAGE),
            KeyCode::PageDown => self.listing().walk(PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.listing().walk(-FAR),
            KeyCode::End | KeyCode::Char('G') => self.listing().walk(FAR),
            KeyCode::Enter => self.enter(),
            KeyCode::Esc => self.leave(),
            _ => {}
        }
    }

    /// Out of the filter, then out of the cgroup.
    fn leave(&mut self) {
        if self.listing().filter().is_empty() {
            self.inside = None;
        } else {
            self.listing().set_filter(String::new());
        }
    }

    fn edit(&mut self, key: KeyCode, is_control: bool) {
        let mut filter = self.listing().filter().to_owned();
        match key {
            KeyCode::Enter => self.edits = false,
            KeyCode::Esc => {
                self.edits = false;
                filter.clear();
            }
            KeyCode::Backspace => {
                filter.pop();
            }
            KeyCode::Char('u') if is_control => filter.clear(),
            KeyCode::Char(letter) if !is_control => filter.push(letter),
            _ => {}
        }
        self.listing().set_filter(filter);
    }
}
