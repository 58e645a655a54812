//! `apply`: what was done to open connections because somebody asked for it.

use std::fmt::Write as _;

use keepalive_ebpf::Outcome;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ForPeople, status::plural, sweep::SweptSockets};
use crate::sweeper::Tally;

/// What came of the open connections of some governed cgroups.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Applied {
    /// By what means they were got at.
    pub(crate) method: Option<String>,
    /// How many governed cgroups were looked at.
    pub(crate) cgroups: usize,
    pub(crate) totals: Totals,
    /// Connections that cannot be got at: mostly because nobody has accepted them yet.
    pub(crate) not_accepted: usize,
    /// The network namespaces that could not be looked into, and the cgroups whose connections could not be swept, and why.
    pub(crate) unreachable: Vec<String>,
    /// Those that were, or would be, changed; ten thousand at most.
    #[serde(flatten)]
    pub(crate) connections: SweptSockets,
    /// How many more were, or would be.
    pub(crate) more: u64,
}

/// Counts of connections; of a dry run, of those that would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Totals {
    pub(crate) examined: u64,
    pub(crate) armed: u64,
    pub(crate) tightened: u64,
    pub(crate) overridden: u64,
    /// Monitor: what would be armed or tightened in another mode.
    pub(crate) monitored: u64,
    /// Connections of which the kernel refused an option.
    pub(crate) refused: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, tally: &Tally, is_only_counted: bool) {
        self.examined += tally.examined();
        if is_only_counted {
            self.monitored += tally.of(Outcome::Arm) + tally.of(Outcome::Tighten);
            return;
        }
        self.armed += tally.of(Outcome::Arm);
        self.tightened += tally.of(Outcome::Tighten);
        self.overridden += tally.of(Outcome::Override);
        self.monitored += tally.of(Outcome::WouldArm) + tally.of(Outcome::WouldTighten);
        self.refused += tally.refused();
    }
}

impl ForPeople for Applied {
    fn for_people(&self) -> String {
        let Totals { examined, armed, tightened, overridden, monitored, refused } = self.totals;
        let would = if self.connections.dry_run { "would be " } else { "" };
        let mut text = format!(
            "{} governed, {examined} open connections: {armed} {would}armed, {tightened} {would}tightened, \
             {overridden} {would}overridden",
            plural(self.cgroups, "cgroup")
        );
        if monitored > 0 {
            let _ = write!(text, ", {monitored} only monitored");
        }
        if refused > 0 {
            let _ = write!(text, ", {refused} refused an option");
        }
        text.push('\n');
        if !self.connections.sockets.is_empty() {
            let _ = write!(text, "\n{}", self.connections.for_people());
        }
        if self.more > 0 {
            let _ = writeln!(text, "and {} more", self.more);
        }
        if self.not_accepted > 0 {
            let _ = writeln!(
                text,
                "{} out of reach: nobody has accepted them yet, or no process holds them",
                plural(self.not_accepted, "connection")
            );
        }
        for unreachable in &self.unreachable {
            let _ = writeln!(text, "out of reach: {unreachable}");
        }
        text
    }
}
