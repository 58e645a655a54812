//! Makes the snapshot, on the daemon's loop. Nothing is asked of the kernel for it: the counters of every cgroup are read
//! every few seconds as it is, a few at a time, and summed.

use std::collections::BTreeMap;

use super::{
    Label, Reconciles, Snapshot,
    snapshot::{OfCgroup, Runtime, Sweeping},
};
use crate::{
    governor::Governor,
    helped::Helped,
    plan::Note,
    policy::PolicySet,
    readiness::Readiness,
    reconcile::Actual,
    report::status::shown,
    sweeper::Sweeps,
    workloads::{Node, Placed},
};

/// What it is made of.
pub(crate) struct View<'a> {
    /// Those in force, if there were any.
    pub(crate) policies: Option<&'a PolicySet>,
    /// Whether they are those that lie in the directory.
    pub(crate) reloaded: bool,
    pub(crate) readiness: &'a Readiness,
    pub(crate) node: &'a Node,
    pub(crate) governor: &'a Governor,
    pub(crate) sweeps: &'a Sweeps,
    pub(crate) helped: &'a Helped,
    pub(crate) reconciles: &'a Reconciles,
    pub(crate) labels: &'a [Label],
}

impl View<'_> {
    pub(crate) fn snapshot(self) -> Snapshot {
        let Self { policies, reloaded, readiness, node, governor, sweeps, helped, reconciles, labels } = self;
        let mut attached: BTreeMap<String, usize> = BTreeMap::new();
        for actual in governor.attached().values() {
            match attached.get_mut(&actual.policy_name) {
                Some(cgroups) => *cgroups += 1,
                None => drop(attached.insert(actual.policy_name.clone(), 1)),
            }
        }
        let unknown = Placed::default();
        let pods = node.pods().unwrap_or(&unknown);
        let cgroups = governor.attached().iter().filter_map(|(id, actual)| {
            let counted = governor.totals().of_cgroup(*id);
            Some(OfCgroup { labels: labels_of(labels, actual, pods)?, counted })
        });
        let state = sweeps.describe();
        Snapshot {
            tasks: readiness.tasks().collect(),
            policies: policies.cloned().unwrap_or_default(),
            reloaded,
            attached,
            refused: governor.refused().len(),
            attach_errors: governor.attach_errors().collect(),
            sums: governor.totals().sums().clone(),
            existing: sweeps.existing().collect(),
            sweeping: sweeps
                .is_on()
                .then(|| Sweeping { works: state.trouble.is_none(), unreachable: state.unreachable.len() }),
            maps: governor.maps(),
            reconciles: reconciles.histogram(),
            runtime: is_missed(node, policies).then(|| runtime(node, pods, governor)),
            helped: helped.by_policy(),
            cgroups: cgroups.collect(),
        }
    }
}

/// Whether there is a container runtime, or should be one.
fn is_missed(node: &Node, policies: Option<&PolicySet>) -> bool {
    node.runtime().name.is_some() || (node.has_runtime() && policies.is_some_and(PolicySet::selects_pods))
}

fn runtime(node: &Node, pods: &Placed, governor: &Governor) -> Runtime {
    let known = node.runtime();
    let is_annotation = |note: &&Note| matches!(note, Note::Annotation { .. });
    Runtime {
        answers: known.name.is_some() && known.trouble.is_none(),
        pods: known.pods.as_ref().map_or(0, |pods| pods.len()),
        unreachable: pods.unreachable.len(),
        annotations: governor.notes().iter().filter(is_annotation).count(),
    }
}

/// The labels of a cgroup; none if nobody asks for any, or only for that of a pod, which it is not.
fn labels_of(labels: &[Label], actual: &Actual, pods: &Placed) -> Option<Vec<(&'static str, String)>> {
    let mut told = Vec::new();
    if labels.contains(&Label::Cgroup) {
        told.push(("cgroup", shown(&actual.path)));
    }
    let pod = pods.by_path.get(&actual.path);
    if labels.contains(&Label::Pod) && (pod.is_some() || !told.is_empty()) {
        let [name, namespace] =
            pod.map_or_else(Default::default, |pod| [pod.facts.name.clone(), pod.facts.namespace.clone()]);
        told.extend([("pod", name), ("pod_namespace", namespace)]);
    }
    if told.is_empty() {
        return None;
    }
    told.push(("policy", actual.policy_name.clone()));
    Some(told)
}
