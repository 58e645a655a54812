//! Why a policy governs a workload, and the others do not.

use super::set::rank;
use super::{Kind, PodFacts, Policy, PolicySet, Scope};

/// A policy that was looked at, and what came of it.
#[derive(Clone, Debug)]
pub struct Considered<'p> {
    /// The policy.
    pub policy: &'p Policy,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of looking at a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It governs. Says what decided, if others select the workload too.
    Governs(String),
    /// It selects the workload, and another one wins. Says why.
    Outranked(String),
    /// It does not select the workload. Says why.
    NotSelected(String),
}

impl PolicySet {
    /// All policies in the order of their rank, each with what comes of it for the workload at `path`, a cgroup
    /// path as for [`Self::select`].
    #[must_use]
    pub fn consider(&self, path: &str, pod: Option<&PodFacts>) -> Vec<Considered<'_>> {
        let selection: Vec<_> = self.selection(path, pod).collect();
        let mut selecting = selection.iter().filter(|(_, selects)| *selects).map(|(policy, _)| *policy);
        let (winner, second) = (selecting.next(), selecting.next());
        let verdict = |policy: &Policy, selects: bool| match winner {
            Some(winner) if selects && winner.id == policy.id => {
                Verdict::Governs(why_governs(winner, second))
            }
            Some(winner) if selects => Verdict::Outranked(why_outranked(policy, winner)),
            _ => Verdict::NotSelected(why_not_selected(policy, pod)),
        };
        let considered = selection.iter();
        considered
            .map(|&(policy, selects)| Considered { policy, verdict: verdict(policy, selects) })
            .collect()
    }
}

fn why_governs(winner: &Policy, second: Option<&Policy>) -> String {
    let Some(second) = second else { return "the only one that selects it".to_owned() };
    match decides(winner, second) {
        Decision::Priority => {
            format!("priority {}, before {} of {}", winner.priority, second.priority, second.id)
        }
        Decision::Kind(rule) => format!("{rule}, as {} is", second.id),
        Decision::Name => format!("equal rank with {}: the first name wins", second.id),
    }
}

fn why_outranked(loser: &Policy, winner: &Policy) -> String {
    match decides(winner, loser) {
        Decision::Priority => {
            format!("priority {}, after {} of {}", loser.priority, winner.priority, winner.id)
        }
        Decision::Kind(rule) => format!("{} goes first: {rule}", winner.id),
        Decision::Name => format!("equal rank with {}: the first name wins", winner.id),
    }
}

fn why_not_selected(policy: &Policy, pod: Option<&PodFacts>) -> String {
    match (&policy.scope, pod) {
        (Scope::Cgroups(_), _) => "selects cgroups, and none of its globs matches".to_owned(),
        (Scope::Pods(_), None) => "selects pods, and this is not the cgroup of a pod".to_owned(),
        (Scope::Pods(scope), Some(pod)) => scope.check(pod).err().unwrap_or_default(),
    }
}

/// What decides between two policies that select the same workload.
enum Decision {
    Priority,
    /// The rule by which the more specific kind wins.
    Kind(&'static str),
    Name,
}

fn decides(winner: &Policy, loser: &Policy) -> Decision {
    if winner.priority != loser.priority {
        return Decision::Priority;
    }
    match (winner.kind(), loser.kind()) {
        _ if rank(winner) == rank(loser) => Decision::Name,
        (Kind::Namespaced, _) => Decision::Kind("a KeepalivePolicy goes before a ClusterKeepalivePolicy"),
        _ => Decision::Kind("a policy for pods goes before one for cgroups"),
    }
}

#[cfg(test)]
mod tests;
