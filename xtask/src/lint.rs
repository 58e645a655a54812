//! `cargo xtask lint`: what can be found wrong without running anything.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::{console, failures::Failures, process, setup, workspace};

mod dependencies;
mod ebpf;
mod manifests;
mod tidy;

/// Checks format, lints of both sides, documentation, manifests, dependencies, and the order of files.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Check dependencies against the database of known vulnerabilities as well, which is fetched from GitHub.
    #[arg(long)]
    advisories: bool,
}

/// Runs all checks and tells, at the end, all that they found.
///
/// # Errors
///
/// If set-up fails or a check finds anything.
pub fn run(Options { advisories }: Options) -> Result<()> {
    setup::lint_tools()?;
    let mut failures = Failures::new();
    for (what, check) in CHECKS {
        console::progress(format_args!("checking {what}"));
        failures.check(what, check());
    }
    if advisories {
        console::progress("checking known vulnerabilities");
        failures.check("known vulnerabilities", dependencies::advisories());
    }
    failures.finish()?;
    console::result(format_args!("{} checks passed", CHECKS.len() + usize::from(advisories)));
    Ok(())
}

type Check = (&'static str, fn() -> Result<()>);

/// The quick ones first.
const CHECKS: [Check; 8] = [
    ("the order of files", tidy::check),
    ("manifests", manifests::check),
    ("licences and sources of dependencies", dependencies::check),
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
