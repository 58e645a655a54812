//! What is to be swept, from what is in force and what was swept: pure.

mod partial;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use keepalive_ebpf::{Mode, Outcome, Policy, Sweep};

use self::partial::Partial;
pub(crate) use self::view::Deed;
pub(super) use self::{partial::Reached, view::View};
use super::{
    as_swept,
    left::Left,
    members::{members, members_of_all},
    queue::{Job, is_sweepable},
    tally::Tally,
};
use crate::{
    governor::Cause,
    reconcile::Actual,
    report::open_connections::{Found, LeftBehind},
};

/// The most earlier policies whose values are looked for. More of them, between two sweeps of a cgroup, would be of
/// somebody who tries values out.
const MOST_PREVIOUS: usize = 4;

/// What is to be asked of the sweeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Sweep(u64, Box<Job>),
    Withdraw(u64),
}

/// The books on what was asked for and what came of it, by the id of the governing cgroup.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// The policies, besides the one it was swept for, that connections of a cgroup may have values of.
    history: BTreeMap<u64, Vec<Policy>>,
    /// The cgroups to be swept though they were for the policy in force: they took over connections from another.
    again: BTreeSet<u64>,
    partial: Partial,
    /// What could not be done when it was asked for last.
    failed: BTreeSet<u64>,
    requested: BTreeMap<u64, Job>,
    running: BTreeSet<u64>,
    found: BTreeMap<u64, (Policy, Found)>,
    left: Left,
}

impl Books {
    /// Takes note of what was done; returns what is to be asked of the sweeper.
    pub(super) fn follow(&mut self, deeds: Vec<Deed>, view: &View<'_>) -> Vec<Order> {
        let mut wanted = BTreeMap::new();
        for (id, before) in deeds.iter().filter_map(|deed| match deed {
            Deed::Written(id, before) => before.map(|before| (*id, before)),
            _ => None,
        }) {
            self.remember(id, [before]);
        }
        // What was asked of these does not reach the connections that they took over.
        let mut grown = BTreeSet::new();
        let present: BTreeSet<u64> = view.cgroups.values().copied().collect();
        let above = |path: &str| view.governed_above(path);
        for deed in deeds {
            match deed {
                Deed::Attached(id) => {
                    let outer = view.attached.get(&id).and_then(|actual| above(&actual.path));
                    let outer = outer.map(|outer| self.given(outer, view)).unwrap_or_default();
                    self.remember(id, outer);
                }
                Deed::Detached(id, had) => {
                    let mut given = self.history.remove(&id).unwrap_or_default();
                    given.extend(had.swept.into_iter().chain(had.policy));
                    self.found.remove(&id);
                    if !present.contains(&id) {
                        continue;
                    }
                    if let Some(outer) = above(&had.path) {
                        self.remember(outer, given);
                        self.again.insert(outer);
                        grown.insert(outer);
                        self.partial.forget(outer);
                    } else if had.policy.as_ref().is_some_and(gives_values) {
                        self.left.add(id, *had);
                    }
                }
                Deed::Written(..) => {}
            }
        }
        self.forget(&present, view);
        self.want(&mut wanted, view);
        self.orders(wanted, &grown, &present, view)
    }

    /// Sweeps of what the policies of governed cgroups govern.
    pub(super) fn jobs(
        &self,
        view: &View<'_>,
        ids: impl IntoIterator<Item = u64>,
        sweep: Sweep,
        why: &'static str,
    ) -> BTreeMap<u64, Job> {
        let mut members = members(view.cgroups, |id| view.attached.contains_key(&id));
        let job = |id| Some((id, self.job_of(view, id, sweep, members.remove(&id)?, why)?));
        ids.into_iter().filter_map(job).collect()
    }

    fn job_of(
        &self,
        view: &View<'_>,
        id: u64,
        sweep: Sweep,
        members: BTreeSet<u64>,
        why: &'static str,
    ) -> Option<Job> {
        let actual = view.attached.get(&id)?;
        let policy = as_swept(&actual.policy.filter(is_sweepable)?, id);
        let history = self.history.get(&id).into_iter().flatten().copied();
        let mut previous: Vec<Policy> = Vec::new();
        let noted = actual.swept.map(|swept| swept.claiming(false));
        for earlier in noted.into_iter().chain(history).filter(gives_values) {
            if earlier != policy && !previous.contains(&earlier) {
                previous.push(earlier);
            }
        }
        previous.drain(..previous.len().saturating_sub(MOST_PREVIOUS));
        // One without a user timeout takes that of any other for the application's.
        previous.sort_by_key(|policy| policy.timers().user_timeout_ms == 0);
        Some(Job { sweep, policy, previous, members, why, is_only_counted: false })
    }

