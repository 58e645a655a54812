//! The rules for destinations of what is in force: the kernel has them in a form that nobody can read.

use std::collections::HashMap;

use keepalive_ebpf::Policy as InKernel;

use crate::{
    policy::{Destinations, Inherited, PodFacts, Policy, PolicySet, RuleSets},
    report::in_force::{InForce, timers},
};

/// Tells the rules of policies.
pub(super) struct Rules<'p> {
    by_name: HashMap<String, &'p Policy>,
    sets: RuleSets<'p>,
}

impl<'p> Rules<'p> {
    pub(super) fn of(policies: &'p PolicySet) -> Self {
        let with_rules = policies.iter().filter(|policy| policy.destinations.is_some());
        let by_name = with_rules.map(|policy| (policy.id.to_string(), policy)).collect();
        Self { by_name, sets: RuleSets::default() }
    }

    /// A policy where no pod asks for other values.
    pub(super) fn of_policy(&mut self, policy: &'p Policy) -> InForce {
        let compiled = self.sets.of(policy, &policy.inherited());
        let shown = InForce::new(&policy.in_kernel(policy.timers, compiled.as_ref()));
        shown.with_rules(told(policy, &policy.inherited()))
    }

    /// What the kernel has for a cgroup, which is that of a pod if there is one. Its rules are known if they are those
    /// of the policy that has its name now.
    pub(super) fn in_force(
        &mut self,
        in_kernel: &InKernel,
        policy_name: &str,
        pod: Option<&PodFacts>,
    ) -> InForce {
        let shown = InForce::new(in_kernel);
        let Some(policy) = self.by_name.get(policy_name).copied() else { return shown };
        let inherited = pod.map_or_else(|| policy.inherited(), |pod| policy.govern(pod).inherited());
        match self.sets.of(policy, &inherited) {
            Some(compiled) if compiled.id == in_kernel.destinations() => {
                shown.with_rules(told(policy, &inherited))
            }
            _ => shown,
        }
    }
}

fn told(policy: &Policy, inherited: &Inherited) -> Vec<String> {
    let rules = policy.destinations.iter().flat_map(Destinations::rules);
    rules.map(|rule| format!("{rule}: {}", timers(&rule.timers(inherited)))).collect()
}
