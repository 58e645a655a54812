//! What the loop answers to those who ask it.

use super::Daemon;
use crate::{
    answers::State,
    api::Question,
    metrics,
    policy::PolicySet,
    readiness::Task,
    report::{health::Health, policies::PolicyList, status},
    sweeper::Manual,
    workloads::Placed,
};

impl Daemon {
    /// Answers; whoever asked may have gone away meanwhile, and then there is nobody to tell.
    pub(super) fn answer(&self, question: Question) {
        let none = PolicySet::empty();
        let policies = self.policies.as_ref().unwrap_or(&none);
        let unknown = Placed::default();
        let pods = self.node.pods().unwrap_or(&unknown);
        let Self { node, governor, sweeps, helped, .. } = self;
        let state = State { policies, node, pods, governor, sweeps, helped };
        match question {
            Question::Status(to) => {
                let daemon = self.describe(state.policies(), state.runtime());
                let _ = to.send(status::Status { daemon: Some(daemon), ..state.status() });
            }
            Question::Policies(to) => {
                let _ = to.send(state.policies());
            }
            Question::Explain(subject, to) => {
                let _ = to.send(state.explain(&subject));
            }
            Question::Apply(selection, asker) => match state.sweeps_of(&selection) {
                Ok(jobs) => self.sweeps.apply(Manual::new(asker, jobs, selection.dry_run)),
                Err(reason) => {
                    let _ = asker.reply.send(Err(reason));
                }
            },
            Question::Places(query, to) => {
                let _ = to.send(state.places(&query));
            }
            Question::Health(to) => {
                let _ = to.send(self.health());
            }
        }
    }

    /// Answers to those who watch.
    pub(super) fn tell(&self, question: metrics::Question) {
        match question {
            metrics::Question::Health(to) => {
                let _ = to.send(self.health());
            }
            metrics::Question::Snapshot(to) => {
                let view = metrics::View {
                    policies: self.policies.as_ref(),
                    reloaded: self.readiness.is_done(Task::ReadPolicies),
                    readiness: &self.readiness,
                    node: &self.node,
                    governor: &self.governor,
                    sweeps: &self.sweeps,
                    helped: &self.helped,
                    reconciles: &self.reconciles,
                    labels: &self.labels,
                };
                let _ = to.send(Box::new(view.snapshot()));
            }
        }
    }

    fn describe(&self, policies: PolicyList, runtime: Option<status::Runtime>) -> status::Daemon {
        let Health { ready, unfinished } = self.health();
        status::Daemon {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready,
            unfinished,
            cgroup_root: self.node.root().display().to_string(),
            runtime,
            sweeping: self.sweeps.describe(),
            helping: self.helped.describe(),
            policies: policies.0,
            policy_error: self.policy_error.clone(),
        }
    }

    fn health(&self) -> Health {
        let mut unfinished: Vec<String> =
            self.readiness.unfinished().into_iter().map(str::to_owned).collect();
        let trouble =
            self.node.runtime().trouble.as_ref().filter(|_| !self.readiness.is_done(Task::LearnPods));
        unfinished.extend(trouble.map(|trouble| trouble.message.clone()));
        Health { ready: self.readiness.is_ready(), unfinished }
    }
}
