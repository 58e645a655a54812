//! The thread that sweeps.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use keepalive_ebpf::Swept;
use tokio::sync::mpsc::UnboundedSender;
use tracing::trace;

use super::{
    manual::Manual,
    orders::{Interruption, Orders, Request, Task},
    pace::Pace,
    queue::{Done, Job, Queue},
    tally::Tally,
};
use crate::{
    kernel::{Method, Pass, Sweeper, Targets},
    privileges::{Duty, keep},
};

/// What the thread tells.
#[derive(Debug)]
pub(crate) enum Event {
    /// A pass over the connections that these cgroups' policies govern is under way.
    Began(BTreeSet<u64>),
    /// A sweep is done.
    Finished(Box<Finished>),
    /// These sweeps are given up.
    Failed { ids: Vec<u64>, reason: String },
}

/// A sweep that is done.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The governed cgroup.
    pub(super) id: u64,
    pub(super) job: Job,
    pub(super) tally: Tally,
    /// Of its last pass.
    pub(super) pass: Seen,
}

/// What a pass saw besides the connections.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) namespaces: usize,
    pub(crate) unreachable: Vec<(String, String)>,
    /// Connections that nobody has accepted yet and that the method cannot reach.
    pub(crate) pending: usize,
}

/// What makes passes over open connections: the kernel, but for tests.
pub(super) trait Passes {
    fn method(&self) -> Method;
    fn pass(&mut self, targets: &Targets, each: &mut dyn FnMut(&Swept) -> ControlFlow<()>) -> Result<Pass>;
}

impl Passes for Sweeper {
    fn method(&self) -> Method {
        Self::method(self)
    }

    fn pass(&mut self, targets: &Targets, each: &mut dyn FnMut(&Swept) -> ControlFlow<()>) -> Result<Pass> {
        Self::pass(self, targets, each)
    }
}

/// The thread; it ends after this is dropped, and nobody waits for that: it may be at a socket whose lock is held for
/// ever, by a process that copies from memory whose page never comes, and that must not keep the daemon from ending.
pub(super) struct Worker {
    orders: Orders,
}

impl Worker {
    /// Starts the thread, which calls `load` when there is something to sweep first, and has what is to be swept in
    /// `targets`.
    pub(super) fn start<P: Passes>(
        rate: u32,
        targets: Targets,
        events: UnboundedSender<Event>,
        load: impl Fn() -> Result<P> + Send + 'static,
    ) -> Result<Self> {
        let orders = Orders::new(targets.clone());
        let taken = orders.clone();
        let run = move || {
            keep(Duty::Connections);
            let crew = Crew { load, passes: None, orders: taken, targets, pace: Pace::new(rate), events };
            crew.run();
        };
        let thread = thread::Builder::new().name("sweeper".to_owned()).spawn(run);
        thread.context("cannot start the thread that sweeps open connections")?;
        Ok(Self { orders })
    }

    /// Asks for something; a thread that has ended has reported why.
    pub(super) fn ask(&self, requests: impl IntoIterator<Item = Request>) {
        self.orders.ask(requests);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.orders.end();
    }
}

/// How long the sweeper waits, at most, to hear of a change that is being made: longer than the daemon waits to tell of
/// several at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// The thread's own.
struct Crew<L, P> {
    load: L,
    /// Loaded with the first sweep.
    passes: Option<P>,
    orders: Orders,
    targets: Targets,
    pace: Pace,
    events: UnboundedSender<Event>,
}

impl<L, P> Drop for Crew<L, P> {
    fn drop(&mut self) {
        // Also if the thread panicked: nobody is to wait for it.
        self.orders.end();
    }
}

/// How a pass ended.
enum Ending {
    Complete(Seen),
    BrokenOff,
    /// Not complete, and what follows from that the sweeper is still to hear.
    Barred,
    Failed(String),
}

impl<P: Passes, L: Fn() -> Result<P>> Crew<L, P> {
    fn run(mut self) {
        loop {
            match self.orders.next() {
                Task::Sweep => self.sweep(),
                Task::Apply(manual) => self.apply(*manual),
                Task::End => return,
            }
        }
    }

