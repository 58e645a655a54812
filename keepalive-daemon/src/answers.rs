//! What the daemon answers: its state, put together for people and programs who ask.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use keepalive_ebpf::Policy as InKernel;

use crate::{
    governor::Governor,
    plan::{Desired, Note, Plan, governing, plan},
    policy::{Policy, PolicyId, PolicySet, Verdict},
    reconcile::ancestors,
    report::{
        explanation::{self, Explanation},
        policies::{PolicyList, PolicySummary},
        status::{self, InForce, PodTrouble},
    },
    workloads::{Node, Placed, Pod, RuntimeState},
};

/// What the answers are made of.
pub(crate) struct State<'a> {
    pub(crate) policies: &'a PolicySet,
    pub(crate) node: &'a Node,
    pub(crate) governor: &'a Governor,
}

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A pod, by `namespace/name`.
    Pod(String),
    /// A cgroup, by its path below the root.
    Cgroup(String),
}

impl State<'_> {
    /// What is attached and what came of it; what is known of the daemon itself is the caller's to add.
    pub(crate) fn status(&self) -> status::Status {
        let pods = self.pods();
        let cgroups = self.governor.attached().iter().map(|(id, actual)| {
            let counters = self.governor.counters(*id);
            let pod = pods.by_path.get(&actual.path).map(|pod| pod.facts.to_string());
            let cgroup = status::Cgroup::new(&actual.path, *id, &actual.policy_name, actual.policy, counters);
            status::Cgroup { pod, ..cgroup }
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
        }
    }

    /// What is known of the container runtime.
    pub(crate) fn runtime(&self) -> status::Runtime {
        let RuntimeState { socket, name, pods, trouble } = self.node.runtime().clone();
        status::Runtime {
            name,
            socket: socket.map(|socket| socket.display().to_string()),
            pods: pods.map(|pods| pods.len()),
            stale_since: self.stale_since(),
            trouble: trouble.map(|trouble| trouble.message),
        }
    }

    /// The policies and what they govern.
    pub(crate) fn policies(&self) -> PolicyList {
        let unmatched = self.policies.unmatched(self.node.cgroups().keys().map(String::as_str));
        let tallies = self.tallies();
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
                values: InForce::new(&policy.in_kernel()),
                pods,
                opted_out,
                cgroups,
                outranked,
                unmatched: globs.map(|unmatched| unmatched.glob.clone()).collect(),
            }
        });
        PolicyList(summaries.collect())
    }

    /// Why a pod or a cgroup is governed as it is.
    ///
    /// # Errors
    /// If there is none such; says where it was looked for.
    pub(crate) fn explain(&self, subject: &Subject) -> Result<Explanation, String> {
        match subject {
            Subject::Cgroup(path) => {
                let path = path.trim_matches('/');
                if !self.node.cgroups().contains_key(path) {
                    let root = self.node.root().display();
                    return Err(format!("there is no cgroup {path} below {root}"));
                }
                let pods = self.pods();
                Ok(self.explanation(pods.by_path.get(path), Some(path)))
            }
            Subject::Pod(name) => {
                let pods = self.pods();
                let is_named = |pod: &Pod| pod.facts.to_string() == *name;
                if let Some((path, pod)) = pods.by_path.iter().find(|(_, pod)| is_named(pod)) {
                    return Ok(self.explanation(Some(pod), Some(path)));
                }
                let unreachable = pods.unreachable.iter().find(|it| is_named(&it.pod));
                let it = unreachable.ok_or_else(|| self.no_such_pod(name))?;
                let outcome = "no policy can reach it".to_owned();
                let unreachable = Some(it.reason.clone());
                Ok(Explanation { outcome, unreachable, ..self.explanation(Some(&it.pod), None) })
            }
        }
    }

    fn explanation(&self, pod: Option<&Arc<Pod>>, path: Option<&str>) -> Explanation {
        let facts = pod.map(|pod| &pod.facts);
        let considered = path.map_or_else(Vec::new, |path| self.policies.consider(path, facts));
        let considered = considered.into_iter().map(|it| {
            let (verdict, reason) = match it.verdict {
                Verdict::Governs(reason) => ("governs", reason),
                Verdict::Outranked(reason) => ("outranked", reason),
                Verdict::NotSelected(reason) => ("does not select", reason),
            };
            explanation::Considered {
                policy: it.policy.id.to_string(),
                kind: it.policy.kind().name().to_owned(),
                priority: it.policy.priority,
                verdict: verdict.to_owned(),
                reason,
            }
        });
        // Where the values come from: the cgroup itself, or the next above that is governed.
        let around = path.into_iter().flat_map(|path| std::iter::once(path).chain(ancestors(path)));
        let ids: Vec<u64> = around.filter_map(|path| self.node.cgroups().get(path).copied()).collect();
        let desired = self.plan().desired;
        let source = ids.iter().find_map(|id| Some((id, desired.get(id)?)));
        let in_force = |id| self.governor.attached().get(id)?.policy.filter(|it| *it != InKernel::NOTHING);
        let governing = path.and_then(|path| self.governing(path));
        let governed = governing.as_ref().zip(facts).map(|(by, facts)| by.policy.govern(facts));
        let opted_out = governed.as_ref().is_some_and(|governed| governed.opted_out);
        let is_shared = governing.as_ref().is_some_and(|by| by.above.is_some()) && !opted_out;
        let refused = self.governor.refused();
        Explanation {
            pod: pod.map(describe),
            cgroup: path.map(status::shown),
            unreachable: None,
            considered: considered.collect(),
            outcome: outcome(governing.as_ref(), source.map(|(_, want)| want), opted_out),
            values: source.map(|(_, want)| InForce::new(&want.policy)),
            in_force: ids.iter().find_map(in_force).map(|policy| InForce::new(&policy)),
            refused: source.and_then(|(id, _)| refused.get(id)).map(|(_, reason)| reason.clone()),
            followed: governed.filter(|_| !is_shared).map(|governed| governed.followed).unwrap_or_default(),
            not_followed: facts.map(|facts| self.annotations(|uid| uid == facts.uid)).unwrap_or_default(),
            stale_since: self.stale_since(),
        }
    }

    /// What governs the cgroup at `path`.
    fn governing(&self, path: &str) -> Option<Governing<'_>> {
        let pods = self.pods();
        let around = std::iter::once(path).chain(ancestors(path));
        let selected = around.filter_map(|path| {
            let pod = pods.by_path.get(path).map(|pod| &pod.facts);
            self.policies.select(path, pod).map(|policy| (path, policy))
        });
        let selected: BTreeMap<&str, &Policy> = selected.collect();
        let (policy, own) = governing(&selected, path)?;
        let above = ancestors(path).find(|ancestor| selected.contains_key(ancestor));
        Some(Governing { policy, above: above.filter(|_| !own).map(status::shown) })
    }

    fn plan(&self) -> Plan {
        plan(self.policies, self.node.cgroups(), &self.pods())
    }

    fn pods(&self) -> Placed {
        self.node.pods().cloned().unwrap_or_default()
    }

    fn no_such_pod(&self, name: &str) -> String {
        let told = match (self.node.runtime().pods.as_ref(), &self.node.runtime().trouble) {
            (Some(pods), None) => format!("the container runtime of this node told of {} pods", pods.len()),
            (_, Some(trouble)) => trouble.message.clone(),
            (None, None) => "no container runtime was asked yet".to_owned(),
        };
        format!("no pod {name} runs on this node ({told})")
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

    fn stale_since(&self) -> Option<String> {
        let trouble = self.node.runtime().trouble.as_ref()?;
        Some(humantime::format_rfc3339_seconds(trouble.since).to_string())
    }

    fn tallies(&self) -> BTreeMap<PolicyId, Tally> {
        let pods = self.pods();
        let desired: BTreeSet<String> = self.plan().desired.into_values().map(|it| it.path).collect();
        let mut tallies: BTreeMap<PolicyId, Tally> = BTreeMap::new();
        for path in self.node.cgroups().keys() {
            let pod = pods.by_path.get(path).map(|pod| &pod.facts);
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

/// The policy that governs a cgroup.
struct Governing<'p> {
    policy: &'p Policy,
    /// The cgroup above that it selects, if it does not select the cgroup itself.
    above: Option<String>,
}

/// What decides, with where the values come from if there are any.
fn outcome(governing: Option<&Governing<'_>>, source: Option<&Desired>, opted_out: bool) -> String {
    let Some(Governing { policy, above }) = governing else { return "no policy selects it".to_owned() };
    let id = &policy.id;
    match (above, opted_out) {
        (None, false) => format!("governed by {id}"),
        (Some(above), false) => format!("governed by {id}, as part of {above}"),
        (Some(above), true) => {
            format!("opted out of {id}, which governs it as part of {above}, by its annotation")
        }
        (None, true) => {
            let strict = source.filter(|want| want.policy != InKernel::EXEMPT);
            let strict = strict.map(|Desired { path, policy_name, .. }| {
                format!(
                    "; {policy_name} lets no pod opt out, and governs it as part of {}",
                    status::shown(path)
                )
            });
            format!("opted out of {id}, by its annotation{}", strict.unwrap_or_default())
        }
    }
}

fn describe(pod: &Arc<Pod>) -> explanation::Pod {
    explanation::Pod {
        name: pod.facts.to_string(),
        uid: pod.facts.uid.clone(),
        sandbox: pod.sandbox.clone(),
        network: pod.network.as_ref().map(|network| network.display().to_string()),
    }
}
