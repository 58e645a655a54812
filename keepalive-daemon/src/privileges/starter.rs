//! A thread that keeps what looking at connections takes, and starts threads that do.
//!
//! Those that hear clients cannot: what they start has no more capabilities than they have.

use std::{
    io,
    sync::mpsc::{self, Sender, SyncSender},
    thread,
};

use anyhow::{Context as _, Result};

use super::{Duty, keep};

/// What asks it; any number of handles to the same.
#[derive(Clone)]
pub(crate) struct Starter(Sender<Job>);

struct Job {
    name: String,
    work: Box<dyn FnOnce() + Send>,
    started: SyncSender<io::Result<()>>,
}

impl Starter {
    /// Starts the thread, which ends with the last handle.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn begin() -> Result<Self> {
        let (jobs, receiver) = mpsc::channel::<Job>();
        let run = move || {
            keep(Duty::Connections);
            for Job { name, work, started } in receiver {
                let thread = thread::Builder::new().name(name).spawn(work);
                // Whoever asked waits for nothing else.
                let _ = started.send(thread.map(drop));
            }
        };
        let thread = thread::Builder::new().name("starter".to_owned()).spawn(run);
        thread.context("cannot start the thread that starts those that look at connections")?;
        Ok(Self(jobs))
    }

    /// Has `work` done by a thread of its own, with what looking at connections takes. It waits until that is started.
    ///
    /// # Errors
    /// If it cannot be.
    pub(crate) fn start(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let (started, is_started) = mpsc::sync_channel(1);
        let gone = || io::Error::other("the thread that starts others has ended");
        let job = Job { name: name.to_owned(), work: Box::new(work), started };
        self.0.send(job).map_err(|_| gone())?;
        is_started.recv().map_err(|_| gone())?
    }
}

#[cfg(test)]
mod tests {
    use rustix::thread::{CapabilitySets, capabilities};

    use super::*;

    #[test]
    fn what_a_thread_without_capabilities_has_started_has_those_of_the_starter() {
        let starter = Starter::begin().expect("it starts");
        let has = capabilities(None).expect("they can be read").permitted;

        let asks = thread::spawn(move || {
            keep(Duty::Clients);
            let (to, found) = mpsc::channel();
            let work = move || to.send(capabilities(None)).expect("somebody waits");
            starter.start("look", work).expect("it starts");
            found.recv().expect("it looks").expect("they can be read")
        });

        let CapabilitySets { permitted, .. } = asks.join().expect("it ends");
        assert_eq!(permitted, Duty::Connections.keeps(has));
    }
}
