//! `cleanup`: leave nothing behind.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use walkdir::WalkDir;

use super::failure::Verdict;
use crate::{
    cli::{BpffsArg, CgroupRootArg, OutputArg},
    kernel,
    report::{self, ForPeople, Table},
    workloads::{TRANSIENT_PREFIX, cgroup2_root, remove_emptied},
};

/// Detach from all cgroups and remove all pins, of every version.
///
/// New connections are left alone from then on; connections that were armed stay so until they close. Refuses
/// while a daemon runs. Also removes the cgroups that an `exec` left which was killed.
///
/// Maps in which the kernel keeps something for cgroups that are gone stay, after 5 s, and it ends with 1: try again once
/// the last sockets of those cgroups are closed.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    bpffs: BpffsArg,
    #[command(flatten)]
    cgroup_root: CgroupRootArg,
    #[command(flatten)]
    output: OutputArg,
}

/// What was removed.
#[derive(Debug, Default, Serialize)]
struct Removed {
    removed: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    what: String,
    path: String,
}

impl Removed {
    fn add(&mut self, what: &str, path: &Path) {
        self.removed.push(Item { what: what.to_owned(), path: path.display().to_string() });
    }
}

impl ForPeople for Removed {
    fn for_people(&self) -> String {
        if self.removed.is_empty() {
            return "nothing to remove".to_owned();
        }
        let mut table = Table::new(["REMOVED", "PATH"]);
        for Item { what, path } in &self.removed {
            table.row([what.clone(), path.clone()]);
        }
        table.to_string()
    }
}

/// Removes everything and prints each thing.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let Options { bpffs, cgroup_root, output } = options;
    let mut removed = Removed::default();
    let root = cgroup2_root(cgroup_root.cgroup_root.as_deref());
    // Where what was given is none, all that is mounted tells as well.
    let there = || cgroup2_root(root.as_deref().ok());
    let pins = kernel::remove_all(&bpffs.bpffs, there, |what, path| removed.add(what, path));
    let cgroups = root.and_then(|root| remove_left_by_exec(&root, &mut removed));
    let done = pins.and(cgroups);
    if done.is_ok() || !removed.removed.is_empty() {
        report::print(&removed, output.output)?;
    }
    done.map(|()| Verdict::Good)
}

/// Removes the cgroups of killed `exec`s. One with a process in it is in use: the kernel refuses to remove it.
fn remove_left_by_exec(root: &Path, removed: &mut Removed) -> Result<()> {
    // What vanishes while it is walked is gone, which is as good.
    for entry in WalkDir::new(root).contents_first(true).into_iter().flatten() {
        let left =
            entry.file_type().is_dir() && entry.file_name().to_string_lossy().starts_with(TRANSIENT_PREFIX);
        if left && remove_emptied(entry.path()).is_ok() {
            removed.add("cgroup", entry.path());
        }
    }
    Ok(())
}
