//! Signals that end the program, and must leave the terminal as it was.

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal, raise};

use super::{Happening, Voice};

/// Those that whoever closes the terminal, or has enough of the program, sends.
const ENDING: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// The signals, held back from every thread that is started from now on.
pub(super) struct Signals(SigSet);

impl Signals {
    pub(super) fn take() -> Result<Self> {
        let set: SigSet = ENDING.into_iter().collect();
        set.thread_block().context("cannot hold signals back")?;
        Ok(Self(set))
    }

    /// Tells of the first.
    pub(super) fn forward(&self, voice: &Voice) {
        if let Ok(signal) = self.0.wait() {
            voice.say(Happening::Signal(signal));
        }
    }
}

/// Ends the program by a signal as it would have without all this, so that whoever waits for it learns why.
pub(super) fn die_of(signal: Signal) -> Result<()> {
    raise(signal).with_context(|| format!("cannot end by {signal}"))?;
    [signal].into_iter().collect::<SigSet>().thread_unblock().context("cannot let signals through")
}
