//! `cargo xtask clean-host`: removes what an aborted test or demo left.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Error, Result};
use clap::Args;
use nix::{
    errno::Errno,
    mount::{MntFlags, umount2},
};

use crate::{
    console,
    failures::Failures,
    lab::{self, DEMO_PREFIX, TEST_PREFIX},
    process,
};

/// Where `ip netns` keeps the names.
const NETNS: &str = "/run/netns";

/// Where tests and the demo mount BPF file systems.
const MOUNTS: &str = "/run";

/// Why some BPF file systems stay.
const KEPT: &str =
    "the kernel might not survive freeing what is pinned in it; it ends with the next start of this machine";

/// Removes the control groups, network namespaces, BPF file systems and directories that an aborted test or demo
/// left.
#[derive(Clone, Copy, Debug, Args)]
pub struct Options {
    /// Only tell what would be removed.
    #[arg(long)]
    dry_run: bool,
}

/// Removes what was made by a process that has ended, and tells each thing.
///
/// What merely has a name like ours was made by a person, and is his to remove.
///
/// # Errors
///
/// If something cannot be removed; the rest is removed all the same.
pub fn run(Options { dry_run }: Options) -> Result<()> {
    process::require_root()?;
    let mut failures = Failures::new();
    let mut removable = 0;
    // Processes first: they hold the rest.
    let mut kinds: Vec<Kind> = vec![("control group", lab::cgroup2_root()?, lab::remove_cgroup)];
    // What containers leave there when the group of the same name, which has their processes, is gone.
    let version_1 = lab::cgroup1_roots()?.into_iter();
    kinds.extend(version_1.map(|root| -> Kind { ("control group of version 1", root, lab::remove_cgroup1) }));
    kinds.push(("network namespace", PathBuf::from(NETNS), delete_netns));
    kinds.push(("BPF file system", PathBuf::from(MOUNTS), unmount));
    kinds.push(("directory", PathBuf::from(lab::SCRATCH), remove_directory));
    for (kind, folder, remove) in kinds {
        for path in ours(&folder)? {
            let what = format!("{kind} {}", path.display());
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_kept = lab::is_kept_bpffs(&path).then(|| KEPT.to_owned());
            if let Some(reason) = is_kept.or_else(|| reason_to_keep(&name, is_running)) {
                console::result(format_args!("kept {what}: {reason}"));
                continue;
            }
            removable += 1;
            if dry_run {
                console::result(format_args!("would remove {what}"));
            } else if failures.check(&what, remove(&path)).is_some() {
                console::result(format_args!("removed {what}"));
            }
        }
    }
    if removable == 0 {
        console::result("nothing to remove");
    }
    failures.finish()
}

/// What it is, where it lies, and how it is removed.
type Kind = (&'static str, PathBuf, fn(&Path) -> Result<()>);

/// The entries of `folder` that a test or the demo made.
fn ours(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot list {}", folder.display()))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let name = entry.file_name();
        if [TEST_PREFIX, DEMO_PREFIX].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Why the object of this name is not ours to remove, if it is not.
fn reason_to_keep(name: &str, is_running: impl Fn(u32) -> bool) -> Option<String> {
    match owner(name) {
        None => Some("no process id is in its name, so neither a test nor the demo made it".to_owned()),
        Some(pid) => is_running(pid).then(|| format!("process {pid}, which made it, runs")),
    }
}

/// The id of the process that made the object of this name, which is PREFIX-LABEL-PID-NUMBER.
fn owner(name: &str) -> Option<u32> {
    let mut parts = name.rsplit('-');
    parts.next()?.parse::<u32>().ok()?;
    parts.next()?.parse().ok()
}

fn is_running(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

fn delete_netns(path: &Path) -> Result<()> {
    let name = path.file_name().context("the namespace has no name")?;
    process::output(Command::new("ip").args(["netns", "delete"]).arg(name)).map(drop)
}

fn unmount(path: &Path) -> Result<()> {
    match umount2(path, MntFlags::MNT_DETACH) {
        // It was made and not yet mounted on, or not removed after unmounting.
        Ok(()) | Err(Errno::EINVAL) => {}
        Err(error) => return Err(Error::new(error).context(format!("cannot unmount {}", path.display()))),
    }
    fs::remove_dir(path).with_context(|| format!("cannot remove {}", path.display()))
}

fn remove_directory(path: &Path) -> Result<()> {
    fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_our_prefixes_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "keepalive-test-a-1-1",
            "keepalive-demo-b-1-1",
            "keepalive",
            "system.slice",
            "test-keepalive-test-",
        ] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }

        let found = ours(folder.path()).unwrap();

        let names = ["keepalive-demo-b-1-1", "keepalive-test-a-1-1"];
        assert_eq!(found, names.map(|name| folder.path().join(name)));
    }

    #[test]
    fn a_folder_that_is_not_there_has_nothing_of_ours() {
        assert_eq!(ours(Path::new("/no/such/folder")).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn the_maker_is_in_the_name() {
        assert_eq!(owner("keepalive-test-two-words-4711-3"), Some(4711));
        assert!(is_running(std::process::id()));
    }

    #[test]
    fn what_a_person_made_is_kept() {
        assert!(reason_to_keep("keepalive-test-by-hand", |_| false).is_some());
        assert!(reason_to_keep("keepalive-test-3", |_| false).is_some());
    }

    #[test]
    fn a_file_system_that_says_so_stays() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!lab::is_kept_bpffs(folder.path()));

        fs::create_dir(folder.path().join("do-not-unmount")).unwrap();

        assert!(lab::is_kept_bpffs(folder.path()));
    }

    #[test]
    fn only_what_a_dead_process_made_is_removed() {
        let name = "keepalive-demo-server-4711-3";

        assert_eq!(reason_to_keep(name, |_| false), None);
        assert_eq!(
            reason_to_keep(name, |pid| pid == 4711).as_deref(),
            Some("process 4711, which made it, runs")
        );
    }
}
