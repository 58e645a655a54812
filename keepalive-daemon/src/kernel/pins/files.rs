//! What a bpffs lets one do with files: directories, pins, and symbolic links whose targets are free text.

use std::{
    fs, io,
    os::{
        fd::AsFd as _,
        unix::fs::{DirBuilderExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::kernel::sys;

/// Whether something is pinned at `path`.
///
/// # Errors
/// If this process may not look.
pub(crate) fn exists(path: &Path) -> Result<bool> {
    path.try_exists()
        .with_context(|| format!("cannot look for {}; run as the user the daemon runs as", path.display()))
}

pub(super) fn make_directory(path: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| {
        format!("cannot create the pin directory {}; is the bpffs writable?", path.display())
    })
}

/// Detaches a pinned link and removes its pin. Removing the pin alone would detach it too, but some time later:
/// the kernel leaves that to a worker.
pub(super) fn end_link(path: &Path) -> Result<()> {
    if let Ok(pin) = sys::open_pin(path)
        && sys::kind(pin.as_fd()).is_ok_and(|kind| kind == sys::Kind::Link)
    {
        sys::detach_link(pin.as_fd())
            .with_context(|| format!("cannot detach the link {}", path.display()))?;
    }
    remove_file(path)
}

/// The name under which what takes the place of `name` waits.
pub(super) fn next(name: &str) -> String {
    format!("next_{name}")
}

/// Writes `text` as the target of the link `name`, in one step for whoever reads it.
pub(super) fn put_text(directory: &Path, name: &str, text: &str) -> Result<()> {
    let target = directory.join(name);
    let next = directory.join(next(name));
    let is_left_over = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
    let made = match symlink(text, &next) {
        // By a daemon that was killed in the middle of it.
        Err(error) if is_left_over(&error) => remove_file(&next).and_then(|()| Ok(symlink(text, &next)?)),
        made => made.map_err(anyhow::Error::from),
    };
    made.and_then(|()| Ok(fs::rename(&next, &target)?))
        .with_context(|| format!("cannot write {}; is the bpffs writable?", target.display()))
}

/// Writes `text` as the target of the link `name`, which is not there yet, as a rule.
pub(super) fn put_first_text(directory: &Path, name: &str, text: &str) -> Result<()> {
    let target = directory.join(name);
    match symlink(text, &target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => put_text(directory, name, text),
        made => made.with_context(|| format!("cannot write {}; is the bpffs writable?", target.display())),
    }
}

/// Removes a directory and all in it, links of cgroups first: that is what detaches.
pub(super) fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}; is the bpffs writable?", path.display()))
        }
        _ => Ok(()),
    }
}

pub(super) fn remove_directory(path: &Path) -> Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}; what else is in it?", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes a file; that it is not there is as good.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}; is the bpffs writable?", path.display()))
        }
        _ => Ok(()),
    }
}

/// The directories in a directory that may not exist, in order.
pub(super) fn directories(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot list {}", path.display())),
    };
    let mut directories = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", path.display()))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            directories.push(entry.path());
        }
    }
    directories.sort();
    Ok(directories)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use tempfile::tempdir;

    use super::*;

    #[test]
    fn a_text_takes_the_place_of_another_whatever_a_killed_daemon_left() {
        let directory = tempdir().unwrap();
        let text = || fs::read_link(directory.path().join("policy")).unwrap();

        put_first_text(directory.path(), "policy", "first").unwrap();
        assert_eq!(text(), Path::new("first"));
        put_first_text(directory.path(), "policy", "second").unwrap();
        assert_eq!(text(), Path::new("second"));
        symlink("half done", directory.path().join(next("policy"))).unwrap();
        put_text(directory.path(), "policy", "third").unwrap();

        assert_eq!(text(), Path::new("third"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
