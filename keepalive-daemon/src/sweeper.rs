//! The sweep of connections that are open already: when, and how fast.
//!
//! A thread of its own ([`worker`]) owns the kernel's side, because a sweep waits and enters network namespaces; it is
//! asked through what both share ([`orders`]), and what comes of it comes back to the daemon's one loop over a channel.
//! What is to be asked of it follows from what is in force and what was swept ([`books`]), whatever happened before: a
//! killed daemon resumes.

mod books;
mod left;
mod manual;
mod members;
mod orders;
mod pace;
mod queue;
mod sums;
mod tally;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic,
    path::Path,
    thread,
    time::Duration,
};

use anyhow::Result;
use keepalive_ebpf::{Mode, Outcome, Policy, Sweep};
use tokio::sync::mpsc;
use tracing::{debug, warn};

pub(crate) use books::{Deed, gives_values};
pub(crate) use manual::{Asker, Manual, kind};
pub(crate) use members::members;
pub(crate) use queue::Job;
pub(crate) use tally::Tally;
pub(crate) use worker::Event;

use self::{
    books::{Books, Order, Reached, View},
    orders::Request,
    sums::Sums,
    worker::Worker,
};
use crate::{
    allocator::give_back,
    governor::{Cause, Governor},
    journal::{Counts, Event as Told, Journal, Kind},
    kernel::{self, Targets},
    leisure::give_way,
    report::open_connections::{LeftBehind, OpenConnections, Sweeping},
    workloads::Paths,
};

/// How connections are swept.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) means: Means,
    /// How many connections are changed a second at most; 0 for no limit.
    pub(crate) rate: u32,
    /// How long, at most, a sweep waits after policies changed.
    pub(crate) delay: Duration,
}

/// By what means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// None: open connections stay as they are.
    None,
    /// The best that works.
    Any,
    Only(kernel::Method),
}

/// The daemon's end of the sweeper.
pub(crate) struct Sweeps {
    /// Absent if nothing is to be swept.
    worker: Option<Worker>,
    targets: Targets,
    books: Books,
    delay: Duration,
    method: Option<kernel::Method>,
    /// Why the connections of these cgroups cannot be swept.
    troubles: BTreeMap<u64, String>,
    /// The network namespaces that the last pass could not look into, and why.
    unreachable: Vec<(String, String)>,
    /// The reasons that somebody was told of.
    told_unreachable: BTreeSet<String>,
    sums: Sums,
    journal: Journal,
}

/// What begins has better use for the processor than a sweep, as all that it connects from now on is governed anyway;
/// and of pods that begin together one sweep is enough.
const SETTLE: Duration = Duration::from_secs(2);

/// Runs `work` on a thread that gives way to all others: the verifier takes its time, of which nobody waits for the end.
/// Not for the sweep itself, whose locks others may wait for.
fn at_leisure<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let run = || {
        give_way();
        work()
    };
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| panic::resume_unwind(panic))
}

impl Sweeps {
    /// Starts the thread; it loads nothing before there is something to sweep.
    pub(crate) fn start(
        options: &Options,
        bpffs: &Path,
        targets: &Targets,
        journal: Journal,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Event>)> {
        let (events, receiver) = mpsc::unbounded_channel();
        let bpffs = bpffs.to_owned();
        let start = |only| {
            let targets = targets.clone();
            Worker::start(options.rate, targets.clone(), events, move || {
                at_leisure(|| {
                    let sweeper = kernel::Sweeper::load(&bpffs, only, &targets);
                    give_back();
                    sweeper
                })
            })
        };
        let worker = match options.means {
            Means::None => None,
            Means::Any => Some(start(None)?),
            Means::Only(method) => Some(start(Some(method))?),
        };
        let sweeps = Self {
            worker,
            targets: targets.clone(),
            books: Books::default(),
            delay: options.delay,
            method: None,
            troubles: BTreeMap::new(),
            unreachable: Vec::new(),
            told_unreachable: BTreeSet::new(),
            sums: Sums::default(),
            journal,
        };
        Ok((sweeps, receiver))
    }

