//! `cargo xtask run -- ARGS…`: the daemon, built and run as root.

use std::{ffi::OsString, process::Command};

use anyhow::Result;
use clap::Args;

use crate::{build, process};

/// Builds the daemon and runs it as root with the arguments after `--`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Optimised, as it is deployed.
    #[arg(long)]
    release: bool,
    /// What the daemon is called with.
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<OsString>,
}

/// Becomes the daemon; returns only if that fails.
///
/// # Errors
///
/// If the build fails, or this process is not root and cannot become it.
pub fn run(Options { release, arguments }: Options) -> Result<()> {
    let daemon = build::daemon_with(build::Options { release, is_static: false })?;
    let mut command = Command::new(daemon);
    command.args(arguments);
    Err(process::become_command(&mut process::as_root(&command)?))
}
