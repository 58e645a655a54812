//! The thread that sweeps.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::ControlFlow,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use keepalive_ebpf::{Swept, Target};
use tokio::sync::mpsc::UnboundedSender;
use tracing::trace;

use super::{
    manual::Manual,
    pace::Pace,
    queue::{Done, Job, Queue},
    tally::Tally,
};
use crate::{
    kernel::{Method, Pass, Sweeper, Targets},
    privileges::{Duty, keep},
};

/// What the thread is asked.
pub(super) enum Request {
    /// To sweep, after a delay.
    Sweep { id: u64, job: Job, delay: Duration },
    /// Not to, any more.
    Withdraw(u64),
    /// Nothing; but another policy, or none, is in force in this cgroup now.
    Changed(u64),
    /// Nothing; but all was asked that follows from the changes up to this one.
    Settled(u64),
    /// To sweep now, for somebody who waits for the answer.
    Apply(Manual),
}

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
    requests: Sender<Request>,
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
        let (requests, receiver) = mpsc::channel();
        let (queue, manual) = (Queue::default(), VecDeque::new());
        let inbox = Inbox { receiver, targets: targets.clone(), queue, manual, ended: false };
        let run = move || {
            keep(Duty::Connections);
            let crew = Crew { load, passes: None, targets, pace: Pace::new(rate), events };
            crew.run(inbox);
        };
        let thread = thread::Builder::new().name("sweeper".to_owned()).spawn(run);
        thread.context("cannot start the thread that sweeps open connections")?;
        Ok(Self { requests })
    }

    /// Asks for something; a thread that has ended has reported why.
    pub(super) fn ask(&self, request: Request) {
        let _ = self.requests.send(request);
    }
}

/// What the thread is asked, and what of it is still to be done.
struct Inbox {
    receiver: Receiver<Request>,
    targets: Targets,
    queue: Queue,
    manual: VecDeque<Manual>,
    ended: bool,
}

impl Inbox {
    /// Takes a request; whether the pass under way is no longer what it should be.
    fn take(&mut self, request: Request) -> bool {
        match request {
            Request::Sweep { id, job, delay } => self.queue.request(id, job, Instant::now() + delay),
            Request::Withdraw(id) => self.queue.withdraw(id),
            Request::Changed(_) => false,
            Request::Settled(change) => {
                self.targets.settle(change);
                false
            }
            Request::Apply(manual) => {
                self.manual.push_back(manual);
                // Somebody waits; what the pass has done already costs the next one nothing.
                true
            }
        }
    }