    /// Makes one pass for all that is due.
    fn sweep(&mut self) {
        let orders = self.orders.clone();
        let events = self.events.clone();
        let begin = || {
            let (governed, begun) = orders.begin();
            tell(&events, Event::Began(governed));
            begun
        };
        let ending = self.pass(begin, |pace, swept| {
            let pause = orders.count(swept).then(|| pace.changed(fastrand::f64())).flatten();
            go_on(orders.interruption(pause.unwrap_or_default()).is_none())
        });
        match ending {
            Ending::Complete(pass) => {
                for Done { id, job, tally } in orders.complete() {
                    let pass = pass.clone();
                    tell(&self.events, Event::Finished(Box::new(Finished { id, job, tally, pass })));
                }
            }
            Ending::BrokenOff => orders.break_off(),
            Ending::Barred => {
                orders.break_off();
                orders.news(PATIENCE);
            }
            Ending::Failed(reason) => {
                let ids = orders.give_up();
                tell(&self.events, Event::Failed { ids, reason });
            }
        }
    }

    /// Sweeps for somebody who waits for the answer.
    fn apply(&mut self, mut manual: Manual) {
        let orders = self.orders.clone();
        let mut queue = Queue::default();
        for (id, job) in manual.jobs() {
            queue.request(id, job, Instant::now());
        }
        let mut last = None;
        while !queue.is_empty() {
            let targets = queue.begin(Instant::now());
            let begin = || orders.begin_applying(&targets);
            let ending = self.pass(begin, |pace, swept| {
                manual.heard(swept);
                let pause = queue.count(swept).then(|| pace.changed(fastrand::f64())).flatten();
                go_on(!manual.is_abandoned() && orders.interruption(pause.unwrap_or_default()).is_none())
            });
            match ending {
                Ending::Complete(pass) => {
                    for Done { id, job, tally } in queue.complete() {
                        manual.done(id, &tally);
                        let pass = pass.clone();
                        tell(&self.events, Event::Finished(Box::new(Finished { id, job, tally, pass })));
                    }
                    last = Some(pass);
                }
                Ending::Barred => orders.news(PATIENCE),
                // Nobody hears the answer.
                Ending::BrokenOff if manual.is_abandoned() => return,
                Ending::BrokenOff => {}
                // Of these alone: what does not fit beside them has passes of its own.
                Ending::Failed(reason) => {
                    queue.give_up();
                    manual.failed(reason);
                }
            }
            match orders.interruption(Duration::ZERO) {
                Some(Interruption::Outdated) => {
                    return manual.refuse("what governs the connections changed meanwhile; ask again");
                }
                Some(Interruption::End) => return manual.refuse("the daemon ends"),
                None => {}
            }
        }
        manual.finish(last);
    }

    /// Makes one pass, if `begin` puts its targets in place; `each` hears of every connection, and may wait or break it
    /// off.
    fn pass(
        &mut self,
        begin: impl FnOnce() -> Result<bool>,
        mut each: impl FnMut(&mut Pace, &Swept) -> ControlFlow<()>,
    ) -> Ending {
        let passes = match &mut self.passes {
            Some(passes) => passes,
            None => match (self.load)() {
                Ok(passes) => self.passes.insert(passes),
                Err(error) => return Ending::Failed(format!("{error:#}")),
            },
        };
        match begin() {
            Ok(true) => {}
            Ok(false) => return Ending::Barred,
            Err(error) => return Ending::Failed(format!("{error:#}")),
        }
        let pace = &mut self.pace;
        let mut is_broken_off = false;
        let result = passes.pass(&self.targets, &mut |swept| {
            trace!(?swept, "an open connection");
            let flow = each(pace, swept);
            is_broken_off |= flow.is_break();
            flow
        });
        // Whatever came of it: no later pass is to do what this one was told.
        let ended = self.targets.end();
        match result.and_then(|pass| Ok((pass, ended?))) {
            _ if is_broken_off => Ending::BrokenOff,
            Ok((_, false)) => Ending::Barred,
            Ok((Pass { namespaces, unreachable, pending }, true)) => {
                Ending::Complete(Seen { method: passes.method(), namespaces, unreachable, pending })
            }
            Err(error) => Ending::Failed(format!("{error:#}")),
        }
    }
}

fn tell(events: &UnboundedSender<Event>, event: Event) {
    // The daemon ends, and asks for nothing more.
    let _ = events.send(event);
}

const fn go_on(whether: bool) -> ControlFlow<()> {
    if whether { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

#[cfg(test)]
mod tests;
