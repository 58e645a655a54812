//! Which remote ends a policy is for, and with which values.

mod cidr;
mod compile;
mod ports;

use std::{collections::HashMap, fmt};

use keepalive_ebpf::Timers;

use super::{Policy, PolicyId, UserTimeout, timers};

pub use cidr::Cidr;
pub use compile::Compiled;
pub use ports::Ports;

use compile::{Entry, compile};

/// `spec.destinations`: the rules as they are written, and ready for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations {
    rules: Vec<Rule>,
    own: Compiled,
}

/// What a policy sets on connections to some remote ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The addresses; absent for all.
    pub cidr: Option<Cidr>,
    /// The ports, ranges apart; empty for all.
    pub ports: Vec<Ports>,
    /// What it has of its own.
    pub values: OwnValues,
}

/// The values that a rule has of its own; what is absent it inherits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnValues {
    /// Silence before the first probe, in seconds.
    pub idle_s: Option<u32>,
    /// Time between unanswered probes, in seconds.
    pub interval_s: Option<u32>,
    /// Unanswered probes that end the connection.
    pub probes: Option<u32>,
    /// When to give up on unacknowledged data.
    pub user_timeout: Option<UserTimeout>,
}

/// The values that rules inherit: those of the policy, or what a pod asked to have instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// What is set where no rule has other values.
    pub timers: Timers,
    /// How the user timeout is asked for: `auto` is another one where a rule has other values.
    pub user_timeout: Option<UserTimeout>,
}

impl Destinations {
    pub(super) fn new(rules: Vec<Rule>, inherited: &Inherited) -> Self {
        let own = compile(entries(&rules, inherited));
        Self { rules, own }
    }

    /// The rules in the order of the text.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// What the rules come to: each of a rule's ports is an entry of its own.
fn entries(rules: &[Rule], inherited: &Inherited) -> Vec<Entry> {
    let of_rule = |rule: &Rule| {
        let (cidr, timers) = (rule.cidr, rule.timers(inherited));
        let ports = if rule.ports.is_empty() { vec![Ports::ALL] } else { rule.ports.clone() };
        ports.into_iter().map(move |ports| Entry { cidr, ports, timers })
    };
    rules.iter().flat_map(of_rule).collect()
}

impl Rule {
    /// How many entries it comes to.
    pub(super) fn entries(&self) -> usize {
        self.ports.len().max(1)
    }

    /// The values to set where it is the one that wins.
    #[must_use]
    pub fn timers(&self, inherited: &Inherited) -> Timers {
        let Inherited { timers, user_timeout } = inherited;
        let idle_s = self.values.idle_s.unwrap_or(timers.idle_s);
        let interval_s = self.values.interval_s.unwrap_or(timers.interval_s);
        let probes = self.values.probes.unwrap_or(timers.probes);
        let user_timeout_ms = match self.values.user_timeout.or(*user_timeout) {
            None => Ok(0),
            Some(UserTimeout::After(after)) => timers::user_timeout(after),
            Some(UserTimeout::Auto) => timers::auto(idle_s, interval_s, probes),
        };
        // What a pod asks for may make `auto` more than the kernel takes: 24 days are as good as that.
        let user_timeout_ms = user_timeout_ms.unwrap_or(timers::MAX_USER_TIMEOUT_MS);
        Timers { idle_s, interval_s, probes, user_timeout_ms }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cidr {
            Some(cidr) => write!(f, "{cidr}")?,
            None => f.write_str("any address")?,
        }
        let ports: Vec<String> = self.ports.iter().map(Ports::to_string).collect();
        match &self.ports[..] {
            [] => Ok(()),
            [one] if one.is_single() => write!(f, " port {one}"),
            _ => write!(f, " ports {}", ports.join(", ")),
        }
    }
}

/// The rules of policies, ready for the kernel: they are compiled once, however many pods share them.
#[derive(Debug, Default)]
pub(crate) struct RuleSets<'p>(HashMap<(&'p PolicyId, [u32; 4], Option<UserTimeout>), Compiled>);

impl<'p> RuleSets<'p> {
    /// The rules of `policy` where they inherit these values; `None` if it is for all destinations.
    pub(crate) fn of(&mut self, policy: &'p Policy, inherited: &Inherited) -> Option<Compiled> {
        let destinations = policy.destinations.as_ref()?;
        if *inherited == policy.inherited() {
            return Some(destinations.own.clone());
        }
        let Timers { idle_s, interval_s, probes, user_timeout_ms } = inherited.timers;
        let key = (&policy.id, [idle_s, interval_s, probes, user_timeout_ms], inherited.user_timeout);
        let compiled = self.0.entry(key).or_insert_with(|| compile(entries(&destinations.rules, inherited)));
        Some(compiled.clone())
    }
}

#[cfg(test)]
mod tests;
