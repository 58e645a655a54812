//! What would put things right: a policy to paste, or why none does.

mod document;

use std::collections::{BTreeMap, BTreeSet};

use document::{Wanted, free_name, literal};

use super::{Group, Problem};
use crate::policy::{self, CgroupGlob, DEFAULT_IDLE, Limits};

/// The root cgroup, as rows call it.
const ROOT: &str = "/";

/// What of a policy matters to one that is to take its place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Governing {
    pub(crate) priority: i32,
    /// Whether it overrides what applications chose.
    pub(crate) enforces: bool,
    /// Where it is written.
    pub(crate) place: String,
}

/// A way to put right what a policy can.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cure {
    /// Policy documents; absent if no policy is needed, or helps.
    pub(crate) policy: Option<String>,
    pub(crate) notes: Vec<String>,
}

/// What one document is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// The pods of a namespace.
    Namespace(String),
    Cgroup(String),
}

/// What its connections need.
#[derive(Clone, Debug, Default)]
struct Need {
    /// The shortest time after which something forgets one of them.
    budget_s: Option<u32>,
    policies: BTreeSet<String>,
    why: String,
}

impl Cure {
    /// What helps these groups under a daemon with these limits, where `governing` are the policies in force.
    pub(crate) fn new(
        groups: &[Group<'_>],
        governing: &BTreeMap<String, Governing>,
        limits: &Limits,
    ) -> Self {
        let mut cure = Self::default();
        let [mut homeless, mut of_root] = [0; 2];
        let mut needs: BTreeMap<Subject, Need> = BTreeMap::new();
        for group in groups {
            let Some((problem, _)) = group.problems.iter().find(|(problem, _)| is_cured_by_idle(problem))
            else {
                continue;
            };
            // A policy for the root would be for every process of the host that no other governs.
            if group.pod.is_none() && group.cgroup.as_deref() == Some(ROOT) {
                of_root += group.connections;
                continue;
            }
            let Some(subject) = Subject::of(group) else {
                homeless += group.connections;
                continue;
            };
            let need = needs.entry(subject).or_default();
            let budget_s = group.strictest.map(|it| it.idle_timeout_seconds);
            if need.why.is_empty() || budget_s.is_some_and(|it| need.budget_s.is_none_or(|known| it < known))
            {
                need.why = problem.why();
            }
            need.budget_s = need.budget_s.into_iter().chain(budget_s).min();
            need.policies.extend(group.policies.iter().cloned());
        }
        if homeless > 0 {
            cure.notes.push(format!("no policy can select {homeless} of them: their cgroup is not known"));
        }
        if of_root > 0 {
            cure.notes.push(format!(
                "{of_root} of them belong to the root cgroup, and with it to no workload: start what holds them in a \
                 cgroup of its own (`systemd-run --scope`), and select that"
            ));
        }
        cure.policy = cure.documents(needs, governing, limits);
        cure.advise_on_the_rest(groups);
        cure
    }

    fn documents(
        &mut self,
        needs: BTreeMap<Subject, Need>,
        governing: &BTreeMap<String, Governing>,
        limits: &Limits,
    ) -> Option<String> {
        let mut documents = Vec::new();
        // One document for all cgroups that need the same.
        let mut cgroups: BTreeMap<Wanted, (Vec<String>, String)> = BTreeMap::new();
        for (subject, need) in needs {
            let Some(idle_s) = self.idle(&need, limits) else { continue };
            let now: Vec<_> = need.policies.iter().filter_map(|name| governing.get_key_value(name)).collect();
            let wanted = Wanted {
                idle_s,
                priority: now.iter().map(|(_, it)| it.priority.saturating_add(1)).max(),
                enforces: now.iter().any(|(_, it)| it.enforces),
            };
            for (name, Governing { place, .. }) in now {
                self.note(format!(
                    "policy {name} ({place}) governs some of them now: `idle: {idle_s}s` there does as well, if its \
                     mode, direction and destinations let it"
                ));
            }
            match subject {
                Subject::Namespace(name) => documents.push(wanted.for_namespace(&name, &need.why, governing)),
                Subject::Cgroup(glob) => {
                    let (globs, why) = cgroups.entry(wanted).or_default();
                    globs.push(glob);
                    *why = need.why;
                }
            }
        }
        let mut number = 0;
        for (wanted, (globs, why)) in cgroups {
            let (name, taken) = free_name("", governing, number + 1);
            number = taken;
            documents.push(wanted.for_cgroups(&globs, &why, &name));
        }
        let text = documents.join("---\n");
        // What the daemon would refuse is no cure.
        (!documents.is_empty() && policy::parse("cure", &text, limits).is_ok()).then_some(text)
    }

    /// Half of what the strictest forgets after, or the default if that is shorter, and no less than the daemon takes.
    fn idle(&mut self, need: &Need, limits: &Limits) -> Option<u32> {
        let floor = limits.min_idle.as_secs() + u64::from(limits.min_idle.subsec_nanos() > 0);
        let floor = u32::try_from(floor).ok()?.max(1);
        let default = u32::try_from(DEFAULT_IDLE.as_secs()).ok()?;
        let Some(budget_s) = need.budget_s else { return Some(default.max(floor)) };
        let wanted = (budget_s / 2).clamp(1, default);
        if wanted < floor {
            self.note(format!(
                "against {budget_s} s it takes an idle time of {wanted} s, and the daemon takes no less than {floor} s; \
                 start it with --min-idle {wanted}s, and give `check` the same"
            ));
        }
        Some(wanted.max(floor)).filter(|idle| *idle < budget_s)
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What no policy puts right by an idle time.
    fn advise_on_the_rest(&mut self, groups: &[Group<'_>]) {
        let problems = || groups.iter().flat_map(|group| &group.problems).map(|(problem, _)| problem);
        if problems().any(|problem| matches!(problem, Problem::CannotHelp(_))) {
            self.notes.push(
                "against what counts bytes only, the application has to send some (pings of HTTP/2, gRPC or WebSocket \
                 where it lets them count), or its timeout has to be raised"
                    .to_owned(),
            );
        }
        if problems().any(|problem| matches!(problem, Problem::UserTimeout { .. })) {
            self.notes.push(
                "a user timeout that is too short is for whoever set it to raise: the application, or `userTimeout: \
                 auto` in a policy that set it; where an application has raised other values since, `keepalive-daemon \
                 apply --existing` lowers them again"
                    .to_owned(),
            );
        }
        if problems().any(|problem| matches!(problem, Problem::NotArmed(_))) {
            self.notes.push(
                "why a connection is not armed, `keepalive-daemon sockets --unarmed` tells of each"
                    .to_owned(),
            );
        }
        if problems().any(|problem| matches!(problem, Problem::Unknown)) {
            self.notes.push(
                "options that cannot be read say nothing: `keepalive-daemon probe` tells which privileges are missing"
                    .to_owned(),
            );
        }
    }
}

impl Subject {
    /// What a policy would select to govern a group; `None` if nothing is known that it could.
    fn of(group: &Group<'_>) -> Option<Self> {
        if let Some((namespace, _)) = group.pod.as_deref().and_then(|pod| pod.split_once('/')) {
            return Some(Self::Namespace(namespace.to_owned()));
        }
        let glob = literal(group.cgroup.as_deref()?);
        CgroupGlob::parse(&glob).is_ok().then_some(Self::Cgroup(glob))
    }
}

/// Whether a shorter idle time, or any at all, is what is missing.
const fn is_cured_by_idle(problem: &Problem<'_>) -> bool {
    match problem {
        Problem::NotArmed(_) | Problem::TooSlow { .. } | Problem::Tight { .. } => true,
        Problem::CannotHelp(_) | Problem::UserTimeout { .. } | Problem::Unknown => false,
    }
}

#[cfg(test)]
mod tests;
