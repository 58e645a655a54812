//! Connections made all the while something else happens.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use xtask::lab::patience;

use super::Peer;
use crate::peer::Options;

/// Between two connections. Without it the prober and its peer take turns so fast that on a machine of two cores
/// the kernel's own workers get no time, and what is probed waits for them: a process that ends, for one.
const PAUSE: Duration = Duration::from_millis(2);

/// Connects a peer to itself again and again, and notes which options the ends had.
pub(crate) struct Prober {
    seen: Arc<(Mutex<Seen>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    /// Each set of options that an end had, in the order of their first appearance.
    options: Vec<Options>,
    stop: bool,
}

impl Prober {
    /// Begins, and returns once the first connection was looked at.
    pub(crate) fn start(mut peer: Peer) -> Self {
        let seen = Arc::new((Mutex::default(), Condvar::new()));
        let shared = Arc::clone(&seen);
        let thread = thread::spawn(move || {
            while probe(&mut peer, &shared) {
                thread::sleep(PAUSE);
            }
        });
        let prober = Self { seen, thread: Some(thread) };
        prober.await_more(1);
        prober
    }

    /// Waits for `count` connections that are all made after this call.
    pub(crate) fn await_more(&self, count: usize) {
        let (seen, changed) = &*self.seen;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        // The one that is under way may have been made before.
        let enough = seen.connections + count + 1;
        let died = || self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        let (seen, timeout) = changed
            .wait_timeout_while(seen, patience(), |seen| seen.connections < enough && !died())
            .unwrap();
        assert!(seen.connections >= enough, "the prober stopped: {}", timeout.timed_out());
    }

    /// How many connections it made.
    pub(crate) fn connections(&self) -> usize {
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner).connections
    }

    /// Ends it; returns each set of options that an end of a connection had.
    pub(crate) fn finish(mut self) -> Vec<Options> {
        self.end().unwrap();
        let (seen, _) = &*self.seen;
        seen.lock().unwrap().options.clone()
    }

    fn end(&mut self) -> thread::Result<()> {
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.thread.take().map_or(Ok(()), JoinHandle::join)
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        // A failure of the thread has been printed there; the test fails for a reason of its own already.
        let _ = self.end();
    }
}

/// Makes one connection; whether to go on.
fn probe(peer: &mut Peer, (seen, changed): &(Mutex<Seen>, Condvar)) -> bool {
    let pair = peer.pair();
    let ends = [pair.client, pair.server].map(|end| {
        let options = peer.options(end);
        peer.close(end);
        options
    });
    let mut seen = seen.lock().unwrap();
    seen.connections += 1;
    for options in ends {
        if !seen.options.contains(&options) {
            seen.options.push(options);
        }
    }
    changed.notify_all();
    !seen.stop
}
