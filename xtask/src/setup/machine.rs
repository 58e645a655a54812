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

/// What says which modules are built in, and in which order the others are.
const LISTS: [&str; 3] = ["modules.builtin", "modules.builtin.modinfo", "modules.order"];

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
    let known = || lines(pins).join(", ");
    let latest =
        kernels.get(line).with_context(|| format!("there is no kernel {line}: choose of {}", known()))?;
    packages::install_commands(commands, "what runs machines")?;

    let busybox = &pins.pod_tools.busybox;
    let busybox = Debs::with(&pins.debian, [busybox])?.path(busybox, "bin/busybox")?;
    let Kernel { release, image, file, modules, lists } = find_kernel(pins, latest)?;
    let debs = Debs::with(&pins.debian, [&image, &modules, &lists])?;
    let modules = debs.path(&modules, "")?;
    index_modules(&modules, &release, &debs.path(&lists, "")?)?;
    Ok(Machine { kernel: debs.path(&image, &file)?, release, modules, busybox })
}

/// The lines of kernels, the oldest first.
pub(super) fn lines(pins: &Pins) -> Vec<String> {
    let mut lines: Vec<_> = pins.machine.kernels.keys().cloned().collect();
    // `6.1` is older than `6.12`; a letter stands for whatever comes.
    lines
        .sort_by_key(|line| line.split('.').map(|part| part.parse().unwrap_or(u32::MAX)).collect::<Vec<_>>());
    lines
}

/// Follows the packages that stand for the latest kernel of a suite to those that have it.
fn find_kernel(pins: &Pins, latest: &Package) -> Result<Kernel> {
    let mut package = latest.clone();
    loop {
        let doc = Debs::with(&pins.debian, [&package])?.path(&package, "usr/share/doc")?;
        package = depended_on(&doc, &package)?;
        if let Some(kernel) = Kernel::named_by(&package) {
            return Ok(kernel);
        }
    }
}

/// What a package depends on, and shares the documentation of.
fn depended_on(doc: &Path, Package { name, suite }: &Package) -> Result<Package> {
    let link = doc.join(name);
    let target = fs::read_link(&link).with_context(|| {
        format!("cannot tell which kernel {name} of {suite} stands for by {}", link.display())
    })?;
    let name = target.to_string_lossy().into_owned();
    let is_of_kernel = ["linux-image-", "linux-base-"].iter().any(|prefix| name.starts_with(prefix));
    ensure!(is_of_kernel, "{} does not lead to a kernel but to {name}", link.display());
    Ok(Package { name, suite: suite.clone() })
}

/// Where a kernel is.
#[derive(Debug, PartialEq, Eq)]
struct Kernel {
    release: String,
    /// The package with the file that is booted.
    image: Package,
    file: String,
    modules: Package,
    /// The package that says what is built in.
    lists: Package,
}

impl Kernel {
    /// By a package whose name has its version, if it has: until Linux 7 the only one, and since then one of
    /// several, that are for it together.
    fn named_by(Package { name, suite }: &Package) -> Option<Self> {
        let is_release = |release: &&str| release.starts_with(|first: char| first.is_ascii_digit());
        let package = |name: String| Package { name, suite: suite.clone() };
        if let Some(release) = name.strip_prefix("linux-image-").filter(is_release) {
            let release = release.to_owned();
            let [image, modules, lists] = [(); 3].map(|()| package(name.clone()));
            return Some(Self { file: format!("boot/vmlinuz-{release}"), release, image, modules, lists });
        }
        let release = name.strip_prefix("linux-base-").filter(is_release)?.to_owned();
        let [image, modules, lists] =
            ["binary", "modules", "base"].map(|part| package(format!("linux-{part}-{release}")));
        Some(Self { file: format!("usr/lib/modules/{release}/vmlinuz"), release, image, modules, lists })
    }
}

/// Writes what `modprobe` looks modules up in: the package's scripts would have, with the lists of what is built in,
/// which another package may have.
fn index_modules(base: &Path, release: &str, lists: &Path) -> Result<()> {
    // The last of the files that it writes.
    if base.join("lib/modules").join(release).join("modules.devname").exists() {
        return Ok(());
    }
    // A system has this link where packages have all in /usr, and `depmod` looks for no other place.
    let lib = base.join("lib");
    if !lib.exists() {
        symlink("usr/lib", &lib).with_context(|| format!("cannot create {}", lib.display()))?;
    }
    for list in LISTS {
        let [from, to] = [lists.join("usr"), base.to_owned()]
            .map(|base| base.join("lib/modules").join(release).join(list));
        if !to.exists() {
            fs::copy(&from, &to)
                .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
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
        symlink("linux-doc", doc.path().join("linux-image-amd64")).unwrap();

        let error = depended_on(doc.path(), &latest()).unwrap_err();

        assert!(error.to_string().ends_with("not lead to a kernel but to linux-doc"), "{error}");
    }

    #[test]
    fn a_kernel_is_in_one_package_or_in_two() {
        let of = |name: &str| Kernel::named_by(&Package { name: name.to_owned(), ..latest() });

        let one = of("linux-image-6.1.0-50-amd64").unwrap();
        let two = of("linux-base-7.2.13+deb14-amd64").unwrap();

        assert_eq!(
            (one.release.as_str(), one.file.as_str()),
            ("6.1.0-50-amd64", "boot/vmlinuz-6.1.0-50-amd64")
        );
        assert_eq!((&one.image, &one.lists), (&one.modules, &one.modules));
        assert_eq!(two.file, "usr/lib/modules/7.2.13+deb14-amd64/vmlinuz");
        assert_eq!(two.image.name, "linux-binary-7.2.13+deb14-amd64");
        assert_eq!(two.modules.name, "linux-modules-7.2.13+deb14-amd64");
        assert_eq!(two.lists.name, "linux-base-7.2.13+deb14-amd64");
    }

    #[test]
    fn a_package_without_a_version_in_its_name_stands_for_another() {
        let of = |name: &str| Kernel::named_by(&Package { name: name.to_owned(), ..latest() });

        assert_eq!(of("linux-base-amd64"), None);
        assert_eq!(of("linux-image-amd64"), None);
    }

    #[test]
    fn lines_are_in_the_order_of_their_age() {
        let mut pins = Pins::read().unwrap();
        pins.machine.kernels = ["7.x", "6.12", "5.10", "6.1"].map(|line| (line.to_owned(), latest())).into();

        assert_eq!(lines(&pins), ["5.10", "6.1", "6.12", "7.x"]);
    }
}
