//! The policy and the counters of a cgroup, in the storage the kernel keeps with it: one for each hook that a program
//! is attached to.
#![expect(
    deprecated,
    reason = "CGRP_STORAGE, which replaces these maps, needs Linux 6.2 and a look-up a connection"
)]

use std::{
    cell::RefCell,
    collections::BTreeSet,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use aya::maps::{
    CgroupStorage, CgroupStorageKey, Map, MapData, MapError, MapInfo, MapType, PerCpuCgroupStorage,
};
use keepalive_ebpf::{
    CLAIMS_MAP, COUNTER_WORDS, COUNTERS_MAP, Claim, Counters, DESTINATIONS_MAP, Mode, POLICY_MAP,
    POLICY_WORDS, Policy, RuleSet,
};

use super::{
    pins::{Pins, exists},
    sys::{self, Hook},
};

/// The two storage maps of a layout.
pub(crate) struct Storage {
    policies: CgroupStorage<MapData, [u64; POLICY_WORDS]>,
    counters: PerCpuCgroupStorage<MapData, [u64; COUNTER_WORDS]>,
    /// Cgroups that no guard was ever attached to, so that nothing is kept there for one: most of them, and all are asked
    /// about every few seconds.
    never_guarded: RefCell<BTreeSet<u64>>,
}

/// What lies in the storage of a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The policy in force; [`Policy::NOTHING`] if none was written.
    Policy(Policy),
    /// Bytes that no daemon writes.
    Unreadable,
    /// The cgroup is gone, or was never attached.
    Missing,
}

impl Storage {
    pub(crate) fn new(policies: MapData, counters: MapData) -> Result<Self> {
        let policies = Map::from_map_data(policies)?.try_into()?;
        let counters = Map::from_map_data(counters)?.try_into()?;
        Ok(Self { policies, counters, never_guarded: RefCell::default() })
    }

    /// The maps as they are pinned; `None` if they are not.
    ///
    /// # Errors
    /// If something else is pinned in their place.
    pub(crate) fn pinned(pins: &Pins) -> Result<Option<Self>> {
        check_pinned_maps(pins)?;
        let [policies, counters] = [pins.map(POLICY_MAP), pins.map(COUNTERS_MAP)];
        if !exists(&policies)? || !exists(&counters)? {
            return Ok(None);
        }
        let open =
            |path: &Path| MapData::from_pin(path).with_context(|| format!("cannot open {}", path.display()));
        Self::new(open(&policies)?, open(&counters)?).map(Some)
    }

    /// What is in force at a hook.
    pub(crate) fn policy(&self, cgroup_id: u64, hook: Hook) -> Result<Stored> {
        match self.policies.get(key(cgroup_id, hook), 0) {
            Ok(words) => Ok(Policy::from_words(&words).map_or(Stored::Unreadable, Stored::Policy)),
            Err(error) if is_missing(&error) => Ok(Stored::Missing),
            Err(error) => Err(error).with_context(|| format!("cannot read the policy of cgroup {cgroup_id}")),
        }
    }

    /// Puts a policy in force; connections established from then on see it, and so does the guard, if one was ever
    /// attached: it guards only what is enforced. `false` if the cgroup is gone.
    pub(crate) fn set_policy(&mut self, cgroup_id: u64, policy: &Policy) -> Result<bool> {
        let written = self.write(cgroup_id, Hook::SockOps, policy)?;
        if !self.never_guarded.get_mut().contains(&cgroup_id) {
            self.set_guard(cgroup_id, policy)?;
        }
        Ok(written)
    }

    /// Writes what the guard of a cgroup enforces. `false` if none was ever attached there.
    pub(crate) fn set_guard(&mut self, cgroup_id: u64, policy: &Policy) -> Result<bool> {
        let enforced = if policy.mode() == Mode::Enforce { policy } else { &Policy::NOTHING };
        let was_guarded = self.write(cgroup_id, Hook::Setsockopt, enforced)?;
        let never_guarded = self.never_guarded.get_mut();
        if was_guarded {
            never_guarded.remove(&cgroup_id);
        } else {
            never_guarded.insert(cgroup_id);
        }
        Ok(was_guarded)
    }

