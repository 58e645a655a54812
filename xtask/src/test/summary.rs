//! Counts what a test runner says it ran.

use std::{
    fmt::{self, Display, Formatter},
    io::{BufRead as _, BufReader},
    ops::AddAssign,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{console, process};

/// What became of the tests of a group.
#[derive(Debug)]
pub(super) struct Group {
    /// What the tests have in common.
    pub(super) name: String,
    counts: Counts,
    elapsed: Duration,
    exited_well: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Group {
    /// Whether all its tests passed and the runner agrees.
    pub(super) fn succeeded(&self) -> bool {
        self.exited_well && self.counts.failed == 0
    }

    /// Whether no test ran.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.passed + self.counts.failed == 0
    }
}

impl Display for Group {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, counts: Counts { passed, failed, ignored }, elapsed, .. } = self;
        let verdict = if self.succeeded() { "ok" } else { "FAILED" };
        let seconds = elapsed.as_secs_f32();
        write!(f, "{name}: {verdict}, {passed} of {} succeeded in {seconds:.1} s", passed + failed)?;
        if *ignored > 0 {
            write!(f, ", {ignored} left to another group")?;
        }
        Ok(())
    }
}

/// Runs `command`, shows what it prints as it comes, and counts the tests.
///
/// # Errors
///
/// If it cannot be started. Tests that fail are no error but in the result.
pub(super) fn run_group(name: &str, command: &mut Command) -> Result<Group> {
    count_group(name, |show| {
        console::progress(format_args!("{name}: {}", process::describe(command)));
        let mut child = process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line.with_context(|| format!("cannot read what the {name} print"))?;
                show(&String::from_utf8_lossy(&line));
            }
        }
        let status = child.wait().with_context(|| format!("cannot wait for the {name}"))?;
        Ok(status.success())
    })
}

/// Calls `run`, which runs tests, calls what it is given with each line that they print, and returns whether all went
/// well; shows the lines and counts the tests.
///
/// # Errors
///
/// Those of `run`.
pub(super) fn count_group(
    name: &str,
    run: impl FnOnce(&mut dyn FnMut(&str)) -> Result<bool>,
) -> Result<Group> {
    let start = Instant::now();
    let mut counts = Counts::default();
    let exited_well = run(&mut |line| {
        console::result(line);
        counts += parse(line).unwrap_or_default();
    })?;
    Ok(Group { name: name.to_owned(), counts, elapsed: start.elapsed(), exited_well })
}

impl AddAssign for Counts {
    fn add_assign(&mut self, Self { passed, failed, ignored }: Self) {
        self.passed += passed;
        self.failed += failed;
        self.ignored += ignored;
    }
}

/// Reads the last line of a test runner, which begins with `test result:`.
fn parse(line: &str) -> Option<Counts> {
    let (_verdict, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        counts.split("; ").find_map(|part| part.trim().strip_suffix(what)?.trim_end().parse().ok())
    };
    Some(Counts { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_runner_is_counted_and_no_other() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; finished in 0.01s";

        assert_eq!(parse(line), Some(Counts { passed: 12, failed: 3, ignored: 1 }));
        assert_eq!(parse("test a_test ... ok"), None);
    }

    #[test]
    fn the_results_of_several_programs_add_up() {
        let mut command = Command::new("sh");
        let result = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        command.args(["-c", &format!("echo '{result}'; echo other; echo '{result}'")]);

        let group = run_group("tests", &mut command).unwrap();

        assert!(group.succeeded());
        assert_eq!(group.counts, Counts { passed: 4, failed: 0, ignored: 2 });
    }

    #[test]
    fn a_runner_that_fails_without_a_failed_test_is_no_success() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 1"]);

        let group = run_group("tests", &mut command).unwrap();

        assert!(!group.succeeded() && group.is_empty());
        assert!(group.to_string().starts_with("tests: FAILED, 0 of 0 succeeded"), "{group}");
    }
}
