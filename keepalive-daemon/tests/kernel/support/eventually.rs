//! Waiting for what the kernel announces to nobody.

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

use xtask::lab::patience;

/// Between two looks; short against all that is waited for, long against the cost of a look.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until something is found; only for state that changes without an event to wait for, such as the work
/// of a process that belongs to nobody. `what` names it in the failure.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not happen within {} s: {what}", patience().as_secs());
        thread::sleep(PAUSE);
    }
}

/// The same, until what is looked at is as it should be; a failure shows how it was last.
pub(crate) fn eventually_is<T: Debug>(what: &str, mut look: impl FnMut() -> T, is: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + patience();
    loop {
        let found = look();
        if is(&found) {
            return found;
        }
        let waited = patience().as_secs();
        assert!(Instant::now() < deadline, "it did not happen within {waited} s: {what}, but {found:?}");
        thread::sleep(PAUSE);
    }
}
