//! `policy list`: the policies in force and what they govern.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ForPeople, Table, in_force::InForce, status::plural};

/// The policies in force, in the order of their rank.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub(crate) struct PolicyList(pub(crate) Vec<PolicySummary>);

/// A policy in force.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicySummary {
    /// `namespace/name`, or `name` of a cluster policy.
    pub(crate) name: String,
    pub(crate) kind: String,
    /// Whether it is for pods; for cgroups otherwise.
    pub(crate) for_pods: bool,
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) priority: i32,
    pub(crate) values: InForce,
    /// Whether connections that are open already get what new ones get.
    pub(crate) apply_to_existing: bool,
    /// How many pods it governs, those that opted out apart.
    pub(crate) pods: usize,
    /// How many of the pods it would govern opted out.
    pub(crate) opted_out: usize,
    /// How many cgroups it governs that are not known as a pod's.
    pub(crate) cgroups: usize,
    /// How many pods and cgroups it selects that another policy governs.
    pub(crate) outranked: usize,
    /// Globs of it that match no cgroup.
    pub(crate) unmatched: Vec<String>,
}

impl ForPeople for PolicyList {
    fn for_people(&self) -> String {
        if self.0.is_empty() {
            return "no policies".to_owned();
        }
        let mut table = Table::new([
            "POLICY",
            "KIND",
            "PRIORITY",
            "MODE",
            "DIRECTION",
            "DESTINATIONS",
            "IDLE/INTERVAL/PROBES",
            "PODS",
            "OPTED OUT",
            "CGROUPS",
            "OUTRANKED",
            "WRITTEN IN",
        ]);
        for policy in &self.0 {
            table.row([
                policy.name.clone(),
                policy.kind.clone(),
                policy.priority.to_string(),
                policy.values.mode.clone(),
                policy.values.direction.clone(),
                policy.values.destinations_in_short(),
                policy.values.timers(),
                policy.pods.to_string(),
                policy.opted_out.to_string(),
                policy.cgroups.to_string(),
                policy.outranked.to_string(),
                format!("{}:{}", policy.file, policy.line),
            ]);
        }
        table.to_string()
    }
}

impl ForPeople for PolicySummary {
    fn for_people(&self) -> String {
        let Self { name, file, line, pods, cgroups, unmatched, .. } = self;
        let governed = if self.for_pods { plural(*pods, "pod") } else { plural(cgroups + pods, "cgroup") };
        let mut text = format!("policy {name} ({file}:{line}): governs {governed}");
        for glob in unmatched {
            let _ = write!(text, "\n  no cgroup matches {glob:?}");
        }
        text
    }
}
