//! The lock on the pins, and the note of who holds it.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::files::{make_directory, put_text};

const HOLDER: &str = "holder";

/// Holds off other daemons until it is dropped, or the process ends however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    top: PathBuf,
    _top: Flock<File>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still holding the lock, so it names this process; what cannot be removed is overwritten by the next.
        let _ = fs::remove_file(self.top.join(HOLDER));
        // Goes if nothing was pinned.
        let _ = fs::remove_dir(&self.top);
    }
}

impl Lock {
    /// Checks that the pins are still where they were when this was taken.
    ///
    /// # Errors
    /// If their bpffs was unmounted, or another file system mounted over it: what is pinned lies where no path leads to, and
    /// stays in force for as long as this is held.
    pub(crate) fn check(&self) -> Result<()> {
        let held = self._top.metadata().context("cannot read the pin directory")?.dev();
        let bpffs = self.top.parent().unwrap_or(&self.top);
        if fs::metadata(bpffs).is_ok_and(|found| found.dev() == held) {
            return Ok(());
        }
        bail!(
            "the bpffs {} was unmounted, or something else mounted over it; what is in force stays so until the daemon \
             ends: mount a bpffs there and restart it",
            bpffs.display()
        );
    }

    /// Locks the directory `top`.
    pub(super) fn take(top: &Path) -> Result<Self> {
        loop {
            let directory = File::options()
                .read(true)
                .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
                .open(top)
                .with_context(|| format!("cannot open the pin directory {}", top.display()))?;
            let lock = match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((_, Errno::EWOULDBLOCK)) => {
                    let holder = fs::read_link(top.join(HOLDER))
                        .map_or_else(|_| "another process".to_owned(), |holder| holder.display().to_string());
                    bail!(
                        "the pins in {} are held by {holder}; stop it first, or pass another --bpffs",
                        top.display()
                    );
                }
                Err((_, errno)) => {
                    return Err(errno).with_context(|| format!("cannot lock {}", top.display()));
                }
            };
            // Whoever held it before may have removed the directory just now.
            let locked = lock.metadata().context("cannot read the pin directory")?.ino();
            if fs::symlink_metadata(top).is_ok_and(|found| found.ino() == locked) {
                let host = nix::unistd::gethostname().unwrap_or_default();
                put_text(top, HOLDER, &format!("pid {} on {}", std::process::id(), host.display()))?;
                return Ok(Self { top: top.to_owned(), _top: lock });
            }
            make_directory(top)?;
        }
    }
}
