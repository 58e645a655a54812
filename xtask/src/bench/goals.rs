//! What is to be reached, and whether it is: the last table of the report.

mod figure;

use std::collections::BTreeMap;

use serde::Serialize;

pub(super) use self::figure::{Figure, Unit};

/// Something of which the goals speak; each is measured by one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Quantity {
    /// Time in the program, against the floor, on a kernel that lets no program read options.
    ProgramTimeBlind,
    /// The same where options are read first.
    ProgramTimeReading,
    /// The same less what the kernel's own counting takes, on both sides.
    ProgramTimeNet,
    /// Time in the program with 64 rules, against none.
    ProgramTimeWithRules,
    /// The same less what the kernel's own counting takes.
    ProgramTimeWithRulesNet,
    /// The whole of a short connection, against the libraries, the application's own calls, and nothing.
    ConnectionAgainstLibkeepalive,
    ConnectionAgainstLibdontdie,
    ConnectionAgainstOwnCalls,
    ConnectionAgainstNothing,
    /// With policy against without.
    Latency,
    Throughput,
    /// Of 1,000 cgroups.
    GovernAgainstBare,
    Govern,
    ChangeAgainstBare,
    /// The 99th percentile, both cores loaded.
    NewcomerUnderLoad,
    /// The same of a bare loop that follows.
    NewcomerUnderLoadBare,
    SweepAgainstBare,
    /// How much longer than by the bare iterator an application was held up.
    SweepStall,
    /// At 1,000 cgroups.
    Resident,
    IdleCpu,
    Image,
}

/// What a quantity may be.
#[derive(Clone, Copy, Debug)]
enum Limit {
    AtMost(f64),
    Below(f64),
    /// Anything: it is told, and not judged.
    Any,
    /// Nothing but noise: the bounds include 1 and are no further apart than this.
    One {
        width: f64,
    },
}

/// Which of several quantities it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    All,
    /// Whichever a machine can have.
    Any,
}

/// A line of the table.
struct Goal {
    what: &'static str,
    goal: &'static str,
    needed: Needed,
    limits: &'static [(Quantity, Limit)],
}

const fn goal(
    what: &'static str,
    goal: &'static str,
    needed: Needed,
    limits: &'static [(Quantity, Limit)],
) -> Goal {
    Goal { what, goal, needed, limits }
}

const GOALS: [Goal; 10] = [
    goal(
        "program time per connection end, Tighten or FillMissing on an unarmed socket, no destinations",
        "≤ 1.15 × the C floor on kernels without read-back needs, ≤ 1.5 × where options are read first",
        Needed::Any,
        &[
            (Quantity::ProgramTimeBlind, Limit::AtMost(1.15)),
            (Quantity::ProgramTimeReading, Limit::AtMost(1.5)),
            (Quantity::ProgramTimeNet, Limit::Any),
        ],
    ),
    goal(
        "with 64 destination rules",
        "≤ 1.3 × ours with none",
        Needed::All,
        &[
            (Quantity::ProgramTimeWithRules, Limit::AtMost(1.3)),
            (Quantity::ProgramTimeWithRulesNet, Limit::Any),
        ],
    ),
    goal(
        "whole cost of a short connection over loopback, both ends governed (the worst case)",
        "no more than `libkeepalive0`, `libdontdie0` or an application that makes the four calls itself; within 4 % of \
         nothing attached",
        Needed::All,
        &[
            (Quantity::ConnectionAgainstLibkeepalive, Limit::AtMost(1.0)),
            (Quantity::ConnectionAgainstLibdontdie, Limit::AtMost(1.0)),
            (Quantity::ConnectionAgainstOwnCalls, Limit::AtMost(1.0)),
            (Quantity::ConnectionAgainstNothing, Limit::AtMost(1.04)),
        ],
    ),
    goal(
        "data path",
        "no measurable difference (pairs interleaved, interval includes 1.0, width ≤ 2 %)",
        Needed::All,
        &[
            (Quantity::Latency, Limit::One { width: 0.02 }),
            (Quantity::Throughput, Limit::One { width: 0.02 }),
        ],
    ),
    goal(
        "govern 1,000 cgroups cold",
        "≤ 3 × the bare system calls, and under 0.2 s",
        Needed::All,
        &[(Quantity::GovernAgainstBare, Limit::AtMost(3.0)), (Quantity::Govern, Limit::Below(0.2))],
    ),
    goal(
        "policy change for 1,000 cgroups",
        "≤ 3 × the bare writes",
        Needed::All,
        &[(Quantity::ChangeAgainstBare, Limit::AtMost(3.0))],
    ),
    goal(
        "new cgroup → in force",
        "p99 under 5 ms loaded",
        Needed::All,
        &[(Quantity::NewcomerUnderLoad, Limit::Below(5.0)), (Quantity::NewcomerUnderLoadBare, Limit::Any)],
    ),
    goal(
        "sweep",
        "≤ 1.3 × a bare iterator doing the same sets; no application stall over 1 ms beyond the bare iterator's",
        Needed::All,
        &[(Quantity::SweepAgainstBare, Limit::AtMost(1.3)), (Quantity::SweepStall, Limit::AtMost(1.0))],
    ),
    goal(
        "resident memory at 1,000 cgroups",
        "≤ 16 MiB; idle CPU 0.0 %",
        Needed::All,
        &[(Quantity::Resident, Limit::AtMost(16.0)), (Quantity::IdleCpu, Limit::Below(0.05))],
    ),
    goal("image", "≤ 8 MiB", Needed::All, &[(Quantity::Image, Limit::AtMost(8.0))]),
];

