//! Programs of the daemon's that are attached here and there without it.

use std::{
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use anyhow::{Context as _, Result};
use aya::{Ebpf, programs::SockOps, sys::Stats};
use aya_obj::generated::{
    bpf_attach_type::{BPF_CGROUP_SETSOCKOPT, BPF_CGROUP_SOCK_OPS},
    bpf_cmd,
};

use crate::lab::{Cgroup, bpf};

/// A loaded program.
#[derive(Debug)]
pub(super) struct Program(OwnedFd);

/// What a program did since the kernel counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RunTime {
    pub(super) nanoseconds: u64,
    pub(super) runs: u64,
}

/// What a program is attached to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hook<'a> {
    SockOps(&'a Cgroup),
    Setsockopt(&'a Cgroup),
    /// What of the kernel's own it was loaded for.
    Tracing,
}

/// Keeps a program attached until it is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Attached {
    _link: OwnedFd,
}

/// Has the kernel count what programs do, until this is dropped; also if it is because this process ends.
pub(super) fn count_run_time() -> Result<OwnedFd> {
    aya::sys::enable_stats(Stats::RunTime).context("cannot have the kernel count the time in eBPF programs")
}

impl Program {
    /// Loads a `sock_ops` program of an object.
    pub(super) fn load(object: &mut Ebpf, name: &str) -> Result<Self> {
        let program =
            object.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
        let program: &mut SockOps = program.try_into()?;
        program.load().with_context(|| format!("cannot load the program {name}"))?;
        Ok(Self(program.fd()?.as_fd().try_clone_to_owned()?))
    }

    /// One that is pinned.
    pub(super) fn pinned(path: &Path) -> Result<Self> {
        bpf::pinned(path).map(Self).with_context(|| format!("cannot open the pin {}", path.display()))
    }

    /// The one with a number.
    pub(super) fn numbered(id: u32) -> Result<Self> {
        bpf::program(id).map(Self).with_context(|| format!("cannot open the eBPF program {id}"))
    }

    /// What the kernel calls it.
    pub(super) fn name(&self) -> Result<String> {
        bpf::name(self.as_fd()).context("cannot ask for an eBPF program")
    }

    pub(super) fn run_time(&self) -> Result<RunTime> {
        let info = bpf::info(self.as_fd()).context("cannot ask for an eBPF program")?;
        Ok(RunTime { nanoseconds: info.run_time_ns, runs: info.run_cnt })
    }

    pub(super) fn attach(&self, hook: Hook<'_>) -> Result<Attached> {
        let attached = match hook {
            Hook::SockOps(cgroup) => bpf::link(self.as_fd(), cgroup, BPF_CGROUP_SOCK_OPS as u32),
            Hook::Setsockopt(cgroup) => bpf::link(self.as_fd(), cgroup, BPF_CGROUP_SETSOCKOPT as u32),
            Hook::Tracing => {
                let mut attr = bpf::attr();
                attr.raw_tracepoint.prog_fd = self.as_fd().as_raw_fd().cast_unsigned();
                bpf::open(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr)
            }
        };
        let link = attached.with_context(|| format!("cannot attach an eBPF program to {hook:?}"))?;
        Ok(Attached { _link: link })
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::ops::Sub for RunTime {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { nanoseconds: self.nanoseconds - before.nanoseconds, runs: self.runs - before.runs }
    }
}