    /// Waits so long, and takes what comes. Breaks at the end, and at a request that disturbs: `is_disturbing` says
    /// whether it does, or leaves it to whether the pass of the queue is no longer what it should be.
    fn listen(
        &mut self,
        wait: Duration,
        mut is_disturbing: impl FnMut(&Request) -> Option<bool>,
    ) -> ControlFlow<()> {
        // Without a wait, as after nearly every connection, nobody need ask for the time.
        let until = (!wait.is_zero()).then(|| Instant::now() + wait);
        loop {
            let next = match until {
                Some(until) => self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())),
                None => self.receiver.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
            };
            match next {
                Ok(request) => {
                    let verdict = is_disturbing(&request);
                    let disturbs = self.take(request);
                    if verdict.unwrap_or(disturbs) {
                        return ControlFlow::Break(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => return ControlFlow::Continue(()),
                Err(RecvTimeoutError::Disconnected) => {
                    self.ended = true;
                    return ControlFlow::Break(());
                }
            }
        }
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
    targets: Targets,
    pace: Pace,
    events: UnboundedSender<Event>,
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
    fn run(mut self, mut inbox: Inbox) {
        loop {
            // All that was asked by now: a thousand cgroups that change together are swept together, and would each begin
            // the pass anew.
            let _ = inbox.listen(Duration::ZERO, |_| Some(false));
            if inbox.ended {
                return;
            }
            let now = Instant::now();
            if let Some(manual) = inbox.manual.pop_front() {
                self.answer(manual, &mut inbox);
                continue;
            }
            match inbox.queue.due() {
                Some(due) if due <= now => self.sweep(&mut inbox),
                Some(due) => drop(inbox.listen(due - now, |_| Some(true))),
                None => match inbox.receiver.recv() {
                    Ok(request) => drop(inbox.take(request)),
                    Err(_) => inbox.ended = true,
                },
            }
        }
    }

    /// Makes one pass for all that is due.
    fn sweep(&mut self, inbox: &mut Inbox) {
        let targets = inbox.queue.begin(Instant::now());
        self.tell(Event::Began(inbox.queue.running()));
        let ending = self.pass(&targets, inbox, |pace, inbox, swept| {
            let pause = inbox.queue.count(swept).then(|| pace.changed(fastrand::f64())).flatten();
            inbox.listen(pause.unwrap_or_default(), |_| None)
        });
        match ending {
            Ending::Complete(pass) => {
                for Done { id, job, tally } in inbox.queue.complete() {
                    let pass = pass.clone();
                    self.tell(Event::Finished(Box::new(Finished { id, job, tally, pass })));
                }
            }
            Ending::BrokenOff => inbox.queue.break_off(),
            Ending::Barred => {
                inbox.queue.break_off();
                let _ = inbox.listen(PATIENCE, |_| Some(true));
            }
            Ending::Failed(reason) => {
                let ids = inbox.queue.give_up();
                self.tell(Event::Failed { ids, reason });
            }
        }
    }

    /// Sweeps for somebody who waits for the answer.
    fn answer(&mut self, mut manual: Manual, inbox: &mut Inbox) {
        let mut queue = Queue::default();
        for (id, job) in manual.jobs() {
            queue.request(id, job, Instant::now());
        }
        let mut last = None;
        let mut changed = false;
        while !queue.is_empty() {
            let targets = queue.begin(Instant::now());
            let ending = self.pass(&targets, inbox, |pace, inbox, swept| {
                manual.heard(swept);
                let pause = queue.count(swept).then(|| pace.changed(fastrand::f64())).flatten();
                if manual.is_abandoned() {
                    return ControlFlow::Break(());
                }
                inbox.listen(pause.unwrap_or_default(), |request| {
                    let disturbs = manual.is_disturbed_by(request);
                    changed |= disturbs;
                    Some(disturbs)
                })
            });
            match ending {
                Ending::Complete(pass) => {
                    for Done { id, job, tally } in queue.complete() {
                        manual.done(id, &tally);
                        let pass = pass.clone();
                        self.tell(Event::Finished(Box::new(Finished { id, job, tally, pass })));
                    }
                    last = Some(pass);
                }
                Ending::Barred => drop(inbox.listen(PATIENCE, |request| {
                    changed |= manual.is_disturbed_by(request);
                    Some(true)
                })),
                Ending::BrokenOff => {}
                Ending::Failed(reason) => return manual.refuse(&reason),
            }
            if changed {
                return manual.refuse("what governs the connections changed meanwhile; ask again");
            }
            if inbox.ended {
                return manual.refuse("the daemon ends");
            }
        }
        manual.finish(last);
    }

    /// Makes one pass; `each` hears of every connection, and may wait or break it off.
    fn pass(
        &mut self,
        targets: &BTreeMap<u64, Target>,
        inbox: &mut Inbox,
        mut each: impl FnMut(&mut Pace, &mut Inbox, &Swept) -> ControlFlow<()>,
    ) -> Ending {
        let passes = match &mut self.passes {
            Some(passes) => passes,
            None => match (self.load)() {
                Ok(passes) => self.passes.insert(passes),
                Err(error) => return Ending::Failed(format!("{error:#}")),
            },
        };
        match self.targets.begin(targets) {
            Ok(true) => {}
            Ok(false) => return Ending::Barred,
            Err(error) => return Ending::Failed(format!("{error:#}")),
        }
        let pace = &mut self.pace;
        let mut is_broken_off = false;
        let result = passes.pass(&self.targets, &mut |swept| {
            trace!(?swept, "an open connection");
            let flow = each(pace, inbox, swept);
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

    fn tell(&self, event: Event) {
        // The daemon ends, and asks for nothing more.
        let _ = self.events.send(event);
    }
}

#[cfg(test)]
mod tests;
