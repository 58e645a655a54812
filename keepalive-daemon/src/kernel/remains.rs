//! What the kernel keeps for cgroups that are gone, and must not be freed.
//!
//! The storage of a cgroup ends with it: the kernel lets go of it once no socket of the cgroup is left. Not that of a
//! program that came too late: who attaches to a cgroup while that is removed may have to wait for the kernel's lock
//! until all this is done, and `cgroup_bpf_link_attach` does not look again (5.10 to 7.2). Then the storage stays in its
//! map, and linked to the memory of a cgroup that is freed; it is unlinked from that when the map is freed, and the kernel
//! stops: `list_del corruption`, below `bpf_cgroup_storage_unlink` (seen on 6.1.176). Nothing else comes by it.

use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::{AsFd as _, BorrowedFd},
    path::Path,
};

use anyhow::{Context as _, Result};
use aya::maps::{MapInfo, MapType};

use super::sys;

/// The size of a key of cgroup storage: the id of a cgroup, the kind of attachment, and as much again that is empty.
const KEY: usize = 16;

/// The cgroups for which the kernel keeps storage in the maps that are pinned in a directory, by their ids.
///
/// # Errors
/// If a map cannot be read.
pub(super) fn cgroups(maps: &Path) -> Result<BTreeSet<u64>> {
    let entries = match fs::read_dir(maps) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot list {}", maps.display())),
    };
    let mut cgroups = BTreeSet::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", maps.display()))?.path();
        // What somebody else put there is no map of ours.
        let Ok(pin) = sys::open_pin(&path) else { continue };
        if sys::kind(pin.as_fd())? != sys::Kind::Map {
            continue;
        }
        let info = MapInfo::from_pin(&path)?;
        // Those for each processor have what these have.
        let is_storage = matches!(info.map_type(), Ok(MapType::CgroupStorage));
        if is_storage && info.key_size() as usize == KEY {
            let found = keys(pin.as_fd(), info.value_size() as usize)
                .with_context(|| format!("cannot list the keys of {}", path.display()))?;
            cgroups.extend(found.iter().map(cgroup_of));
        }
    }
    Ok(cgroups)
}

/// The keys of a map. Who lists them loses its place when the one goes that it is at, so they are listed twice.
fn keys(map: BorrowedFd<'_>, value_size: usize) -> io::Result<BTreeSet<[u8; KEY]>> {
    let mut value = vec![0; value_size];
    let mut keys = BTreeSet::new();
    for _ in 0..2 {
        let mut last = None;
        while let Some(key) = sys::next_key(map, last.as_ref())? {
            // After the last there is one that the kernel makes of what lies there.
            if !sys::has_key(map, &key, &mut value)? {
                break;
            }
            keys.insert(key);
            last = Some(key);
        }
    }
    Ok(keys)
}

fn cgroup_of(key: &[u8; KEY]) -> u64 {
    let mut id = [0; size_of::<u64>()];
    id.copy_from_slice(&key[..size_of::<u64>()]);
    u64::from_ne_bytes(id)
}
