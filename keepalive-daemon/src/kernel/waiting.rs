//! Calls that wait for whoever holds a socket's lock: an application that copies into or out of memory whose page does not
//! come (`userfaultfd`, FUSE, a file server that is away) holds it for as long as it likes, and the kernel lets nobody give
//! up waiting. So that it is not done in silence, each such call is noted, with the thread that makes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use nix::unistd::{Pid, gettid};
use tracing::{info, warn};

/// A call that takes longer than this waits for a lock: the longest others, over a million sockets of which there is
/// nothing to tell, take a second.
const LONG: Duration = Duration::from_secs(10);

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
    let waiting = lock();
    let long = waiting.iter().filter(|(_, since)| since.instant.elapsed() >= LONG && is_asleep(since.thread));
    long.map(|(thread, since)| describe(thread, since.time)).collect()
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
pub(crate) struct Told(BTreeSet<String>);

impl Told {
    /// Tells, once, of what does not go on, and of its end.
    pub(crate) fn tell(&mut self) {
        let stuck: BTreeSet<String> = stuck().into_iter().collect();
        for news in stuck.difference(&self.0) {
            warn!("{news}");
        }
        if stuck.is_empty() && !self.0.is_empty() {
            info!("what waited for the lock of a socket goes on again");
        }
        self.0 = stuck;
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
}
