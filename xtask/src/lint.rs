//! `cargo xtask lint`: what can be found wrong without running anything.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::{console, failures::Failures, process, setup, workspace};

mod ebpf;
mod manifests;
mod tidy;

/// Checks format, lints of both sides, documentation, manifests, and the order of files.
#[derive(Clone, Debug, Args)]
pub struct Options {}

/// Runs all checks and tells, at the end, all that they found.
///
/// # Errors
///
/// If set-up fails or a check finds anything.
pub fn run(Options {}: Options) -> Result<()> {
    setup::lint_tools()?;
    let mut failures = Failures::new();
    for (what, check) in CHECKS {
        console::progress(format_args!("checking {what}"));
        failures.check(what, check());
    }
    failures.finish()?;
    console::result(format_args!("{} checks passed", CHECKS.len()));
    Ok(())
}

type Check = (&'static str, fn() -> Result<()>);

/// The quick ones first.
const CHECKS: [Check; 7] = [
    ("the order of files", tidy::check),
    ("manifests", manifests::check),
    ("format", format),
    ("lints of the host side", || clippy(&[])),
    ("lints of the host side with the later layout", || clippy(&["--all-features"])),
    ("lints of the eBPF side", ebpf::clippy),
    ("documentation", documentation),
];

fn format() -> Result<()> {
    process::run(workspace::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(arguments: &[&str]) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["clippy", "--locked", "--workspace", "--all-targets"]).args(arguments);
    process::run(command.args(["--", "--deny", "warnings"]))
}

fn documentation() -> Result<()> {
    let mut command: Command = workspace::cargo();
    command.args(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
    process::run(command.env("RUSTDOCFLAGS", "--deny warnings"))
}
