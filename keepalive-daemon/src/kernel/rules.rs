//! The rules for destinations, which the policies of cgroups refer to by an id that is made of their content.

use std::{collections::BTreeSet, io};

use anyhow::{Context as _, Result, bail};
use aya::{
    Pod,
    maps::{HashMap, Map, MapData, MapError},
};
use keepalive_ebpf::RuleSet;

/// The flag of an update that leaves alone what is there.
const BPF_NOEXIST: u64 = 1;

/// The map that holds them.
pub(crate) struct Rules {
    map: HashMap<MapData, u64, Value>,
    /// How many there are: nobody else writes to it.
    entries: usize,
    capacity: usize,
}

/// A set as the map holds it.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Value(RuleSet);

// SAFETY: plain integers without padding, as the ABI demands of what is in a map; every pattern of bytes is a value.
unsafe impl Pod for Value {}

impl Rules {
    pub(crate) fn new(map: MapData) -> Result<Self> {
        let capacity = map.info().context("cannot describe the map of rules")?.max_entries() as usize;
        let map: HashMap<_, _, _> = Map::from_map_data(map)?.try_into()?;
        let entries = map.keys().count();
        Ok(Self { map, entries, capacity })
    }

    /// How many sets there are.
    pub(crate) const fn len(&self) -> usize {
        self.entries
    }

    /// The most sets that there can be.
    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Puts in a set, unless it is there: what has its id is the same.
    pub(crate) fn insert(&mut self, id: u64, rules: &RuleSet) -> Result<()> {
        let Err(error) = self.map.insert(id, Value(*rules), BPF_NOEXIST) else {
            self.entries += 1;
            return Ok(());
        };
        match errno(&error) {
            Some(libc::EEXIST) => Ok(()),
            Some(libc::E2BIG) => bail!(
                "4,096 different sets of destinations are the most that can be in force at a time: give policies the \
                 same destinations and values, or none"
            ),
            _ => Err(error).context("cannot write the rules for destinations"),
        }
    }

    /// Removes all but those in use.
    pub(crate) fn retain(&mut self, in_use: &BTreeSet<u64>) -> Result<()> {
        let ids: Vec<u64> = self.map.keys().collect::<Result<_, _>>().context("cannot list the rules")?;
        for id in ids.iter().filter(|id| !in_use.contains(id)) {
            self.map.remove(id).context("cannot remove rules that are out of use")?;
        }
        self.entries = ids.iter().filter(|id| in_use.contains(id)).count();
        Ok(())
    }
}

fn errno(error: &MapError) -> Option<i32> {
    match error {
        MapError::SyscallError(error) => io::Error::raw_os_error(&error.io_error),
        _ => None,
    }
}
