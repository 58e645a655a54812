//! What those who stir note down, from sample to sample and over all.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;

use super::peer::Values;

/// What happened since the sample before.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// From the making of a cgroup to an armed connection in it.
    pub(super) newcomers: Vec<Duration>,
    /// From the change of a policy to a connection that has it.
    pub(super) changes: Vec<Duration>,
    /// From the change of a policy until all connections that were open have it.
    pub(super) sweeps: Vec<Duration>,
    /// How long the daemon took to say that it does well.
    pub(super) health: Vec<Duration>,
}

/// What happened since the start.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Totals {
    /// Ends of connections that getsockopt was asked about.
    pub(super) ends: u64,
    /// Of these, such as had not what a policy in force says.
    pub(super) unarmed: u64,
    /// Cgroups that were made, governed and removed.
    pub(super) newcomers: u64,
    /// Changes of policies.
    pub(super) changes: u64,
    /// Policies that were withdrawn and came back.
    pub(super) withdrawals: u64,
    /// Lists, scrapes and other answers of the daemon.
    pub(super) answers: u64,
    /// How often the daemon was killed.
    pub(super) kills: u64,
}

/// Both, and what went wrong.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    window: Window,
    totals: Totals,
    failures: Vec<String>,
}

impl Ledger {
    /// Notes something that is counted by those who call.
    pub(super) fn note(&self, entry: impl FnOnce(&mut Window, &mut Totals)) {
        let notes = &mut *self.lock();
        entry(&mut notes.window, &mut notes.totals);
    }

    /// Counts ends of connections, and those that have not what they should.
    pub(super) fn judge(&self, who: &str, ends: &[Values], is_armed: impl Fn(&Values) -> bool) {
        let notes = &mut *self.lock();
        notes.totals.ends += ends.len() as u64;
        for end in ends.iter().filter(|end| !is_armed(end)) {
            notes.totals.unarmed += 1;
            // One says what happened as well as thousands do.
            if notes.totals.unarmed <= 10 {
                notes.failures.push(format!("a connection of {who} has {end:?}"));
            }
        }
    }

    /// Notes what must not happen.
    pub(super) fn fail(&self, failure: String) {
        self.lock().failures.push(failure);
    }

    /// What happened since this was called before.
    pub(super) fn take_window(&self) -> Window {
        mem::take(&mut self.lock().window)
    }

    pub(super) fn totals(&self) -> Totals {
        self.lock().totals.clone()
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.lock().failures.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
