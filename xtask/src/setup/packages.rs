//! Packages of Debian and of what is made of it.

mod backports;

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{console, process};

/// Whether this machine has `apt-get`.
pub(super) fn can_install() -> bool {
    process::find("apt-get").is_some()
}

/// Those of `packages` that are not installed.
pub(super) fn missing(packages: &[String]) -> Vec<&str> {
    packages.iter().map(String::as_str).filter(|package| !is_installed(package)).collect()
}

/// Installs the packages of those of `commands`, each with its package, that are missing.
pub(super) fn install_commands(commands: &BTreeMap<String, String>, why: &str) -> Result<()> {
    let missing = || commands.iter().filter(|(command, _)| process::find(command).is_none());
    let mut packages: Vec<_> = missing().map(|(_, package)| package.as_str()).collect();
    if packages.is_empty() {
        return Ok(());
    }
    packages.sort_unstable();
    packages.dedup();
    let names: Vec<_> = missing().map(|(command, _)| command.as_str()).collect();
    install(&packages, &format!("{why} ({})", names.join(", ")))
}

/// Installs `packages`, and removes none: the machine may have others in their stead that its owner needs.
pub(super) fn install(packages: &[&str], why: &str) -> Result<()> {
    if !can_install() {
        bail!("{why} missing, and there is no apt-get: install what Debian calls {}", packages.join(", "));
    }
    console::progress(format_args!("{why}: installing {}", packages.join(", ")));
    if packages.iter().all(|package| is_known(package)) {
        // Lists can be older than the archive, so a failure is not the last word.
        match apt("installing the packages", &install_arguments(packages)) {
            Ok(()) => return Ok(()),
            Err(error) => console::progress(format_args!("{error}: trying again with fresh lists")),
        }
    }
    apt("fetching the lists of packages", &["update"])?;
    let installed = apt("installing the packages", &install_arguments(packages));
    let installed = installed.or_else(|error| match backports::Lists::of_this_release()? {
        Some(lists) => {
            console::progress(format_args!("{error}: trying with backports"));
            lists.install(packages)
        }
        None => Err(error),
    });
    installed.with_context(|| format!("cannot install {}, for {why}", packages.join(", ")))
}

fn install_arguments<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["install", "--yes", "--no-install-recommends", "--no-remove"];
    arguments.extend(packages);
    arguments
}

fn apt(what: &str, arguments: &[&str]) -> Result<()> {
    run_apt(what, &[], arguments)
}

/// Runs apt-get with these settings.
fn run_apt(what: &str, settings: &[String], arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(settings);
    // Another apt can be at work, as on a machine that has only just started.
    command.args(["--quiet", "-o", "DPkg::Lock::Timeout=120"]).args(arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    process::run_with_progress(what, &mut process::as_root(&command)?)
}

fn is_installed(package: &str) -> bool {
    let mut command = Command::new("dpkg-query");
    command.args(["--show", "--showformat=${db:Status-Status}", package]);
    process::output(&mut command).is_ok_and(|status| status == "installed")
}

fn is_known(package: &str) -> bool {
    let mut command = Command::new("apt-cache");
    command.args(["show", "--no-all-versions", package]).stdin(Stdio::null());
    process::output(&mut command).is_ok()
}
