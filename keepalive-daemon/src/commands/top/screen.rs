//! The terminal, drawn on as a whole.

use std::mem::ManuallyDrop;

use anyhow::{Context as _, Result};
use ratatui::{DefaultTerminal, Frame};

/// The terminal; it is as it was before when this is dropped, and when the program panics.
///
/// The library's own is never dropped: it would complain on standard error that it cannot show the cursor of a terminal
/// that is gone, and panic as that is gone, too.
pub(super) struct Screen(ManuallyDrop<DefaultTerminal>);

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> Result<Self> {
        ratatui::try_init()
            .map(|it| Self(ManuallyDrop::new(it)))
            .inspect_err(|_| restore())
            .context("cannot draw on the terminal")
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<()> {
        self.0.draw(draw).context("cannot draw on the terminal")?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone has none.
        let _ = self.0.show_cursor();
        // Who panics has done so before saying why; doing it again would put the cursor on top of that.
        if !std::thread::panicking() {
            restore();
        }
    }
}

fn restore() {
    // A terminal that is gone needs nothing.
    let _ = ratatui::try_restore();
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Makes a test panic, in a process of its own that has a terminal.
    const PANIC: &str = "KEEPALIVE_TEST_PANIC";

    #[test]
    fn panics_on_the_screen_if_it_is_told_to() {
        if std::env::var_os(PANIC).is_some() {
            let mut screen = Screen::open().unwrap();
            screen.draw(|_| {}).unwrap();
            panic!("on purpose");
        }
    }

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was_and_is_seen() {
        let program = std::env::current_exe().unwrap();
        let test =
            format!("{}::panics_on_the_screen_if_it_is_told_to", module_path!().split_once("::").unwrap().1);
        let panicking = format!("{} --exact --nocapture {test}", program.display());
        // In between two looks at the terminal's settings.
        let command = format!("stty -g; {PANIC}=1 {panicking}; stty -g");
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).env("RUST_BACKTRACE", "0").stdin(Stdio::null());

        let written = String::from_utf8(script.output().unwrap().stdout).unwrap();

        let at = |text: &str| written.find(text).unwrap_or_else(|| panic!("no {text:?} in {written:?}"));
        let (entered, left) = (at("\u{1b}[?1049h"), at("\u{1b}[?1049l"));
        assert!(entered < left && left < at("on purpose"), "{written:?}");
        assert!(at("\u{1b}[?25h") > entered, "the cursor is shown: {written:?}");
        let is_settings =
            |line: &&str| line.contains(':') && line.chars().all(|c| c == ':' || c.is_ascii_hexdigit());
        let settings: Vec<&str> = written.lines().filter(is_settings).collect();
        assert_eq!((settings.len(), settings.first()), (2, settings.last()), "{written:?}");
    }
}
