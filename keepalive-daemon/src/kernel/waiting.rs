//! Calls that wait for whoever holds a socket's lock: an application that copies into or out of memory whose page does not
//! come (`userfaultfd`, FUSE, a file server that is away) holds it for as long as it likes, and the kernel lets nobody give
//! up waiting. So that it is not done in silence, each such call is noted, with the thread that makes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, mem,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use nix::unistd::{Pid, gettid};
use tracing::{info, warn};

/// A call that takes longer than this waits for a lock: the longest others, over a million sockets of which there is
/// nothing to tell, take a second.
const LONG: Duration = Duration::from_secs(10);

/// How often it is told, at most, that a thread waits: an application can let go of a lock and take it again for as long as
/// it likes.
const PAUSE: Duration = Duration::from_secs(600);

/// What waits now, by what its thread is for. Of the process and not of an object, as what waits is a thread.
static WAITING: Mutex<BTreeMap<String, Since>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Copy)]
struct Since {
    thread: Pid,
    instant: Instant,
    /// For people.
    time: SystemTime,
}

fn lock() -> MutexGuard<'static, BTreeMap<String, Since>> {
    // It is changed by single steps.
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a call that may wait.
pub(super) fn wait<T>(call: impl FnOnce() -> T) -> T {
    let thread = thread::current().name().unwrap_or_default().to_owned();
    let since = Since { thread: gettid(), instant: Instant::now(), time: SystemTime::now() };
    lock().insert(thread.clone(), since);
    let result = call();
    lock().remove(&thread);
    result
}

/// What does not go on, since when, and what to do.
pub(crate) fn stuck() -> Vec<String> {
    long().iter().map(|(thread, since)| describe(thread, *since)).collect()
}

/// The threads that wait for a lock, and since when.
fn long() -> BTreeMap<String, SystemTime> {
    let waiting = lock();
    let long = waiting.iter().filter(|(_, since)| since.instant.elapsed() >= LONG && is_asleep(since.thread));
    long.map(|(thread, since)| (thread.clone(), since.time)).collect()
}

/// Whether a thread of this process waits in the kernel, and not for its turn on a busy processor: those that give way to all
/// others may have to wait for that for long.
fn is_asleep(thread: Pid) -> bool {
    fs::read_to_string(format!("/proc/self/task/{thread}/stat")).is_ok_and(|stat| state(&stat) == Some('D'))
}

/// The state of a thread, from its `stat`; its name before that may be anything.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

fn describe(thread: &str, since: SystemTime) -> String {
    let what = match thread {
        "sweeper" => "the sweep of open connections",
        "helped" => "the look for connections that were kept alive",
        "observer" => "a list of connections",
        other => other,
    };
    format!(
        "{what} does not go on since {}: an application holds the lock of a TCP socket; `grep -L lock_sock $(grep -l \
         tcp_ /proc/[0-9]*/task/*/stack)` finds it, and it goes on when that is ended",
        humantime::format_rfc3339_seconds(since)
    )
}

/// Who was told of what.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// When it was last told of a thread that it waits.
    last: BTreeMap<String, Instant>,
    /// The threads of which that was told, and not the end.
    open: BTreeSet<String>,
}

impl Told {
    /// Tells of what does not go on, and of its end; of each thread once in a while at most, as each of its waits may be
    /// another.
    pub(crate) fn tell(&mut self) {
        let stuck = long();
        for (thread, since) in &stuck {
            if self.is_news(thread, Instant::now()) {
                warn!("{}", describe(thread, *since));
            }
        }
        if stuck.is_empty() && self.is_over() {
            info!("what waited for the lock of a socket goes on again");
        }
    }

    /// Whether it is to be told that a thread waits.
    fn is_news(&mut self, thread: &str, now: Instant) -> bool {
        let is_told_lately = self.last.get(thread).is_some_and(|at| now.duration_since(*at) < PAUSE);
        if is_told_lately || self.open.contains(thread) {
            return false;
        }
        self.last.insert(thread.to_owned(), now);
        self.open.insert(thread.to_owned())
    }

    /// Whether it is to be told that nothing waits any more.
    fn is_over(&mut self) -> bool {
        !mem::take(&mut self.open).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_comes_after_the_name_whatever_that_is() {
        assert_eq!(state("12 (helped) D 1 12"), Some('D'));
        assert_eq!(state("12 (a) D (b) R 1 12"), Some('R'));
        assert_eq!(state(""), None);
        assert!(!is_asleep(gettid()), "whoever asks runs");
    }

    #[test]
    fn what_waits_is_known_by_its_thread_for_as_long_as_it_does() {
        let thread = thread::Builder::new().name("a test that waits".to_owned());
        let has = |name: &str| lock().contains_key(name);

        let seen = thread.spawn(move || (wait(|| has("a test that waits")), has("a test that waits")));

        assert_eq!(seen.map(thread::JoinHandle::join).ok().and_then(Result::ok), Some((true, false)));
        assert!(stuck().is_empty(), "it did not wait for long");
    }

    #[test]
    fn a_thread_that_waits_again_and_again_is_told_of_once_in_a_while() {
        let mut told = Told::default();
        let start = Instant::now();

        assert!(told.is_news("sweeper", start));
        assert!(told.is_over());
        for seconds in (20..PAUSE.as_secs()).step_by(20) {
            let at = start + Duration::from_secs(seconds);
            assert!(!told.is_news("sweeper", at), "another wait of the same thread");
            assert!(!told.is_over(), "nor is its end news");
        }
        assert!(told.is_news("helped", start + PAUSE / 2), "it is another thread");
        assert!(told.is_news("sweeper", start + PAUSE), "it waits still, or again");
        assert!(told.is_over());
    }

    #[test]
    fn a_thread_that_waits_for_long_is_told_of_once() {
        let mut told = Told::default();
        let start = Instant::now();

        let news = [0, 1, 2, 3].map(|pauses| told.is_news("sweeper", start + PAUSE * pauses));

        assert_eq!(news, [true, false, false, false]);
        assert!(told.is_over());
    }
}
