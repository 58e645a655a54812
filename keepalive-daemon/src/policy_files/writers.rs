//! Who has a file open to write.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
    path::Path,
};

use libc::c_int;

/// By which signal somebody is told who holds a lease; `libc` does not have it.
const F_SETSIG: c_int = 10;

/// Whether nobody has a file open to write. What cannot be asked may be open: a file of another user, or on a file system
/// that has no leases.
pub(super) fn is_let_go_of(file: &Path) -> bool {
    lease(file).is_ok()
}

/// Takes a lease to read a file, which the kernel gives of none that is open to write, and lets go of it.
fn lease(file: &Path) -> io::Result<()> {
    // To open a device can have effects.
    if !fs::symlink_metadata(file)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(file)?;
    // Who opens it to write meanwhile has this process told: by a signal that is ignored, not by SIGIO, which ends it.
    control(&file, F_SETSIG, libc::SIGURG)?;
    control(&file, libc::F_SETLEASE, libc::F_RDLCK)
}

fn control(file: &File, command: c_int, argument: c_int) -> io::Result<()> {
    // SAFETY: both commands take a number and touch no memory of this process.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