    /// Lets go of what is known of all but these cgroups.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(u64) -> bool) {
        self.never_guarded.get_mut().retain(|id| is_kept(*id));
    }

    fn write(&mut self, cgroup_id: u64, hook: Hook, policy: &Policy) -> Result<bool> {
        match self.policies.insert(key(cgroup_id, hook), policy.to_words(), 0) {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => {
                Err(error).with_context(|| format!("cannot write the {hook} policy of cgroup {cgroup_id}"))
            }
        }
    }

    /// The counters of a cgroup over all CPUs and both programs; `None` if the cgroup is gone or was never attached.
    pub(crate) fn counters(&self, cgroup_id: u64) -> Result<Option<Counters>> {
        let Some(mut copies) = self.copies(cgroup_id, Hook::SockOps)? else { return Ok(None) };
        if !self.never_guarded.borrow().contains(&cgroup_id) {
            match self.copies(cgroup_id, Hook::Setsockopt)? {
                Some(of_guard) => copies.extend(of_guard),
                None => drop(self.never_guarded.borrow_mut().insert(cgroup_id)),
            }
        }
        Ok(Some(Counters::sum(&copies)))
    }

    /// The counters of each CPU.
    fn copies(&self, cgroup_id: u64, hook: Hook) -> Result<Option<Vec<Counters>>> {
        match self.counters.get(key(cgroup_id, hook), 0) {
            Ok(copies) => Ok(Some(copies.iter().map(Counters::from_words).collect())),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("cannot read the counters of cgroup {cgroup_id}"))
            }
        }
    }
}

/// Checks that what is pinned under the names of our maps are our maps.
///
/// aya takes whatever is pinned there, and reads and writes beyond its end if it is smaller.
pub(crate) fn check_pinned_maps(pins: &Pins) -> Result<()> {
    let key = size_of::<u64>() * 2;
    for (name, kind, key_size, value_size) in [
        (POLICY_MAP, MapType::CgroupStorage, key, POLICY_WORDS * size_of::<u64>()),
        (COUNTERS_MAP, MapType::PerCpuCgroupStorage, key, COUNTER_WORDS * size_of::<u64>()),
        (CLAIMS_MAP, MapType::SkStorage, size_of::<i32>(), size_of::<Claim>()),
        (DESTINATIONS_MAP, MapType::Hash, size_of::<u64>(), size_of::<RuleSet>()),
    ] {
        let path = pins.map(name);
        if exists(&path)? {
            let pin = sys::open_pin(&path).with_context(|| {
                format!(
                    "cannot open the map pinned as {} (it needs root, and before Linux 5.19 CAP_BPF); \
                     `keepalive-daemon probe` shows what is missing",
                    path.display()
                )
            })?;
            check_pinned_map(&pin, &path, kind, key_size, value_size).with_context(|| {
                format!(
                    "{} is not the map this version pins there; remove what another program or version \
                     left with `keepalive-daemon cleanup`",
                    path.display()
                )
            })?;
        }
    }
    Ok(())
}

fn check_pinned_map(
    pin: &OwnedFd,
    path: &Path,
    kind: MapType,
    key_size: usize,
    value_size: usize,
) -> Result<()> {
    if sys::kind(pin.as_fd())? != sys::Kind::Map {
        bail!("it is not a map");
    }
    let info = MapInfo::from_pin(path).context("cannot describe it")?;
    let found = (info.map_type()?, info.key_size() as usize, info.value_size() as usize);
    if found != (kind, key_size, value_size) {
        let (found_kind, found_key, found_value) = found;
        bail!(
            "it is a {found_kind:?} with keys of {found_key} and values of {found_value} bytes, where a \
             {kind:?} with {key_size} and {value_size} is expected"
        );
    }
    Ok(())
}

const fn key(cgroup_id: u64, hook: Hook) -> CgroupStorageKey {
    CgroupStorageKey::new(cgroup_id, hook.attach_type())
}

fn is_missing(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound | MapError::ElementNotFound => true,
        MapError::SyscallError(error) => error.io_error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}
