//! Pods and the cgroup tree brought together.

use std::{collections::BTreeMap, sync::Arc};

use super::{Place, Placed, Pod, Unreachable, is_like_pod};
use crate::{reconcile::ancestors, workloads::Paths};

/// Finds the cgroup of each pod in the tree.
pub(crate) fn place(pods: &[Arc<Pod>], cgroups: &Paths) -> Placed {
    let mut search = Search { cgroups, by_name: None };
    let mut found: BTreeMap<&str, Vec<&Arc<Pod>>> = BTreeMap::new();
    let mut unreachable = Vec::new();
    let mut refuse = |pod: &Arc<Pod>, reason: String, passing| {
        unreachable.push(Unreachable { pod: Arc::clone(pod), reason, passing });
    };
    for pod in pods {
        match &pod.place {
            Place::Cgroup(path) => match search.find(path) {
                Some(path) => found.entry(path).or_default().push(pod),
                None => refuse(pod, missing(path), true),
            },
            Place::Unreachable(reason) => refuse(pod, reason.clone(), false),
            Place::Untold(answer) => refuse(pod, untold(answer), true),
        }
    }
    let containing = containing(&found);
    let mut by_path = BTreeMap::new();
    for (path, pods) in &found {
        for (at, pod) in pods.iter().enumerate() {
            let other = pods.iter().enumerate().find(|(other, _)| *other != at).map(|(_, other)| *other);
            if let Some(other) = other.or_else(|| containing.get(path).copied()) {
                refuse(pod, shared(path, other), false);
            } else {
                by_path.insert((*path).to_owned(), Arc::clone(pod));
            }
        }
    }
    unreachable.sort_by_cached_key(|it| (it.pod.facts.to_string(), it.pod.sandbox.clone()));
    Placed { by_path, unreachable }
}

/// The cgroups of pods that another pod's is in, each with one such pod.
fn containing<'p>(found: &BTreeMap<&'p str, Vec<&'p Arc<Pod>>>) -> BTreeMap<&'p str, &'p Arc<Pod>> {
    let mut containing = BTreeMap::new();
    for (path, pods) in found {
        for ancestor in ancestors(path) {
            if let (Some((outer, _)), Some(pod)) = (found.get_key_value(ancestor), pods.first()) {
                containing.entry(*outer).or_insert(*pod);
            }
        }
    }
    containing
}

fn missing(path: &str) -> String {
    format!(
        "its cgroup {path} is not in the cgroup2 tree: the pod begins or ends; if it stays so, its runtime keeps to \
         cgroup version 1, or --cgroup-root shows another part of the hierarchy"
    )
}

fn untold(answer: &str) -> String {
    format!("its runtime does not tell where it is, and is asked again: {answer}")
}

fn shared(path: &str, other: &Pod) -> String {
    format!(
        "its cgroup {path} is also that of pod {}: a policy for one would be one for both; give each a cgroup_parent \
         of its own",
        other.facts
    )
}

/// Looks for paths as the runtime has them in the tree as this daemon sees it.
struct Search<'t> {
    cgroups: &'t Paths,
    /// The paths of the tree that are named as those of pods, by that name; made for the first that is not found as it is.
    by_name: Option<BTreeMap<&'t str, Vec<&'t str>>>,
}

impl<'t> Search<'t> {
    /// The path itself, or else the only one that differs from it in where it begins: a runtime in a cgroup
    /// namespace of its own does not see what is above, and neither does a daemon that is shown a part. Only where
    /// the name is that of the pod: one that any cgroup may have would find another's.
    fn find(&mut self, path: &str) -> Option<&'t str> {
        if let Some((found, _)) = self.cgroups.get_key_value(path) {
            return Some(found);
        }
        if !is_like_pod(path) {
            return None;
        }
        let cgroups = self.cgroups;
        let by_name = self.by_name.get_or_insert_with(|| {
            let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for path in cgroups.keys().filter(|path| is_like_pod(path)) {
                by_name.entry(name(path)).or_default().push(path);
            }
            by_name
        });
        let is_same = |found: &&&str| is_end_of(path, found) || is_end_of(found, path);
        let mut candidates = by_name.get(name(path)).into_iter().flatten().filter(is_same);
        let first = candidates.next()?;
        candidates.next().is_none().then_some(*first)
    }
}

fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn is_end_of(end: &str, path: &str) -> bool {
    path.strip_suffix(end).is_some_and(|start| start.ends_with('/'))
}

#[cfg(test)]
mod tests;
