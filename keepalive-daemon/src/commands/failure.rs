//! How a failed command ends.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Result;

use crate::report::printable_lines;

/// What a command found, as its exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// The command did its work, and what it looked at is not well; it printed that itself.
    Bad,
    /// As [`Self::Bad`], told apart from a failure.
    NotFine,
}

/// A mistake in the command line that only shows once other things were read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(pub(crate) String);

/// The exit code of a command; an error is printed, with its causes.
pub(crate) fn report(result: Result<Verdict>) -> ExitCode {
    match result {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Ok(Verdict::NotFine) => ExitCode::from(3),
        Err(error) => {
            print(&error);
            if error.is::<Misuse>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// As [`report`], for the daemon: its errors belong in its log.
pub(crate) fn report_logged(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints an error with its causes, for a command whose exit codes are its own. What it names, others may have chosen.
pub(crate) fn print(error: &anyhow::Error) {
    // A terminal that is gone wants to know no more, and is no reason to panic.
    let _ = writeln!(io::stderr(), "keepalive-daemon: {}", printable_lines(&format!("{error:#}")));
}
