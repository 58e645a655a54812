//! Whose open connections are being swept, shared by who sweeps and who changes policies.
//!
//! The two run beside each other. A connection that begins under a new policy must not be given what the one before
//! said, so who changes what governs a cgroup bars it first: from then on no sweep treats a connection there. A
//! connection that begins under the new policy is found after that, hence left alone. The bar is lifted when the sweeper
//! has heard all that follows from the change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, MapData};
use keepalive_ebpf::{TARGET_WORDS, Target};

/// A handle to the table, by the id of the cgroup.
#[derive(Clone, Default)]
pub(crate) struct Targets(Arc<Mutex<Table>>);

/// Where the program `sweep` reads targets from.
pub(super) type InKernel = HashMap<MapData, u64, [u64; TARGET_WORDS]>;

#[derive(Default)]
struct Table {
    current: BTreeMap<u64, Target>,
    in_kernel: Option<InKernel>,
    /// The changes so far.
    changes: u64,
    /// The cgroups that are barred, with the number of the last change that they are barred for.
    barred: BTreeMap<u64, u64>,
    /// Whether a target was barred since the pass began.
    is_disturbed: bool,
}

impl Targets {
    /// Begins a pass for these; not if one of them is barred.
    ///
    /// # Errors
    /// If the kernel has no room for so many.
    pub(crate) fn begin(&self, targets: &BTreeMap<u64, Target>) -> Result<bool> {
        let mut table = self.lock();
        if targets.keys().any(|cgroup| table.barred.contains_key(cgroup)) {
            return Ok(false);
        }
        table.is_disturbed = false;
        table.replace(targets)?;
        Ok(true)
    }

    /// Ends a pass; whether all its targets stayed.
    ///
    /// # Errors
    /// If the kernel refuses what it allowed before.
    pub(crate) fn end(&self) -> Result<bool> {
        let mut table = self.lock();
        table.replace(&BTreeMap::new())?;
        Ok(!table.is_disturbed)
    }

    /// What is to be done to the connections of a cgroup, at this moment.
    pub(crate) fn get(&self, cgroup: u64) -> Option<Target> {
        self.lock().current.get(&cgroup).copied()
    }

    /// Whether something of this kind is to be done to the connections of any.
    pub(super) fn any(&self, is: impl Fn(&Target) -> bool) -> bool {
        self.lock().current.values().any(is)
    }

    /// Bars cgroups before something else governs them.
    pub(crate) fn bar(&self, cgroups: impl IntoIterator<Item = u64>) {
        let mut table = self.lock();
        table.changes += 1;
        let change = table.changes;
        for cgroup in cgroups {
            table.barred.insert(cgroup, change);
            table.is_disturbed |= table.current.contains_key(&cgroup);
            table.remove(cgroup);
        }
    }

    /// The number of the last change.
    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Lifts what is barred for a change up to this one: the sweeper knows what came of it.
    pub(crate) fn settle(&self, change: u64) {
        self.lock().barred.retain(|_, last| *last > change);
    }

    /// Has the kernel's table follow this one from now on.
    pub(super) fn show(&self, in_kernel: InKernel) {
        self.lock().in_kernel = Some(in_kernel);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn replace(&mut self, targets: &BTreeMap<u64, Target>) -> Result<()> {
        // What leaves makes room, also what an earlier attempt may have left.
        let left: BTreeSet<u64> =
            self.current.keys().filter(|cgroup| !targets.contains_key(cgroup)).copied().collect();
        for cgroup in left {
            self.remove(cgroup);
        }
        for (cgroup, target) in targets {
            if let Some(in_kernel) = &mut self.in_kernel {
                in_kernel.insert(cgroup, target.to_words(), 0).context(
                    "cannot say which cgroups' connections are to be swept (65,536 cgroups at a time are the most)",
                )?;
            }
            self.current.insert(*cgroup, *target);
        }
        Ok(())
    }

    fn remove(&mut self, cgroup: u64) {
        // The kernel refuses only what is not there.
        if self.current.remove(&cgroup).is_some()
            && let Some(in_kernel) = &mut self.in_kernel
        {
            let _ = in_kernel.remove(&cgroup);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use keepalive_ebpf::{Policy, Sweep};

    use super::*;

    fn targets(cgroups: &[u64]) -> BTreeMap<u64, Target> {
        let target = |id| Target {
            sweep: Sweep::Apply,
            has_previous: 0,
            policy: Policy::NOTHING.of_cgroup(id),
            previous: Policy::NOTHING,
        };
        cgroups.iter().map(|id| (*id, target(*id))).collect()
    }

    #[test]
    fn what_is_barred_is_no_target_and_its_pass_is_not_complete() {
        let table = Targets::default();
        assert!(table.begin(&targets(&[1, 2])).unwrap());

        table.bar([2]);

        assert_eq!([1, 2].map(|id| table.get(id).is_some()), [true, false]);
        assert!(table.any(|target| target.policy.cgroup() == 1) && !table.any(|it| it.policy.cgroup() == 2));
        assert!(!table.end().unwrap());
    }

    #[test]
    fn what_is_barred_does_not_disturb_the_passes_of_others() {
        let table = Targets::default();
        assert!(table.begin(&targets(&[1])).unwrap());

        table.bar([2]);

        assert!(table.end().unwrap());
        assert!(table.begin(&targets(&[1])).unwrap());
    }

    #[test]
    fn a_bar_is_lifted_with_the_last_change_it_is_for() {
        let table = Targets::default();
        table.bar([1, 2]);
        let first = table.changes();
        table.bar([1]);

        table.settle(first);

        assert!(!table.begin(&targets(&[1, 2])).unwrap());
        assert!(table.begin(&targets(&[2])).unwrap());
        table.settle(table.changes());
        assert!(table.begin(&targets(&[1, 2])).unwrap());
    }

    #[test]
    fn after_a_pass_there_are_no_targets() {
        let table = Targets::default();
        assert!(table.begin(&targets(&[1])).unwrap());

        assert!(table.end().unwrap());

        assert!(table.get(1).is_none());
    }
}
