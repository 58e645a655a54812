//! One directory of the tree, whoever owns it by now.

use std::{ffi::OsString, fs, io, os::unix::fs::MetadataExt as _, path::Path};

/// What a directory turns out to be.
pub(super) enum Reading {
    /// A cgroup, by its id, and the names of those in it.
    Cgroup(u64, Vec<OsString>),
    /// A cgroup in which this process may not look: whoever it was delegated to says so.
    Closed(u64, io::Error),
    /// Nothing that can be reached by its path: it is too long for one, or something else is mounted there.
    OutOfReach(io::Error),
    /// No longer there.
    Gone,
    /// This could not be found out, and may be at another time.
    Failed(io::Error),
}

/// Reads a directory of the file system `device`.
pub(super) fn read(directory: &Path, device: u64) -> Reading {
    let stat = match fs::symlink_metadata(directory) {
        Ok(stat) if stat.dev() == device => stat,
        Ok(_) => return Reading::OutOfReach(io::Error::other("something else is mounted there")),
        Err(error) => return failure(None, error),
    };
    match names(directory) {
        Ok(names) => Reading::Cgroup(stat.ino(), names),
        Err(error) => failure(Some(stat.ino()), error),
    }
}

fn names(directory: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name());
        }
    }
    Ok(names)
}

fn failure(id: Option<u64>, error: io::Error) -> Reading {
    match (error.kind(), id) {
        (io::ErrorKind::NotFound, _) => Reading::Gone,
        // A cgroup that is removed while it is looked at.
        _ if error.raw_os_error() == Some(libc::ENODEV) => Reading::Gone,
        (io::ErrorKind::PermissionDenied, Some(id)) => Reading::Closed(id, error),
        (io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidFilename, _) => Reading::OutOfReach(error),
        _ => Reading::Failed(error),
    }
}
