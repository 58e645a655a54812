//! Everything the demo waits for, in one queue.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::lab::story::Event;
use crate::lab::{Observer, Output};

/// Something that the demo reacts to.
pub(super) enum Happening {
    /// In the story.
    Story(Event),
    /// The daemon wrote a line or ended.
    Daemon(Output),
    /// The user wants it to stop.
    Interrupted,
}

/// The queue of them.
pub(super) struct Happenings {
    sender: Sender<Happening>,
    receiver: Receiver<Happening>,
}

impl Happenings {
    /// From here on a signal to stop is a happening and ends nothing by itself, however often it comes: the
    /// guards must get to remove what they made.
    pub(super) fn watch_signals() -> Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
        let interrupted = sender.clone();
        std::thread::spawn(move || {
            for _ in signals.forever() {
                // At the very end nobody listens any more.
                let _ = interrupted.send(Happening::Interrupted);
            }
        });
        Ok(Self { sender, receiver })
    }

    /// Puts the events of a story into the queue, until the story is over.
    pub(super) fn follow(&self, events: Receiver<Event>) {
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            events.into_iter().try_for_each(|event| sender.send(Happening::Story(event)))
        });
    }

    /// Puts what a daemon does into the queue.
    pub(super) fn daemon_observer(&self) -> Observer {
        let sender = self.sender.clone();
        Arc::new(move |output| {
            // At the very end nobody listens any more.
            let _ = sender.send(Happening::Daemon(output.clone()));
        })
    }

    /// The next one, if it comes within `limit`.
    pub(super) fn next(&self, limit: Duration) -> Option<Happening> {
        // The queue itself holds a sender, so that the only failure is that the time is over.
        self.receiver.recv_timeout(limit).ok()
    }

    /// Waits until the user wants it to stop.
    pub(super) fn wait_for_interrupt(&self) {
        while !matches!(self.receiver.recv(), Ok(Happening::Interrupted) | Err(_)) {}
    }
}
