//! The parts of a benchmark: what each measures, and how long it may take.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use super::{
    Bench, cgroups, connections, daemon, data, findings::Findings, goals::Quantity, newcomers, sweep,
};

/// A part, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Part {
    /// Time in the program for each connection, and the whole of short connections.
    Connections,
    /// Latency and throughput of established connections.
    Data,
    /// Govern up to 10,000 cgroups, change their policy, adopt them, let go of them.
    Cgroups,
    /// How soon a new cgroup is governed.
    Newcomers,
    /// Open connections that get a policy.
    Sweep,
    /// Memory, CPU and size of the daemon, and how long its listings take.
    Daemon,
}

/// What came of a part.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    pub(super) part: Part,
    pub(super) seconds: f64,
    #[serde(flatten)]
    pub(super) findings: Findings,
    /// Why it could not be measured.
    pub(super) failure: Option<String>,
}

impl Part {
    /// What the command line calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Data => "data",
            Self::Cgroups => "cgroups",
            Self::Newcomers => "newcomers",
            Self::Sweep => "sweep",
            Self::Daemon => "daemon",
        }
    }

    /// How long it may take.
    pub(super) const fn budget(self, quick: bool) -> Duration {
        let (seconds, quick_seconds) = match self {
            Self::Connections => (360, 50),
            Self::Data => (180, 25),
            Self::Cgroups => (210, 30),
            Self::Newcomers => (90, 15),
            Self::Sweep => (150, 25),
            Self::Daemon => (210, 35),
        };
        Duration::from_secs(if quick { quick_seconds } else { seconds })
    }

    /// Of what goals speak that it measures: what has no figure when it fails.
    pub(super) const fn quantities(self) -> &'static [Quantity] {
        match self {
            Self::Connections => &[
                Quantity::ProgramTimeBlind,
                Quantity::ProgramTimeReading,
                Quantity::ProgramTimeNet,
                Quantity::ProgramTimeWithRules,
                Quantity::ProgramTimeWithRulesNet,
                Quantity::ConnectionAgainstLibkeepalive,
                Quantity::ConnectionAgainstLibdontdie,
                Quantity::ConnectionAgainstOwnCalls,
                Quantity::ConnectionAgainstNothing,
            ],
            Self::Data => &[Quantity::Latency, Quantity::Throughput],
            Self::Cgroups => &[Quantity::GovernAgainstBare, Quantity::Govern, Quantity::ChangeAgainstBare],
            Self::Newcomers => &[Quantity::NewcomerUnderLoad, Quantity::NewcomerUnderLoadBare],
            Self::Sweep => &[Quantity::SweepAgainstBare, Quantity::SweepStall],
            Self::Daemon => &[Quantity::Resident, Quantity::IdleCpu, Quantity::Image],
        }
    }

    /// Measures it.
    pub(super) fn measure(self, bench: &Bench) -> Outcome {
        let start = Instant::now();
        let deadline = start + self.budget(bench.quick);
        let measure: fn(&Bench, Instant) -> Result<Findings> = match self {
            Self::Connections => connections::measure,
            Self::Data => data::measure,
            Self::Cgroups => cgroups::measure,
            Self::Newcomers => newcomers::measure,
            Self::Sweep => sweep::measure,
            Self::Daemon => daemon::measure,
        };
        let (findings, failure) = match measure(bench, deadline) {
            Ok(findings) => (findings, None),
            Err(error) => (Findings::default(), Some(format!("{error:#}"))),
        };
        Outcome { part: self, seconds: start.elapsed().as_secs_f64(), findings, failure }
    }
}
