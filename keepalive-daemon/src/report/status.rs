//! `status`: what is attached, under which policy, and what came of it.

use std::fmt::Write as _;

use keepalive_ebpf::{Counters, Policy};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ForPeople, Table,
    counters::CounterReport,
    helped::{Help, Watch},
    in_force::InForce,
    open_connections::{LeftBehind, OpenConnections, Sweeping},
    policies::PolicySummary,
};
use crate::workloads::readable;

/// The state of the whole.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// The running daemon; absent if none answers, and what follows was read from the pins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) daemon: Option<Daemon>,
    /// The cgroups that are attached to.
    pub(crate) cgroups: Vec<Cgroup>,
    /// The cgroups that a policy selects and that could not be attached to.
    pub(crate) refused: Vec<Refusal>,
    /// The pods that no policy can reach.
    pub(crate) unreachable: Vec<PodTrouble>,
    /// The annotations of pods that are not followed.
    pub(crate) annotations: Vec<PodTrouble>,
    /// The cgroups that are no longer governed and whose open connections keep what they were given.
    #[serde(default)]
    pub(crate) no_longer_governed: Vec<LeftBehind>,
    /// Who was asked in vain, if no daemon answers; for people.
    #[serde(skip)]
    pub(crate) nobody: String,
}

/// The running daemon.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Daemon {
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) ready: bool,
    /// What is not done yet, if it is not ready.
    pub(crate) unfinished: Vec<String>,
    /// What somebody should look at, though what is governed stays so.
    #[serde(default)]
    pub(crate) troubles: Vec<String>,
    pub(crate) cgroup_root: String,
    /// The container runtime; absent if none is to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<Runtime>,
    /// How open connections are swept.
    pub(crate) sweeping: Sweeping,
    /// How it is found out whether it helped.
    #[serde(default)]
    pub(crate) helping: Watch,
    pub(crate) policies: Vec<PolicySummary>,
    /// Why the policies as they lie in the directory are not the ones in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy_error: Option<String>,
}

/// The container runtime.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Runtime {
    /// Its name and version; absent if none ever answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) socket: Option<String>,
    /// How many pods it told of; absent if it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pods: Option<usize>,
    /// Since when what is known of the pods may be out of date, as RFC 3339; absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stale_since: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
}

/// A cgroup that is attached to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cgroup {
    /// Relative to the cgroup root; `/` for the root itself.
    pub(crate) path: String,
    pub(crate) id: u64,
    /// The pod whose cgroup it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    pub(crate) policy: String,
    /// What is in force; absent if the bytes in the kernel are not a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_force: Option<InForce>,
    pub(crate) counters: CounterReport,
    /// What becomes of the connections that were open before the policy; absent if it sets nothing, or nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) open_connections: Option<OpenConnections>,
    /// What it was good for; absent if nobody watches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) helped: Option<Help>,
}

/// A cgroup that could not be attached to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refusal {
    pub(crate) path: String,
    pub(crate) reason: String,
}

/// Something about a pod that somebody should look at.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodTrouble {
    pub(crate) pod: String,
    /// The annotation, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) annotation: Option<String>,
    pub(crate) reason: String,
}

impl Daemon {
    /// Whether there may be pods that it does not know of and that a policy selects.
    pub(crate) fn misses_pods(&self) -> bool {
        let is_stale = self.runtime.as_ref().is_some_and(|runtime| runtime.trouble.is_some());
        is_stale && self.policies.iter().any(|policy| policy.for_pods)
    }
}

impl Cgroup {
    pub(crate) fn new(
        path: &str,
        id: u64,
        policy_name: &str,
        policy: Option<Policy>,
        counters: Counters,
    ) -> Self {
        Self {
            path: shown(path),
            id,
            pod: None,
            policy: policy_name.to_owned(),
            in_force: policy.filter(|policy| *policy != Policy::NOTHING).map(|p| InForce::new(&p)),
            counters: CounterReport::new(&counters),
            open_connections: None,
            helped: None,
        }
    }
}

impl Refusal {
    pub(crate) fn new(path: &str, reason: &str) -> Self {
        Self { path: shown(path), reason: reason.to_owned() }
    }
}

impl Status {
    /// Puts the cgroups in the order of their paths.
    pub(crate) fn sorted(mut self) -> Self {
        self.cgroups.sort_by(|one, other| one.path.cmp(&other.path));
        self.refused.sort_by(|one, other| one.path.cmp(&other.path));
        self.unreachable.sort_by(|one, other| one.pod.cmp(&other.pod));
        self
    }
}

