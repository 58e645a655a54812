//! What a sweep found and did, counted: pure.

use std::collections::{BTreeMap, HashSet};

use keepalive_ebpf::{Outcome, Swept};
use nix::errno::Errno;

/// What the passes of one sweep over the connections of one cgroup came to. A connection counts once, with what was
/// done to it, however many passes see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// What was done, or, of a sweep that only tells, would be.
    changed: BTreeMap<Outcome, u64>,
    /// The connections that were.
    cookies: HashSet<u64>,
    /// What the pass under way, or else the last, left alone.
    kept: BTreeMap<Outcome, u64>,
    /// Connections of which the kernel refused an option.
    refused: u64,
    errno: u32,
}

impl Tally {
    /// A pass begins: it will tell of everything that is left alone anew.
    pub(super) fn begin(&mut self) {
        self.kept.clear();
    }

    /// Counts a connection; whether it was changed, or would be.
    pub(super) fn count(&mut self, swept: &Swept) -> bool {
        if !is_change(swept.outcome) {
            if !self.cookies.contains(&swept.cookie) {
                *self.kept.entry(swept.outcome).or_default() += 1;
            }
            return false;
        }
        if self.cookies.insert(swept.cookie) {
            *self.changed.entry(swept.outcome).or_default() += 1;
            if swept.errno != 0 {
                self.refused += 1;
                self.errno = swept.errno;
            }
        }
        true
    }

    /// How many connections came to this.
    pub(crate) fn of(&self, outcome: Outcome) -> u64 {
        let counts = if is_change(outcome) { &self.changed } else { &self.kept };
        counts.get(&outcome).copied().unwrap_or(0)
    }

    /// How many connections were changed, or would be.
    pub(crate) fn changed(&self) -> u64 {
        self.changed.values().sum()
    }

    /// How many connections there were.
    pub(crate) fn examined(&self) -> u64 {
        self.changed() + self.kept.values().sum::<u64>()
    }

    /// Of how many the kernel refused an option.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }

    /// The error of the last refusal.
    pub(crate) fn error(&self) -> Option<String> {
        let errno = i32::try_from(self.errno).ok().filter(|errno| *errno > 0)?;
        Some(Errno::from_raw(errno).to_string())
    }

    /// Lets go of what only the next pass would need.
    pub(super) fn finished(mut self) -> Self {
        self.cookies = HashSet::new();
        self
    }
}

/// Whether something was, or would be, set. With `ArmBlind` nothing is: the kernel could not tell what to do.
pub(crate) const fn is_change(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Arm | Outcome::Tighten | Outcome::Override)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweeper::tests::swept;

    #[test]
    fn a_connection_counts_once_with_what_was_done_to_it() {
        let mut tally = Tally::default();
        tally.begin();
        assert!(tally.count(&swept(1, 1, Outcome::Arm)));
        assert!(!tally.count(&swept(1, 2, Outcome::KeepChosen)));

        tally.begin();
        assert!(!tally.count(&swept(1, 1, Outcome::KeepTighter)));
        assert!(!tally.count(&swept(1, 2, Outcome::KeepChosen)));

        assert_eq!((tally.of(Outcome::Arm), tally.of(Outcome::KeepTighter)), (1, 0));
        assert_eq!((tally.of(Outcome::KeepChosen), tally.examined(), tally.changed()), (1, 2, 1));
    }

    #[test]
    fn a_refusal_is_counted_once_with_its_errno() {
        let mut tally = Tally::default();
        for _ in 0..2 {
            tally.begin();
            tally.count(&Swept { errno: 22, ..swept(1, 1, Outcome::Arm) });
        }

        assert_eq!((tally.refused(), tally.of(Outcome::Arm)), (1, 1));
        assert_eq!(tally.error().as_deref(), Some("EINVAL: Invalid argument"));
    }
}
