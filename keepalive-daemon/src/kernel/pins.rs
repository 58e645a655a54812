//! Where everything lies in the bpffs.
//!
//! ```text
//! /sys/fs/bpf/keepalive/                   locked (flock) by the daemon
//!   holder -> pid 4711 on node-1           who holds the lock
//!   abi2/                                  one directory a layout of the maps
//!     program                              what all links run
//!     guard_program                        the one that guards what policies enforce
//!     maps/POLICY  maps/COUNTERS  maps/CLAIMS  maps/DESTINATIONS
//!     cgroups/system_slice:nginx_service-4242/
//!       link                               keeps the program attached, daemon or not
//!       guard                              likewise, where the policy enforces
//!       cgroup -> system.slice/nginx.service
//!       policy -> host-services
//!       swept -> 0000000000000003...       the policy that open connections were swept for
//! ```
//!
//! A bpffs holds no ordinary files, but symbolic links whose targets are free text: that is what makes it
//! readable with `ls -l`. It refuses dots in names.

mod files;
mod held;
mod lock;
pub(crate) mod swept;

use std::{
    fs,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use keepalive_ebpf::{ABI_VERSION, Policy};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use files::{directories, end_link, make_directory, next, put_first_text, put_text, remove_tree};
pub(crate) use files::{exists, remove_file};
pub(crate) use held::Held;
pub(crate) use lock::Lock;

use super::sys;

const TOP: &str = "keepalive";
/// The longest part of a cgroup's path that goes into the name of its directory.
const NAME_LENGTH: usize = 200;

/// The pins of one layout under one bpffs.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    top: PathBuf,
    abi: PathBuf,
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
        let cure =
            || format!("mount one with `mount -t bpf -o mode=0700 bpf {}`, or pass --bpffs", bpffs.display());
        let kind = statfs(bpffs)
            .with_context(|| format!("cannot read the bpffs {}; {}", bpffs.display(), cure()))?
            .filesystem_type();
        if kind != BPF_FS_MAGIC {
            bail!("{} is not a bpffs; {}", bpffs.display(), cure());
        }
        let top = bpffs.join(TOP);
        check_owner(&top)?;
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

    pub(crate) fn guard_program(&self) -> PathBuf {
        self.abi.join("guard_program")
    }

    pub(crate) fn map(&self, name: &str) -> PathBuf {
        maps(&self.abi).join(name)
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
        Lock::take(&self.top)
    }

    /// Takes the lock where the pins are to be now, which is not where `former` is.
    ///
    /// # Errors
    /// If there is no bpffs any more, or another process holds the lock meanwhile; says which.
    pub(crate) fn lock_anew(&self, former: &Lock) -> Result<Lock> {
        let bpffs = self.top.parent().unwrap_or(&self.top);
        if !statfs(bpffs).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC) {
            former.check()?;
        }
        self.lock()
    }

    /// The pins of every cgroup of this layout, ancestors first.
    pub(crate) fn cgroups(&self) -> Result<Vec<CgroupPins>> {
        cgroups_of(&self.abi)
    }

    /// The same in any order, for whoever ends none that is in force.
    pub(crate) fn cgroups_in_any_order(&self) -> Result<Vec<CgroupPins>> {
        in_any_order(&self.abi)
    }

    /// The pins of a cgroup, whether they exist or not.
    pub(crate) fn cgroup(&self, path: &str, id: u64) -> CgroupPins {
        CgroupPins(self.abi.join("cgroups").join(directory_name(path, id)))
    }

    /// The directories of layouts other than this one.
    pub(crate) fn other_layouts(&self) -> Result<Vec<PathBuf>> {
        let mut layouts = directories(&self.top)?;
        layouts.retain(|layout| *layout != self.abi && is_layout(layout));
        Ok(layouts)
    }

    /// This layout's directory.
    pub(crate) fn layout(&self) -> &Path {
        &self.abi
    }

    /// Removes the top directory, once no layout is in it.
    ///
    /// # Errors
    /// If something else is in it.
    pub(crate) fn remove_top(&self, lock: Lock) -> Result<()> {
        lock.remove_directory()
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

    /// The link of the guard.
    pub(crate) fn guard(&self) -> PathBuf {
        self.0.join("guard")
    }

    /// Where the guard of an upgrade waits to take the place of [`Self::guard`].
    pub(crate) fn next_guard(&self) -> PathBuf {
        self.0.join(next("guard"))
    }

    pub(crate) fn create(&self, cgroup: &str) -> Result<()> {
        make_directory(&self.0)?;
        put_first_text(&self.0, "cgroup", if cgroup.is_empty() { "/" } else { cgroup })
    }

    /// The name of the policy in force; for people and for `status`, the kernel side does not need it.
    pub(crate) fn policy(&self) -> Option<String> {
        Some(fs::read_link(self.0.join("policy")).ok()?.to_string_lossy().into_owned())
    }

    pub(crate) fn set_policy(&self, name: &str) -> Result<()> {
        put_text(&self.0, "policy", name)
    }

    /// The same, of a cgroup that was attached just now.
    pub(crate) fn set_first_policy(&self, name: &str) -> Result<()> {
        put_first_text(&self.0, "policy", name)
    }

    /// The path of the cgroup when it was attached.
    pub(crate) fn path(&self) -> Option<String> {
        let path = fs::read_link(self.0.join("cgroup")).ok()?.to_string_lossy().into_owned();
        Some(if path == "/" { String::new() } else { path })
    }

    /// The policy whose sweep of open connections was finished last; one that claims is of a sweep that was not.
    pub(crate) fn swept(&self) -> Option<Policy> {
        swept::from_text(fs::read_link(self.0.join("swept")).ok()?.to_str()?)
    }

    pub(crate) fn set_swept(&self, policy: &Policy) -> Result<()> {
        put_text(&self.0, "swept", &swept::to_text(policy))
    }

    /// Removes what a daemon left that was killed while it put something in another's place.
    pub(crate) fn discard_unfinished(&self) -> Result<()> {
        for link in [self.next_guard(), self.next_link()] {
            end_link(&link)?;
        }
        for name in ["cgroup", "policy", "swept"] {
            remove_file(&self.0.join(next(name)))?;
        }
        Ok(())
    }

    /// Ends the guard.
    pub(crate) fn remove_guard(&self) -> Result<()> {
        end_link(&self.guard())
    }

    /// Ends the attachment, and removes all pins of the cgroup.
    pub(crate) fn remove(&self) -> Result<()> {
        for link in [self.guard(), self.next_guard(), self.link(), self.next_link()] {
            end_link(&link)?;
        }
        remove_tree(&self.0)
    }

    /// The id of the cgroup that the link is attached to; `None` if there is no such link any more.
    pub(crate) fn cgroup_id(&self) -> Option<u64> {
        let link = sys::open_pin(&self.link()).ok()?;
        let info = sys::link_info(link.as_fd()).ok()?;
        (info.cgroup_id != 0).then_some(info.cgroup_id)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }
}