    /// Asks for what is to be swept now, and for nothing else any more.
    pub(crate) fn follow(&mut self, governor: &mut Governor, cgroups: &Paths, cause: Cause) {
        let deeds = governor.take_deeds();
        let view = View { attached: governor.attached(), existing: governor.existing(), cgroups, cause };
        let changes = self.targets.changes();
        let Some(worker) = &self.worker else { return self.targets.settle(changes) };
        let changed = deeds.iter().filter_map(|deed| deed.changes(governor.attached()));
        let changed: Vec<_> = changed.map(Request::Changed).collect();
        let delay = match cause {
            // Nodes get new policies at the same time, pods do not.
            Cause::Policies => self.delay.mul_f64(fastrand::f64()),
            Cause::Cgroups | Cause::Pods => SETTLE,
            Cause::Start | Cause::Resync => Duration::ZERO,
        };
        let orders = self.books.follow(deeds, &view).into_iter().map(|order| match order {
            Order::Sweep(id, job) => Request::Sweep { id, job: *job, delay },
            Order::Withdraw(id) => Request::Withdraw(id),
        });
        let is_there = |id: u64| governor.attached().contains_key(&id) || self.books.is_left(id);
        self.troubles.retain(|id, _| cause != Cause::Policies && is_there(*id));
        worker.ask(changed.into_iter().chain(orders).chain([Request::Settled(changes)]));
    }

    /// The rules for destinations, by their ids, without which the values of earlier policies are not found again.
    pub(crate) fn rules_in_use(&self) -> BTreeSet<u64> {
        self.books.rules_in_use()
    }

    /// Takes note of what the sweeper did.
    pub(crate) fn happened(&mut self, event: Event, governor: &mut Governor) {
        match event {
            Event::Began(ids) => self.books.began(ids),
            Event::Finished(finished) => {
                let worker::Finished { id, job, tally, pass } = *finished;
                self.troubles.remove(&id);
                self.method = Some(pass.method);
                for (namespace, why) in &pass.unreachable {
                    // They come and go, and what they are called by with the processes in them.
                    if self.told_unreachable.insert(why.clone()) {
                        warn!(namespace, why, "cannot sweep the open connections of a network namespace");
                    }
                }
                self.tell(governor, id, &job, &tally, &pass);
                if job.sweep != Sweep::Tell {
                    self.sums.add(&tally);
                }
                let reached = match &pass {
                    pass if !pass.unreachable.is_empty() => Reached::SomeNamespaces,
                    pass if pass.pending > 0 => Reached::AllAccepted,
                    _ => Reached::All,
                };
                self.unreachable = pass.unreachable;
                let in_force = governor.attached().get(&id).and_then(|actual| actual.policy);
                let swept = governor.attached().get(&id).and_then(|actual| actual.swept);
                if self.books.finished(id, &job, tally, reached, in_force, swept) {
                    governor.set_swept(id, &job.policy);
                }
            }
            Event::Failed { ids, reason } => {
                self.books.failed(&ids);
                // As long as it fails each time it is told once, whatever is done for others in between.
                if !self.troubles.values().any(|told| *told == reason) {
                    let reason = Some(reason.clone());
                    self.journal.push(Told { reason, ..Told::new(Kind::CannotSweep) });
                }
                self.troubles.extend(ids.into_iter().map(|id| (id, reason.clone())));
            }
        }
    }

    /// Tells of a finished sweep; of one that changed nothing only to whoever listens closely.
    fn tell(&self, governor: &Governor, id: u64, job: &Job, tally: &Tally, pass: &worker::Seen) {
        let about = governor.about(Kind::Swept, id).because(job.why);
        let (examined, namespaces, method) = (tally.examined(), pass.namespaces, name(pass.method));
        if job.sweep == Sweep::Tell || tally.changed() == 0 {
            let Told { cgroup, policy, why, .. } = about;
            debug!(cgroup, policy, examined, namespaces, method, why, "looked at open connections");
            return;
        }
        let counts = Counts {
            armed: Some(tally.of(Outcome::Arm)),
            tightened: Some(tally.of(Outcome::Tighten)),
            overridden: Some(tally.of(Outcome::Override)),
            refused: Some(tally.refused()),
            examined: Some(examined),
            ..Counts::default()
        };
        let (error, namespaces, method) = (tally.error(), Some(namespaces), Some(method.to_owned()));
        self.journal.push(Told { counts, error, namespaces, method, ..about });
    }

