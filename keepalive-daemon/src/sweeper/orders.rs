//! What is to be swept, as of now: shared by the daemon's loop, which says it, and the thread that does it.
//!
//! What is asked takes the place of what was asked before at once, not where the thread takes it up: that may be held up
//! for as long as a tenant pleases, at a socket whose lock is held, and cgroups come and go meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use keepalive_ebpf::{Swept, Target};

use super::{
    manual::Manual,
    queue::{Done, Job, Queue},
};
use crate::kernel::Targets;

/// What the thread is asked.
pub(super) enum Request {
    /// To sweep, after a delay.
    Sweep { id: u64, job: Job, delay: Duration },
    /// Not to, any more.
    Withdraw(u64),
    /// Nothing; but another policy is in force in this cgroup now, or none, or its own.
    Changed(u64),
    /// Nothing; but all was asked that follows from the changes up to this one.
    Settled(u64),
    /// To sweep now, for somebody who waits for the answer.
    Apply(Manual),
}

/// What the thread is to do next.
pub(super) enum Task {
    /// A pass for what is due.
    Sweep,
    Apply(Box<Manual>),
    /// To end.
    End,
}

/// Why a pass is not to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    /// It is no longer what it should be.
    Outdated,
    /// The daemon ends.
    End,
}

/// A handle.
#[derive(Clone)]
pub(super) struct Orders(Arc<Desk>);

struct Desk {
    state: Mutex<State>,
    news: Condvar,
}

struct State {
    targets: Targets,
    queue: Queue,
    waiting: VecDeque<Waiting>,
    /// The cgroups that the sweep under way is about that somebody waits for.
    applying: Option<BTreeSet<u64>>,
    /// Whether what is under way is no longer what it should be.
    is_outdated: bool,
    /// Whether anything was asked since a pass began.
    has_news: bool,
    has_ended: bool,
}

/// A sweep that somebody waits for and that has not begun.
struct Waiting {
    manual: Manual,
    is_outdated: bool,
}

impl Orders {
    /// None yet; what is under way is to be in `targets`.
    pub(super) fn new(targets: Targets) -> Self {
        let state = State {
            targets,
            queue: Queue::default(),
            waiting: VecDeque::new(),
            applying: None,
            is_outdated: false,
            has_news: false,
            has_ended: false,
        };
        Self(Arc::new(Desk { state: Mutex::new(state), news: Condvar::new() }))
    }

    /// Takes what is asked at once, so that it is swept at once.
    pub(super) fn ask(&self, requests: impl IntoIterator<Item = Request>) {
        let mut state = self.lock();
        for request in requests {
            state.take(request);
        }
        state.has_news = true;
        self.0.news.notify_all();
    }

    /// Asks for nothing more; who waits is told that there is no answer.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        state.waiting.clear();
        self.0.news.notify_all();
    }

    /// Waits for something to do.
    pub(super) fn next(&self) -> Task {
        let mut state = self.lock();
        loop {
            if state.has_ended {
                return Task::End;
            }
            state.applying = None;
            if let Some(Waiting { manual, is_outdated }) = state.waiting.pop_front() {
                state.applying = Some(manual.cgroups());
                state.is_outdated = is_outdated;
                return Task::Apply(Box::new(manual));
            }
            let now = Instant::now();
            state = match state.queue.due() {
                Some(due) if due <= now => return Task::Sweep,
                Some(due) => self.wait(state, due - now),
                None => self.0.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Begins a pass for all that is due: for which governed cgroups, and whether its targets are in place, which they
    /// are not if one of them is barred.
    pub(super) fn begin(&self) -> (BTreeSet<u64>, Result<bool>) {
        let mut state = self.lock();
        // Somebody may have come who waits, while the program was loaded.
        state.is_outdated = !state.waiting.is_empty();
        state.has_news = false;
        let targets = state.queue.begin(Instant::now());
        // In one go with asking what they are, as a change may be asked for, and its bar lifted, at any other time.
        (state.queue.running(), state.targets.begin(&targets))
    }

    /// Begins a pass for who waits for it; not if it is outdated, or one of its targets is barred.
    pub(super) fn begin_applying(&self, targets: &BTreeMap<u64, Target>) -> Result<bool> {
        let mut state = self.lock();
        state.has_news = false;
        Ok(!state.is_outdated && state.targets.begin(targets)?)
    }

    /// Counts a connection that a pass for what is due saw; whether it was changed.
    pub(super) fn count(&self, swept: &Swept) -> bool {
        self.lock().queue.count(swept)
    }

    /// Ends a pass that saw everything; returns what is done with it.
    pub(super) fn complete(&self) -> Vec<Done> {
        self.lock().queue.complete()
    }

    /// Ends a pass that was broken off: what it was for is still to be done.
    pub(super) fn break_off(&self) {
        self.lock().queue.break_off();
    }

    /// Gives up what the pass under way was for, or, if none could begin, what is due.
    pub(super) fn give_up(&self) -> Vec<u64> {
        let mut state = self.lock();
        if state.queue.running().is_empty() {
            state.queue.begin(Instant::now());
        }
        state.queue.give_up()
    }

    /// Why what is under way is not to go on, if anything comes up in so long.
    pub(super) fn interruption(&self, wait: Duration) -> Option<Interruption> {
        let mut state = self.lock();
        // Without a wait, as after nearly every connection, nobody need ask for the time.
        let until = (!wait.is_zero()).then(|| Instant::now() + wait);
        loop {
            if let Some(interruption) = state.interruption() {
                return Some(interruption);
            }
            let left = until?.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.wait(state, left);
        }
    }

    /// Waits, at most so long, for anything that was asked since the pass began, or that ends it.
    pub(super) fn news(&self, wait: Duration) {
        let is_quiet = |state: &mut State| !state.has_news && state.interruption().is_none();
        drop(self.0.news.wait_timeout_while(self.lock(), wait, is_quiet));
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, wait: Duration) -> MutexGuard<'a, State> {
        self.0.news.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, request: Request) {
        if self.has_ended {
            return;
        }
        match request {
            Request::Sweep { id, job, delay } => {
                self.is_outdated |= self.queue.request(id, job, Instant::now() + delay);
            }
            Request::Withdraw(id) => self.is_outdated |= self.queue.withdraw(id),
            Request::Changed(id) => {
                self.is_outdated |= self.applying.as_ref().is_some_and(|cgroups| cgroups.contains(&id));
                for waiting in &mut self.waiting {
                    waiting.is_outdated |= waiting.manual.concerns(id);
                }
            }
            Request::Settled(change) => self.targets.settle(change),
            Request::Apply(manual) => {
                // Somebody waits; what the pass has done already costs the next one nothing.
                self.is_outdated |= self.applying.is_none();
                self.waiting.push_back(Waiting { manual, is_outdated: false });
            }
        }
    }

    const fn interruption(&self) -> Option<Interruption> {
        match self {
            Self { has_ended: true, .. } => Some(Interruption::End),
            Self { is_outdated: true, .. } => Some(Interruption::Outdated),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
