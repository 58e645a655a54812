//! What should be: which cgroups are governed, by which policy and with which values. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use keepalive_ebpf::{Policy as InKernel, RuleSet};

mod part;

pub(crate) use part::Part;

use crate::{
    policy::{Kind, Policy, PolicyId, PolicySet, Refused, RuleSets, Tie},
    reconcile::{Actual, ancestors},
    workloads::{Paths, Placed, Pod, is_like_pod, is_nameless, is_transient},
};

/// An attachment that should exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Desired {
    pub(crate) path: String,
    /// The pod whose cgroup it is, for people.
    pub(crate) pod: Option<String>,
    pub(crate) policy_name: String,
    pub(crate) policy: InKernel,
    /// The rules that the policy refers to, if it is not for all destinations.
    pub(crate) rules: Option<Arc<RuleSet>>,
    /// Whether connections that are open already get what new ones get.
    pub(crate) apply_to_existing: bool,
}

/// What should be, and what somebody should know about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// By cgroup id.
    pub(crate) desired: BTreeMap<u64, Desired>,
    pub(crate) notes: BTreeSet<Note>,
}

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Note {
    /// An annotation of a pod is not followed.
    Annotation { pod: String, uid: String, annotation: String, reason: String },
    /// Names alone decide between two policies.
    Tie(Tie),
}

/// Finds what should be. A cgroup is attached to if a policy selects it, by its path or as the cgroup of a pod;
/// what lies below it inherits, as the kernel runs the programs of all ancestors. Nothing is attached in a pod that
/// opted out, but for what has governed ancestors yield. The cgroup of an `exec` is left to it: whoever runs that
/// asked for its values.
pub(crate) fn plan(policies: &PolicySet, cgroups: &Paths, pods: &Placed) -> Plan {
    let mut plan = Plan::default();
    let mut selected: HashMap<&str, &Policy> = HashMap::new();
    for path in cgroups.keys().filter(|path| !is_transient(path) && !is_nameless(path)) {
        let pod = pods.by_path.get(path).map(|pod| &pod.facts);
        if let Some(policy) = policies.select(path, pod) {
            selected.insert(path, policy);
            plan.notes.extend(policies.tie(path, pod).map(Note::Tie));
        }
    }
    let opted_out = opted_out(&selected, pods, &mut plan.notes);
    let is_opted_out =
        |path: &str| !opted_out.is_empty() && levels(path).any(|path| opted_out.contains_key(path));
    let mut rule_sets = RuleSets::default();
    for (path, id) in cgroups {
        let pod = pods.by_path.get(path);
        let inherited = || ancestors(path).find_map(|ancestor| selected.get(ancestor));
        // What governs above is not opted out of if it does not allow it.
        let yields = || inherited().is_some_and(|policy| policy.overrides.opt_out);
        let exempted = opted_out.get(path.as_str()).filter(|_| yields());
        let (policy, in_kernel, rules) = match (exempted, selected.get(path.as_str())) {
            (Some(policy), _) => (*policy, InKernel::exempt(*id), None),
            (None, Some(policy)) if !is_opted_out(path) => {
                let values =
                    pod.map_or_else(|| policy.inherited(), |pod| policy.govern(&pod.facts).inherited());
                let rules = rule_sets.of(policy, &values);
                (*policy, policy.in_kernel(values.timers, rules.as_ref()).of_cgroup(*id), rules)
            }
            _ => continue,
        };
        let pod = pod.map(|pod| pod.facts.to_string());
        let policy_name = policy.id.to_string();
        let desired = Desired {
            path: path.clone(),
            pod,
            policy_name,
            policy: in_kernel,
            rules: rules.map(|rules| rules.rules),
            apply_to_existing: policy.apply_to_existing,
        };
        plan.desired.insert(*id, desired);
    }
    claim(&mut plan.desired);
    plan
}

/// The cgroups of pods that opted out, each with the policy that allows it: the one that would govern.
fn opted_out<'p>(
    selected: &HashMap<&str, &'p Policy>,
    pods: &'p Placed,
    notes: &mut BTreeSet<Note>,
) -> BTreeMap<&'p str, &'p Policy> {
    let mut opted_out = BTreeMap::new();
    for (path, pod) in &pods.by_path {
        let Some((at, policy)) = governing(selected, path) else { continue };
        let governed = policy.govern(&pod.facts);
        if governed.opted_out {
            opted_out.insert(path.as_str(), policy);
        }
        if at == path {
            notes.extend(governed.refused.into_iter().map(|refused| note(pod, refused)));
        } else if !governed.opted_out {
            // What a policy of its cgroup's ancestors does not allow, it did not ask of that.
            notes.extend(governed.unshared(policy).into_iter().map(|refused| note(pod, refused)));
        }
    }
    opted_out
}

