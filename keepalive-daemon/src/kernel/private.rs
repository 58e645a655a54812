//! The program without pins, for as long as a process lives.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use anyhow::{Result, bail};
use aya::programs::links::FdLink;
use keepalive_ebpf::{Counters, Policy};

use super::{
    Cgroup, guard, memory_limit::MemoryLimit, object::Object, obstacles, open_cgroup, pins::Pins, sys::Hook,
};

/// A program attached for this process alone, without pins; it ends with the link.
pub(crate) struct Private {
    object: Object,
    _memory_limit: MemoryLimit,
}

/// Keeps a program attached that is not pinned.
pub(crate) struct PrivateLink {
    _link: FdLink,
}

/// Keeps the guard attached that is not pinned.
pub(crate) struct PrivateGuard {
    _link: OwnedFd,
}

impl Private {
    /// Loads the program; shares the claims of a daemon under `bpffs`, if there is one, so that its policy of
    /// an ancestor yields.
    pub(crate) fn load(bpffs: &Path) -> Result<Self> {
        let memory_limit = MemoryLimit::raise();
        let pins = Pins::new(bpffs).ok();
        Ok(Self { object: Object::load_private(pins.as_ref())?, _memory_limit: memory_limit })
    }

    /// Attaches to a cgroup; what is returned keeps the program attached.
    pub(crate) fn attach(&mut self, cgroup: Cgroup<'_>, policy: &Policy) -> Result<PrivateLink> {
        let directory = open_cgroup(cgroup)?;
        if let Some(obstacle) = obstacles::find(&directory, Hook::SockOps)? {
            bail!("{obstacle}");
        }
        let link = self.object.attach(&directory)?;
        self.object.storage.set_policy(cgroup.id, policy)?;
        Ok(PrivateLink { _link: link })
    }

    /// Puts another policy in force in an attached cgroup, and has the guard hold what it enforces for as long as what is
    /// returned lives.
    pub(crate) fn guard(&mut self, cgroup: Cgroup<'_>, policy: &Policy) -> Result<PrivateGuard> {
        let program = self.object.private_guard()?;
        let link = guard::link(program.as_fd(), &open_cgroup(cgroup)?)?;
        self.object.storage.set_policy(cgroup.id, policy)?;
        // Which that passes over, as the cgroup had none.
        self.object.storage.set_guard(cgroup.id, policy)?;
        Ok(PrivateGuard { _link: link })
    }

    /// The counters of an attached cgroup.
    pub(crate) fn counters(&self, cgroup_id: u64) -> Result<Option<Counters>> {
        self.object.storage.counters(cgroup_id)
    }
}
