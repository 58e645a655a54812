//! The program that guards what policies enforce: loaded when the first of them needs it, so that a kernel that takes
//! the other program and not this one serves all that do not enforce.

use std::{
    fs::File,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use anyhow::{Context as _, Result};
use aya::{Ebpf, programs::CgroupSockopt};
use keepalive_ebpf::{GUARD_PROGRAM, Policy};

use super::{
    Attachment, Cgroup, Kernel,
    object::{put, refusal, rejected, same_program},
    obstacles, open_cgroup,
    pins::{CgroupPins, Pins},
    refusal::AttachError,
    sys::{self, Hook},
};

impl Kernel {
    /// Whether a link runs the guard that this daemon attaches and holds the policy in force; `None` where no link is.
    pub(crate) fn guard_holds(&mut self, attachment: &Attachment) -> Option<bool> {
        let guard = attachment.guard?;
        // What cannot be loaded is no daemon's own; attaching it anew will say why.
        let ours = self.object.guard(self.held.pins()).ok().map(|guard| guard.program_id);
        Some(guard.program_id.is_some() && guard.program_id == ours && guard.stored == attachment.stored)
    }

    /// Has the guard hold what `policy`, which is in force in an attached cgroup, enforces. Without it the policy
    /// stays in force for what is established.
    pub(crate) fn guard(&mut self, cgroup: Cgroup<'_>, policy: &Policy) -> Result<(), AttachError> {
        let pins = self.attached(cgroup)?;
        let guard = self.object.guard(self.held.pins())?;
        match guard.attach(cgroup, &pins) {
            // A cgroup removed meanwhile has many answers.
            Err(_) if matches!(open_cgroup(cgroup), Err(AttachError::Gone)) => return Err(AttachError::Gone),
            attached => attached?,
        }
        match self.object.storage.set_guard(cgroup.id, policy)? {
            true => Ok(()),
            false => Err(AttachError::Gone),
        }
    }

    /// Ends the guard of a cgroup that stays attached.
    pub(crate) fn unguard(&mut self, cgroup_id: u64) -> Result<()> {
        self.object.storage.set_guard(cgroup_id, &Policy::NOTHING)?;
        self.attached.get(&cgroup_id).map_or(Ok(()), CgroupPins::remove_guard)
    }
}

/// The loaded program.
pub(crate) struct Guard {
    program: OwnedFd,
    /// The program's id in the kernel.
    pub(crate) program_id: u32,
}

impl Guard {
    /// Loads the program of an object whose maps are pinned, or takes the pinned one if that is the same.
    pub(crate) fn load(ebpf: &mut Ebpf, pins: &Pins) -> Result<Self> {
        let loaded = load(ebpf)?;
        let path = pins.guard_program();
        let program = match same_program(&path, loaded.as_fd(), pins)? {
            Some(pinned) => pinned,
            None => {
                put(&path, loaded.as_fd(), pins)?;
                loaded
            }
        };
        let program_id = sys::program_info(program.as_fd())?.id;
        Ok(Self { program, program_id })
    }

    /// Pins it in another place, over what is pinned there.
    pub(crate) fn pin(&self, pins: &Pins) -> Result<()> {
        put(&pins.guard_program(), self.program.as_fd(), pins)
    }

    /// Attaches it to a cgroup, in the place of another that guards there. Its storage is to be written afterwards:
    /// zeroed, as it is at first, it guards nothing.
    pub(crate) fn attach(&self, cgroup: Cgroup<'_>, pins: &CgroupPins) -> Result<(), AttachError> {
        let path = pins.guard();
        let old = sys::open_pin(&path).ok();
        let runs_this = |link: &OwnedFd| {
            sys::link_info(link.as_fd())
                .is_ok_and(|info| info.program_id == self.program_id && info.cgroup_id == cgroup.id)
        };
        if old.as_ref().is_some_and(runs_this) {
            return Ok(());
        }
        let link = self.link(&open_cgroup(cgroup)?)?;
        let put = || {
            pins.discard_unfinished()?;
            let next = pins.next_guard();
            sys::pin(link.as_fd(), &next).with_context(|| {
                format!("cannot pin the link as {}; is the bpffs writable?", next.display())
            })?;
            std::fs::rename(&next, &path)
                .with_context(|| format!("cannot put {} in place", path.display()))?;
            let ended = old.as_ref().map_or(Ok(()), |old| sys::detach_link(old.as_fd()));
            ended.context("cannot detach the link of an earlier run")
        };
        put().map_err(|error: anyhow::Error| error.into())
    }

    fn link(&self, cgroup: &File) -> Result<OwnedFd, AttachError> {
        link(self.program.as_fd(), cgroup)
    }
}

/// Loads the program of an object; it lives as long as the descriptor, or a pin of it.
pub(super) fn load(ebpf: &mut Ebpf) -> Result<OwnedFd> {
    let program = ebpf.program_mut(GUARD_PROGRAM).context("the object holds no program that guards")?;
    let program: &mut CgroupSockopt = program.try_into()?;
    program.load().map_err(|error| rejected(&error)).with_context(|| {
        format!(
            "the kernel does not accept the program {GUARD_PROGRAM} (it needs CAP_BPF and CAP_NET_ADMIN); \
             `keepalive-daemon probe` shows what is missing"
        )
    })?;
    let loaded = program.fd()?.as_fd().try_clone_to_owned().context("cannot duplicate a descriptor")?;
    program.unload()?;
    Ok(loaded)
}

/// Attaches the program to a cgroup for as long as the link, or a pin of it, lives.
pub(super) fn link(program: BorrowedFd<'_>, cgroup: &File) -> Result<OwnedFd, AttachError> {
    match obstacles::find(cgroup, Hook::Setsockopt) {
        Ok(None) => sys::create_link(program, cgroup.as_fd(), Hook::Setsockopt)
            .map_err(|error| refusal(&error, "BPF_LINK_CREATE", Hook::Setsockopt)),
        Ok(Some(obstacle)) => Err(obstacle.into()),
        Err(error) => Err(error.into()),
    }
}
