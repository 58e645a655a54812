//! What others wrote that goes into the daemon: by which licence, from where, and whether anything is known against it.
//! The policy is `.cargo/deny.toml`.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{process, setup, workspace};

/// The policy, relative to the workspace.
const POLICY: &str = ".cargo/deny.toml";

/// Checks licences, sources and bans, for which cargo's own copies of the crates are enough.
pub(super) fn check() -> Result<()> {
    deny(&["licenses", "bans", "sources"])
}

/// Checks what is known against them, which changes from day to day without a change here, and is no reason to refuse one.
pub(super) fn advisories() -> Result<()> {
    deny(&["advisories"]).context("see above; the database is https://github.com/rustsec/advisory-db")
}

fn deny(what: &[&str]) -> Result<()> {
    let mut command = Command::new(setup::cargo_deny()?);
    command.args(["--locked", "--manifest-path"]).arg(workspace::root().join("Cargo.toml"));
    command.arg("--config").arg(workspace::root().join(POLICY)).arg("--log-level=error");
    command.args(["check", "--hide-inclusion-graph"]).args(what).current_dir(workspace::root());
    process::run(&mut command)
}
