//! What became of connections that were open before their policy, as `status` tells it.

use std::time::SystemTime;

use keepalive_ebpf::{Outcome, Policy};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    in_force::InForce,
    status::{plural, shown},
};
use crate::sweeper::Tally;

/// The open connections of a governed cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenConnections {
    /// `swept`: they have what new ones get; `pending` and `running`: they will; `partial`: all have but those that
    /// nobody has accepted yet, which the method does not reach before, or that are in a network namespace which cannot
    /// be entered; `off`: the policy is not for them; `unavailable`: they cannot be got at.
    pub(crate) state: String,
    /// What the last sweep found; absent if this daemon made none.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<Counts>,
}

/// What a sweep found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    pub(crate) examined: u64,
    pub(crate) armed: u64,
    pub(crate) tightened: u64,
    pub(crate) overridden: u64,
    pub(crate) kept_chosen: u64,
    pub(crate) kept_tighter: u64,
    pub(crate) kept_direction: u64,
    pub(crate) kept_destination: u64,
    /// Monitor.
    pub(crate) would_arm: u64,
    /// Monitor.
    pub(crate) would_tighten: u64,
    /// Connections of which the kernel refused an option.
    pub(crate) refused: u64,
    /// What it said last when it refused one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// When it was finished, as RFC 3339.
    pub(crate) at: String,
}

/// What a sweep found, and when.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) tally: Tally,
    pub(crate) at: SystemTime,
}

/// A cgroup that is no longer governed, with connections that keep what they were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LeftBehind {
    pub(crate) cgroup: String,
    /// The policy that governed it last.
    pub(crate) policy: String,
    pub(crate) values: InForce,
    /// How many connections had its values when it left.
    pub(crate) connections: u64,
    /// Since when, as RFC 3339.
    pub(crate) since: String,
}

/// The sweeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sweeping {
    /// `iterator`, `descriptors` or `none`; absent while there was nothing to sweep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    /// Why open connections cannot be swept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
    /// The network namespaces that it cannot look into, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreachable: Vec<String>,
}

impl OpenConnections {
    pub(crate) fn new(state: &str, found: Option<&Found>) -> Self {
        Self { state: state.to_owned(), last: found.map(Counts::from) }
    }

    /// In a few characters: what matters most of it.
    pub(crate) fn text(&self) -> String {
        let Some(last) = self.last.as_ref().filter(|_| matches!(&*self.state, "swept" | "off")) else {
            return self.state.clone();
        };
        let counts = [
            (last.armed, "armed"),
            (last.tightened, "tightened"),
            (last.overridden, "overridden"),
            (last.would_arm + last.would_tighten, "would change"),
            (last.refused, "refused"),
        ];
        let told: Vec<String> =
            counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if told.is_empty() { self.state.clone() } else { told.join(", ") }
    }
}

impl From<&Found> for Counts {
    fn from(Found { tally, at }: &Found) -> Self {
        Self {
            examined: tally.examined(),
            armed: tally.of(Outcome::Arm),
            tightened: tally.of(Outcome::Tighten),
            overridden: tally.of(Outcome::Override),
            kept_chosen: tally.of(Outcome::KeepChosen),
            kept_tighter: tally.of(Outcome::KeepTighter),
            kept_direction: tally.of(Outcome::KeepDirection),
            kept_destination: tally.of(Outcome::KeepDestination),
            would_arm: tally.of(Outcome::WouldArm),
            would_tighten: tally.of(Outcome::WouldTighten),
            refused: tally.refused(),
            error: tally.error(),
            at: humantime::format_rfc3339_seconds(*at).to_string(),
        }
    }
}

impl LeftBehind {
    pub(crate) fn new(path: &str, policy: &str, gave: &Policy, connections: u64, since: SystemTime) -> Self {
        Self {
            cgroup: shown(path),
            policy: policy.to_owned(),
            values: InForce::new(gave),
            connections,
            since: humantime::format_rfc3339_seconds(since).to_string(),
        }
    }

    pub(crate) fn for_people(&self) -> String {
        let Self { cgroup, policy, values, connections, since } = self;
        let connections = plural(usize::try_from(*connections).unwrap_or(usize::MAX), "connection");
        let values = values.values();
        format!("no longer governed: {cgroup}: {connections} keep {values} of policy {policy}, since {since}")
    }
}

impl Sweeping {
    /// A line, or several; empty if there is nothing that somebody should know.
    pub(crate) fn for_people(&self) -> String {
        let mut text = String::new();
        if let Some(method) = &self.method {
            text.push_str(&format!("open connections: swept by method {method}\n"));
        }
        if let Some(trouble) = &self.trouble {
            text.push_str(&format!(
                "open connections cannot be swept where OPEN is `unavailable`, only new ones are governed: {trouble}\n"
            ));
        }
        for unreachable in &self.unreachable {
            text.push_str(&format!("open connections out of reach: {unreachable}\n"));
        }
        text
    }
}
