//! Where everything lies in the bpffs.
//!
//! ```text
//! /sys/fs/bpf/keepalive/                   locked (flock) by the daemon
//!   holder -> pid 4711 on node-1           who holds the lock
//!   abi1/                                  one directory a layout of the maps
//!     program                              what all links run
//!     maps/POLICY  maps/COUNTERS  maps/CLAIMS
//!     cgroups/system_slice:nginx_service-4242/
//!       link                               keeps the program attached, daemon or not
//!       cgroup -> system.slice/nginx.service
//!       policy -> host-services
//! ```
//!
//! A bpffs holds no ordinary files, but symbolic links whose targets are free text: that is what makes it
//! readable with `ls -l`. It refuses dots in names.

use std::{
    fs, io,
    os::{
        fd::AsFd as _,
        unix::fs::{DirBuilderExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use keepalive_ebpf::ABI_VERSION;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::sys;

const TOP: &str = "keepalive";
const HOLDER: &str = "holder";
/// The longest part of a cgroup's path that goes into the name of its directory.
const NAME_LENGTH: usize = 200;

/// The pins of one layout under one bpffs.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    top: PathBuf,
    abi: PathBuf,
}

/// Holds off other daemons until it is dropped, or the process ends however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    top: PathBuf,
    _top: Flock<fs::File>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still holding the lock, so it names this process; what cannot be removed is overwritten by the next.
        let _ = fs::remove_file(self.top.join(HOLDER));
        // Goes if nothing was pinned.
        let _ = fs::remove_dir(&self.top);
    }
}

/// The pins of one cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CgroupPins(PathBuf);

impl Pins {
    /// The pins under `bpffs`; creates nothing.
    ///
    /// # Errors
    /// If `bpffs` is not a bpffs: on any other filesystem pinning fails, and in a container's own it would
    /// die with the container.
    pub(crate) fn new(bpffs: &Path) -> Result<Self> {
        let cure = || format!("mount one with `mount -t bpf bpf {}`, or pass --bpffs", bpffs.display());
        let kind = statfs(bpffs)
            .with_context(|| format!("cannot read the bpffs {}; {}", bpffs.display(), cure()))?
            .filesystem_type();
        if kind != BPF_FS_MAGIC {
            bail!("{} is not a bpffs; {}", bpffs.display(), cure());
        }
        let top = bpffs.join(TOP);
        let abi = top.join(format!("abi{ABI_VERSION}"));
        Ok(Self { top, abi })
    }

    /// Whether anything was ever pinned here, in any layout.
    ///
    /// # Errors
    /// If this process may not look.
    pub(crate) fn exist(&self) -> Result<bool> {
        exists(&self.top)
    }

    pub(crate) fn top(&self) -> &Path {
        &self.top
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.abi.join("program")
    }

    pub(crate) fn map(&self, name: &str) -> PathBuf {
        self.abi.join("maps").join(name)
    }

    pub(crate) fn create(&self) -> Result<()> {
        for directory in [self.abi.join("maps"), self.abi.join("cgroups")] {
            make_directory(&directory)?;
        }
        Ok(())
    }

    /// Takes back what [`Self::create`] made, as far as nothing was pinned in it.
    pub(crate) fn discard_empty(&self) {
        for directory in [&self.abi.join("maps"), &self.abi.join("cgroups"), &self.abi] {
            // One that holds pins is not empty, and stays.
            let _ = fs::remove_dir(directory);
        }
    }

    /// Takes the lock that makes this process the only one to change the pins.
    ///
    /// # Errors
    /// If another process holds it; says which.
    pub(crate) fn lock(&self) -> Result<Lock> {
        make_directory(&self.top)?;
        let top = fs::File::open(&self.top)
            .with_context(|| format!("cannot open the pin directory {}", self.top.display()))?;
        let lock = match Flock::lock(top, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => {
                let holder = fs::read_link(self.top.join(HOLDER))
                    .map_or_else(|_| "another process".to_owned(), |holder| holder.display().to_string());
                bail!(
                    "the pins in {} are held by {holder}; stop it first, or pass another --bpffs",
                    self.top.display()
                );
            }
            Err((_, errno)) => {
                return Err(errno).with_context(|| format!("cannot lock {}", self.top.display()));
            }
        };
        let host = nix::unistd::gethostname().unwrap_or_default();
        let holder = format!("pid {} on {}", std::process::id(), host.display());
        put_text(&self.top, HOLDER, &holder)?;
        Ok(Lock { top: self.top.clone(), _top: lock })
    }

    /// The pins of every cgroup of this layout, ancestors first.
    pub(crate) fn cgroups(&self) -> Result<Vec<CgroupPins>> {
        cgroups_of(&self.abi)
    }

    /// The pins of a cgroup, whether they exist or not.
    pub(crate) fn cgroup(&self, path: &str, id: u64) -> CgroupPins {
        CgroupPins(self.abi.join("cgroups").join(directory_name(path, id)))
    }

    /// The directories of layouts other than this one.
    pub(crate) fn other_layouts(&self) -> Result<Vec<PathBuf>> {
        let mut layouts = directories(&self.top)?;
        layouts.retain(|layout| *layout != self.abi);
        Ok(layouts)
    }

    /// This layout's directory.
    pub(crate) fn layout(&self) -> &Path {
        &self.abi
    }

    /// Removes the top directory, once no layout is in it.
    pub(crate) fn remove_top(&self, lock: Lock) -> Result<()> {
        drop(lock);
        remove_directory(&self.top)
    }
}

impl CgroupPins {
    pub(crate) fn link(&self) -> PathBuf {
        self.0.join("link")
    }

