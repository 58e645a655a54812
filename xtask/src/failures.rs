//! Several things that fail are all told, not only the first.

use std::fmt::Display;

use anyhow::{Error, Result, bail};

use crate::console;

/// What failed so far.
#[derive(Debug, Default)]
pub struct Failures {
    list: Vec<(String, Error)>,
}

impl Failures {
    /// Nothing failed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of `result`, which is that of `what`; its value if it succeeded.
    pub fn check<T>(&mut self, what: impl Display, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.list.push((what.to_string(), error))).ok()
    }

    /// Takes note of a failure that came as text.
    pub fn add(&mut self, what: impl Display, message: impl Display) {
        self.list.push((what.to_string(), Error::msg(message.to_string())));
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Prints all that failed.
    ///
    /// # Errors
    ///
    /// If anything did; the error says how much.
    pub fn finish(self) -> Result<()> {
        for (what, error) in &self.list {
            console::progress(format_args!("FAILED {what}: {error:#}"));
        }
        match self.list.len() {
            0 => Ok(()),
            1 => bail!("1 failure, see above"),
            count => bail!("{count} failures, see above"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_failed_is_a_success() {
        let mut failures = Failures::new();

        let value = failures.check("one", Ok(1));

        assert_eq!(value, Some(1));
        failures.finish().unwrap();
    }

    #[test]
    fn each_failure_counts_and_none_hides_the_next() {
        let mut failures = Failures::new();

        failures.check("one", Err::<(), _>(anyhow::anyhow!("broken")));
        failures.add("two", "broken as well");

        assert!(!failures.is_empty());
        assert_eq!(failures.finish().unwrap_err().to_string(), "2 failures, see above");
    }
}
