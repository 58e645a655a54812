//! What a machine of the tests' own is made of: an emulator, and a kernel that is unpacked and not installed.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{
    debs::Debs,
    packages,
    pins::{Package, Pins},
};
use crate::process;

/// What machines are made of, as the root manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct MachinePackages {
    /// What is called: command and the Debian package it is in.
    pub(crate) commands: BTreeMap<String, String>,
    /// By its line, such as `6.1`, the package that depends on the kernel of its suite.
    pub(crate) kernels: BTreeMap<String, Package>,
}

/// A kernel, and what boots it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// As `uname -r` says it, such as `6.1.0-50-amd64`.
    pub release: String,
    /// The file that is booted.
    pub kernel: PathBuf,
    /// The folder with `lib/modules`.
    pub modules: PathBuf,
    /// A shell and its commands in one program that needs no library.
    pub busybox: PathBuf,
}

/// Finds the kernel of a line and what boots it, and fetches what is not there.
pub(super) fn find(pins: &Pins, line: &str) -> Result<Machine> {
    ensure!(
        env::consts::ARCH == "x86_64",
        "machines run the programs of this one with a kernel for x86_64, and this one is {}",
        env::consts::ARCH
    );
    let MachinePackages { commands, kernels } = &pins.machine;
    let known = || kernels.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let latest =
        kernels.get(line).with_context(|| format!("there is no kernel {line}: choose of {}", known()))?;
    packages::install_commands(commands, "what runs machines")?;

    let busybox = &pins.pod_tools.busybox;
    let debs = Debs::with(&pins.debian, [latest, busybox])?;
    let kernel = depended_on(&debs.path(latest, "usr/share/doc")?, latest)?;
    let busybox = debs.path(busybox, "bin/busybox")?;
    let debs = Debs::with(&pins.debian, [&kernel])?;
    let release = kernel.name.strip_prefix("linux-image-").unwrap_or(&kernel.name).to_owned();
    let modules = debs.path(&kernel, "")?;
    index_modules(&modules, &release)?;
    Ok(Machine { kernel: debs.path(&kernel, &format!("boot/vmlinuz-{release}"))?, release, modules, busybox })
}

/// The package of a kernel, whose name has its version: the one that depends on it shares its documentation.
fn depended_on(doc: &Path, Package { name, suite }: &Package) -> Result<Package> {
    let link = doc.join(name);
    let target = fs::read_link(&link).with_context(|| {
        format!("cannot tell which kernel {name} of {suite} stands for by {}", link.display())
    })?;
    let name = target.to_string_lossy().into_owned();
    ensure!(name.starts_with("linux-image-"), "{} does not lead to a kernel but to {name}", link.display());
    Ok(Package { name, suite: suite.clone() })
}

/// Writes what `modprobe` looks modules up in: the package's scripts would have.
fn index_modules(base: &Path, release: &str) -> Result<()> {
    // The last of the files that it writes.
    if base.join("lib/modules").join(release).join("modules.devname").exists() {
        return Ok(());
    }
    // A system has this link where packages have all in /usr, and `depmod` looks for no other place.
    let lib = base.join("lib");
    if !lib.exists() {
        symlink("usr/lib", &lib).with_context(|| format!("cannot create {}", lib.display()))?;
    }
    let depmod = process::find("depmod").context("there is no depmod, which the package kmod has")?;
    process::output(Command::new(depmod).arg("--basedir").arg(base).arg(release)).map(drop)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn latest() -> Package {
        Package { name: "linux-image-amd64".to_owned(), suite: "bookworm".to_owned() }
    }

    #[test]
    fn the_kernel_is_the_one_whose_documentation_is_shared() {
        let doc = tempfile::tempdir().unwrap();
        symlink("linux-image-6.1.0-50-amd64", doc.path().join("linux-image-amd64")).unwrap();

        let kernel = depended_on(doc.path(), &latest()).unwrap();

        let name = "linux-image-6.1.0-50-amd64".to_owned();
        assert_eq!(kernel, Package { name, suite: "bookworm".to_owned() });
    }

    #[test]
    fn documentation_of_something_else_leads_to_no_kernel() {
        let doc = tempfile::tempdir().unwrap();
        symlink("linux-base-amd64", doc.path().join("linux-image-amd64")).unwrap();

        let error = depended_on(doc.path(), &latest()).unwrap_err();

        assert!(error.to_string().ends_with("not lead to a kernel but to linux-base-amd64"), "{error}");
    }
}
