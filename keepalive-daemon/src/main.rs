//! Parse, run, and turn the result into an exit code.

use std::process::ExitCode;

use keepalive_daemon::cli::Cli;

fn main() -> ExitCode {
    Cli::read().map_or_else(|answered| answered, Cli::run)
}
