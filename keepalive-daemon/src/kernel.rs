//! The only module that talks to the kernel's eBPF side: it alone names aya's types, makes the raw calls and
//! knows where things are pinned. Its verbs are the project's own: attach, write, detach, adopt.
//!
//! **Invariant**: `BPF_LINK_UPDATE` is never used. With cgroup storage the kernel keeps the old program's
//! storage pointers, and the new program reads past them or from nowhere (a panic on 5.10.262 and 6.12.107).
//! An upgrade attaches the second link beside the first and renames its pin over it.

mod closing;
pub(crate) mod features;
mod guard;
mod inspect;
mod iteration;
mod log;
mod memory_limit;
mod object;
mod obstacles;
mod offsets;
mod pins;
mod private;
mod refusal;
mod remains;
mod removal;
mod rules;
pub(crate) mod sockets;
mod storage;
mod sweep;
mod sys;
mod verifier;
pub(crate) mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use aya::programs::links::FdLink;
use keepalive_ebpf::{Counters, DESTINATIONS_MAP, Policy, RuleSet};

pub(crate) use closing::Closing;
pub(crate) use inspect::inspect;
pub(crate) use pins::Held;
pub(crate) use private::{Private, PrivateLink};
pub(crate) use refusal::{AttachError, Refusal, Why};
pub(crate) use removal::{Retired, remove_all};
pub(crate) use storage::Stored;
pub(crate) use sweep::{
    InNamespace, Method, Pass, Running, Sweeper, Targets, in_every_namespace, sweep_process,
};
pub(crate) use verifier::{Verified, measure};

/// The readers of what the kernel writes, for fuzzing.
#[cfg(any(test, fuzzing))]
pub(crate) mod readers {
    pub(crate) use super::{
        offsets::Btf,
        pins::{directory_name, is_layout, swept},
        sweep::{
            descriptors::{process::inode_of, running::parent},
            diag::read_part,
            namespaces::mounted_namespace,
        },
    };
}

use self::{
    inspect::attachment,
    memory_limit::MemoryLimit,
    object::Object,
    obstacles::Above,
    pins::{CgroupPins, Pins},
};

/// The kernel side, loaded and pinned, for the one daemon that may change it.
pub(crate) struct Kernel {
    held: Held,
    object: Object,
    /// Where the pins of each attached cgroup are: the name of the directory was made of the path that an
    /// earlier run, perhaps with another root, knew it by.
    attached: BTreeMap<u64, CgroupPins>,
    _memory_limit: MemoryLimit,
    in_one_go: InOneGo,
}

/// What need not be asked for each of many cgroups that are attached to in one go.
#[derive(Default)]
struct InOneGo {
    /// Whether the lock was seen to hold.
    holds: bool,
    above: Above,
}

/// A cgroup as the tree shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cgroup<'a> {
    /// The directory of the cgroup2 root that paths are relative to.
    pub(crate) root: &'a Path,
    /// Relative to the root, without a leading slash; empty for the root.
    pub(crate) path: &'a str,
    /// The inode number of its directory.
    pub(crate) id: u64,
}

/// An attachment found in the pins.
#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    pub(crate) cgroup_id: u64,
    /// The cgroup's path when it was attached.
    pub(crate) path: String,
    pub(crate) policy_name: String,
    pub(crate) stored: Stored,
    /// The policy whose sweep of open connections was finished last.
    pub(crate) swept: Option<Policy>,
    /// The program the link runs.
    pub(crate) program_id: u32,
    pub(crate) guard: Option<AttachedGuard>,
}

/// What guards the calls of the applications in a cgroup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttachedGuard {
    /// The program its link runs; `None` if somebody detached it.
    pub(super) program_id: Option<u32>,
    /// What it enforces.
    pub(super) stored: Stored,
}

impl Kernel {
    /// Loads the program and takes over the pins. With `log`, the program writes a log line a
    /// connection; needs a tokio runtime then.
    ///
    /// # Errors
    /// If something else lies in their place, or if the kernel or the privileges do not suffice; nothing that was
    /// attached changes then.
    pub(crate) fn open(held: Held, log: bool) -> Result<Self> {
        let memory_limit = MemoryLimit::raise();
        let pins = held.pins();
        pins.create()?;
        let mut object = Object::load_pinned(pins, log).inspect_err(|_| pins.discard_empty())?;
        if let Some(logger) = object.logger.take() {
            log::drain(logger)?;
        }
        Ok(Self {
            held,
            object,
            attached: BTreeMap::new(),
            _memory_limit: memory_limit,
            in_one_go: InOneGo::default(),
        })
    }

