//! What came of fuzzing a target.

use std::path::PathBuf;

use serde::Serialize;

use crate::columns::Columns;

/// What came of fuzzing a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    target: String,
    executions: u64,
    seconds: u64,
    /// How many edges of the program were passed.
    coverage: u64,
    /// How many inputs were found that pass some that no other does, in this run and earlier ones.
    pub(super) corpus: usize,
    peak_rss_mb: u64,
    /// The inputs that it did not stand.
    pub(super) crashes: Vec<PathBuf>,
}

impl Outcome {
    /// Reads what libFuzzer says; `None` if it has not come so far as to count.
    pub(super) fn read(target: &str, said: &str) -> Option<Self> {
        let statistic = |name: &str| {
            let value = said.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
            value?.strip_prefix(':')?.trim().parse().ok()
        };
        let executions = statistic("number_of_executed_units")?;
        let rate: u64 = statistic("average_exec_per_sec")?;
        let mut coverage = said.lines().rev().filter_map(|line| {
            let mut words = line.split_whitespace().skip_while(|word| *word != "cov:");
            words.nth(1)?.parse().ok()
        });
        Some(Self {
            target: target.to_owned(),
            executions,
            seconds: seconds(said).unwrap_or_else(|| executions.checked_div(rate).unwrap_or(0)),
            coverage: coverage.next().unwrap_or(0),
            corpus: 0,
            peak_rss_mb: statistic("peak_rss_mb")?,
            crashes: Vec::new(),
        })
    }

    fn per_second(&self) -> u64 {
        self.executions.checked_div(self.seconds).unwrap_or(self.executions)
    }
}

/// Said at the end of a run without a crash: `Done 1234 runs in 31 second(s)`.
fn seconds(said: &str) -> Option<u64> {
    let done = said.lines().rev().find(|line| line.starts_with("Done "))?;
    done.split_whitespace().rev().nth(1)?.parse().ok()
}

/// The outcomes for people.
pub(super) fn table(outcomes: &[Outcome]) -> Columns {
    let head = ["TARGET", "EXECUTIONS", "PER SECOND", "SECONDS", "EDGES", "CORPUS", "RSS MB", "CRASHES"];
    let mut columns = Columns::new(head).of_numbers();
    for it in outcomes {
        let numbers =
            [it.executions, it.per_second(), it.seconds, it.coverage].map(|number| number.to_string());
        let [executions, per_second, seconds, coverage] = numbers;
        let (corpus, crashes) = (it.corpus.to_string(), it.crashes.len().to_string());
        let peak = it.peak_rss_mb.to_string();
        columns.add([it.target.clone(), executions, per_second, seconds, coverage, corpus, peak, crashes]);
    }
    columns
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const SAID: &str = "\
INFO: Seed: 1
#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 30Mb
#5000\tDONE   cov: 40 ft: 90 corp: 9/80b lim: 4 exec/s: 250 rss: 44Mb
Done 5000 runs in 21 second(s)
stat::number_of_executed_units: 5000
stat::average_exec_per_sec:     238
stat::new_units_added:          8
stat::slowest_unit_time_sec:    0
stat::peak_rss_mb:              44
";

    #[test]
    fn the_figures_are_those_at_the_end() {
        let outcome = Outcome::read("globs", SAID).unwrap();

        assert_eq!((outcome.executions, outcome.seconds, outcome.coverage), (5000, 21, 40));
        assert_eq!((outcome.peak_rss_mb, outcome.per_second()), (44, 238));
    }

    #[test]
    fn a_run_that_ends_by_a_crash_has_figures_too() {
        let said = SAID.replace("Done", "== ERROR: libFuzzer: deadly signal\nDidn't");

        assert_eq!(Outcome::read("globs", &said).unwrap().seconds, 21);
        assert_eq!(Outcome::read("globs", "cannot run"), None);
    }

    #[test]
    fn people_get_columns() {
        let outcome = Outcome { corpus: 9, ..Outcome::read("globs", SAID).unwrap() };

        let table = table(&[outcome]).to_string();

        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["globs", "5000", "238", "21", "40", "9", "44", "0"]);
        assert!(table.lines().all(|line| line.len() == table.lines().next().unwrap().len()), "{table}");
    }
}
