//! The counters of a cgroup as programs read them.

use std::collections::BTreeMap;

use keepalive_ebpf::{COUNTER_NAMES, Counters};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The counters of refusals, and what was refused.
const REFUSED: &[(&str, &str)] = &[
    ("refused_keepalive", "SO_KEEPALIVE"),
    ("refused_idle", "TCP_KEEPIDLE"),
    ("refused_interval", "TCP_KEEPINTVL"),
    ("refused_probes", "TCP_KEEPCNT"),
    ("refused_user_timeout", "TCP_USER_TIMEOUT"),
    ("refused_option", "other options"),
    ("refused_claim", "claim"),
];

/// Counters by name, without those that are zero: what is there is what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub(crate) struct CounterReport(BTreeMap<String, u64>);

impl CounterReport {
    pub(crate) fn new(counters: &Counters) -> Self {
        let named = COUNTER_NAMES.iter().map(ToString::to_string).zip(counters.to_words());
        Self(named.filter(|(_, count)| *count > 0).collect())
    }

    pub(crate) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Connections that the policy looked at.
    pub(crate) fn established(&self) -> u64 {
        self.get("outbound") + self.get("inbound")
    }

    pub(crate) fn armed(&self) -> u64 {
        self.get("armed") + self.get("armed_blind")
    }

    /// The connections whose values were lowered or replaced, and the later calls that Enforce rewrote.
    pub(crate) fn tightened(&self) -> String {
        let tightened = self.get("tightened") + self.get("overridden");
        let options = ["keepalive", "idle", "interval", "probes", "user_timeout"];
        match options.iter().map(|option| self.get(&format!("rewritten_{option}"))).sum::<u64>() {
            0 => tightened.to_string(),
            1 => format!("{tightened}, 1 later call rewritten"),
            rewritten => format!("{tightened}, {rewritten} later calls rewritten"),
        }
    }

    /// What was left alone, with the reasons.
    pub(crate) fn left_alone(&self) -> String {
        self.list(&[
            ("kept_chosen", "application's choice"),
            ("kept_tighter", "tighter already"),
            ("kept_direction", "other direction"),
            ("kept_destination", "other destination"),
            ("yielded", "deeper cgroup's policy"),
            ("would_arm", "monitor: would arm"),
            ("would_tighten", "monitor: would tighten"),
        ])
    }

    /// How many options the kernel refused.
    pub(crate) fn refusals(&self) -> u64 {
        REFUSED.iter().map(|(name, _)| self.get(name)).sum()
    }

    /// What the kernel refused, by option.
    pub(crate) fn refused(&self) -> String {
        let mut refused = self.list(REFUSED);
        if let Ok(errno @ 1..) = i32::try_from(self.get("last_errno")) {
            refused.push_str(&format!(" (last: {})", nix::errno::Errno::from_raw(errno)));
        }
        refused
    }

    fn list(&self, named: &[(&str, &str)]) -> String {
        let counted = named.iter().map(|(name, text)| (self.get(name), text)).filter(|(n, _)| *n > 0);
        let counted: Vec<String> = counted.map(|(count, text)| format!("{count} {text}")).collect();
        if counted.is_empty() { "-".to_owned() } else { counted.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_happen_is_not_listed() {
        let counters = Counters { outbound: 3, armed: 2, kept_chosen: 1, ..Counters::default() };

        let report = CounterReport::new(&counters);

        assert_eq!(
            serde_json::to_value(&report).ok(),
            Some(serde_json::json!({"outbound": 3, "armed": 2, "kept_chosen": 1}))
        );
        assert_eq!((report.established(), report.armed()), (3, 2));
        assert_eq!(report.left_alone(), "1 application's choice");
        assert_eq!(report.refused(), "-");
    }

    #[test]
    fn what_enforce_rewrote_is_told_beside_what_it_replaced() {
        let mut counters = Counters { tightened: 1, overridden: 2, ..Counters::default() };
        assert_eq!(CounterReport::new(&counters).tightened(), "3");

        counters.rewritten_keepalive = 4;
        counters.rewritten_user_timeout = 5;
        assert_eq!(CounterReport::new(&counters).tightened(), "3, 9 later calls rewritten");
    }

    #[test]
    fn a_refusal_names_the_option_and_the_error() {
        let counters = Counters { refused_idle: 2, last_errno: 22, ..Counters::default() };

        assert_eq!(
            CounterReport::new(&counters).refused(),
            "2 TCP_KEEPIDLE (last: EINVAL: Invalid argument)"
        );
    }
}
