//! Which cgroups there are.

use std::{collections::BTreeSet, fs, io, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, Result};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use walkdir::WalkDir;

/// The cgroups that there are.
pub(super) struct Present {
    /// Their ids.
    pub(super) ids: BTreeSet<u64>,
    /// Why these may not be all; nothing if they are.
    pub(super) unseen: Option<String>,
}

/// The id of the root of the hierarchy (`kernfs_create_root`).
const ROOT_ID: u64 = 1;

/// Looks which cgroups there are, below `root` and beside it, as far up as the hierarchy is mounted there.
///
/// # Errors
/// If the root cannot be read.
pub(super) fn present(root: &Path) -> Result<Present> {
    let root =
        fs::canonicalize(root).with_context(|| format!("cannot read the cgroup root {}", root.display()))?;
    let is_cgroup2 =
        |path: &&Path| statfs(*path).is_ok_and(|stat| stat.filesystem_type() == CGROUP2_SUPER_MAGIC);
    let top = root.ancestors().take_while(is_cgroup2).last().unwrap_or(&root).to_owned();
    let (mut ids, mut unseen) = (BTreeSet::new(), None);
    for entry in WalkDir::new(&top) {
        let id = entry.and_then(|entry| {
            Ok(if entry.file_type().is_dir() { Some(entry.metadata()?.ino()) } else { None })
        });
        match id {
            Ok(id) => ids.extend(id),
            Err(error) if is_of_the_past(&error) => {}
            // As one that its owner lets nobody list.
            Err(error) => unseen = Some(error.to_string()),
        }
    }
    if !ids.contains(&ROOT_ID) {
        unseen = Some(format!("{} is a part of the cgroup2 hierarchy", top.display()));
    }
    Ok(Present { ids, unseen })
}

/// Whether a cgroup is gone by the time it is read: the kernel answers `ENODEV` of one that was open.
fn is_of_the_past(error: &walkdir::Error) -> bool {
    let errno = error.io_error().and_then(io::Error::raw_os_error);
    matches!(errno, Some(libc::ENOENT | libc::ENODEV))
}
