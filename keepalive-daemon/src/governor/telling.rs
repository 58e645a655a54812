//! What the governor tells of: changes as events, and what became of connections, from the counters.

use std::collections::BTreeSet;

use tracing::warn;

use super::{Cause, Governor};
use crate::{
    journal::{Event, Kind, Ledger, Whose},
    plan::{Desired, Note},
    reconcile::Action,
    report::status::shown,
    workloads::Placed,
};

/// That something was done to what is desired of a cgroup.
pub(super) fn of(kind: Kind, want: &Desired, why: &str) -> Event {
    Event {
        cgroup: Some(shown(&want.path)),
        pod: want.pod.clone(),
        policy: Some(want.policy_name.clone()),
        why: Some(why.to_owned()),
        ..Event::new(kind)
    }
}

/// That something could not be done.
pub(super) fn refusal(kind: Kind, action: &Action, reason: String) -> Event {
    let (pod, policy) = match action {
        Action::Attach(want)
        | Action::Write(want)
        | Action::Replace(want)
        | Action::Guard(want)
        | Action::Unguard(want) => (want.pod.clone(), want.policy_name.clone()),
        Action::Detach(have) => (None, have.policy_name.clone()),
    };
    Event {
        cgroup: Some(shown(action.path())),
        pod,
        policy: Some(policy),
        reason: Some(reason),
        ..Event::new(kind)
    }
}

/// That a pod asks for what it does not get.
pub(super) fn annotation(pod: &str, annotation: &str, reason: &str) -> Event {
    Event {
        pod: Some(pod.to_owned()),
        annotation: Some(annotation.to_owned()),
        reason: Some(reason.to_owned()),
        ..Event::new(Kind::AnnotationRefused)
    }
}

impl Governor {
    /// Warns of what was not warned of before; of ties once for as long as the policies stay the same, whichever
    /// pods come and go.
    pub(super) fn tell(&mut self, notes: BTreeSet<Note>, cause: Cause) {
        if cause == Cause::Policies {
            self.told_ties.retain(|tie| notes.contains(&Note::Tie(tie.clone())));
        }
        for note in notes.difference(&self.notes) {
            match note {
                Note::Annotation { pod, annotation, reason, .. } => {
                    self.journal.push(self::annotation(pod, annotation, reason));
                }
                Note::Tie(tie) if self.told_ties.insert(tie.clone()) => warn!(
                    governs = %tie.winner, not = %tie.loser,
                    "two policies of equal rank select the same workload, and the first name wins; give one a priority"
                ),
                Note::Tie(_) => {}
            }
        }
        self.notes = notes;
    }

    /// Warns, once, if this kernel was seen not to tell a program what an application asked for: the modes that respect
    /// it then cannot.
    pub(crate) fn warn_if_blind(&mut self) {
        let blind = |id: &u64| self.counted.totals.of_cgroup(*id).armed_blind > 0;
        if !self.told_blind && self.actual.keys().any(blind) {
            self.told_blind = true;
            warn!(
                "this kernel (before 6.1) does not let a sock_ops program read socket options: FillMissing and \
                 Tighten set the policy's values also where an application had asked for keep-alive before the \
                 connection was established"
            );
        }
    }

    /// Notes what the pods are called that are governed: of one that is gone, the runtime no longer tells. What is no
    /// longer governed is forgotten.
    pub(super) fn name_pods(&mut self, pods: Option<&Placed>) {
        self.pods.retain(|id, _| self.actual.contains_key(id));
        self.ledger.retain(|id| self.actual.contains_key(&id));
        let Some(pods) = pods else { return };
        let named = self.actual.iter().filter_map(|(id, it)| Some((*id, pods.by_path.get(&it.path)?)));
        let unknown: Vec<_> = named.filter(|(id, _)| !self.pods.contains_key(id)).collect();
        self.pods.extend(unknown.into_iter().map(|(id, pod)| (id, pod.facts.to_string())));
    }

    /// Something about a governed cgroup.
    pub(crate) fn about(&self, kind: Kind, id: u64) -> Event {
        let actual = self.actual.get(&id);
        Event {
            cgroup: actual.map(|actual| shown(&actual.path)),
            pod: self.pods.get(&id).cloned(),
            policy: actual.map(|actual| actual.policy_name.clone()),
            ..Event::new(kind)
        }
    }

    /// Tells what became of connections of some of the cgroups, whose turn it is; returns when the next have theirs.
    pub(crate) fn count(&mut self) -> std::time::Duration {
        for id in self.ledger.turn(&self.actual) {
            self.count_one(id);
        }
        Ledger::pause(self.actual.len())
    }

    /// Tells what became of connections of a cgroup since that was told last, and adds it up. The counters of one that the kernel has
    /// removed are gone, and with them what it counted in its last seconds.
    pub(super) fn count_one(&mut self, id: u64) {
        let Some(actual) = self.actual.get(&id) else { return };
        let Ok(Some(counters)) = self.kernel.counters(id) else { return };
        if self.ledger.is_known(id, &counters) {
            return;
        }
        self.counted.totals.count(id, &actual.policy_name, counters);
        let pod = self.pods.get(&id).map(String::as_str);
        let whose = Whose { id, cgroup: &shown(&actual.path), pod, policy: &actual.policy_name };
        for event in self.ledger.news(whose, counters) {
            self.journal.push(event);
        }
    }
}
