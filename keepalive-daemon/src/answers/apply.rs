//! Which governed cgroups somebody means who asks for a sweep of their open connections.

use std::collections::BTreeMap;

use keepalive_ebpf::Mode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::State;
use crate::{
    policy::CgroupGlob,
    report::status::{plural, shown},
    sweeper::{Job, kind},
};

/// How many governed cgroups are named to whoever meant none of them.
const MOST_NAMED: usize = 8;

/// Governed cgroups: those of which all that is given is true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Selection {
    /// The namespace of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// The name of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    /// A glob on its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<String>,
    /// The policy that governs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// Only tell what would be done.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

impl State<'_> {
    /// The sweeps of what is selected, with the path of each cgroup.
    ///
    /// # Errors
    /// If nothing is selected; says what there is.
    pub(crate) fn sweeps_of(&self, selection: &Selection) -> Result<BTreeMap<u64, (String, Job)>, String> {
        let glob = selection.cgroup.as_deref().map(CgroupGlob::parse).transpose();
        let glob = glob.map_err(|fault| format!("--cgroup: {fault}"))?;
        let mut selected = BTreeMap::new();
        let mut governed = Vec::new();
        for (id, actual) in self.governor.attached() {
            let facts = self.facts(&actual.path);
            let has_values = actual.policy.is_some_and(|policy| policy.mode() != Mode::Nothing);
            if !has_values || self.node.cgroups().get(&actual.path) != Some(id) {
                continue;
            }
            let name = facts.map_or_else(|| shown(&actual.path), |pod| format!("pod {pod}"));
            governed.push(format!("{name} (policy {})", actual.policy_name));
            let is = |wanted: &Option<String>, is: Option<&str>| {
                wanted.as_deref().is_none_or(|wanted| is == Some(wanted))
            };
            let is_selected = is(&selection.namespace, facts.map(|pod| pod.namespace.as_str()))
                && is(&selection.pod, facts.map(|pod| pod.name.as_str()))
                && is(&selection.policy, Some(&actual.policy_name))
                && glob.as_ref().is_none_or(|glob| glob.matches(&actual.path));
            if is_selected {
                selected.insert(*id, shown(&actual.path));
            }
        }
        let sweep = kind(selection.dry_run);
        let jobs = self.sweeps.jobs(self.governor, self.node.cgroups(), selected.keys().copied(), sweep);
        let jobs: BTreeMap<_, _> =
            jobs.into_iter().filter_map(|(id, job)| Some((id, (selected.remove(&id)?, job)))).collect();
        if jobs.is_empty() { Err(nothing_selected(&governed)) } else { Ok(jobs) }
    }
}

fn nothing_selected(governed: &[String]) -> String {
    if governed.is_empty() {
        return "no cgroup is governed; `keepalive-daemon policy list` shows what policies select".to_owned();
    }
    let named = governed.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match governed.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(", and {more} more (`keepalive-daemon status` shows all)"),
    };
    format!(
        "nothing that is governed is selected; {} governed: {named}{more}",
        plural(governed.len(), "cgroup")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_means_nothing_is_told_what_there_is() {
        let governed: Vec<String> = (0..10).map(|n| format!("app{n} (policy p)")).collect();

        let message = nothing_selected(&governed);

        assert!(message.contains("10 cgroups governed: app0 (policy p), ") && message.contains("and 2 more"));
    }
}
