//! A cgroup of our own, for a command to run in or for a trial.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use walkdir::WalkDir;

use super::own_cgroup;

/// How the names of these cgroups begin; what is left of them is found by it.
pub(crate) const TRANSIENT_PREFIX: &str = "keepalive-transient-";

/// Whether a cgroup, by its path, is one of these or below one.
pub(crate) fn is_transient(path: &str) -> bool {
    path.split('/').any(|name| name.starts_with(TRANSIENT_PREFIX))
}

/// A cgroup below the caller's own; removed when dropped, unless it is kept.
pub(crate) struct Transient {
    parent: PathBuf,
    path: PathBuf,
    id: u64,
    /// Whether it is somebody else's to remove.
    kept: bool,
}

impl Transient {
    /// Makes a cgroup below the one this process is in.
    ///
    /// # Errors
    /// If there is no cgroup2, or no right to make a cgroup in it.
    pub(crate) fn create() -> Result<Self> {
        let parent = own_cgroup()?;
        let path = parent.join(format!("{TRANSIENT_PREFIX}{}", std::process::id()));
        // A killed process of the same id may have left one; in use it would not go.
        let _ = fs::remove_dir(&path);
        fs::create_dir(&path).with_context(|| {
            format!(
                "cannot create the cgroup {}; run as root, or where cgroups are delegated",
                path.display()
            )
        })?;
        let id = id(&path)?;
        Ok(Self { parent, path, id, kept: false })
    }

    /// The same, or the caller's own cgroup where the hierarchy is read-only, as in a container: there it is the
    /// container's.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub(crate) fn create_or_own() -> Result<Self> {
        let refused = match Self::create() {
            Ok(made) => return Ok(made),
            Err(refused) => refused,
        };
        let is_read_only = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ReadOnlyFilesystem;
        if !refused.downcast_ref().is_some_and(is_read_only) {
            return Err(refused);
        }
        let path = own_cgroup()?;
        let id = id(&path)?;
        Ok(Self { parent: path.clone(), path, id, kept: true })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// Moves this process into it.
    pub(crate) fn enter(&self) -> Result<()> {
        self.move_to(&self.path)
    }

    /// Moves this process back to where it came from.
    pub(crate) fn leave(&self) -> Result<()> {
        self.move_to(&self.parent)
    }

    fn move_to(&self, cgroup: &Path) -> Result<()> {
        if self.path == self.parent { Ok(()) } else { move_into(cgroup) }
    }

    /// Leaves its removal to somebody else.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Transient {
    fn drop(&mut self) {
        if !self.kept {
            // The kernel refuses it while a process is in it; `cleanup` finds what is left.
            let _ = remove_emptied(&self.path);
        }
    }
}

/// Removes a cgroup without processes, with the cgroups that were made in it.
///
/// # Errors
/// If one of them has a process in it.
pub(crate) fn remove_emptied(cgroup: &Path) -> Result<()> {
    for entry in WalkDir::new(cgroup).contents_first(true) {
        let entry = entry.with_context(|| format!("cannot list the cgroup {}", cgroup.display()))?;
        if entry.file_type().is_dir() {
            fs::remove_dir(entry.path())
                .with_context(|| format!("cannot remove the cgroup {}", entry.path().display()))?;
        }
    }
    Ok(())
}

fn id(cgroup: &Path) -> Result<u64> {
    let metadata =
        fs::metadata(cgroup).with_context(|| format!("cannot read the cgroup {}", cgroup.display()))?;
    Ok(metadata.ino())
}

fn move_into(cgroup: &Path) -> Result<()> {
    fs::write(cgroup.join("cgroup.procs"), "0")
        .with_context(|| format!("cannot move into the cgroup {}", cgroup.display()))
}
