//! What the programs count, looked at before it is gone.

use std::collections::BTreeSet;

use keepalive_ebpf::Counters;
use tracing::warn;

use super::Governor;
use crate::{
    kernel::Why,
    metrics::Totals,
    policy::PolicySet,
    reconcile::{Action, Actual},
    workloads::Paths,
};

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
    /// Looks at the counters of all that is attached.
    pub(crate) fn look(&mut self) {
        let ids: Vec<u64> = self.actual.keys().copied().collect();
        for id in ids {
            self.look_at(id);
        }
    }

    /// Lets go of what is known of cgroups and policies that are gone.
    pub(crate) fn forget_gone(&mut self, cgroups: &Paths, policies: &PolicySet) {
        let present: BTreeSet<u64> = cgroups.values().copied().collect();
        let Self { actual, counted, .. } = self;
        counted.totals.retain_cgroups(|id| present.contains(&id) || actual.contains_key(&id));
        let mut names: BTreeSet<String> = policies.iter().map(|policy| policy.id.to_string()).collect();
        names.extend(actual.values().map(|actual| actual.policy_name.clone()));
        counted.totals.retain_policies(|name| names.contains(name));
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

    /// Looks at what an action is about to make another's, or to bring about.
    pub(super) fn look_before(&mut self, id: u64, action: &Action) {
        match action {
            // The storage of an earlier attachment outlives it, and counts on from what it had.
            Action::Attach(_) => self.begin(id),
            Action::Write(want)
                if self.actual.get(&id).is_some_and(|have| have.policy_name != want.policy_name) =>
            {
                self.look_at(id);
            }
            _ => {}
        }
    }

    /// Looks a last time: the storage outlives the program.
    pub(super) fn look_after(&mut self, id: u64, had: &Actual) {
        self.count(id, &had.policy_name);
    }

    fn begin(&mut self, id: u64) {
        if !self.counted.totals.knows(id) {
            let counted = self.read(id).unwrap_or_default();
            self.counted.totals.begin(id, counted);
        }
    }

    fn look_at(&mut self, id: u64) {
        if let Some(actual) = self.actual.get(&id) {
            let policy_name = actual.policy_name.clone();
            self.count(id, &policy_name);
        }
    }

    fn count(&mut self, id: u64, policy_name: &str) {
        if let Some(counted) = self.read(id) {
            self.counted.totals.count(id, policy_name, counted);
        }
    }

    /// The counters of a cgroup; none if it is gone.
    fn read(&self, id: u64) -> Option<Counters> {
        self.kernel.counters(id).unwrap_or_else(|error| {
            warn!("{error:#}");
            None
        })
    }
}
