//! The part of the tree that its changes can be about: pure.
//!
//! What governs a cgroup depends on itself, on its pod and on what is above it, and on nothing beside it. So where only
//! cgroups were made and removed, it is enough to plan for those and what is above them; on a node with thousands, one of
//! which comes or goes every moment, that is the difference between a glance and a whole processor.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::levels;
use crate::{
    reconcile::Actual,
    workloads::{Paths, Placed},
};

/// What there is at the changed paths, below and above them; and what is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    pub(crate) cgroups: Paths,
    gone: BTreeSet<u64>,
}

impl Part {
    /// The part about cgroups that were made at these paths, and those of these ids that are gone.
    pub(crate) fn of(made: &BTreeSet<String>, gone: BTreeSet<u64>, cgroups: &Paths) -> Self {
        let mut part = Self { gone, ..Self::default() };
        for path in made {
            let below = if path.is_empty() { String::new() } else { format!("{path}/") };
            let below = cgroups.range(below.clone()..).take_while(|(it, _)| it.starts_with(&below));
            let all = levels(path).filter_map(|level| cgroups.get_key_value(level)).chain(below);
            part.cgroups.extend(all.map(|(path, id)| (path.clone(), *id)));
        }
        part
    }

    /// The pods in it.
    pub(crate) fn placed(&self, pods: Option<&Placed>) -> Placed {
        let pod = |path: &String| Some((path.clone(), Arc::clone(pods?.by_path.get(path)?)));
        Placed { by_path: self.cgroups.keys().filter_map(pod).collect(), ..Placed::default() }
    }

    /// What is attached to it, or was to what is gone.
    pub(crate) fn of_attached(&self, attached: &BTreeMap<u64, Actual>) -> BTreeMap<u64, Actual> {
        self.ids().filter_map(|id| Some((id, attached.get(&id)?.clone()))).collect()
    }

    /// The ids of its cgroups, and of those that are gone.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.cgroups.values().chain(&self.gone).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_was_made_with_what_is_below_and_above_it_and_nothing_beside() {
        let paths = ["", "a", "a/b", "a/b/c", "a/b/c/d", "a/bc", "a/c", "b"];
        let cgroups: Paths = paths.iter().zip(1..).map(|(path, id)| ((*path).to_owned(), id)).collect();
        let made = BTreeSet::from(["a/b".to_owned(), "made/and/gone".to_owned()]);

        let part = Part::of(&made, BTreeSet::from([77]), &cgroups);

        let there: Vec<&str> = part.cgroups.keys().map(String::as_str).collect();
        assert_eq!(there, ["", "a", "a/b", "a/b/c", "a/b/c/d"]);
        assert_eq!(part.ids().collect::<BTreeSet<_>>(), BTreeSet::from([1, 2, 3, 4, 5, 77]));
    }

    #[test]
    fn everything_is_below_the_root() {
        let cgroups: Paths =
            ["", "a", "a/b"].iter().zip(1..).map(|(path, id)| ((*path).to_owned(), id)).collect();

        let part = Part::of(&BTreeSet::from([String::new()]), BTreeSet::new(), &cgroups);

        assert_eq!(part.cgroups, cgroups);
    }
}
