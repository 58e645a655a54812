//! All that the verbs print, so that progress and results do not mix.

use std::{fmt::Display, io::IsTerminal as _};

/// Tells what is going on, on standard error.
#[expect(clippy::print_stderr, reason = "the one place that prints progress")]
pub fn progress(line: impl Display) {
    eprintln!("{line}");
}

/// Tells what a verb was asked for, on standard output.
#[expect(clippy::print_stdout, reason = "the one place that prints results")]
pub fn result(line: impl Display) {
    println!("{line}");
}

/// Shows `line` in place of what [`status`] showed before; an empty one takes it away. For terminals only.
#[expect(clippy::print_stderr, reason = "the one place that prints progress")]
pub fn status(line: &str) {
    eprint!("\r\x1b[2K{line}");
}

/// Whether a person watches the progress, so that lines can be replaced.
#[must_use]
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}