    /// Where the link of an upgrade waits to take the place of [`Self::link`].
    pub(crate) fn next_link(&self) -> PathBuf {
        self.0.join(next("link"))
    }

    pub(crate) fn create(&self, cgroup: &str) -> Result<()> {
        make_directory(&self.0)?;
        put_text(&self.0, "cgroup", if cgroup.is_empty() { "/" } else { cgroup })
    }

    /// The name of the policy in force; for people and for `status`, the kernel side does not need it.
    pub(crate) fn policy(&self) -> Option<String> {
        Some(fs::read_link(self.0.join("policy")).ok()?.to_string_lossy().into_owned())
    }

    pub(crate) fn set_policy(&self, name: &str) -> Result<()> {
        put_text(&self.0, "policy", name)
    }

    /// The path of the cgroup when it was attached.
    pub(crate) fn path(&self) -> Option<String> {
        let path = fs::read_link(self.0.join("cgroup")).ok()?.to_string_lossy().into_owned();
        Some(if path == "/" { String::new() } else { path })
    }

    /// Removes what a daemon left that was killed while it put something in another's place.
    pub(crate) fn discard_unfinished(&self) -> Result<()> {
        end_link(&self.next_link())?;
        for name in ["cgroup", "policy"] {
            remove_file(&self.0.join(next(name)))?;
        }
        Ok(())
    }

    /// Ends the attachment, and removes all pins of the cgroup.
    pub(crate) fn remove(&self) -> Result<()> {
        for link in [self.link(), self.next_link()] {
            end_link(&link)?;
        }
        remove_tree(&self.0)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }
}

/// The pins of every cgroup of a layout. Ancestors come before what is inside them: whoever ends attachments in
/// this order leaves no ancestor to govern what a deeper cgroup governed.
fn cgroups_of(layout: &Path) -> Result<Vec<CgroupPins>> {
    let mut cgroups: Vec<CgroupPins> =
        directories(&layout.join("cgroups"))?.into_iter().map(CgroupPins).collect();
    cgroups.sort_by_cached_key(CgroupPins::path);
    Ok(cgroups)
}

/// Removes all pins of a layout.
pub(crate) fn remove_layout(layout: &Path) -> Result<()> {
    for cgroup in cgroups_of(layout)? {
        cgroup.remove()?;
    }
    remove_tree(layout)
}

/// The name of a cgroup's directory: readable, unique by the cgroup's id, without what a bpffs refuses.
fn directory_name(path: &str, id: u64) -> String {
    let readable: Vec<char> = path
        .chars()
        .map(|c| match c {
            '/' => ':',
            c if c.is_ascii_alphanumeric() || "-_@\\".contains(c) => c,
            _ => '_',
        })
        .collect();
    let tail = &readable[readable.len().saturating_sub(NAME_LENGTH)..];
    let tail: String = if tail.is_empty() { "root".to_owned() } else { tail.iter().collect() };
    format!("{tail}-{id}")
}

/// Whether something is pinned at `path`.
///
/// # Errors
/// If this process may not look.
pub(crate) fn exists(path: &Path) -> Result<bool> {
    path.try_exists()
        .with_context(|| format!("cannot look for {}; run as the user the daemon runs as", path.display()))
}

fn make_directory(path: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| {
        format!("cannot create the pin directory {}; is the bpffs writable?", path.display())
    })
}

/// Detaches a pinned link and removes its pin. Removing the pin alone would detach it too, but some time later:
/// the kernel leaves that to a worker.
fn end_link(path: &Path) -> Result<()> {
    if let Ok(pin) = sys::open_pin(path)
        && sys::kind(pin.as_fd()).is_ok_and(|kind| kind == sys::Kind::Link)
    {
        sys::detach_link(pin.as_fd())
            .with_context(|| format!("cannot detach the link {}", path.display()))?;
    }
    remove_file(path)
}

/// The name under which what takes the place of `name` waits.
fn next(name: &str) -> String {
    format!("next_{name}")
}

/// Writes `text` as the target of the link `name`, in one step for whoever reads it.
fn put_text(directory: &Path, name: &str, text: &str) -> Result<()> {
    let target = directory.join(name);
    let next = directory.join(next(name));
    remove_file(&next)?;
    symlink(text, &next)
        .and_then(|()| fs::rename(&next, &target))
        .with_context(|| format!("cannot write {}; is the bpffs writable?", target.display()))
}

/// Removes a directory and all in it, links of cgroups first: that is what detaches.
fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}; is the bpffs writable?", path.display()))
        }
        _ => Ok(()),
    }
}

fn remove_directory(path: &Path) -> Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
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
fn directories(path: &Path) -> Result<Vec<PathBuf>> {
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
    use super::*;

    #[test]
    fn names_are_readable_and_hold_nothing_a_bpffs_refuses() {
        for (path, name) in [
            ("system.slice/nginx.service", "system_slice:nginx_service-42"),
            ("", "root-42"),
            ("a b\n/..ü/x", "a_b_:___:x-42"),
            (r"system.slice/dev\x2dhugepages.mount", r"system_slice:dev\x2dhugepages_mount-42"),
        ] {
            assert_eq!(directory_name(path, 42), name);
        }
    }

    #[test]
    fn long_paths_keep_their_end_and_fit_a_file_name() {
        let name = directory_name(&format!("{}/leaf", "x".repeat(4000)), u64::MAX);

        assert!(name.contains(":leaf-18446744073709551615"), "{name}");
        assert!(name.len() <= 255, "{}", name.len());
    }
}
