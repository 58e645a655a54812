//! What should be, against what is: pure, so that any sequence of changes can be tried in a test.
//!
//! Whatever happens (a policy file, a pod, a cgroup made or removed, a restart) ends here: compare the attachments
//! that should exist with those that do, and name the difference as actions in an order that leaves no connection
//! without the policy of the deepest selected cgroup.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
};

use keepalive_ebpf::{Mode, Policy};

use crate::{plan::Desired, workloads::Paths};

/// An attachment that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actual {
    pub(crate) path: String,
    pub(crate) policy_name: String,
    /// What is in force; `None` if it cannot be told.
    pub(crate) policy: Option<Policy>,
    /// Whether it runs this daemon's program.
    pub(crate) current: bool,
    /// The policy that the connections open in it were swept for last; one that claims was not swept for.
    pub(crate) swept: Option<Policy>,
    /// What guards it.
    pub(crate) guard: Guard,
}

/// What keeps the applications of a cgroup from weakening what a policy enforces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Nothing.
    #[default]
    Absent,
    /// Something else than this daemon's program with the policy in force.
    Stale,
    /// This daemon's program with the policy in force.
    Holds,
}

/// What is to be done to one cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Attach, with this policy.
    Attach(Desired),
    /// Put this policy in force.
    Write(Desired),
    /// Run this daemon's program instead of the one that is attached.
    Replace(Desired),
    /// Guard what the policy in force enforces.
    Guard(Desired),
    /// End the guard.
    Unguard(Desired),
    /// End the attachment.
    Detach(Actual),
}

/// The actions that make `actual` what is desired, in order, each with the id of its cgroup:
///
/// 1. attach, write and replace, the deepest first: a cgroup must claim its connections before its ancestor
///    is attached; for each, guard or no longer guard once its policy is in force;
/// 2. detach, ancestors first: what is inside one must not be left to it;
/// 3. write what claimed only meanwhile, or no longer claims: not before its ancestors are detached.
///
/// Until the last step, what is to end and what begins are there together, and claim against each other.
pub(crate) fn actions(
    desired: &BTreeMap<u64, Desired>,
    actual: &BTreeMap<u64, Actual>,
) -> Vec<(u64, Action)> {
    let paths = desired.values().map(|want| &want.path).chain(actual.values().map(|have| &have.path));
    let present: HashSet<&str> = paths.map(String::as_str).collect();
    let is_inside = |path| ancestors(path).any(|ancestor| present.contains(ancestor));
    let mut first = Vec::new();
    let mut detached = Vec::new();
    let mut last = Vec::new();
    for (id, want) in desired {
        let have = actual.get(id);
        let in_between = if is_inside(&want.path) { want.policy.claiming(true) } else { want.policy };
        // Of most there is nothing to do, and nothing to copy.
        let meanwhile = || Desired { policy: in_between, ..want.clone() };
        match have {
            None => first.push((*id, Action::Attach(meanwhile()))),
            Some(have) if have.policy != Some(in_between) || have.policy_name != want.policy_name => {
                first.push((*id, Action::Write(meanwhile())));
            }
            Some(_) => {}
        }
        if have.is_some_and(|have| !have.current) {
            first.push((*id, Action::Replace(meanwhile())));
        }
        let guard = have.map_or(Guard::Absent, |have| have.guard);
        match (want.policy.mode(), guard) {
            (Mode::Enforce, Guard::Holds) => {}
            (Mode::Enforce, _) => first.push((*id, Action::Guard(meanwhile()))),
            (_, Guard::Absent) => {}
            _ => first.push((*id, Action::Unguard(meanwhile()))),
        }
        if in_between != want.policy {
            last.push((*id, Action::Write(want.clone())));
        }
    }
    for (id, have) in actual.iter().filter(|(id, _)| !desired.contains_key(id)) {
        if let Some(policy) = have
            .policy
            .filter(|policy| is_inside(&have.path) && !policy.claims() && *policy != Policy::NOTHING)
        {
            let (path, policy_name) = (have.path.clone(), have.policy_name.clone());
            let until_detached =
                Desired { path, pod: None, policy_name, policy, rules: None, apply_to_existing: false }
                    .claiming();
            first.push((*id, Action::Write(until_detached)));
        }
        detached.push((*id, Action::Detach(have.clone())));
    }
    first.sort_by_key(|(_, action)| Reverse(depth(action)));
    // The ids say nothing of it: a cgroup may have one that another had.
    detached.sort_by_key(|(_, action)| depth(action));
    first.into_iter().chain(detached).chain(last).collect()
}

impl Action {
    /// The cgroup it is done to.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Attach(want)
            | Self::Write(want)
            | Self::Replace(want)
            | Self::Guard(want)
            | Self::Unguard(want) => &want.path,
            Self::Detach(have) => &have.path,
        }
    }
}

fn depth(action: &Action) -> usize {
    let path = action.path();
    if path.is_empty() { 0 } else { 1 + path.matches('/').count() }
}

/// The paths above `path`, the root last.
pub(crate) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors((!path.is_empty()).then_some(path), |path| {
        (!path.is_empty()).then(|| path.rsplit_once('/').map_or("", |(parent, _)| parent))
    })
    .skip(1)
}

/// The next governed cgroup above a path, by its id.
pub(crate) fn governed_above(path: &str, cgroups: &Paths, is_governed: impl Fn(u64) -> bool) -> Option<u64> {
    ancestors(path).filter_map(|above| cgroups.get(above).copied()).find(|id| is_governed(*id))
}

#[cfg(test)]
mod tests;
