//! What the daemon answers: its state, put together for people and programs who ask.

mod apply;
mod explain;
mod rules;
mod sockets;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    governor::Governor,
    helped::Helped,
    plan::{Note, Plan, plan},
    policy::{PodFacts, PolicyId, PolicySet},
    report::{
        policies::{PolicyList, PolicySummary},
        status::{self, PodTrouble},
    },
    sweeper::Sweeps,
    workloads::{Node, Placed, RuntimeState},
};

pub(crate) use apply::Selection;
pub(crate) use explain::Subject;
use rules::Rules;
pub(crate) use sockets::SocketQuery;

/// What the answers are made of.
pub(crate) struct State<'a> {
    pub(crate) policies: &'a PolicySet,
    pub(crate) node: &'a Node,
    /// Those of the node, none while they are not known.
    pub(crate) pods: &'a Placed,
    pub(crate) governor: &'a Governor,
    pub(crate) sweeps: &'a Sweeps,
    pub(crate) helped: &'a Helped,
}

impl State<'_> {
    /// What is attached and what came of it; what is known of the daemon itself is the caller's to add.
    pub(crate) fn status(&self) -> status::Status {
        let pods = self.pods;
        let mut rules = Rules::of(self.policies);
        let cgroups = self.governor.attached().iter().map(|(id, actual)| {
            let counters = self.governor.counters(*id);
            let facts = self.facts(&actual.path);
            let cgroup = status::Cgroup::new(&actual.path, *id, &actual.policy_name, actual.policy, counters);
            let in_force = cgroup.in_force.zip(actual.policy);
            let in_force = in_force.map(|(_, policy)| rules.in_force(&policy, &actual.policy_name, facts));
            let open_connections = self.sweeps.open_connections(self.governor, *id);
            let helped = self.helped.of(*id);
            let pod = facts.map(PodFacts::to_string);
            status::Cgroup { pod, in_force, open_connections, helped, ..cgroup }
        });
        let refused = self.governor.refused().values();
        let unreachable = pods.unreachable.iter().map(|it| PodTrouble {
            pod: it.pod.facts.to_string(),
            annotation: None,
            reason: it.reason.clone(),
        });
        status::Status {
            daemon: None,
            cgroups: cgroups.collect(),
            refused: refused.map(|(path, reason)| status::Refusal::new(path, reason)).collect(),
            unreachable: unreachable.collect(),
            annotations: self.annotations(|_| true),
            no_longer_governed: self.sweeps.left(),
            nobody: String::new(),
        }
    }

    /// What is known of the container runtime; `None` where nobody needs one and none was found.
    pub(crate) fn runtime(&self) -> Option<status::Runtime> {
        let RuntimeState { socket, name, pods, trouble } = self.node.runtime().clone();
        let is_missed = self.node.has_runtime() && self.policies.selects_pods();
        (name.is_some() || is_missed).then(|| status::Runtime {
            name,
            socket: socket.map(|socket| socket.display().to_string()),
            pods: pods.map(|pods| pods.len()),
            stale_since: self.stale_since(),
            trouble: trouble.map(|trouble| trouble.message),
        })
    }

    /// The policies and what they govern.
    pub(crate) fn policies(&self) -> PolicyList {
        let unmatched = self.policies.unmatched(self.node.cgroups().keys().map(String::as_str));
        let tallies = self.tallies();
        let mut rules = Rules::of(self.policies);
        let summaries = self.policies.iter().map(|policy| {
            let Tally { pods, opted_out, cgroups, outranked } =
                tallies.get(&policy.id).cloned().unwrap_or_default();
            let globs = unmatched.iter().filter(|unmatched| unmatched.policy == policy.id);
            PolicySummary {
                name: policy.id.to_string(),
                kind: policy.kind().name().to_owned(),
                for_pods: policy.is_for_pods(),
                file: policy.source.file.clone(),
                line: policy.source.line,
                priority: policy.priority,
                values: rules.of_policy(policy),
                apply_to_existing: policy.apply_to_existing,
                pods,
                opted_out,
                cgroups,
                outranked,
                unmatched: globs.map(|unmatched| unmatched.glob.clone()).collect(),
            }
        });
        PolicyList(summaries.collect())
    }

    fn plan(&self) -> Plan {
        plan(self.policies, self.node.cgroups(), self.pods)
    }

    /// What policies look at in the pod whose cgroup is at `path`.
    fn facts(&self, path: &str) -> Option<&PodFacts> {
        self.pods.by_path.get(path).map(|pod| &pod.facts)
    }

    fn annotations(&self, of: impl Fn(&str) -> bool) -> Vec<PodTrouble> {
        let refused = self.governor.notes().iter().filter_map(|note| match note {
            Note::Annotation { pod, uid, annotation, reason } if of(uid) => Some(PodTrouble {
                pod: pod.clone(),
                annotation: Some(annotation.clone()),
                reason: reason.clone(),
            }),
            Note::Annotation { .. } | Note::Tie(_) => None,
        });
        refused.collect()
    }

    /// Since when what was told of the pods may be out of date.
    fn stale_since(&self) -> Option<String> {
        let RuntimeState { pods, trouble, .. } = self.node.runtime();
        let trouble = trouble.as_ref().filter(|_| pods.is_some())?;
        Some(humantime::format_rfc3339_seconds(trouble.since).to_string())
    }

    fn tallies(&self) -> BTreeMap<PolicyId, Tally> {
        let desired: BTreeSet<String> = self.plan().desired.into_values().map(|it| it.path).collect();
        let mut tallies: BTreeMap<PolicyId, Tally> = BTreeMap::new();
        for path in self.node.cgroups().keys() {
            let pod = self.facts(path);
            let selecting = self.policies.selection(path, pod).filter(|(_, selects)| *selects);
            for (place, (policy, _)) in selecting.enumerate() {
                let tally = tallies.entry(policy.id.clone()).or_default();
                match pod {
                    // The first is the one that wins.
                    _ if place > 0 => tally.outranked += 1,
                    Some(pod) if policy.govern(pod).opted_out => tally.opted_out += 1,
                    Some(_) => tally.pods += 1,
                    None => tally.cgroups += usize::from(desired.contains(path)),
                }
            }
        }
        tallies
    }
}

/// What a policy governs.
#[derive(Clone, Debug, Default)]
struct Tally {
    pods: usize,
    opted_out: usize,
    cgroups: usize,
    outranked: usize,
}
