//! What the kernel keeps for cgroups that are gone, and must not be freed.
//!
//! The storage of a cgroup ends with it: the kernel lets go of it once no socket of the cgroup is left. Not that of a
//! program that came too late: who attaches to a cgroup while that is removed may have to wait for the kernel's lock
//! until all this is done, and `cgroup_bpf_link_attach` does not look again (5.10 to 7.2). Then the storage stays in its
//! map, and linked to the memory of a cgroup that is freed; it is unlinked from that when the map is freed, and the kernel
//! stops: `list_del corruption`, below `bpf_cgroup_storage_unlink` (seen on 6.1.176). Nothing else comes by it.

mod present;

use std::{
    collections::BTreeSet,
    fs::{self, DirEntry},
    io,
    os::fd::{AsFd as _, BorrowedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{MapInfo, MapType};

use self::present::{Present, present};
use super::{pins, sys};

/// The size of a key of cgroup storage: the id of a cgroup, the kind of attachment, and as much again that is empty.
const KEY: usize = 16;

/// The cgroups for which the kernel keeps storage, of which there is nothing to be seen.
pub(super) enum Gone {
    /// All are there.
    None,
    /// So many are gone.
    Some(usize),
    /// So many are gone, or where they cannot be seen, and why.
    Unseen(usize, String),
}

/// Looks which cgroups the kernel keeps storage for in the maps of a layout, and then, if any, whether they are in the
/// hierarchy of a cgroup root.
///
/// # Errors
/// If one of the two cannot be read, or there is no cgroup root.
pub(super) fn gone(layout: &Path, cgroup_root: impl FnOnce() -> Result<PathBuf>) -> Result<Gone> {
    let kept = cgroups(layout)?;
    if kept.is_empty() {
        return Ok(Gone::None);
    }
    let Present { ids, unseen } = present(&cgroup_root()?)?;
    Ok(match (kept.difference(&ids).count(), unseen) {
        (0, _) => Gone::None,
        (gone, None) => Gone::Some(gone),
        (gone, Some(why)) => Gone::Unseen(gone, why),
    })
}

/// The cgroups for which the kernel keeps storage in the maps of a layout, by their ids.
fn cgroups(layout: &Path) -> Result<BTreeSet<u64>> {
    let maps = pins::maps(layout);
    let entries = match fs::read_dir(&maps) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let entries = entries.with_context(|| format!("cannot list {}", maps.display()))?;
    let mut paths: Vec<PathBuf> = entries.iter().map(DirEntry::path).collect();
    // What was about to become one of them.
    paths.push(pins::waiting(layout));
    let mut cgroups = BTreeSet::new();
    for path in paths {
        cgroups
            .extend(cgroups_in(&path).with_context(|| format!("cannot tell what is in {}", path.display()))?);
    }
    Ok(cgroups)
}

/// The cgroups for which there is storage in what is pinned at a path, if that is a map with storage.
fn cgroups_in(path: &Path) -> Result<BTreeSet<u64>> {
    // Directories and links were put there by somebody else.
    let is_pin = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    if !is_pin {
        return Ok(BTreeSet::new());
    }
    let pin = sys::open_pin(path)?;
    if sys::kind(pin.as_fd())? != sys::Kind::Map {
        return Ok(BTreeSet::new());
    }
    let info = MapInfo::from_pin(path)?;
    // Those for each processor have what these have.
    if !matches!(info.map_type(), Ok(MapType::CgroupStorage)) {
        return Ok(BTreeSet::new());
    }
    ensure!(info.key_size() as usize == KEY, "its keys have {} bytes, not {KEY}", info.key_size());
    let keys = keys(pin.as_fd(), info.value_size() as usize)?;
    Ok(keys.iter().map(cgroup_of).collect())
}

/// The keys of a map, also of one that keys go from meanwhile; none comes, for nothing is attached any more.
fn keys(map: BorrowedFd<'_>, value_size: usize) -> io::Result<BTreeSet<[u8; KEY]>> {
    let mut value = vec![0; value_size];
    let mut keys = BTreeSet::new();
    let mut last = None;
    loop {
        let next = sys::next_key(map, last.as_ref())?;
        let is_there = |key: &[u8; KEY], value: &mut [u8]| sys::has_key(map, key, value);
        match (next, last) {
            (Some(key), _) if is_there(&key, &mut value)? => {
                keys.insert(key);
                last = next;
            }
            // After the last comes one that the kernel makes of what lies there, the same each time; another one is a
            // key that has just gone.
            (Some(_), _) if sys::next_key(map, last.as_ref())? == next => return Ok(keys),
            (Some(_), _) => {}
            // There is none, or an end that is told as for other maps.
            (None, None) => return Ok(keys),
            (None, Some(key)) if is_there(&key, &mut value)? => return Ok(keys),
            // The one has gone that it was at: from the beginning.
            (None, Some(_)) => last = None,
        }
    }
}

fn cgroup_of(key: &[u8; KEY]) -> u64 {
    let mut id = [0; size_of::<u64>()];
    id.copy_from_slice(&key[..size_of::<u64>()]);
    u64::from_ne_bytes(id)
}