/// What governs the cgroup at `path`: the policy that selects it or, if there is none, the next above that is
/// selected. With the path of the one it selects.
fn governing<'a, 'p>(selected: &HashMap<&str, &'p Policy>, path: &'a str) -> Option<(&'a str, &'p Policy)> {
    levels(path).find_map(|at| Some((at, *selected.get(at)?)))
}

/// `path` and the paths above it, the root last: where what governs it may be selected.
pub(crate) fn levels(path: &str) -> impl Iterator<Item = &str> {
    std::iter::once(path).chain(ancestors(path))
}

fn note(pod: &Arc<Pod>, refused: Refused) -> Note {
    let Refused { annotation, reason } = refused;
    Note::Annotation { pod: pod.facts.to_string(), uid: pod.facts.uid.clone(), annotation, reason }
}

/// What is attached to pods that the runtime has yet to tell of stays as it is, but for whether what governs above
/// yields.
pub(crate) fn hold(
    plan: &mut Plan,
    actual: &BTreeMap<u64, Actual>,
    policies: &PolicySet,
    cgroups: &Paths,
    pods: Option<&Placed>,
) {
    // They are nearly always, and it need not be found out of each.
    if are_all_told(pods) {
        return;
    }
    let mut holds = false;
    for (id, have) in actual.iter().filter(|(id, have)| cgroups.get(&have.path) == Some(id)) {
        let Some(policy) = have.policy.filter(|policy| *policy != InKernel::NOTHING) else { continue };
        if is_untold(&have.path, &have.policy_name, policies, pods) {
            let Actual { path, policy_name, .. } = have.clone();
            let held =
                Desired { path, pod: None, policy_name, policy, rules: None, apply_to_existing: false };
            plan.desired.insert(*id, held);
            holds = true;
        }
    }
    if holds {
        claim(&mut plan.desired);
    }
}

/// Whether the runtime has told of all pods that it has.
pub(crate) fn are_all_told(pods: Option<&Placed>) -> bool {
    pods.is_some_and(|pods| pods.unreachable.iter().all(|it| !it.passing))
}

/// Whether what is attached at `path` may be to a pod that the runtime has yet to tell of: any while they are not
/// known (`pods` is absent), and, while it has not told all of some, one that may be these.
pub(crate) fn is_untold(path: &str, policy_name: &str, policies: &PolicySet, pods: Option<&Placed>) -> bool {
    let is_told = are_all_told(pods) || pods.is_some_and(|pods| pods.by_path.contains_key(path));
    !is_told && (is_like_pod(path) || is_for_pods(policy_name, policies))
}

/// Has what governs above yield to what is below it, and nothing else.
fn claim(desired: &mut BTreeMap<u64, Desired>) {
    // Hashed, as whoever sorts paths compares what most begin with again and again.
    let governed: HashSet<&str> = desired.values().map(|want| want.path.as_str()).collect();
    let claims = |want: &Desired| ancestors(&want.path).any(|above| governed.contains(above));
    let claims: BTreeMap<u64, bool> = desired.iter().map(|(id, want)| (*id, claims(want))).collect();
    for (id, want) in desired.iter_mut().filter(|(_, want)| !want.policy.is_exempt()) {
        want.policy = want.policy.claiming(claims[id]);
    }
}

fn is_for_pods(policy_name: &str, policies: &PolicySet) -> bool {
    let is_named = |id: &PolicyId| id.to_string() == policy_name;
    policy_name.contains('/')
        || policies.iter().any(|policy| policy.kind() != Kind::ClusterCgroups && is_named(&policy.id))
}

impl Desired {
    /// Whether all that is in force stays as it is, but for whether ancestors have to yield.
    pub(crate) fn differs_in_claim_only(&self, have: &Actual) -> bool {
        let same =
            |policy: InKernel| policy.claiming(true) == self.policy.claiming(true) && policy != self.policy;
        self.policy_name == have.policy_name && have.policy.is_some_and(same)
    }

    /// The same, as a cgroup with a governed ancestor has it.
    pub(crate) fn claiming(&self) -> Self {
        Self { policy: self.policy.claiming(true), ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