    /// Has connections swept because somebody asked for it.
    pub(crate) fn apply(&self, manual: Manual) {
        match &self.worker {
            Some(worker) => worker.ask([Request::Apply(manual)]),
            None => manual.refuse("sweeping is off: the daemon was started with --sweep-method none"),
        }
    }

    /// Sweeps, for somebody who asks for them, of what these governed cgroups' policies govern.
    pub(crate) fn jobs(
        &self,
        governor: &Governor,
        cgroups: &Paths,
        ids: impl IntoIterator<Item = u64>,
        sweep: Sweep,
    ) -> BTreeMap<u64, Job> {
        let view = View {
            attached: governor.attached(),
            existing: governor.existing(),
            cgroups,
            cause: Cause::Start,
        };
        let mut jobs = self.books.jobs(&view, ids, sweep, "it was asked for by `apply`");
        // Whoever asks what a policy would do that only counts means the mode that would follow.
        for job in jobs.values_mut().filter(|job| job.sweep == Sweep::Tell) {
            if job.policy.mode() == Mode::Monitor {
                job.policy = job.policy.in_mode(Mode::Tighten);
                job.is_only_counted = true;
            }
        }
        jobs
    }

    /// What is known of the open connections of a governed cgroup.
    pub(crate) fn open_connections(&self, governor: &Governor, id: u64) -> Option<OpenConnections> {
        let actual = governor.attached().get(&id)?;
        let policy = as_swept(&actual.policy.filter(queue::is_sweepable)?, id);
        let state = if self.worker.is_none() {
            "off"
        } else if self.books.is_requested(id) {
            match self.troubles.get(&id) {
                Some(_) => "unavailable",
                None if self.books.is_running(id) => "running",
                None => "pending",
            }
        } else if actual.swept == Some(policy) && !self.books.is_partial(id, &policy) {
            "swept"
        } else if !governor.existing().contains(&id) {
            "off"
        } else if self.troubles.contains_key(&id) {
            "unavailable"
        } else if self.books.is_partial(id, &policy) {
            "partial"
        } else {
            "pending"
        };
        Some(OpenConnections::new(state, self.books.found(id)))
    }

    /// The cgroups that are no longer governed and whose connections keep what they were given.
    pub(crate) fn left(&self) -> Vec<LeftBehind> {
        self.books.left()
    }

    /// What came of the connections that sweeps looked at, those asked for by hand apart.
    pub(crate) fn existing(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.sums.by_result()
    }

    /// Whether open connections are to be changed at all.
    pub(crate) const fn is_on(&self) -> bool {
        self.worker.is_some()
    }

    /// What is known of the sweeper itself.
    pub(crate) fn describe(&self) -> Sweeping {
        let method = match (&self.worker, self.method) {
            (None, _) => Some("none"),
            (Some(_), method) => method.map(name),
        };
        Sweeping {
            method: method.map(str::to_owned),
            trouble: self.troubles.values().next().cloned(),
            unreachable: self.unreachable.iter().map(|(name, why)| format!("{name}: {why}")).collect(),
        }
    }
}

/// A policy as it is noted of what was swept for it: whether ancestors yield to it is nothing to open connections.
pub(crate) const fn as_swept(policy: &Policy, id: u64) -> Policy {
    policy.claiming(false).of_cgroup(id)
}

pub(crate) const fn name(method: kernel::Method) -> &'static str {
    match method {
        kernel::Method::Iterator => "iterator",
        kernel::Method::Descriptors => "descriptors",
    }
}

#[cfg(test)]
mod tests;
