//! A cgroup of our own, for a command to run in or for a trial.

use std::{
    fs, io,
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
        let path = make(&parent, std::process::id())?;
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
        let is_read_only = |error: &io::Error| error.kind() == io::ErrorKind::ReadOnlyFilesystem;
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

/// Makes a cgroup for the process of this id, named by it, and by a number where an earlier process of the same id left
/// one in which others still are.
fn make(parent: &Path, process: u32) -> Result<PathBuf> {
    let mut path = parent.join(format!("{TRANSIENT_PREFIX}{process}"));
    let mut number = 0_u32;
    loop {
        // One that was left empty; in use it does not go.
        let _ = fs::remove_dir(&path);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number += 1;
                path = parent.join(format!("{TRANSIENT_PREFIX}{process}-{number}"));
            }
            made => {
                made.with_context(|| {
                    format!(
                        "cannot create the cgroup {}; run as root, or where cgroups are delegated",
                        path.display()
                    )
                })?;
                return Ok(path);
            }
        }
    }
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    #[test]
    fn what_an_earlier_process_of_the_same_id_left_in_use_is_passed_over_and_what_is_empty_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let made = || make(parent.path(), 7).unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        // It does not go while something is in it, as a cgroup does not.
        let occupy = |name: &str| fs::create_dir(parent.path().join(name).join("below")).unwrap();

        let first = [made(), made()];
        occupy("keepalive-transient-7");
        let second = [made(), made()];
        occupy("keepalive-transient-7-1");
        let third = made();

        assert_eq!(first, ["keepalive-transient-7"; 2]);
        assert_eq!(second, ["keepalive-transient-7-1"; 2]);
        assert_eq!(third, "keepalive-transient-7-2");
        assert!([&first[0], &second[0], &third].into_iter().all(|name| is_transient(name)));
    }

    #[test]
    fn where_none_can_be_made_the_reason_is_told() {
        let parent = tempfile::tempdir().unwrap();

        let error = make(&parent.path().join("gone"), 7).unwrap_err();

        let reason = error.downcast_ref().map(io::Error::kind);
        assert_eq!(reason, Some(io::ErrorKind::NotFound), "{error:#}");
    }
}
