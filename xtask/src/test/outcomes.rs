//! What became of each test, by what their runner prints.

use std::{collections::BTreeMap, mem::take};

/// How many of a failure's last lines are kept.
const LAST: usize = 12;

/// The tests of a run, by their names.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    tests: BTreeMap<String, Outcome>,
    /// The test whose outcome comes on a later line, and the last of what it prints itself before that.
    begun: Option<(String, Vec<String>)>,
    /// The test whose failure is being told.
    told: Option<String>,
}

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// The last lines of why.
    Failed(Vec<String>),
    /// What it needs and is not there.
    Refused(String),
}

impl Outcomes {
    /// Reads the next line.
    pub(super) fn read(&mut self, line: &str) {
        if let Some((name, rest)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) {
            let name = name.trim_end().to_owned();
            match outcome(rest) {
                Some(outcome) => self.end(name, outcome),
                None => self.begun = Some((name, Vec::new())),
            }
        } else if let Some((name, said)) = &mut self.begun {
            match outcome(line) {
                None => keep(said, line),
                Some(outcome) => {
                    let is_failure = matches!(&outcome, Outcome::Failed(_));
                    let outcome = if is_failure { Outcome::Failed(take(said)) } else { outcome };
                    let name = take(name);
                    self.end(name, outcome);
                }
            }
        } else if let Some(name) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" ----")) {
            // What it failed with, in place of all that was printed meanwhile.
            if let Some(Outcome::Failed(said)) = self.tests.get_mut(name) {
                said.clear();
            }
            self.told = Some(name.to_owned());
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.told = None;
        } else if let Some(Outcome::Failed(said)) =
            self.told.as_ref().and_then(|name| self.tests.get_mut(name))
        {
            keep(said, line);
        }
    }

    fn end(&mut self, name: String, outcome: Outcome) {
        self.begun = None;
        self.tests.insert(name, outcome);
    }

    /// The tests of a run, by their names.
    pub(super) fn tests(&self) -> impl Iterator<Item = (&str, &Outcome)> {
        self.tests.iter().map(|(name, outcome)| (name.as_str(), outcome))
    }

    /// The test that had begun when the run ended, if it is known, and the last of what it printed.
    pub(super) fn unfinished(&self) -> Option<(&str, &[String])> {
        self.begun.as_ref().map(|(name, said)| (name.as_str(), said.as_slice()))
    }
}

/// Keeps a line, and no more than the last ones.
fn keep(said: &mut Vec<String>, line: &str) {
    if line.trim().is_empty() {
        return;
    }
    if said.len() == LAST {
        said.remove(0);
    }
    said.push(line.to_owned());
}

/// The word, or the words, at the end of a test's line.
fn outcome(text: &str) -> Option<Outcome> {
    match text {
        "ok" => Some(Outcome::Passed),
        "FAILED" => Some(Outcome::Failed(Vec::new())),
        // Only what is missing by name may keep a test from running.
        "ignored" => Some(Outcome::Failed(vec!["it did not run and does not say what it needs".to_owned()])),
        _ => {
            let why = text.strip_prefix("ignored (")?.strip_suffix(')')?;
            Some(Outcome::Refused(why.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Outcomes {
        let mut outcomes = Outcomes::default();
        text.lines().for_each(|line| outcomes.read(line));
        outcomes
    }

    fn of<'a>(outcomes: &'a Outcomes, name: &str) -> Option<&'a Outcome> {
        outcomes.tests.get(name)
    }

    #[test]
    fn each_test_has_the_outcome_of_its_line() {
        let outcomes = read("test kernel::a::one   ... ok\ntest kernel::b::two ... ignored (needs guards)\n");

        assert_eq!(of(&outcomes, "kernel::a::one"), Some(&Outcome::Passed));
        assert_eq!(of(&outcomes, "kernel::b::two"), Some(&Outcome::Refused("needs guards".to_owned())));
        assert_eq!(outcomes.tests().count(), 2);
    }

    #[test]
    fn what_a_test_prints_may_come_before_its_outcome() {
        let outcomes =
            read("test kernel::a::one ... thread 'main' panicked at a.rs:1\nleft: 1\nFAILED\nok\n");

        let said = vec!["left: 1".to_owned()];
        assert_eq!(of(&outcomes, "kernel::a::one"), Some(&Outcome::Failed(said.clone())));
        assert_eq!(outcomes.unfinished(), None);
        let unfinished = read("test kernel::a::one ... \nleft: 1\n");
        assert_eq!(unfinished.unfinished(), Some(("kernel::a::one", &said[..])));
    }

    #[test]
    fn a_failure_has_the_last_of_what_is_told_of_it() {
        let said: String = (0..30).map(|number| format!("line {number}\n\n")).collect();
        let text = format!(
            "test a ... FAILED\ntest b ... \nearlier\nFAILED\n\nfailures:\n\n---- a ----\n{said}---- b ----\nshort\n\n\
             failures:\n    a\n    b\n\ntest result: FAILED. 0 passed; 2 failed\n"
        );

        let outcomes = read(&text);

        let Some(Outcome::Failed(said)) = of(&outcomes, "a") else { unreachable!("{outcomes:?}") };
        assert_eq!((said.len(), said.first().map(String::as_str)), (12, Some("line 18")));
        assert_eq!(of(&outcomes, "b"), Some(&Outcome::Failed(vec!["short".to_owned()])));
    }

    #[test]
    fn a_test_that_is_left_out_without_a_reason_failed() {
        let outcomes = read("test a ... ignored\n");

        assert!(matches!(of(&outcomes, "a"), Some(Outcome::Failed(said)) if said.len() == 1), "{outcomes:?}");
    }
}
