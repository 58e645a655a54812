//! Which cgroups there are.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use walkdir::WalkDir;

/// The cgroups that there are.
pub(super) struct Present {
    /// Their ids.
    pub(super) ids: BTreeSet<u64>,
    /// Where they were found.
    pub(super) top: PathBuf,
    /// Whether that is all of the hierarchy.
    pub(super) is_whole: bool,
}

/// The id of the root of the hierarchy (`kernfs_create_root`).
const ROOT_ID: u64 = 1;

/// Looks which cgroups there are, below `root` and beside it, as far up as the hierarchy is mounted there.
///
/// # Errors
/// If a part of that cannot be read.
pub(super) fn present(root: &Path) -> Result<Present> {
    let root =
        fs::canonicalize(root).with_context(|| format!("cannot read the cgroup root {}", root.display()))?;
    let is_cgroup2 =
        |path: &&Path| statfs(*path).is_ok_and(|stat| stat.filesystem_type() == CGROUP2_SUPER_MAGIC);
    let top = root.ancestors().take_while(is_cgroup2).last().unwrap_or(&root).to_owned();
    let mut ids = BTreeSet::new();
    for entry in WalkDir::new(&top) {
        let id = entry.and_then(|entry| {
            Ok(if entry.file_type().is_dir() { Some(entry.metadata()?.ino()) } else { None })
        });
        match id {
            Ok(id) => ids.extend(id),
            Err(error) if is_of_the_past(&error) => {}
            Err(error) => return Err(error).context("cannot tell which cgroups there are"),
        }
    }
    Ok(Present { is_whole: ids.contains(&ROOT_ID), ids, top })
}

/// Whether a cgroup is gone by the time it is read: the kernel answers `ENODEV` of one that was open.
fn is_of_the_past(error: &walkdir::Error) -> bool {
    let errno = error.io_error().and_then(io::Error::raw_os_error);
    matches!(errno, Some(libc::ENOENT | libc::ENODEV))
}
