//! Whether it helped: what became of connections because keep-alive, or a user timeout, watched over them.
//!
//! Two things are counted for each governed cgroup, with all below it of which it is the deepest governed one:
//!
//! - **peers that were found dead**. The kernel closes such a connection, and the program `closing` looks at what it has
//!   left on the socket by then ([`crate::kernel::Closing`]). The tracepoint it hangs on is passed when a connection
//!   changes its state and never for data; the callbacks of `sock_ops`, which could tell of ends too, are asked for by flags
//!   that belong to whoever set them. It takes `CAP_BPF` and `CAP_PERFMON`, and counting leaves out what another program
//!   would have told at the very moment it was interrupted.
//! - **connections that were kept alive**. No event tells of what did not happen, so connections are looked at from time
//!   to time ([`tracker`]), with what the kernel tells anybody who asks (`ss -i`): how long ago each carried data, and how
//!   long ago its peer acknowledged something. It takes no right but for entering the network namespaces of others, and a
//!   few tenths of a second a minute for 100,000 connections, at the lowest priority.
//!
//! Each is done by a thread of its own ([`watcher`], [`looker`]): neither can hold up the daemon, and where one lacks its
//! privilege, or waits for an application, the other goes on. Nothing is done before something is governed. What is counted begins at zero with the daemon.

mod arguments;
mod books;
mod looker;
mod tracker;
mod watcher;

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

pub(crate) use arguments::HelpArgs;

use self::{
    books::{Books, Governed, Place},
    looker::Looker,
    watcher::Watcher,
};
use crate::{
    governor::Governor,
    journal::Journal,
    report::{
        helped::{Help, Watch},
        status::shown,
    },
    sweeper::members,
    workloads::{Paths, Placed},
};

/// How it is found out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) is_on: bool,
    /// How long a silence is before it counts: what a middlebox takes for the end of a connection.
    pub(crate) silent_after: Duration,
}

/// The daemon's end of it; any number of handles to the same.
#[derive(Clone)]
pub(crate) struct Helped {
    options: Options,
    shared: Arc<Shared>,
}

/// What the daemon and the thread share; neither holds it for long.
#[derive(Default)]
struct Shared {
    books: Mutex<Books>,
    /// Told when something is governed.
    begins: Condvar,
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        // Whoever panicked with it left it whole: it is changed by single steps.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is governed.
    fn wait(&self) {
        let books = self.begins.wait_while(self.books(), |books| books.governed.is_empty());
        drop(books.unwrap_or_else(PoisonError::into_inner));
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(drop).context("cannot start a thread")
}

impl Helped {
    /// Starts the threads, which end with the process.
    pub(crate) fn start(options: Options, journal: Journal) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        if options.is_on {
            let watcher = Watcher::new(Arc::clone(&shared), journal);
            let looker = Looker::new(Arc::clone(&shared), options.silent_after);
            spawn("dead-peers", move || watcher.run())?;
            spawn("helped", move || looker.run())?;
        }
        Ok(Self { options, shared })
    }

    /// Takes note of what is governed now.
    pub(crate) fn follow(&self, governor: &Governor, cgroups: &Paths, pods: Option<&Placed>) {
        if !self.options.is_on {
            return;
        }
        let attached = governor.attached();
        let members = members(cgroups, |id| attached.contains_key(&id));
        let below = members.iter().flat_map(|(governor, ids)| ids.iter().map(|id| (*id, *governor)));
        let places = attached.iter().map(|(id, actual)| {
            let pod = pods.and_then(|pods| pods.by_path.get(&actual.path));
            let place = Place {
                cgroup: shown(&actual.path),
                pod: pod.map(|pod| pod.facts.to_string()),
                policy: actual.policy_name.clone(),
            };
            (*id, place)
        });
        let governed = Governed { governors: below.collect(), places: places.collect::<BTreeMap<_, _>>() };
        self.shared.books().follow(governed);
        self.shared.begins.notify_all();
    }

    /// What is known of a governed cgroup; `None` if nobody watches.
    pub(crate) fn of(&self, id: u64) -> Option<Help> {
        self.options.is_on.then(|| self.shared.books().of(id))
    }

    /// What is known of each policy, also of what it governs no more, and of the watching itself; `None` if nobody
    /// watches.
    pub(crate) fn by_policy(&self) -> Option<(BTreeMap<String, Help>, Watch)> {
        if !self.options.is_on {
            return None;
        }
        // On its own, so that the lock is free again for what follows.
        let by_policy = self.shared.books().by_policy();
        Some((by_policy, self.describe()))
    }

    /// Forgets the policies of which `keep` does not say so.
    pub(crate) fn retain_policies(&self, keep: impl Fn(&str) -> bool) {
        self.shared.books().retain_policies(keep);
    }

    /// What is known of the watching itself.
    pub(crate) fn describe(&self) -> Watch {
        let watch = Watch { is_on: self.options.is_on, ..self.shared.books().watch.clone() };
        Watch { silent_after_seconds: self.options.silent_after.as_secs(), ..watch }
    }
}