impl ForPeople for Status {
    fn for_people(&self) -> String {
        let mut text = self.daemon.as_ref().map_or_else(
            || format!("{}; this is what is pinned, and in force\n", self.nobody),
            ForPeople::for_people,
        );
        if self.cgroups.is_empty() {
            text.push_str("\nno cgroup is governed\n");
        } else {
            let _ = write!(text, "\n{}", cgroup_table(&self.cgroups));
        }
        for refusal in &self.refused {
            let _ = write!(text, "\nnot governed: {}: {}\n", refusal.path, refusal.reason);
        }
        for PodTrouble { pod, reason, .. } in &self.unreachable {
            let _ = write!(text, "\nout of reach: pod {pod}: {reason}\n");
        }
        for PodTrouble { pod, annotation, reason } in &self.annotations {
            let annotation = annotation.as_deref().unwrap_or_default();
            let _ = write!(text, "\nnot followed: pod {pod}: {annotation}: {reason}\n");
        }
        for left in &self.no_longer_governed {
            let _ = write!(text, "\n{}\n", left.for_people());
        }
        text
    }
}

impl ForPeople for Daemon {
    fn for_people(&self) -> String {
        let state = if self.ready {
            "ready".to_owned()
        } else {
            format!("not ready, has yet to: {}", self.unfinished.join("; "))
        };
        let mut text = format!("daemon {} (pid {}): {state}\n", self.version, self.pid);
        for trouble in &self.troubles {
            let _ = writeln!(text, "trouble: {trouble}");
        }
        if let Some(runtime) = &self.runtime {
            let _ = writeln!(text, "{}", runtime.for_people());
        }
        text.push_str(&self.sweeping.for_people());
        text.push_str(&self.helping.for_people());
        for policy in &self.policies {
            let _ = writeln!(text, "{}", policy.for_people());
        }
        if let Some(error) = &self.policy_error {
            let _ = write!(
                text,
                "\nthe policies in the directory cannot be used; what was in force stays so:\n{error}\n"
            );
        }
        text
    }
}

impl ForPeople for Runtime {
    fn for_people(&self) -> String {
        let Self { name, socket, pods, stale_since, trouble } = self;
        let name = name.as_deref().unwrap_or("none");
        let place = socket.as_ref().map_or_else(String::new, |socket| format!(" on {socket}"));
        let known = pods.map_or_else(|| "pods unknown".to_owned(), |pods| plural(pods, "pod"));
        let mut text = format!("container runtime {name}{place}: {known}");
        if let Some(since) = stale_since {
            let _ = write!(text, ", stale since {since}");
        }
        if let Some(trouble) = trouble {
            let _ = write!(text, ": {trouble}");
        }
        text
    }
}

fn cgroup_table(cgroups: &[Cgroup]) -> Table {
    // Without pods the column would be empty.
    let with_pods = cgroups.iter().any(|cgroup| cgroup.pod.is_some());
    let mut table = Table::new([
        if with_pods { "POD, OR CGROUP" } else { "CGROUP" },
        "POLICY",
        "MODE",
        "DIRECTION",
        "IDLE/INTERVAL/PROBES",
        "CONNECTIONS",
        "ARMED",
        "TIGHTENED",
        "LEFT ALONE",
        "REFUSED",
        "OPEN",
        "HELPED",
    ]);
    for cgroup in cgroups {
        let Cgroup { path, id: _, pod, policy, in_force, counters, open_connections, helped } = cgroup;
        let [mode, direction, values] = in_force.as_ref().map_or_else(
            || ["nothing", "-", "-"].map(str::to_owned),
            |in_force| [in_force.mode.clone(), in_force.direction.clone(), in_force.values()],
        );
        table.row([
            pod.as_ref().unwrap_or(path).clone(),
            policy.clone(),
            mode,
            direction,
            values,
            counters.established().to_string(),
            counters.armed().to_string(),
            counters.tightened(),
            counters.left_alone(),
            counters.refused(),
            open_connections.as_ref().map_or_else(|| "-".to_owned(), OpenConnections::text),
            helped.as_ref().map_or_else(|| "-".to_owned(), Help::text),
        ]);
    }
    table
}

/// A number and its noun.
pub(crate) fn plural(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

pub(crate) fn shown(path: &str) -> String {
    if path.is_empty() { "/".to_owned() } else { readable(path) }
}
