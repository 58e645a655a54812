//! What happened, for whoever asks later or follows: what was done to the system and why, and what came of it.
//!
//! Whoever does something pushes an [`Event`], which becomes the log line and the entry of the journal: they cannot
//! drift apart. The journal is in memory and bounded. What is pushed out of it is counted, and whoever reads is told
//! how much of it was missed. The like of what was told a moment ago is summed up, so that nothing, however often it
//! happens, floods it.

mod counts;
mod event;
mod ledger;
mod ring;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

use tokio::sync::watch;

pub(crate) use counts::Counts;
pub(crate) use event::{Event, Kind};
pub(crate) use ledger::{Ledger, Whose};
pub(crate) use ring::{Batch, Record};

use self::ring::{Now, Ring};

/// The way to the journal, from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ring: Mutex<Ring>,
    /// The number of the last record.
    last: watch::Sender<u64>,
}

impl Default for Journal {
    fn default() -> Self {
        Self(Arc::new(Shared { ring: Mutex::default(), last: watch::Sender::new(0) }))
    }
}

impl Journal {
    /// Tells of something that happened.
    pub(crate) fn push(&self, event: Event) {
        event.log();
        self.change(|ring, now| ring.push(event, now));
    }

    /// Writes down what was held back to be summed up and is due; to be called from time to time.
    pub(crate) fn settle(&self) {
        self.change(Ring::settle);
    }

    /// The first records after number `since`, so many at most.
    pub(crate) fn read(&self, since: u64, most: usize) -> Batch {
        self.ring().read(since, most)
    }

    /// Tells of new records.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.0.last.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Ring, Now)) {
        let now = Now { clock: Instant::now(), time: SystemTime::now() };
        let mut ring = self.ring();
        change(&mut ring, now);
        // Within the lock: two threads must not tell of their records in the wrong order.
        self.0.last.send_if_modified(|last| {
            let is_news = *last != ring.last();
            *last = ring.last();
            is_news
        });
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Whoever panicked with it left it whole: it is changed by single steps.
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_watches_is_told_of_what_is_pushed_from_another_thread() {
        let journal = Journal::default();
        let watched = journal.watch();
        let pusher = journal.clone();

        std::thread::spawn(move || pusher.push(Event::new(Kind::PoliciesRead))).join().expect("it pushes");

        assert!(watched.has_changed().expect("the journal is there"));
        assert_eq!((*watched.borrow(), journal.read(0, 9).records.len()), (1, 1));
    }
}