/// Whether a goal is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "verdict", content = "reason")]
pub(super) enum Verdict {
    Met,
    Missed,
    NotMeasured(String),
}

/// What became of a goal.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reached {
    pub(super) what: &'static str,
    pub(super) goal: &'static str,
    pub(super) figures: Vec<Figure>,
    #[serde(flatten)]
    pub(super) verdict: Verdict,
}

/// All goals, one by one; `missing` has why a quantity was not measured, where that is known.
pub(super) fn judge(figures: &[Figure], missing: &BTreeMap<Quantity, String>) -> Vec<Reached> {
    GOALS.iter().map(|goal| goal.judge(figures, missing)).collect()
}

impl Goal {
    fn judge(&self, figures: &[Figure], missing: &BTreeMap<Quantity, String>) -> Reached {
        let find = |quantity: Quantity| figures.iter().find(|figure| figure.quantity == quantity);
        let mut verdict = Verdict::Met;
        let (mut found, mut is_judged) = (Vec::new(), false);
        for (quantity, limit) in self.limits {
            if matches!(limit, Limit::Any) {
                found.extend(find(*quantity).cloned());
                continue;
            }
            let one = match find(*quantity) {
                Some(figure) => {
                    is_judged = true;
                    found.push(figure.clone());
                    limit.judge(figure)
                }
                None if self.needed == Needed::Any => continue,
                None => Verdict::NotMeasured(reason(*quantity, missing)),
            };
            verdict = worse(verdict, one);
        }
        if !is_judged && verdict == Verdict::Met {
            let mut reasons = self.limits.iter().map(|(quantity, _)| reason(*quantity, missing));
            verdict = Verdict::NotMeasured(reasons.next_back().unwrap_or_default());
        }
        Reached { what: self.what, goal: self.goal, figures: found, verdict }
    }
}

fn reason(quantity: Quantity, missing: &BTreeMap<Quantity, String>) -> String {
    missing.get(&quantity).cloned().unwrap_or_else(|| "its part was not run".to_owned())
}

/// What is missed is so whatever else was not measured.
fn worse(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Missed, _) | (_, Verdict::Missed) => Verdict::Missed,
        (Verdict::Met, other) => other,
        (unknown, _) => unknown,
    }
}

impl Limit {
    fn judge(self, figure: &Figure) -> Verdict {
        let estimate = &figure.estimate;
        let is_met = match self {
            Self::Any => true,
            Self::AtMost(most) => estimate.value <= most,
            Self::Below(most) => estimate.value < most,
            // To a thousandth, as it is printed.
            Self::One { width } if estimate.low < 1.0005 && 0.9995 < estimate.high => {
                if estimate.width() > width {
                    let percent = 100.0 * estimate.width();
                    return Verdict::NotMeasured(format!(
                        "{}: the interval is {percent:.1} % wide: measure for longer, or where less else runs",
                        figure.name
                    ));
                }
                true
            }
            Self::One { .. } => false,
        };
        if is_met { Verdict::Met } else { Verdict::Missed }
    }
}

#[cfg(test)]
mod tests;
