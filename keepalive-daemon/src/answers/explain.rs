//! Why a pod or a cgroup is governed as it is.

use std::{path::Path, sync::Arc};

use keepalive_ebpf::Policy as InKernel;

use super::{State, rules::Rules};
use crate::{
    plan::{Desired, levels},
    policy::{Considered, Policy, Verdict},
    report::{
        explanation::{self, Explanation},
        status,
    },
    workloads::Pod,
};

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A pod, by `namespace/name`.
    Pod(String),
    /// A cgroup, by its path below the root.
    Cgroup(String),
}

impl State<'_> {
    /// Why a pod or a cgroup is governed as it is.
    ///
    /// # Errors
    /// If there is none such; says where it was looked for.
    pub(crate) fn explain(&self, subject: &Subject) -> Result<Explanation, String> {
        match subject {
            Subject::Cgroup(path) => {
                // As `/proc/PID/cgroup` has it, or as a shell completes it.
                let path = Path::new(path)
                    .strip_prefix(self.node.root())
                    .map_or(path.as_str(), |below| below.to_str().unwrap_or_default());
                let path = path.trim_matches('/');
                if !self.node.cgroups().contains_key(path) {
                    let root = self.node.root().display();
                    return Err(format!("there is no cgroup {path} below {root}"));
                }
                Ok(self.explanation(self.pods.by_path.get(path), Some(path)))
            }
            Subject::Pod(name) => {
                let pods = self.pods;
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
        // Where the values come from: the cgroup itself, or the next above that is governed.
        let ids: Vec<u64> = path
            .into_iter()
            .flat_map(levels)
            .filter_map(|path| self.node.cgroups().get(path).copied())
            .collect();
        let desired = self.plan().desired;
        let source = ids.iter().find_map(|id| Some((id, desired.get(id)?)));
        let in_force = ids.iter().find_map(|id| {
            let actual = self.governor.attached().get(id)?;
            Some((actual, actual.policy.filter(|policy| *policy != InKernel::NOTHING)?))
        });
        let mut rules = Rules::of(self.policies);
        let governing = path.and_then(|path| self.governing(path));
        let governed = governing.as_ref().zip(facts).map(|(by, facts)| by.policy.govern(facts));
        let opted_out = governed.as_ref().is_some_and(|governed| governed.opted_out);
        let is_shared = governing.as_ref().is_some_and(|by| by.above.is_some()) && !opted_out;
        let refused = self.governor.refused();
        Explanation {
            pod: pod.map(describe),
            cgroup: path.map(status::shown),
            unreachable: None,
            considered: path.map(|path| self.considered(path, governing.as_ref())).unwrap_or_default(),
            outcome: outcome(governing.as_ref(), source.map(|(_, want)| want), opted_out),
            values: source
                .map(|(_, want)| rules.in_force(&want.policy, &want.policy_name, self.facts(&want.path))),
            apply_to_existing: source
                .filter(|(_, want)| !want.policy.is_exempt())
                .map(|(_, want)| want.apply_to_existing),
            in_force: in_force
                .map(|(have, policy)| rules.in_force(&policy, &have.policy_name, self.facts(&have.path))),
            refused: source.and_then(|(id, _)| refused.get(id)).map(|(_, reason)| reason.clone()),
            followed: governed.filter(|_| !is_shared).map(|governed| governed.followed).unwrap_or_default(),
            not_followed: facts.map(|facts| self.annotations(|uid| uid == facts.uid)).unwrap_or_default(),
            stale_since: self.stale_since(),
        }
    }

    /// What comes of each policy for the cgroup at `path`: by its own path or pod, or else by the next above that the
    /// policy selects.
    fn considered(&self, path: &str, governing: Option<&Governing<'_>>) -> Vec<explanation::Considered> {
        let levels: Vec<_> =
            levels(path).map(|path| (path, self.policies.consider(path, self.facts(path)))).collect();
        let Some((_, own)) = levels.first() else { return Vec::new() };
        let of_policy = own.iter().enumerate().map(|(at, Considered { policy, verdict })| {
            // All levels have the policies in one order.
            let mut selected = levels.iter().filter_map(|(path, all)| Some((*path, &all.get(at)?.verdict)));
            let selected = selected.find(|(_, verdict)| !matches!(verdict, Verdict::NotSelected(_)));
            let (verdict, reason) = match (selected, governing) {
                (Some((at, verdict)), _) if at == path => shown(verdict),
                (Some((above, Verdict::Governs(_))), Some(by)) if by.policy.id == policy.id => {
                    ("governs", format!("as part of {}, which it selects", status::shown(above)))
                }
                (Some((above, Verdict::Governs(_))), Some(by)) => (
                    "outranked",
                    format!(
                        "selects {}, and {} what is deeper, which wins whatever the priority",
                        status::shown(above),
                        by.policy.id
                    ),
                ),
                (Some((above, verdict)), _) => {
                    let (verdict, reason) = shown(verdict);
                    (verdict, format!("in {}: {reason}", status::shown(above)))
                }
                (None, _) => shown(verdict),
            };
            explanation::Considered {
                policy: policy.id.to_string(),
                kind: policy.kind().name().to_owned(),
                priority: policy.priority,
                verdict: verdict.to_owned(),
                reason,
            }
        });
        of_policy.collect()
    }

    /// What governs the cgroup at `path`.
    fn governing(&self, path: &str) -> Option<Governing<'_>> {
        let mut selected =
            levels(path).filter_map(|at| Some((at, self.policies.select(at, self.facts(at))?)));
        let (at, policy) = selected.next()?;
        Some(Governing { policy, above: (at != path).then(|| status::shown(at)) })
    }

    fn no_such_pod(&self, name: &str) -> String {
        let told = match (self.node.runtime().pods.as_ref(), &self.node.runtime().trouble) {
            (Some(pods), None) => format!("the container runtime of this node told of {} pods", pods.len()),
            (_, Some(trouble)) => trouble.message.clone(),
            (None, None) if !self.node.has_runtime() => "--cri-socket is `none`".to_owned(),
            (None, None) => "no container runtime was asked yet".to_owned(),
        };
        format!("no pod {name} runs on this node ({told})")
    }
}

fn shown(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Governs(reason) => ("governs", reason.clone()),
        Verdict::Outranked(reason) => ("outranked", reason.clone()),
        Verdict::NotSelected(reason) => ("does not select", reason.clone()),
    }
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
            let strict = source.filter(|want| !want.policy.is_exempt());
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
