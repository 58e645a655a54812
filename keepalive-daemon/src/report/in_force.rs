//! A policy as it lies in the kernel, for people and programs.

mod options;

use std::time::Duration;

use keepalive_ebpf::{Policy, Timers};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::status::plural;
use options::OptionValues;

/// The mode that is shown of a pod that opted out below a governed cgroup.
const EXEMPT: &str = "Exempt";

/// A policy as it lies in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InForce {
    pub(crate) mode: String,
    pub(crate) direction: String,
    pub(crate) idle_seconds: u32,
    pub(crate) interval_seconds: u32,
    pub(crate) probes: u32,
    /// Absent if the policy leaves the socket's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_timeout_milliseconds: Option<u32>,
    /// The rules for destinations with their values, as they are written; absent if it is for all, and empty if
    /// nobody knows them: without a daemon, or where its policies are others than those in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) destinations: Option<Vec<String>>,
    /// The other options that it sets.
    #[serde(default, skip_serializing_if = "OptionValues::is_empty")]
    pub(crate) options: OptionValues,
    /// Whether an ancestor is governed too and yields to this.
    pub(crate) nested: bool,
}

impl InForce {
    pub(crate) fn new(policy: &Policy) -> Self {
        let timers = policy.timers();
        Self {
            mode: if policy.is_exempt() { EXEMPT.to_owned() } else { format!("{:?}", policy.mode()) },
            direction: format!("{:?}", policy.direction()),
            idle_seconds: timers.idle_s,
            interval_seconds: timers.interval_s,
            probes: timers.probes,
            user_timeout_milliseconds: (timers.user_timeout_ms > 0).then_some(timers.user_timeout_ms),
            destinations: (policy.destinations() != 0).then(Vec::new),
            options: OptionValues::new(policy.options()),
            nested: policy.claims(),
        }
    }

    /// The same where these are the rules that it refers to, if it refers to any.
    pub(crate) fn with_rules(self, rules: Vec<String>) -> Self {
        Self { destinations: self.destinations.map(|_| rules), ..self }
    }

    /// The values as a person reads them: idle, interval and probes, the user timeout if any, and how many rules for
    /// destinations have others.
    pub(crate) fn values(&self) -> String {
        match self.destinations {
            Some(_) => format!("{} ({})", self.timers(), self.destinations_in_short()),
            None => self.timers(),
        }
    }

    /// Idle, interval and probes, and the user timeout if any.
    pub(crate) fn timers(&self) -> String {
        if self.mode == EXEMPT {
            return "-".to_owned();
        }
        timers(&Timers {
            idle_s: self.idle_seconds,
            interval_s: self.interval_seconds,
            probes: self.probes,
            user_timeout_ms: self.user_timeout_milliseconds.unwrap_or_default(),
        })
    }

    /// `all`, or how many rules there are.
    pub(crate) fn destinations_in_short(&self) -> String {
        match self.destinations.as_deref() {
            None => "all".to_owned(),
            Some([]) => "some".to_owned(),
            Some(rules) => plural(rules.len(), "rule"),
        }
    }
}

/// Timers as a person reads them.
pub(crate) fn timers(timers: &Timers) -> String {
    let Timers { idle_s, interval_s, probes, user_timeout_ms } = timers;
    let mut shown = format!("{idle_s}s/{interval_s}s/{probes}");
    if *user_timeout_ms > 0 {
        let timeout = Duration::from_millis((*user_timeout_ms).into());
        shown.push_str(&format!(" ut {}", humantime::format_duration(timeout)));
    }
    shown
}

#[cfg(test)]
mod tests {
    use keepalive_ebpf::{Direction, Mode, Options};

    use super::*;

    const TIMERS: Timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 120_000 };

    #[test]
    fn what_is_not_set_is_not_shown() {
        let shown = InForce::new(&Policy::new(Mode::Tighten, Direction::Both, TIMERS));

        assert_eq!(shown.values(), "60s/15s/4 ut 2m");
        assert_eq!((shown.destinations_in_short(), shown.options.shown()), ("all".to_owned(), None));
        let json = serde_json::to_value(&shown).unwrap_or_default();
        assert!(json.get("destinations").is_none() && json.get("options").is_none(), "{json}");
    }

    #[test]
    fn options_and_rules_are_shown_by_the_names_they_have_in_policies() {
        let which = Options::NO_DELAY | Options::MARK | Options::CONGESTION;
        let mut options = Options { which, mark: 31, ..Options::NONE };
        options.congestion[..3].copy_from_slice(b"bbr");
        let policy = Policy::new(Mode::Tighten, Direction::Both, TIMERS).to_destinations(7);

        let unknown = InForce::new(&policy.with_options(options));
        let known = unknown.clone().with_rules(vec!["10.0.0.0/8: 30s/15s/4".to_owned()]);

        assert_eq!(unknown.values(), "60s/15s/4 ut 2m (some)");
        assert_eq!(known.values(), "60s/15s/4 ut 2m (1 rule)");
        assert_eq!(known.options.shown().as_deref(), Some("noDelay false, congestion bbr, mark 0x1f"));
        let json = serde_json::to_value(&known).unwrap_or_default();
        assert_eq!(json["options"], serde_json::json!({"noDelay": false, "congestion": "bbr", "mark": 31}));
        assert_eq!(json["destinations"], serde_json::json!(["10.0.0.0/8: 30s/15s/4"]));
        assert_eq!(serde_json::from_value::<InForce>(json).ok(), Some(known));
    }
}
