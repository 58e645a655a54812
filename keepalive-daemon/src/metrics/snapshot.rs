//! What the loop tells of itself at a moment: numbers, and what names them.

use std::{collections::BTreeMap, time::Duration};

use keepalive_ebpf::Counters;
use prometheus_client::metrics::histogram::Histogram;

use super::Sums;
use crate::{
    policy::PolicySet,
    report::helped::{Help, Watch},
};

/// The state of the whole, in numbers.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// What has to happen for the daemon to be ready, by the name of the task, and whether it has.
    pub(super) tasks: Vec<(&'static str, bool)>,
    /// Those in force.
    pub(super) policies: PolicySet,
    /// Whether those in force are the ones that lie in the directory.
    pub(super) reloaded: bool,
    /// How many cgroups are attached to under each policy.
    pub(super) attached: BTreeMap<String, usize>,
    /// How many cgroups should be governed and are not, or not in full.
    pub(super) refused: usize,
    /// How often one came to be refused, by reason.
    pub(super) attach_errors: Vec<(&'static str, u64)>,
    pub(super) sums: Sums,
    /// What came of connections that were open already.
    pub(super) existing: Vec<(&'static str, u64)>,
    /// Absent if no open connection is to be changed.
    pub(super) sweeping: Option<Sweeping>,
    /// The kernel's maps that can fill up: entries and capacity.
    pub(super) maps: Vec<(&'static str, usize, usize)>,
    pub(super) reconciles: Histogram,
    /// Absent if no container runtime is asked.
    pub(super) runtime: Option<Runtime>,
    /// What keep-alive was good for, by policy, and how that is watched; absent if nobody does.
    pub(super) helped: Option<(BTreeMap<String, Help>, Watch)>,
    /// If they are asked for.
    pub(super) cgroups: Vec<OfCgroup>,
}

/// How the sweeper does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweeping {
    pub(super) works: bool,
    /// Network namespaces that could not be looked into.
    pub(super) unreachable: usize,
}

/// How the container runtime does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runtime {
    /// Whether it answers.
    pub(super) answers: bool,
    pub(super) pods: usize,
    /// Pods that no policy can reach.
    pub(super) unreachable: usize,
    /// Annotations that are not followed.
    pub(super) annotations: usize,
}

/// What a single cgroup counted.
#[derive(Debug)]
pub(super) struct OfCgroup {
    /// Labels and their values.
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) counted: Counters,
}

/// How long reconciling took. A clone shares what was observed.
#[derive(Clone, Debug)]
pub(crate) struct Reconciles(Histogram);

/// From what a change of one cgroup takes to what should have somebody look.
const SECONDS: [f64; 10] = [0.00025, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

impl Default for Reconciles {
    fn default() -> Self {
        Self(Histogram::new(SECONDS))
    }
}

impl Reconciles {
    pub(crate) fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }

    pub(super) fn histogram(&self) -> Histogram {
        self.0.clone()
    }
}
