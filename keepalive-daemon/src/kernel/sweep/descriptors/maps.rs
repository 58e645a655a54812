//! The maps that this sweep shares with the programs: the rules for destinations, and the marks on sockets.

use std::{collections::BTreeMap, io, path::Path};

use anyhow::{Context as _, Result};
use aya::{
    Pod,
    maps::{HashMap, Map, MapData, MapError, SkStorage},
};
use keepalive_ebpf::{CLAIMS_MAP, Claim, DESTINATIONS_MAP, Moment, Policy, Remote, RuleSet, Timers};

use super::socket::OpenSocket;
use crate::kernel::{
    pins::{Pins, exists},
    storage,
};

/// The value of `DESTINATIONS`.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Rules(RuleSet);

// SAFETY: all fields of a rule set are integers and there is no padding, so that every pattern of bytes is a value.
unsafe impl Pod for Rules {}

/// The words of a [`Claim`].
type Words = [u64; size_of::<Claim>() / size_of::<u64>()];

/// The maps, as far as they are pinned.
pub(super) struct Maps {
    marks: Option<SkStorage<MapData, Words>>,
    destinations: Option<HashMap<MapData, u64, Rules>>,
    /// What was looked up in this pass; `None` for what is not there.
    known: BTreeMap<u64, Option<Box<Rules>>>,
}

impl Maps {
    pub(super) fn pinned(bpffs: &Path) -> Result<Self> {
        let pins = Pins::new(bpffs)?;
        storage::check_pinned_maps(&pins)?;
        let open = |name| -> Result<Option<Map>> {
            let path = pins.map(name);
            if !exists(&path)? {
                return Ok(None);
            }
            let opened = || Ok::<_, anyhow::Error>(Map::from_map_data(MapData::from_pin(&path)?)?);
            opened().map(Some).with_context(|| format!("cannot open {}", path.display()))
        };
        let marks = open(CLAIMS_MAP)?.map(SkStorage::try_from).transpose()?;
        let destinations = open(DESTINATIONS_MAP)?.map(HashMap::try_from).transpose()?;
        Ok(Self { marks, destinations, known: BTreeMap::new() })
    }

    /// Begins a pass: rules may have come since the last.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// The values that a policy has for a destination; `None` if it is not for that.
    ///
    /// # Errors
    /// If the rules cannot be read.
    pub(super) fn find(&mut self, policy: &Policy, remote: &Remote) -> Result<Option<Timers>> {
        let id = policy.destinations();
        if id == 0 {
            return Ok(Some(policy.timers()));
        }
        if !self.known.contains_key(&id) {
            let rules = self.destinations.as_ref().map(|map| map.get(&id, 0));
            let rules = match rules {
                Some(Ok(rules)) => Some(Box::new(rules)),
                None | Some(Err(MapError::KeyNotFound)) => None,
                Some(Err(error)) => {
                    return Err(error).context("cannot read the rules for destinations (needs CAP_BPF)");
                }
            };
            self.known.insert(id, rules);
        }
        let rules = self.known.get(&id).and_then(Option::as_ref);
        Ok(rules.and_then(|rules| rules.0.find(remote)))
    }

    /// The cgroup whose policy guards a socket, as its mark says; `None` if it has none.
    ///
    /// # Errors
    /// If the marks cannot be read.
    pub(super) fn guard(&self, socket: &OpenSocket) -> Result<Option<u64>> {
        match self.marks.as_ref().map(|marks| marks.get(socket, 0)) {
            Some(Ok([.., guard])) => Ok(Some(guard)),
            None | Some(Err(MapError::KeyNotFound)) => Ok(None),
            Some(Err(error)) => Err(error).context("cannot read the marks on sockets (needs CAP_BPF)"),
        }
    }

    /// Says on the socket which cgroup's policy guards it from now on, 0 for none. What else a program left there
    /// stays; a mark that is made is older than any that holds.
    pub(super) fn mark(&mut self, socket: &OpenSocket, cgroup: u64, guard: u64) -> io::Result<()> {
        let Some(marks) = &mut self.marks else { return Ok(()) };
        let claim = match marks.get(socket, 0) {
            Ok([at_ns, cgroup, moment, before]) if before != guard => [at_ns, cgroup, moment, guard],
            Err(MapError::KeyNotFound) if guard != 0 => [0, cgroup, Moment::Established as u64, guard],
            Ok(_) | Err(MapError::KeyNotFound) => return Ok(()),
            Err(error) => return Err(refusal(error)),
        };
        marks.insert(socket, claim, 0).map_err(refusal)
    }
}

fn refusal(error: MapError) -> io::Error {
    match error {
        MapError::SyscallError(call) => call.io_error,
        other => io::Error::other(other),
    }
}
