//! What a soak comes to, for people and for programs.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::{
    ledger::Totals,
    sample::Sample,
    verdict::{MEASURES, Trend, Verdict, slowdown},
};

/// All of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) seconds: f64,
    pub(super) totals: Totals,
    pub(super) trends: Vec<Trend>,
    pub(super) failures: Vec<String>,
    pub(super) samples: Vec<Sample>,
}

impl Report {
    pub(super) fn new(samples: Vec<Sample>, totals: Totals, failures: Vec<String>) -> Self {
        let slowdown = slowdown(&samples);
        let trends = MEASURES.iter().map(|measure| measure.trend(&samples, slowdown)).collect();
        let seconds = samples.last().map_or(0.0, |sample| sample.at_s);
        Self { seconds, totals, trends, failures, samples }
    }

    /// What is not as it must be.
    pub(super) fn faults(&self) -> Vec<String> {
        let grows = |trend: &&Trend| trend.verdict == Verdict::Growing;
        let mut faults: Vec<_> =
            self.trends.iter().filter(grows).map(|trend| format!("{} grows", trend.name)).collect();
        if self.totals.unarmed > 0 {
            faults.push(format!("{} ends of connections were unarmed", self.totals.unarmed));
        }
        if self.totals.ends == 0 {
            faults.push("no connection was made".to_owned());
        }
        faults.extend(self.failures.iter().cloned());
        faults
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Totals { ends, unarmed, newcomers, changes, withdrawals, answers, kills } = self.totals;
        writeln!(f, "{:.0} s, {} samples", self.seconds, self.samples.len())?;
        writeln!(f, "ends of connections {ends}, unarmed {unarmed}")?;
        writeln!(
            f,
            "cgroups made and removed {newcomers}, changed policies {changes}, withdrawn {withdrawals}, answers of \
             the daemon {answers}, kills {kills}\n"
        )?;
        writeln!(
            f,
            "{:<26}{:>14}{:>14}{:>14}{:>14}  VERDICT",
            "MEASURE", "FIRST QUARTER", "LAST QUARTER", "PER HOUR", "MAY GROW BY"
        )?;
        for trend in &self.trends {
            let Trend { name, unit, first, last, slope_per_hour, may_grow_by, verdict } = trend;
            let name = if unit.is_empty() { (*name).to_owned() } else { format!("{name} ({unit})") };
            let verdict = match verdict {
                Verdict::Flat => "flat",
                Verdict::Growing => "GROWING",
                Verdict::TooShort => "too short to tell",
            };
            // What was not measured is no number, nor zero.
            let is_known = |value: f64| trend.verdict != Verdict::TooShort && value.is_finite();
            let shown = |value: f64, text: String| if is_known(value) { text } else { "-".to_owned() };
            let [first, last, may_grow_by] =
                [*first, *last, *may_grow_by].map(|value| shown(value, format!("{value:.2}")));
            let per_hour = shown(*slope_per_hour, format!("{slope_per_hour:+.2}"));
            writeln!(f, "{name:<26}{first:>14}{last:>14}{per_hour:>14}{may_grow_by:>14}  {verdict}")?;
        }
        for failure in &self.failures {
            writeln!(f, "\n{failure}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(ends: u64, unarmed: u64) -> Totals {
        Totals { ends, unarmed, ..Totals::default() }
    }

    fn samples(value: impl Fn(f64) -> f64) -> Vec<Sample> {
        let sample = |at| Sample { at_s: at, resident_kib: value(at), ..Sample::default() };
        (0..100).map(|at| sample(f64::from(at))).collect()
    }

    #[test]
    fn nothing_unarmed_and_nothing_growing_is_no_fault() {
        assert!(Report::new(samples(|_| 20_000.0), totals(100, 0), Vec::new()).faults().is_empty());
    }

    #[test]
    fn each_of_what_must_not_be_is_a_fault() {
        let grown = Report::new(samples(|at| 20_000.0 + 200.0 * at), totals(100, 0), Vec::new());
        let unarmed = Report::new(samples(|_| 0.0), totals(100, 2), Vec::new());
        let idle = Report::new(samples(|_| 0.0), totals(0, 0), Vec::new());
        let failed = Report::new(samples(|_| 0.0), totals(1, 0), vec!["it broke".to_owned()]);

        assert_eq!(grown.faults(), ["memory grows"]);
        assert_eq!(unarmed.faults(), ["2 ends of connections were unarmed"]);
        assert_eq!(idle.faults(), ["no connection was made"]);
        assert_eq!(failed.faults(), ["it broke"]);
    }

    #[test]
    fn what_was_not_measured_is_no_number() {
        let text = Report::new(Vec::new(), totals(1, 0), Vec::new()).to_string();

        let memory = text.lines().find(|line| line.starts_with("memory (KiB)")).unwrap_or_default();
        let words: Vec<_> = memory.split_whitespace().skip(2).collect();
        assert_eq!(words, ["-", "-", "-", "-", "too", "short", "to", "tell"], "{text}");
    }

    #[test]
    fn people_read_what_grows_and_by_how_much() {
        let text = Report::new(samples(|at| 20_000.0 + 200.0 * at), totals(7, 0), Vec::new()).to_string();

        assert!(text.contains("ends of connections 7, unarmed 0"), "{text}");
        let memory = text.lines().find(|line| line.starts_with("memory (KiB)")).unwrap_or_default();
        assert!(memory.contains("+720000.00") && memory.ends_with("GROWING"), "{memory}");
    }
}