    fn want(&self, wanted: &mut BTreeMap<u64, Job>, view: &View<'_>) {
        let is_due = |id: u64, actual: &Actual| {
            let policy = actual.policy.map(|policy| as_swept(&policy, id));
            let sweep = if actual.swept != policy || self.again.contains(&id) {
                let may_be = view.existing.contains(&id) && !self.waits(id, policy, view.cause);
                may_be.then_some(Sweep::Apply)
            } else {
                None
            };
            // Also where the policy is not for open connections: a check treats only those that the guard of this very
            // cgroup has marked, and holds to what the policy says now.
            let enforces = policy.is_some_and(|policy| policy.mode() == Mode::Enforce);
            sweep.or((enforces && view.cause == Cause::Resync).then_some(Sweep::Recheck))
        };
        let due: BTreeMap<u64, Sweep> =
            view.attached.iter().filter_map(|(id, actual)| Some((*id, is_due(*id, actual)?))).collect();
        let uncounted: Vec<(u64, Policy)> =
            self.left.uncounted().filter(|(id, _)| !self.fails(*id, view.cause)).collect();
        if due.is_empty() && uncounted.is_empty() {
            return;
        }
        let is_governed = |id| view.attached.contains_key(&id) || self.left.contains(id);
        let mut members = members(view.cgroups, is_governed);
        let checks = due.values().any(|sweep| *sweep == Sweep::Recheck);
        let mut guarded = if checks { members_of_all(view.cgroups, is_governed) } else { BTreeMap::new() };
        for (id, sweep) in due {
            let (why, members) = match sweep {
                Sweep::Recheck => ("the policy enforces its values", &mut guarded),
                _ => (view.cause.why_sweep(), &mut members),
            };
            let members = members.remove(&id).unwrap_or_default();
            if !members.is_empty()
                && let Some(job) = self.job_of(view, id, sweep, members, why)
            {
                wanted.insert(id, job);
            }
        }
        for (id, gave) in uncounted {
            let job = Job {
                sweep: Sweep::Tell,
                policy: Policy::NOTHING.of_cgroup(id),
                previous: vec![gave],
                members: members.remove(&id).unwrap_or_default(),
                why: "the cgroup is no longer governed",
                is_only_counted: false,
            };
            wanted.insert(id, job);
        }
    }

    /// Whether a sweep that is still to be made is not to be asked for now.
    fn waits(&self, id: u64, policy: Option<Policy>, cause: Cause) -> bool {
        let rests = policy.is_some_and(|policy| self.partial.rests(id, &policy, cause));
        self.fails(id, cause) || (rests && !self.is_requested(id))
    }

    /// Whether what failed is not to be asked for now: what came in the way is not gone with the next cgroup that
    /// comes, and on many a node one comes every second.
    fn fails(&self, id: u64, cause: Cause) -> bool {
        self.failed.contains(&id) && matches!(cause, Cause::Cgroups | Cause::Pods)
    }

    fn orders(
        &mut self,
        wanted: BTreeMap<u64, Job>,
        grown: &BTreeSet<u64>,
        present: &BTreeSet<u64>,
        view: &View<'_>,
    ) -> Vec<Order> {
        // A check that was asked for goes on until it is done, or its policy is no longer in force; nothing that is
        // asked for depends on it.
        let in_force = |id: u64| Some(as_swept(&view.attached.get(&id)?.policy?, id));
        let goes_on = |id: u64, job: &Job| job.sweep == Sweep::Recheck && in_force(id) == Some(job.policy);
        let is_over = |id: &u64, job: &Job| !wanted.contains_key(id) && !goes_on(*id, job);
        let over: Vec<u64> =
            self.requested.iter().filter(|(id, job)| is_over(id, job)).map(|(id, _)| *id).collect();
        let mut orders = Vec::new();
        for id in over {
            self.requested.remove(&id);
            orders.push(Order::Withdraw(id));
        }
        for (id, job) in wanted {
            let is_there = |id| present.contains(&id);
            let serves = |requested: &Job| !grown.contains(&id) && requested.serves(&job, is_there);
            if !self.requested.get(&id).is_some_and(serves) {
                self.failed.remove(&id);
                self.requested.insert(id, job.clone());
                orders.push(Order::Sweep(id, Box::new(job)));
            }
        }
        orders
    }

    /// What connections of a governed cgroup may have their values from.
    fn given(&self, id: u64, view: &View<'_>) -> Vec<Policy> {
        let actual = view.attached.get(&id);
        let [swept, in_force] = [actual.and_then(|it| it.swept), actual.and_then(|it| it.policy)];
        let history = self.history.get(&id).into_iter().flatten().copied();
        swept.into_iter().chain(history).chain(in_force).collect()
    }