    /// Reads from the pins what is attached, by this run or an earlier one. Pins whose link never came to be
    /// (their daemon died before) or whose cgroup is gone are removed, and reported to `collected`. `is_whole` says
    /// whether all that should be attached was, after the look before.
    pub(crate) fn attachments(
        &mut self,
        is_whole: bool,
        mut collected: impl FnMut(&str),
    ) -> Result<Vec<Attachment>> {
        let object = &mut self.object;
        self.held.follow(is_whole, |pins| object.pin(pins))?;
        let mut attached = BTreeMap::new();
        let mut attachments = Vec::new();
        for pins in self.held.pins().cgroups_in_any_order()? {
            pins.discard_unfinished()?;
            match attachment(&pins, &self.object.storage)? {
                Some(attachment) => {
                    attached.insert(attachment.cgroup_id, pins);
                    attachments.push(attachment);
                }
                None => {
                    let path = pins.path().unwrap_or_default();
                    pins.remove()?;
                    collected(&path);
                }
            }
        }
        self.object.storage.retain(|id| attached.contains_key(&id));
        self.attached = attached;
        Ok(attachments)
    }

    /// Whether a link runs the program that this daemon attaches.
    pub(crate) const fn is_current(&self, attachment: &Attachment) -> bool {
        attachment.program_id == self.object.program_id
    }

    /// From here on, what was asked about what cgroups have in common is asked anew, once.
    pub(crate) fn begin(&mut self) {
        self.in_one_go = InOneGo::default();
    }

    /// Attaches to a cgroup and puts a policy in force; with a note of what its connections were `given` before, if it is
    /// known. On failure nothing stays attached.
    pub(crate) fn attach(
        &mut self,
        cgroup: Cgroup<'_>,
        policy_name: &str,
        policy: &Policy,
        rules: Option<&RuleSet>,
        given: Option<&Policy>,
    ) -> Result<(), AttachError> {
        if !self.in_one_go.holds {
            self.held.check()?;
            self.in_one_go.holds = true;
        }
        let pins = self.held.pins().cgroup(cgroup.path, cgroup.id);
        let link = self.link(cgroup)?;
        // Pinned before the policy is written: of a daemon that is killed in between, what is written would outlive the
        // link, and nobody could tell that it is there.
        let noted =
            pins.create(cgroup.path).and_then(|()| given.map_or(Ok(()), |given| pins.set_swept(given)));
        let pinned = noted.and_then(|()| pin(link, &pins.link()));
        let written = pinned.map_err(AttachError::from).and_then(|()| self.write(cgroup.id, policy, rules));
        let in_force = written.and_then(|()| {
            pins.set_first_policy(policy_name).map_err(|error| {
                // Best effort: this is what a later attachment would find. Only what this one wrote: what was there before
                // may be in force, by a link in another bpffs.
                let _ = self.object.storage.set_policy(cgroup.id, &Policy::NOTHING);
                AttachError::from(error)
            })
        });
        match in_force {
            Ok(()) => drop(self.attached.insert(cgroup.id, pins)),
            Err(_) => drop(pins.remove()),
        }
        in_force
    }

    /// Makes an attached cgroup run this daemon's program under `policy`, without a moment in which none runs. For
    /// a moment both do, and set the same values.
    pub(crate) fn replace(
        &mut self,
        cgroup: Cgroup<'_>,
        policy: &Policy,
        rules: Option<&RuleSet>,
    ) -> Result<(), AttachError> {
        let pins = self.attached(cgroup)?;
        let link = self.link(cgroup)?;
        // The storage may be a fresh one, if the map was removed by hand.
        self.write(cgroup.id, policy, rules)?;
        put_in_place(link, &pins).map_err(AttachError::from)
    }

    /// Puts another policy in force in an attached cgroup; with its name, unless that is known to stay the same.
    pub(crate) fn set_policy(
        &mut self,
        cgroup: Cgroup<'_>,
        policy_name: Option<&str>,
        policy: &Policy,
        rules: Option<&RuleSet>,
    ) -> Result<(), AttachError> {
        let pins = self.attached(cgroup)?;
        self.write(cgroup.id, policy, rules)?;
        policy_name.map_or(Ok(()), |name| pins.set_policy(name)).map_err(AttachError::from)
    }

    /// Removes the rules for destinations that no policy uses. A program may be reading those that went out of use a
    /// moment ago.
    pub(crate) fn collect_rules(&mut self, in_use: &BTreeSet<u64>) -> Result<()> {
        self.object.rules.retain(in_use)
    }

