//! Counts what a test runner says it ran.

use std::{
    fmt::{self, Display, Formatter},
    io::{BufRead as _, BufReader},
    ops::AddAssign,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

use super::{matrix::Matrix, outcomes::Outcomes};
use crate::{console, process};

/// What became of the tests of a group.
#[derive(Debug)]
pub(crate) struct Group {
    /// What the tests have in common.
    pub(crate) name: String,
    /// The kernel that they are tests of, if they are.
    kernel: Option<String>,
    counts: Counts,
    outcomes: Outcomes,
    elapsed: Duration,
    /// Whether the runner found all well, if it came to an end.
    ended: Result<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Group {
    /// As tests of a kernel, which has a column of the table.
    pub(super) fn on(self, kernel: &str) -> Self {
        Self { kernel: Some(kernel.to_owned()), ..self }
    }

    /// As one that failed if it had no test, as nobody boots a machine for none.
    pub(super) fn with_some(self) -> Self {
        match self.ended {
            Ok(true) if self.is_empty() => {
                Self { ended: Err(anyhow!("it ran no test: none has such a name there")), ..self }
            }
            _ => self,
        }
    }

    /// Whether all its tests passed and the runner agrees.
    pub(crate) fn succeeded(&self) -> bool {
        matches!(self.ended, Ok(true)) && self.counts.failed == 0
    }

    /// Why not, in a few words.
    pub(crate) fn failure(&self) -> Option<String> {
        match &self.ended {
            Err(error) => Some(format!("{error:#}")),
            Ok(_) if self.succeeded() => None,
            Ok(_) => Some("not all tests passed".to_owned()),
        }
    }

    /// Puts the tests into the table of kernels, if they are tests of one.
    pub(crate) fn add_to(&self, matrix: &mut Matrix) {
        if let Some(kernel) = &self.kernel {
            let error = self.ended.as_ref().err();
            matrix.add(kernel, &self.outcomes, error.map(|error| format!("{error:#}")));
        }
    }

    /// Whether there was no test: one that was refused is one, and one left to others is none.
    pub(crate) fn is_empty(&self) -> bool {
        let Counts { passed, failed, ignored } = self.counts;
        passed + failed == 0 && (ignored == 0 || self.kernel.is_none())
    }
}

impl Display for Group {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, counts: Counts { passed, failed, ignored }, elapsed, .. } = self;
        let verdict = if self.succeeded() { "ok" } else { "FAILED" };
        let seconds = elapsed.as_secs_f32();
        write!(f, "{name}: {verdict}, {passed} of {} succeeded in {seconds:.1} s", passed + failed)?;
        match (*ignored, &self.kernel) {
            (0, _) => Ok(()),
            (refused, Some(_)) => write!(f, ", {refused} refused"),
            (others, None) => write!(f, ", {others} left to another group"),
        }
    }
}

/// Runs `command`, shows what it prints as it comes, and counts the tests.
pub(super) fn run_group(name: &str, command: &mut Command) -> Group {
    count_group(
        name,
        |line| console::result(line),
        |show| {
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
        },
    )
}

/// Calls `run`, which runs tests, calls what it is given with each line that they print, and returns whether all went
/// well; calls `show` with the lines, too, and counts the tests.
pub(super) fn count_group(
    name: &str,
    show: impl Fn(&str),
    run: impl FnOnce(&mut dyn FnMut(&str)) -> Result<bool>,
) -> Group {
    let start = Instant::now();
    let mut counts = Counts::default();
    let mut outcomes = Outcomes::default();
    let ended = run(&mut |line| {
        show(line);
        counts += parse(line).unwrap_or_default();
        outcomes.read(line);
    });
    Group { name: name.to_owned(), kernel: None, counts, outcomes, elapsed: start.elapsed(), ended }
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

        let group = run_group("tests", &mut command);

        assert!(group.succeeded());
        assert_eq!(group.counts, Counts { passed: 4, failed: 0, ignored: 2 });
    }

    #[test]
    fn a_runner_that_fails_without_a_failed_test_is_no_success() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 1"]);

        let group = run_group("tests", &mut command);

        assert!(!group.succeeded() && group.is_empty());
        assert_eq!(group.failure().as_deref(), Some("not all tests passed"));
        assert!(group.to_string().starts_with("tests: FAILED, 0 of 0 succeeded"), "{group}");
    }

    #[test]
    fn a_machine_that_runs_no_test_is_no_success() {
        let of = |result: &str| {
            count_group(
                "tests",
                |_line| {},
                |show| {
                    show(result);
                    Ok(true)
                },
            )
        };
        let none = of("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured").on("6.1").with_some();
        let some = of("test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured").on("6.1").with_some();

        assert!(none.failure().is_some_and(|failure| failure.contains("no test")));
        assert_eq!(some.failure(), None);
    }

    #[test]
    fn a_run_without_a_verdict_keeps_what_came_before_its_end() {
        let group = count_group(
            "tests",
            |_line| {},
            |show| {
                show("test kernel::a::one ... ok");
                anyhow::bail!("the machine hung")
            },
        );

        let mut matrix = Matrix::default();
        group.on("5.10").add_to(&mut matrix);

        let text = matrix.to_string();
        assert!(text.contains("a       1") && text.contains("FAILED on 5.10: the machine hung"), "{text}");
    }

    #[test]
    fn tests_of_a_kernel_are_refused_and_others_left_to_others() {
        let group = |kernel: Option<&str>| Group {
            kernel: kernel.map(str::to_owned),
            ..count_group(
                "tests",
                |_line| {},
                |show| {
                    show("test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured");
                    Ok(true)
                },
            )
        };

        assert!(group(Some("5.10")).to_string().ends_with(", 1 refused"));
        assert!(group(None).to_string().ends_with(", 1 left to another group"));
    }
}
