//! What should be, against what is: pure, so that any sequence of changes can be tried in a test.
//!
//! Whatever happens (a policy file, a cgroup made or removed, a restart) ends here: compute the attachments
//! that should exist, compare them with those that do, and name the difference as actions in an order that
//! leaves no connection without the policy of the deepest selected cgroup.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use keepalive_ebpf::Policy;

use crate::{policy::PolicySet, workloads::Paths};

/// An attachment that should exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Desired {
    pub(crate) path: String,
    pub(crate) policy_name: String,
    pub(crate) policy: Policy,
}

/// An attachment that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actual {
    pub(crate) path: String,
    pub(crate) policy_name: String,
    /// What is in force; `None` if it cannot be told.
    pub(crate) policy: Option<Policy>,
    /// Whether it runs this daemon's program.
    pub(crate) current: bool,
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
    /// End the attachment.
    Detach(Actual),
}

/// The attachments that should exist, by cgroup id: each cgroup that a policy selects by its own path. What
/// lies below it inherits, as the kernel runs the programs of all ancestors.
pub(crate) fn desired(policies: &PolicySet, cgroups: &Paths) -> BTreeMap<u64, Desired> {
    let selected: BTreeMap<&str, _> = cgroups
        .keys()
        .filter_map(|path| policies.select(path).map(|policy| (path.as_str(), policy)))
        .collect();
    let mut desired = BTreeMap::new();
    for (path, id) in cgroups {
        if let Some(policy) = selected.get(path.as_str()) {
            let claims = ancestors(path).any(|ancestor| selected.contains_key(ancestor));
            let policy_name = policy.name.clone();
            let policy = Policy::new(policy.mode, policy.direction, policy.timers, claims);
            desired.insert(*id, Desired { path: path.clone(), policy_name, policy });
        }
    }
    desired
}

/// The actions that make `actual` what is desired, in order, each with the id of its cgroup:
///
/// 1. attach, replace and write, the deepest first: a cgroup must claim its connections before its ancestor
///    is attached;
/// 2. detach;
/// 3. write what no longer claims: not before its ancestors are detached.
pub(crate) fn actions(
    desired: &BTreeMap<u64, Desired>,
    actual: &BTreeMap<u64, Actual>,
) -> Vec<(u64, Action)> {
    let mut first = Vec::new();
    let mut last = Vec::new();
    for (id, want) in desired {
        let Some(have) = actual.get(id) else {
            first.push((*id, Action::Attach(want.clone())));
            continue;
        };
        if have.policy != Some(want.policy) || have.policy_name != want.policy_name {
            let drops_claim = have.policy.is_some_and(|p| p.claims()) && !want.policy.claims();
            let phase = if drops_claim { &mut last } else { &mut first };
            phase.push((*id, Action::Write(want.clone())));
        }
        if !have.current {
            first.push((*id, Action::Replace(want.clone())));
        }
    }
    first.sort_by_key(|(_, action)| Reverse(depth(action)));
    let kept: BTreeSet<&u64> = desired.keys().collect();
    let detached = actual
        .iter()
        .filter(|(id, _)| !kept.contains(id))
        .map(|(id, have)| (*id, Action::Detach(have.clone())));
    first.into_iter().chain(detached).chain(last).collect()
}

fn depth(action: &Action) -> usize {
    let path = match action {
        Action::Attach(want) | Action::Write(want) | Action::Replace(want) => &want.path,
        Action::Detach(have) => &have.path,
    };
    if path.is_empty() { 0 } else { 1 + path.matches('/').count() }
}

/// The paths above `path`, the root last.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors((!path.is_empty()).then_some(path), |path| {
        (!path.is_empty()).then(|| path.rsplit_once('/').map_or("", |(parent, _)| parent))
    })
    .skip(1)
}

#[cfg(test)]
mod tests;