    fn remember(&mut self, id: u64, policies: impl IntoIterator<Item = Policy>) {
        let history = self.history.entry(id).or_default();
        for policy in policies.into_iter().filter(gives_values).map(|policy| policy.claiming(false)) {
            // The latest is the last.
            history.retain(|known| *known != policy);
            history.push(policy);
        }
        history.drain(..history.len().saturating_sub(MOST_PREVIOUS));
    }

    /// Forgets what is gone, and what is governed again.
    fn forget(&mut self, present: &BTreeSet<u64>, view: &View<'_>) {
        let is_governed =
            |id: u64, path: &str| view.attached.contains_key(&id) || view.governed_above(path).is_some();
        self.left.retain(|id, path| present.contains(&id) && !is_governed(id, path));
        self.history.retain(|id, _| view.attached.contains_key(id));
        self.found.retain(|id, _| view.attached.contains_key(id));
        self.again.retain(|id| view.attached.contains_key(id));
        self.failed.retain(|id| view.attached.contains_key(id) || self.left.contains(*id));
        self.partial.retain(|id| view.attached.contains_key(&id));
    }

    /// Passes over the connections of these are under way, and of no others.
    pub(super) fn began(&mut self, ids: BTreeSet<u64>) {
        self.running = ids;
    }

    /// Books a finished sweep. Whether all that is open in the cgroup has got what is in force there.
    pub(super) fn finished(
        &mut self,
        id: u64,
        job: &Job,
        tally: Tally,
        reached: Reached,
        in_force: Option<Policy>,
        swept: Option<Policy>,
    ) -> bool {
        self.running.remove(&id);
        self.failed.remove(&id);
        // A sweep may end while another, of more cgroups, is on its way to the sweeper.
        let is_requested = self.requested.get(&id).is_some_and(|requested| requested.is_same(job));
        if is_requested {
            self.requested.remove(&id);
        }
        if job.sweep == Sweep::Tell {
            self.left.count(id, tally.of(Outcome::KeepTighter));
            return false;
        }
        if in_force.map(|policy| as_swept(&policy, id)) != Some(job.policy) {
            return false;
        }
        let is_news = self.found.get(&id).is_none_or(|(policy, _)| *policy != job.policy);
        if is_news || tally.changed() > 0 {
            self.found.insert(id, (job.policy, Found { tally, at: SystemTime::now() }));
        }
        if job.sweep != Sweep::Apply || (!is_requested && (self.is_requested(id) || self.again.contains(&id)))
        {
            return false;
        }
        let is_new = swept != Some(job.policy) || self.again.contains(&id);
        let reached = if is_new { reached } else { Reached::All };
        if self.partial.book(id, &job.policy, reached) {
            return false;
        }
        self.again.remove(&id);
        if gives_values(&job.policy) {
            self.history.remove(&id);
        } else {
            // What only counts leaves the values of those before it.
            self.remember(id, swept);
        }
        true
    }

    /// The rules for destinations, by their ids, of all policies that a sweep is, or will be, about.
    pub(super) fn rules_in_use(&self) -> BTreeSet<u64> {
        let requested = self.requested.values().flat_map(|job| job.previous.iter().chain([&job.policy]));
        let policies = self.history.values().flatten().chain(requested).chain(self.left.policies());
        policies.map(Policy::destinations).collect()
    }

    /// What could not be done is no longer asked for: it will be again, but not at once.
    pub(super) fn failed(&mut self, ids: &[u64]) {
        for id in ids {
            self.requested.remove(id);
            self.failed.insert(*id);
            self.running.remove(id);
        }
    }

    pub(super) fn is_requested(&self, id: u64) -> bool {
        self.requested.get(&id).is_some_and(|job| job.sweep == Sweep::Apply)
    }

    /// Whether this policy was applied to all but what could not be reached.
    pub(super) fn is_partial(&self, id: u64, policy: &Policy) -> bool {
        self.partial.is_of(id, policy)
    }

    pub(super) fn is_running(&self, id: u64) -> bool {
        self.running.contains(&id)
    }

    /// What the last sweep of a cgroup found that was for the policy in force.
    pub(super) fn found(&self, id: u64) -> Option<&Found> {
        self.found.get(&id).map(|(_, found)| found)
    }

    /// Whether a cgroup is no longer governed, and has connections that keep what they were given.
    pub(super) fn is_left(&self, id: u64) -> bool {
        self.left.contains(id)
    }

    pub(super) fn left(&self) -> Vec<LeftBehind> {
        self.left.report()
    }
}

/// Whether connections may have values from a policy.
pub(crate) fn gives_values(policy: &Policy) -> bool {
    !matches!(policy.mode(), Mode::Nothing | Mode::Monitor)
}

#[cfg(test)]
mod tests;
