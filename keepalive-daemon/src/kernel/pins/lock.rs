//! The lock on the pins, and the note of who holds it.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::files::{make_directory, put_text, remove_directory, remove_file};

const HOLDER: &str = "holder";

/// Holds off other daemons until it is dropped, or the process ends however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    top: PathBuf,
    locked: Flock<File>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // What is there in its place is another's.
        if !self.holds() {
            return;
        }
        // Still holding the lock, so it names this process; what cannot be removed is overwritten by the next.
        let _ = fs::remove_file(self.top.join(HOLDER));
        // Goes if nothing was pinned.
        let _ = fs::remove_dir(&self.top);
    }
}

impl Lock {
    /// Checks that the pins are still on the file system where they were when this was taken.
    ///
    /// # Errors
    /// If their bpffs was unmounted, or another file system mounted over it: what is pinned lies where no path leads to, and
    /// stays in force for as long as this is held.
    pub(crate) fn check(&self) -> Result<()> {
        let held = self.locked.metadata().context("cannot read the pin directory")?.dev();
        let bpffs = self.top.parent().unwrap_or(&self.top);
        if fs::metadata(bpffs).is_ok_and(|found| found.dev() == held) {
            return Ok(());
        }
        bail!(
            "the bpffs {} was unmounted, or something else mounted over it; what is in force stays so until the daemon \
             ends: mount a bpffs there, and the daemon pins everything anew within a minute, or at SIGHUP",
            bpffs.display()
        );
    }

    /// Locks the directory `top`, which it makes if there is none.
    pub(super) fn take(top: &Path) -> Result<Self> {
        loop {
            make_directory(top)?;
            let opened =
                File::options().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(top);
            let directory = match opened {
                // Whoever held it removed it just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => {
                    opened.with_context(|| format!("cannot open the pin directory {}", top.display()))?
                }
            };
            let lock = match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((_, Errno::EWOULDBLOCK)) => {
                    let holder = fs::read_link(top.join(HOLDER))
                        .map_or_else(|_| "another process".to_owned(), |holder| holder.display().to_string());
                    bail!("the pins in {} are held by {holder}; stop it first", top.display());
                }
                Err((_, errno)) => {
                    return Err(errno).with_context(|| format!("cannot lock {}", top.display()));
                }
            };
            let lock = Self { top: top.to_owned(), locked: lock };
            // Whoever held it before may have removed the directory just now.
            if lock.holds() {
                let host = nix::unistd::gethostname().unwrap_or_default();
                put_text(top, HOLDER, &format!("pid {} on {}", std::process::id(), host.display()))?;
                return Ok(lock);
            }
        }
    }

    /// Removes the directory, in which nothing else is left, before anybody else can lock it.
    pub(super) fn remove_directory(self) -> Result<()> {
        remove_file(&self.top.join(HOLDER))?;
        remove_directory(&self.top)
    }

    /// Whether the directory is still the one that is locked: it may be removed, or another bpffs be mounted.
    pub(super) fn holds(&self) -> bool {
        let [locked, found] = [self.locked.metadata(), fs::symlink_metadata(&self.top)];
        matches!((locked, found), (Ok(locked), Ok(found)) if (locked.dev(), locked.ino()) == (found.dev(), found.ino()))
    }
}
