//! Lists of the connections of the node, for whoever asks: which policy governs each, what came of it, and why.
//!
//! A list is made by a thread of its own, because the kernel waits for applications that hold a socket's lock; nobody
//! waits for the thread, which may be at one whose lock is held for ever. What reads the options is loaded with the first
//! list (0.1 s) and let go of when nobody has asked for a minute. There is one list at a time, and it is made no faster
//! than it is read.

pub(crate) mod places;
mod row;
mod verdict;

use std::{
    mem,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc},
    task::spawn_blocking,
};

use self::places::Places;
use crate::{
    allocator::give_back,
    kernel::sockets,
    privileges::Starter,
    report::sockets::{SocketLine, SocketRow, SocketSummary},
    sweeper::name,
};

/// How long what reads options stays loaded after a list.
const LINGER: Duration = Duration::from_secs(60);
/// So many bytes of a list are handed over at a time: some hundred connections.
const CHUNK: usize = 64 << 10;
/// So many such parts may wait for whoever reads.
const PARTS: usize = 2;

/// What lists connections; a handle.
#[derive(Clone)]
pub(crate) struct Observer {
    loaded: Arc<Mutex<Loaded>>,
    starter: Starter,
}

#[derive(Default)]
struct Loaded {
    /// Absent while a list is made.
    observer: Option<sockets::Observer>,
    /// When the last list was made.
    used: Option<Instant>,
}

/// A list that somebody asks for.
pub(crate) struct Listing {
    pub(crate) places: Places,
    /// Only connections without keep-alive.
    pub(crate) unarmed: bool,
    /// How many are listed at most.
    pub(crate) limit: Option<u64>,
    /// The right to have a list made, of which there is one.
    pub(crate) turn: OwnedSemaphorePermit,
}

impl Observer {
    /// One that has loaded nothing yet; its threads are started by `starter`.
    pub(crate) fn new(starter: Starter) -> Self {
        Self { loaded: Arc::default(), starter }
    }

    /// Begins a list; its lines come out of the receiver, many at a time. If it ends without a summary, it was not
    /// finished. Needs to be called within a tokio runtime.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn list(&self, listing: Listing) -> Result<mpsc::Receiver<Vec<u8>>> {
        let (parts, receiver) = mpsc::channel(PARTS);
        let this = self.clone();
        let runtime = Handle::current();
        let run = move || {
            let Listing { places, unarmed, limit, turn } = listing;
            let mut observer = this.take();
            Page { places, unarmed, limit, parts, text: Vec::new(), summary: SocketSummary::default() }
                .fill(&mut observer);
            this.put_back(observer);
            drop(turn);
            runtime.spawn(async move {
                tokio::time::sleep(LINGER).await;
                spawn_blocking(move || this.let_go());
            });
        };
        self.starter.start("observer", run).context("cannot start a thread that lists connections")?;
        Ok(receiver)
    }

    fn take(&self) -> sockets::Observer {
        let loaded = self.lock().observer.take();
        loaded.unwrap_or_else(|| {
            let observer = sockets::Observer::load();
            give_back();
            observer
        })
    }

    fn put_back(&self, observer: sockets::Observer) {
        *self.lock() = Loaded { observer: Some(observer), used: Some(Instant::now()) };
    }

    /// Lets go of what is loaded, if it was not used for long.
    fn let_go(&self) {
        let mut loaded = self.lock();
        let is_idle = loaded.used.is_some_and(|used| used.elapsed() >= LINGER);
        if is_idle && loaded.observer.take().is_some() {
            give_back();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A list in the making.
struct Page {
    places: Places,
    unarmed: bool,
    limit: Option<u64>,
    parts: mpsc::Sender<Vec<u8>>,
    /// What is to be handed over next.
    text: Vec<u8>,
    summary: SocketSummary,
}

impl Page {
    /// Writes the whole list. Whoever asked for it may go away, and then there is nobody to write for.
    fn fill(mut self, observer: &mut sockets::Observer) {
        let places = mem::take(&mut self.places);
        let mut is_abandoned = false;
        let listed = observer.list(&|socket| places.of(socket.cgroup).is_some(), &mut |seen| {
            let flow = self.add(row::row(places.of(seen.socket.cgroup).flatten(), seen));
            is_abandoned |= matches!(flow, Err(Abandoned));
            flow.unwrap_or(ControlFlow::Break(()))
        });
        if is_abandoned {
            return;
        }
        name(observer.method()).clone_into(&mut self.summary.method);
        match listed {
            Ok((seen, missing)) => {
                let unreachable = seen.unreachable.into_iter().map(|(name, why)| format!("{name}: {why}"));
                self.summary.namespaces = seen.namespaces;
                self.summary.unreachable = unreachable.collect();
                self.summary.missing = missing;
            }
            Err(error) => self.summary.missing = vec![format!("all connections: {error:#}")],
        }
        let summary = mem::take(&mut self.summary);
        self.write(&SocketLine::Summary { summary });
        // Nobody is left to be told that nobody is left.
        let _ = self.hand_over();
    }

    /// Adds a connection, if it is one that was asked for; breaks if it is one too many.
    fn add(&mut self, row: SocketRow) -> Result<ControlFlow<()>, Abandoned> {
        if self.unarmed && row.options.keepalive != Some(false) {
            return Ok(ControlFlow::Continue(()));
        }
        if self.limit.is_some_and(|limit| self.summary.connections >= limit) {
            self.summary.left_off = true;
            return Ok(ControlFlow::Break(()));
        }
        self.summary.count(row.verdict);
        self.write(&SocketLine::Connection(Box::new(row)));
        if self.text.len() >= CHUNK {
            self.hand_over()?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn write(&mut self, line: &SocketLine) {
        let before = self.text.len();
        match serde_json::to_writer(&mut self.text, line) {
            Ok(()) => self.text.push(b'\n'),
            // Never: its keys are text, and all of it is plain.
            Err(error) => {
                tracing::error!(%error, "cannot write a connection as JSON; it is left off");
                self.text.truncate(before);
            }
        }
    }

    /// Waits until there is room for one more part.
    fn hand_over(&mut self) -> Result<(), Abandoned> {
        self.parts.blocking_send(mem::take(&mut self.text)).map_err(|_| Abandoned)
    }
}

/// Whoever asked for a list has gone away, or does not read it.
struct Abandoned;

#[cfg(test)]
mod tests;