    /// Notes for whoever comes later that the connections open in a cgroup were swept for `policy`.
    pub(crate) fn set_swept(&self, cgroup_id: u64, policy: &Policy) -> Result<()> {
        self.attached.get(&cgroup_id).map_or(Ok(()), |pins| pins.set_swept(policy))
    }

    /// Ends an attachment. The storage outlives the link, so it is cleared first: a later attachment must not
    /// begin with the policy of this one.
    pub(crate) fn detach(&mut self, cgroup_id: u64) -> Result<()> {
        self.object.storage.set_policy(cgroup_id, &Policy::NOTHING)?;
        match self.attached.remove(&cgroup_id) {
            Some(pins) => pins.remove(),
            None => Ok(()),
        }
    }

    /// The counters of an attached cgroup.
    pub(crate) fn counters(&self, cgroup_id: u64) -> Result<Option<Counters>> {
        self.object.storage.counters(cgroup_id)
    }

    /// The maps that can fill up: name, entries, and the most entries that they can have.
    pub(crate) fn maps(&self) -> Vec<(&'static str, usize, usize)> {
        vec![(DESTINATIONS_MAP, self.object.rules.len(), self.object.rules.capacity())]
    }

    /// Removes what versions with another layout of the maps left attached, but for the cgroups to `keep`, by their
    /// id, path and the name of their policy; called with everything else in force in this one, so that no
    /// connection falls between. The maps stay for as long as the kernel keeps something in them for cgroups that are
    /// gone, which are looked for in all of the hierarchy that `cgroup_root` is in. Of the layouts that it `considers`,
    /// tells of those to which nothing is attached any more.
    pub(crate) fn retire_other_layouts(
        &self,
        considers: impl Fn(&Path) -> bool,
        cgroup_root: &Path,
        keep: impl Fn(u64, &str, &str) -> bool,
    ) -> Result<Vec<(PathBuf, Result<Retired>)>> {
        removal::retire_others(self.held.pins(), considers, cgroup_root, keep)
    }

    fn link(&mut self, cgroup: Cgroup<'_>) -> Result<FdLink, AttachError> {
        let directory = open_cgroup(cgroup)?;
        match self.in_one_go.above.find(cgroup.path, &directory) {
            Ok(None) => self.object.attach(&directory),
            Ok(Some(obstacle)) => Err(obstacle.into()),
            // A cgroup removed meanwhile answers ENODEV or ENOENT to the question.
            Err(_) if matches!(open_cgroup(cgroup), Err(AttachError::Gone)) => Err(AttachError::Gone),
            Err(error) => Err(error.into()),
        }
    }

    fn attached(&self, cgroup: Cgroup<'_>) -> Result<CgroupPins, AttachError> {
        self.attached.get(&cgroup.id).cloned().ok_or(AttachError::Gone)
    }

    /// Writes a policy, after the rules that it refers to.
    fn write(&mut self, cgroup_id: u64, policy: &Policy, rules: Option<&RuleSet>) -> Result<(), AttachError> {
        if let Some(rules) = rules {
            self.object.rules.insert(policy.destinations(), rules)?;
        }
        match self.object.storage.set_policy(cgroup_id, policy) {
            Ok(true) => Ok(()),
            Ok(false) => Err(AttachError::Gone),
            Err(error) => Err(error.into()),
        }
    }
}

/// Checks that `bpffs` is one.
pub(crate) fn check_bpffs(bpffs: &Path) -> Result<()> {
    Pins::new(bpffs).map(drop)
}

fn open_cgroup(cgroup: Cgroup<'_>) -> Result<File, AttachError> {
    let directory = File::open(cgroup.root.join(cgroup.path)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => AttachError::Gone,
        _ => anyhow::Error::new(error).context("cannot open the cgroup").into(),
    })?;
    // One of the same name may have been made after the other was seen.
    match directory.metadata() {
        Ok(metadata) if metadata.ino() == cgroup.id => Ok(directory),
        _ => Err(AttachError::Gone),
    }
}

fn pin(link: FdLink, path: &Path) -> Result<()> {
    link.pin(path)
        .map(drop)
        .with_context(|| format!("cannot pin the link as {}; is the bpffs writable?", path.display()))
}

/// Pins a link in the place of another, which ends.
fn put_in_place(link: FdLink, pins: &CgroupPins) -> Result<()> {
    let [current, next] = [pins.link(), pins.next_link()];
    pins.discard_unfinished()?;
    let old = sys::open_pin(&current).with_context(|| format!("cannot open {}", current.display()))?;
    pin(link, &next)?;
    fs::rename(&next, &current).with_context(|| format!("cannot put {} in place", current.display()))?;
    sys::detach_link(old.as_fd()).context("cannot detach the link of an earlier run")
}
