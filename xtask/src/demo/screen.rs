//! What the demo shows: lines that stay, and one that changes while it waits.

use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::console;

/// How often a log that nobody watches gets a line about the waiting.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The terminal, or the log in its place.
pub(super) struct Screen {
    watched: bool,
    scene: Instant,
    beat: Instant,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { watched: console::is_watched(), scene: Instant::now(), beat: Instant::now() }
    }

    /// Begins a scene; the clock of [`Screen::event`] starts at zero again.
    pub(super) fn heading(&mut self, text: &str) {
        self.scene = Instant::now();
        self.line_as_it_is(format_args!("\n== {text}"));
    }

    /// A line without a time.
    pub(super) fn line(&mut self, text: impl Display) {
        self.line_as_it_is(format_args!("   {text}"));
    }

    /// What just happened to `who`, with the time since the scene began.
    pub(super) fn event(&mut self, who: &str, text: impl Display) {
        let seconds = self.scene.elapsed().as_secs_f32();
        self.line_as_it_is(format_args!("{seconds:6.1} s  {who:<6}  {text}"));
    }

    /// How the waiting goes on: replaces itself on a terminal, and is written rarely elsewhere.
    pub(super) fn waiting(&mut self, text: &str) {
        let line = format!("{:6.1} s  … {text}", self.scene.elapsed().as_secs_f32());
        if self.watched {
            console::status(&line.chars().take(WIDTH).collect::<String>());
        } else if self.beat.elapsed() >= HEARTBEAT {
            self.line_as_it_is(line);
        }
    }

    fn line_as_it_is(&mut self, text: impl Display) {
        if self.watched {
            console::status("");
        }
        console::progress(text);
        self.beat = Instant::now();
    }
}

/// What fits on a line of a terminal of 80 columns.
const WIDTH: usize = 78;
