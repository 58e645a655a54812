//! The terminal, drawn on as a whole.

use anyhow::{Context as _, Result};
use ratatui::{DefaultTerminal, Frame};

/// The terminal; it is as it was before when this is dropped, and when the program panics.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| restore()).context("cannot draw on the terminal")
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<()> {
        self.0.draw(draw).context("cannot draw on the terminal")?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // A terminal that is gone needs nothing.
    let _ = ratatui::try_restore();
}
