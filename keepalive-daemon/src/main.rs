//! Parse, run, and turn the result into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use keepalive_daemon::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
