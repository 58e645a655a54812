//! `policy explain`: which policies were looked at for a pod or a cgroup, which governs, why, and with which
//! values.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ForPeople, Table, in_force::InForce, status::PodTrouble};

/// Why a workload is governed as it is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explanation {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<Pod>,
    /// Its cgroup; absent if that is not known or not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<String>,
    /// Why no policy can reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unreachable: Option<String>,
    /// All policies in the order of their rank.
    pub(crate) considered: Vec<Considered>,
    /// What decides, in a sentence.
    pub(crate) outcome: String,
    /// The values that result, in its own cgroup or from one above; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) values: Option<InForce>,
    /// Whether connections that were open before it get them too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) apply_to_existing: Option<bool>,
    /// What is in force in the kernel, in its own cgroup or else in the next above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_force: Option<InForce>,
    /// Why what results could not be put in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
    /// The pod's annotations that changed something.
    pub(crate) followed: Vec<String>,
    /// The pod's annotations that are not followed.
    pub(crate) not_followed: Vec<PodTrouble>,
    /// Since when what is known of the pods may be out of date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stale_since: Option<String>,
}

/// A pod, as its runtime tells of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pod {
    /// `namespace/name`
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) sandbox: String,
    /// Its network namespace; absent if it uses the node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<String>,
}

/// A policy that was looked at.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Considered {
    pub(crate) policy: String,
    pub(crate) kind: String,
    pub(crate) priority: i32,
    pub(crate) verdict: String,
    pub(crate) reason: String,
}

impl ForPeople for Explanation {
    fn for_people(&self) -> String {
        let mut text = String::new();
        if let Some(Pod { name, uid, sandbox, network }) = &self.pod {
            let network = network.as_deref().unwrap_or("the node's");
            let _ = writeln!(text, "pod       {name} (uid {uid})\nsandbox   {sandbox}\nnetwork   {network}");
        }
        let _ = writeln!(text, "cgroup    {}", self.cgroup.as_deref().unwrap_or("-"));
        let _ = writeln!(text, "outcome   {}", self.outcome);
        let shown = |it: &InForce| format!("{} {} {}", it.mode, it.direction, it.values());
        if let Some(values) = &self.values {
            let _ = writeln!(text, "values    {}", shown(values));
            for rule in values.destinations.iter().flatten() {
                let _ = writeln!(text, "  to      {rule}");
            }
            if let Some(options) = values.options.shown() {
                let _ = writeln!(text, "options   {options}");
            }
        }
        if self.apply_to_existing == Some(false) {
            text.push_str("existing  left alone: connections that were open before keep what they have\n");
        }
        match (&self.in_force, &self.refused) {
            (_, Some(reason)) => {
                let _ = writeln!(text, "in force  no: {reason}");
            }
            (in_force, None) if *in_force == self.values => {
                let _ = writeln!(text, "in force  {}", if in_force.is_some() { "yes" } else { "nothing" });
            }
            (Some(other), None) => {
                let _ = writeln!(text, "in force  {}", shown(other));
            }
            (None, None) => {
                let _ = writeln!(text, "in force  not yet");
            }
        }
        for annotation in &self.followed {
            let _ = writeln!(text, "followed  {annotation}");
        }
        for PodTrouble { annotation, reason, .. } in &self.not_followed {
            let annotation = annotation.as_deref().unwrap_or_default();
            let _ = writeln!(text, "not followed  {annotation}: {reason}");
        }
        if let Some(since) = &self.stale_since {
            let _ = writeln!(text, "stale since {since}: the container runtime does not answer");
        }
        if self.considered.is_empty() {
            text.push_str("\nno policies\n");
            return text;
        }
        let mut table = Table::new(["POLICY", "KIND", "PRIORITY", "VERDICT", "WHY"]);
        for Considered { policy, kind, priority, verdict, reason } in &self.considered {
            let cells = [policy, kind, &priority.to_string(), verdict, reason];
            table.row(cells.map(String::clone));
        }
        let _ = write!(text, "\n{table}");
        text
    }
}
