//! The end of what would go on for long, which comes by the clock, by a signal, or by a failure.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{Handle, Signals},
};

/// Whether it has come.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// From here on a signal to stop ends the work and nothing by itself, however often it comes: what was made must be
    /// removed.
    pub(crate) fn at_signals(stop: &Arc<Self>) -> Result<Handle> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
        let handle = signals.handle();
        let stop = Arc::clone(stop);
        thread::spawn(move || signals.forever().for_each(|_| stop.now()));
        Ok(handle)
    }

    /// Has everybody stop.
    pub(crate) fn now(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits that long, or until it comes; whether it has come.
    pub(crate) fn within(&self, limit: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stopped, limit, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
