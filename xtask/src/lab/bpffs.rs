//! A BPF file system of our own, so that no test depends on `/sys/fs/bpf` or writes to it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{report_leftover, unique};

/// The directory in one that must stay mounted.
const KEPT: &str = "do-not-unmount";

/// A mounted BPF file system; unmounted when dropped, and with it everything pinned in it, unless it is to be kept.
#[derive(Debug)]
pub struct Bpffs {
    path: PathBuf,
}

impl Bpffs {
    /// Mounts one on a directory of its own in `/run`.
    ///
    /// # Errors
    /// When the directory cannot be made or the kernel refuses the mount (not root, no BPF).
    pub fn mount(prefix: &str) -> Result<Self> {
        let run = Path::new("/run");
        let path = run.join(unique(prefix, "bpffs", |name| run.join(name).exists()));
        fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        if let Err(error) = mount(Some("bpf"), &path, Some("bpf"), flags, Some("mode=0700")) {
            fs::remove_dir(&path).with_context(|| format!("removing {}", path.display()))?;
            return Err(error).with_context(|| format!("mounting a BPF file system on {}", path.display()));
        }
        Ok(Self { path })
    }

    /// Has it stay mounted for as long as the machine runs: maps may be pinned in it that the kernel would not survive
    /// freeing, as they hold what it keeps for a cgroup that was removed while it was attached to. `cleanup` tells.
    ///
    /// # Errors
    /// When no directory can be made in it.
    pub fn keep(&self) -> Result<()> {
        let note = self.path.join(KEPT);
        fs::create_dir_all(&note).with_context(|| format!("making {}", note.display()))
    }

    /// Takes [`Self::keep`] back.
    ///
    /// # Errors
    /// When it was not to be kept.
    pub fn release(&self) -> Result<()> {
        let note = self.path.join(KEPT);
        fs::remove_dir(&note).with_context(|| format!("removing {}", note.display()))
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether the one that is mounted there is to stay.
pub(crate) fn is_kept(path: &Path) -> bool {
    path.join(KEPT).exists()
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        if is_kept(&self.path) {
            return;
        }
        // A pin that somebody still holds open must not keep the mount: detaching lets go of the tree at once.
        let removed = umount2(&self.path, MntFlags::MNT_DETACH)
            .map_err(anyhow::Error::from)
            .and_then(|()| Ok(fs::remove_dir(&self.path)?));
        if let Err(error) = removed {
            report_leftover(&format!("the BPF file system {}", self.path.display()), &error);
        }
    }
}
