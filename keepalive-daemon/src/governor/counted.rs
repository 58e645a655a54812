//! What the programs counted, of cgroups that may be gone.

use std::collections::BTreeSet;

use super::Governor;
use crate::{kernel::Why, metrics::Totals, policy::PolicySet, reconcile::Action, workloads::Paths};

/// What was counted, and how often a cgroup came to be refused.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) totals: Totals,
    refusals: [u64; Why::ALL.len()],
}

impl Counted {
    /// Counts a refusal that is news.
    pub(super) fn refused(&mut self, why: Why) {
        if let Some(at) = Why::ALL.iter().position(|it| *it == why) {
            self.refusals[at] += 1;
        }
    }
}

impl Governor {
    /// Lets go of what is known of cgroups and policies that are gone; returns the names of the policies that are there.
    pub(crate) fn forget_gone(&mut self, cgroups: &Paths, policies: &PolicySet) -> BTreeSet<String> {
        let present: BTreeSet<u64> = cgroups.values().copied().collect();
        let Self { actual, counted, .. } = self;
        counted.totals.retain_cgroups(|id| present.contains(&id) || actual.contains_key(&id));
        let mut names: BTreeSet<String> = policies.iter().map(|policy| policy.id.to_string()).collect();
        names.extend(actual.values().map(|actual| actual.policy_name.clone()));
        counted.totals.retain_policies(|name| names.contains(name));
        names
    }

    /// What was counted since the daemon started.
    pub(crate) const fn totals(&self) -> &Totals {
        &self.counted.totals
    }

    /// How often a cgroup came to be refused, by reason.
    pub(crate) fn attach_errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Why::ALL.iter().map(|why| why.name()).zip(self.counted.refusals)
    }

    /// The maps of the kernel that can fill up: name, entries, and the most that there can be.
    pub(crate) fn maps(&self) -> Vec<(&'static str, usize, usize)> {
        self.kernel.maps()
    }

    /// What was attached before is counted from now on.
    pub(super) fn begin_with_attached(&mut self) {
        let ids: Vec<u64> = self.actual.keys().copied().collect();
        for id in ids {
            self.begin(id);
        }
    }

    /// Counts what an action is about to make another policy's, and notes where what it brings about begins.
    pub(super) fn count_before(&mut self, id: u64, action: &Action) {
        match action {
            // The storage of an earlier attachment outlives it, and counts on from what it had.
            Action::Attach(_) => self.begin(id),
            Action::Write(want)
                if self.actual.get(&id).is_some_and(|have| have.policy_name != want.policy_name) =>
            {
                self.count_one(id);
            }
            _ => {}
        }
    }

    fn begin(&mut self, id: u64) {
        if !self.counted.totals.knows(id) {
            let counted = self.counters(id);
            self.counted.totals.begin(id, counted);
        }
    }
}