/// Checks that nobody else could have put the directory there: where any user may write to the bpffs, as one
/// mounted without options lets them, what is found in it is not to be trusted.
fn check_owner(top: &Path) -> Result<()> {
    let Ok(found) = fs::symlink_metadata(top) else { return Ok(()) };
    let me = nix::unistd::geteuid();
    let ours = found.is_dir() && found.uid() == me.as_raw() && found.mode() & 0o022 == 0;
    // Whoever is not root is kept out by the permissions of what is root's, which says more.
    if !ours && me.is_root() {
        bail!(
            "{} was not made by this daemon: it is no directory that root alone may write to; remove it, or pass \
             another --bpffs",
            top.display()
        );
    }
    Ok(())
}

/// Whether a directory is named as those of layouts are.
pub(crate) fn is_layout(path: &Path) -> bool {
    let name = path.file_name().and_then(std::ffi::OsStr::to_str);
    let version = name.and_then(|name| name.strip_prefix("abi"));
    version.is_some_and(|version| !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()))
}

/// The pins of every cgroup of a layout. Ancestors come before what is inside them: whoever ends attachments in
/// this order leaves no ancestor to govern what a deeper cgroup governed.
pub(crate) fn cgroups_of(layout: &Path) -> Result<Vec<CgroupPins>> {
    let mut cgroups = in_any_order(layout)?;
    cgroups.sort_by_cached_key(CgroupPins::path);
    Ok(cgroups)
}

fn in_any_order(layout: &Path) -> Result<Vec<CgroupPins>> {
    Ok(directories(&layout.join("cgroups"))?.into_iter().map(CgroupPins).collect())
}

/// Where the maps of a layout are pinned.
pub(crate) fn maps(layout: &Path) -> PathBuf {
    layout.join("maps")
}

/// Where a map or a program of a layout waits to take the place of another.
pub(crate) fn waiting(layout: &Path) -> PathBuf {
    layout.join("next")
}

/// Removes the pins of the cgroups of a layout, but for those to `keep`, by their id, path and the name of their policy;
/// whether none is left.
pub(crate) fn retire_layout(layout: &Path, keep: impl Fn(u64, &str, &str) -> bool) -> Result<bool> {
    let mut keeps = false;
    for cgroup in cgroups_of(layout)? {
        let [path, policy_name] = [cgroup.path(), cgroup.policy()].map(Option::unwrap_or_default);
        if cgroup.cgroup_id().is_some_and(|id| keep(id, &path, &policy_name)) {
            keeps = true;
        } else {
            cgroup.remove()?;
        }
    }
    Ok(!keeps)
}

/// Removes all that is left of a layout, to which nothing is attached any more. Its maps are freed: see [`super::remains`].
pub(crate) fn remove_layout(layout: &Path) -> Result<()> {
    remove_tree(layout)
}

/// The name of a cgroup's directory: readable, unique by the cgroup's id, without what a bpffs refuses.
pub(crate) fn directory_name(path: &str, id: u64) -> String {
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

    #[test]
    fn only_directories_named_like_layouts_are_taken_for_layouts() {
        for (name, expected) in
            [("abi2", true), ("abi22", true), ("abi", false), ("abi2x", false), ("home", false)]
        {
            assert_eq!(is_layout(&Path::new("/sys/fs/bpf/keepalive").join(name)), expected, "{name}");
        }
    }
}
