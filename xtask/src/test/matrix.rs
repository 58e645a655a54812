//! The table of kernels and groups of tests, and what failed in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
    iter,
    ops::AddAssign,
};

use serde::Serialize;

use super::outcomes::{Outcome, Outcomes};
use crate::columns::Columns;

/// The groups of tests on several kernels.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Matrix {
    kernels: Vec<Column>,
}

/// The tests of a kernel.
#[derive(Debug, Serialize)]
struct Column {
    kernel: String,
    /// By the module below `kernel::`.
    groups: BTreeMap<String, Cell>,
    /// Each failed test, with the last lines of what it said.
    failures: BTreeMap<String, Vec<String>>,
    /// Each refused test, with what it needs.
    refused: BTreeMap<String, String>,
    /// Why not all tests came to an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// How many tests of a group came to which end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Cell {
    passed: u32,
    failed: u32,
    refused: u32,
}

impl Matrix {
    /// Takes note of what became of the tests on a kernel, and of why the run has no verdict if it has none.
    pub(super) fn add(&mut self, kernel: &str, outcomes: &Outcomes, error: Option<String>) {
        let mut column = Column {
            kernel: kernel.to_owned(),
            groups: BTreeMap::new(),
            failures: BTreeMap::new(),
            refused: BTreeMap::new(),
            error,
        };
        for (name, outcome) in outcomes.tests() {
            let cell = column.groups.entry(group(name).to_owned()).or_default();
            match outcome {
                Outcome::Passed => cell.passed += 1,
                Outcome::Failed(said) => {
                    cell.failed += 1;
                    column.failures.insert(name.to_owned(), said.clone());
                }
                Outcome::Refused(why) => {
                    cell.refused += 1;
                    column.refused.insert(name.to_owned(), why.clone());
                }
            }
        }
        if column.error.is_some()
            && let Some((name, said)) = outcomes.unfinished()
        {
            column.groups.entry(group(name).to_owned()).or_default().failed += 1;
            let said = said.iter().cloned().chain(["it had not ended".to_owned()]);
            column.failures.insert(name.to_owned(), said.collect());
        }
        self.kernels.push(column);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.kernels.is_empty()
    }

    /// How many tests of each group came to which end.
    fn table(&self) -> Columns {
        let kernels = self.kernels.iter().map(|column| column.kernel.clone());
        let mut columns = Columns::new(iter::once("PASSED".to_owned()).chain(kernels));
        let groups: BTreeSet<_> = self.kernels.iter().flat_map(|column| column.groups.keys()).collect();
        for group in groups {
            let cell = |column: &Column| column.groups.get(group).map_or("-".into(), Cell::to_string);
            columns.add(iter::once(group.clone()).chain(self.kernels.iter().map(cell)));
        }
        let sums = self.kernels.iter().map(|column| {
            let mut sum = Cell::default();
            column.groups.values().for_each(|cell| sum += *cell);
            sum.to_string()
        });
        columns.add(iter::once("all".to_owned()).chain(sums));
        columns
    }
}

impl AddAssign for Cell {
    fn add_assign(&mut self, Self { passed, failed, refused }: Self) {
        self.passed += passed;
        self.failed += failed;
        self.refused += refused;
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.passed)?;
        if self.refused > 0 {
            write!(f, ", {} refused", self.refused)?;
        }
        if self.failed > 0 {
            write!(f, ", {} FAILED", self.failed)?;
        }
        Ok(())
    }
}

impl Display for Matrix {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table())?;
        for Column { kernel, failures, refused, error, .. } in &self.kernels {
            let mut reasons: BTreeMap<_, u32> = BTreeMap::new();
            refused.values().for_each(|why| *reasons.entry(why).or_default() += 1);
            for (why, count) in reasons {
                writeln!(f, "\nrefused on {kernel}: {count}, {why}")?;
            }
            for (test, said) in failures {
                writeln!(f, "\nFAILED on {kernel}: {test}")?;
                said.iter().try_for_each(|line| writeln!(f, "  | {line}"))?;
            }
            if let Some(error) = error {
                writeln!(f, "\nFAILED on {kernel}: {error}")?;
            }
        }
        Ok(())
    }
}

/// The module below `kernel::` that a test is in.
fn group(name: &str) -> &str {
    let below = name.strip_prefix("kernel::").unwrap_or(name);
    below.split("::").next().unwrap_or(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> Matrix {
        let mut matrix = Matrix::default();
        let mut add = |kernel: &str, text: &str, error: Option<&str>| {
            let mut outcomes = Outcomes::default();
            text.lines().for_each(|line| outcomes.read(line));
            matrix.add(kernel, &outcomes, error.map(str::to_owned));
        };
        add(
            "5.10",
            "test kernel::sweep::verb::one ... ok\ntest kernel::sweep::two ... ignored (needs iterators)\n\
             test kernel::api::three ... FAILED\n---- kernel::api::three ----\nleft: 1\n",
            None,
        );
        add("7.x", "test kernel::sweep::two ... ok\ntest kernel::walk::one ... ", Some("it hung"));
        matrix
    }

    #[test]
    fn the_table_has_a_row_for_each_group_and_a_column_for_each_kernel() {
        let text = matrix().to_string();

        let table = "PASSED  5.10                    7.x\n\
                     api     0, 1 FAILED             -\n\
                     sweep   1, 1 refused            1\n\
                     walk    -                       0, 1 FAILED\n\
                     all     1, 1 refused, 1 FAILED  1, 1 FAILED\n";
        assert!(text.starts_with(table), "{text}");
    }

    #[test]
    fn what_failed_and_what_was_refused_is_told_below() {
        let text = matrix().to_string();

        for expected in [
            "\nrefused on 5.10: 1, needs iterators\n",
            "\nFAILED on 5.10: kernel::api::three\n  | left: 1\n",
            "\nFAILED on 7.x: kernel::walk::one\n  | it had not ended\n",
            "\nFAILED on 7.x: it hung\n",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }

    #[test]
    fn programs_read_the_same() {
        let json = serde_json::to_value(matrix()).unwrap_or_default();

        assert_eq!(json["kernels"][0]["kernel"], "5.10");
        let sweep = serde_json::json!({"passed": 1, "failed": 0, "refused": 1});
        assert_eq!(json["kernels"][0]["groups"]["sweep"], sweep);
        assert_eq!(json["kernels"][0]["failures"]["kernel::api::three"][0], "left: 1");
        assert_eq!(json["kernels"][0]["refused"]["kernel::sweep::two"], "needs iterators");
        assert_eq!(json["kernels"][1]["error"], "it hung");
    }
}
