//! Whose connections are whose: pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    reconcile::governed_above,
    workloads::{Paths, is_transient},
};

/// The cgroups whose connections each governed cgroup is to answer for, by its id: its own, and those of all below it
/// of which it is the deepest governed one. The cgroup of an `exec` is left to that.
pub(crate) fn members(cgroups: &Paths, is_governed: impl Fn(u64) -> bool) -> BTreeMap<u64, BTreeSet<u64>> {
    group(cgroups.iter().filter(|(path, _)| !is_transient(path)), cgroups, is_governed)
}

/// The same with the cgroups of an `exec`, which anybody may name one of their own like: for who treats only what a governed
/// cgroup's guard has marked, which nothing is that an `exec` governs.
pub(super) fn members_of_all(
    cgroups: &Paths,
    is_governed: impl Fn(u64) -> bool,
) -> BTreeMap<u64, BTreeSet<u64>> {
    group(cgroups.iter(), cgroups, is_governed)
}

fn group<'a>(
    some: impl Iterator<Item = (&'a String, &'a u64)>,
    cgroups: &Paths,
    is_governed: impl Fn(u64) -> bool,
) -> BTreeMap<u64, BTreeSet<u64>> {
    let mut members: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for (path, id) in some {
        let own = is_governed(*id).then_some(*id);
        if let Some(governor) = own.or_else(|| governed_above(path, cgroups, &is_governed)) {
            members.entry(governor).or_default().insert(*id);
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[(&str, u64)]) -> Paths {
        paths.iter().map(|(path, id)| ((*path).to_owned(), *id)).collect()
    }

    #[test]
    fn the_deepest_governed_cgroup_answers_for_what_is_below_it() {
        let cgroups = paths(&[("", 1), ("a", 2), ("a/b", 3), ("a/b/c", 4), ("a/d", 5), ("ab", 6)]);

        let members = members(&cgroups, |id| [2, 3].contains(&id));

        assert_eq!(members, BTreeMap::from([(2, BTreeSet::from([2, 5])), (3, BTreeSet::from([3, 4]))]));
    }

    #[test]
    fn the_root_answers_for_what_nobody_else_does() {
        let cgroups = paths(&[("", 1), ("a", 2), ("b", 3)]);

        let members = members(&cgroups, |id| [1, 3].contains(&id));

        assert_eq!(members[&1], BTreeSet::from([1, 2]));
    }

    #[test]
    fn what_exec_runs_is_left_to_it() {
        let cgroups = paths(&[("a", 2), ("a/keepalive-transient-7", 3), ("a/keepalive-transient-7/b", 4)]);

        assert_eq!(members(&cgroups, |id| id == 2), BTreeMap::from([(2, BTreeSet::from([2]))]));
        assert_eq!(members_of_all(&cgroups, |id| id == 2), BTreeMap::from([(2, BTreeSet::from([2, 3, 4]))]));
    }
}
