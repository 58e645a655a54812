//! What is to be swept: pure, so that any order of requests and passes can be tried in a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use keepalive_ebpf::{MOST_TARGETS, Mode, Policy, Sweep, Swept, Target};

use super::tally::Tally;

/// How often the connections of a cgroup are looked at for each policy that they may have values of: hash buckets
/// move while they are read, and a connection that was in flight may have been missed. A pass that changes nothing
/// ends it earlier.
const MOST_PASSES: usize = 4;

/// A sweep of the connections that one cgroup's policy governs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) sweep: Sweep,
    /// The policy that governs, with its cgroup.
    pub(crate) policy: Policy,
    /// The policies that connections may have their values from: those with a user timeout, then the others, of each the
    /// oldest first.
    pub(crate) previous: Vec<Policy>,
    /// The ids of the cgroups whose connections it governs.
    pub(crate) members: BTreeSet<u64>,
    /// What it is for.
    pub(crate) why: &'static str,
    /// Whether the policy in force sets nothing, and this tells what it would in the mode that follows.
    pub(crate) is_only_counted: bool,
}

/// A sweep that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) id: u64,
    pub(crate) job: Job,
    pub(crate) tally: Tally,
}

/// The sweeps to make, by the id of the governing cgroup.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pending: BTreeMap<u64, Pending>,
}

#[derive(Debug)]
struct Pending {
    job: Job,
    due: Instant,
    /// Whether the pass under way is for it too.
    running: bool,
    /// Complete passes.
    passes: usize,
    /// How many of the last ones changed nothing.
    quiet: usize,
    changed: bool,
    tally: Tally,
}

impl Queue {
    /// Adds a sweep, in place of what was to be done to the same cgroup; whether the pass under way is no longer what
    /// it should be.
    pub(super) fn request(&mut self, id: u64, job: Job, due: Instant) -> bool {
        let tally = Tally::default();
        let pending = Pending { job, due, running: false, passes: 0, quiet: 0, changed: false, tally };
        self.pending.insert(id, pending).is_some_and(|replaced| replaced.running)
    }

    /// Forgets a sweep; whether the pass under way is no longer what it should be.
    pub(super) fn withdraw(&mut self, id: u64) -> bool {
        self.pending.remove(&id).is_some_and(|withdrawn| withdrawn.running)
    }

    /// When something is to be done next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.due).min()
    }

    /// Begins a pass for what is due: the cgroups to sweep, each with what is to be done there.
    ///
    /// What there is no room for beside the others is left for a later pass. So what is too much by itself goes alone, and
    /// the kernel's refusal is of nothing else: a tenant may make as many cgroups as they like.
    pub(super) fn begin(&mut self, now: Instant) -> BTreeMap<u64, Target> {
        let mut targets = BTreeMap::new();
        for pending in self.pending.values_mut().filter(|pending| pending.due <= now) {
            if !targets.is_empty() && targets.len() + pending.job.members.len() > MOST_TARGETS {
                continue;
            }
            pending.running = true;
            pending.changed = false;
            pending.tally.begin();
            let target = pending.job.target(pending.passes);
            targets.extend(pending.job.members.iter().map(|member| (*member, target)));
        }
        targets
    }

    /// The cgroups that the pass under way is for.
    pub(super) fn running(&self) -> BTreeSet<u64> {
        self.pending.iter().filter(|(_, pending)| pending.running).map(|(id, _)| *id).collect()
    }

    /// Counts a connection that the pass under way saw; whether it was changed.
    pub(super) fn count(&mut self, swept: &Swept) -> bool {
        let Some(pending) = self.pending.get_mut(&swept.governor).filter(|pending| pending.running) else {
            return false;
        };
        let changed = pending.tally.count(swept) && pending.job.sweep != Sweep::Tell;
        pending.changed |= changed;
        changed
    }

    /// Ends a pass that saw everything; returns what is done with it.
    pub(super) fn complete(&mut self) -> Vec<Done> {
        let mut done = Vec::new();
        for (id, mut pending) in std::mem::take(&mut self.pending) {
            if pending.running {
                pending.running = false;
                pending.passes += 1;
                pending.quiet = if pending.changed { 0 } else { pending.quiet + 1 };
                if pending.is_done() {
                    done.push(Done { id, job: pending.job, tally: pending.tally.finished() });
                    continue;
                }
            }
            self.pending.insert(id, pending);
        }
        done
    }

    /// Ends a pass that was broken off: what it was for is still to be done.
    pub(super) fn break_off(&mut self) {
        for pending in self.pending.values_mut() {
            pending.running = false;
        }
    }

    /// Gives up what the pass under way was for.
    pub(super) fn give_up(&mut self) -> Vec<u64> {
        let running = self.running();
        self.pending.retain(|_, pending| !pending.running);
        running.into_iter().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

impl Pending {
    fn is_done(&self) -> bool {
        let kinds = self.job.previous.len().max(1);
        self.job.sweep == Sweep::Tell || self.quiet >= kinds || self.passes >= MOST_PASSES * kinds
    }
}

impl Job {
    /// What the pass after so many is to do: each looks for the values of another previous policy.
    fn target(&self, passes: usize) -> Target {
        let kinds = self.previous.len().max(1);
        let previous = self.previous.get(passes % kinds).copied();
        Target {
            sweep: self.sweep,
            has_previous: u32::from(previous.is_some()),
            policy: self.policy,
            previous: previous.unwrap_or(Policy::NOTHING),
        }
    }

    /// Whether this does the same, whatever for.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let Self { sweep, policy, previous, members, why: _, is_only_counted: _ } = self;
        (sweep, policy, previous, members) == (&other.sweep, &other.policy, &other.previous, &other.members)
    }

    /// Whether doing this does all that `other` asks for, where the cgroups in `gone` are no more.
    pub(super) fn serves(&self, other: &Self, is_there: impl Fn(u64) -> bool) -> bool {
        let lost = self.members.difference(&other.members).any(|id| is_there(*id));
        (self.sweep, self.policy, &self.previous) == (other.sweep, other.policy, &other.previous) && !lost
    }
}

/// Whether a policy is one that connections are swept for: there is nothing to do, or to count, without values.
pub(super) fn is_sweepable(policy: &Policy) -> bool {
    !matches!(policy.mode(), Mode::Nothing)
}

#[cfg(test)]
mod tests;
