//! The calls of bpf(2) that aya has no way to: programs of the daemon's that are attached here and there without it.
//!
//! Attributes and structures are the kernel's UAPI as aya generates it.

use std::{
    ffi::CString,
    fs::File,
    io, mem,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use anyhow::{Context as _, Result};
use aya::{Ebpf, programs::SockOps, sys::Stats};
use aya_obj::generated::{
    bpf_attach_type::{BPF_CGROUP_SETSOCKOPT, BPF_CGROUP_SOCK_OPS},
    bpf_attr, bpf_cmd, bpf_prog_info,
};

use crate::lab::Cgroup;

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
    /// The tracepoint that it was loaded for.
    Tracepoint,
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
        let name = CString::new(path.as_os_str().as_bytes())?;
        let mut attr = zeroed_attr();
        attr.__bindgen_anon_4.pathname = name.as_ptr() as u64;
        let program = bpf(bpf_cmd::BPF_OBJ_GET, &mut attr);
        program.map(Self).with_context(|| format!("cannot open the pin {}", path.display()))
    }

    /// The one with a number.
    pub(super) fn numbered(id: u32) -> Result<Self> {
        let mut attr = zeroed_attr();
        attr.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
        let program = bpf(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attr);
        program.map(Self).with_context(|| format!("cannot open the eBPF program {id}"))
    }

    /// What the kernel calls it.
    pub(super) fn name(&self) -> Result<String> {
        let name = self.info()?.name.into_iter().take_while(|byte| *byte != 0);
        Ok(String::from_utf8_lossy(&name.map(i8::cast_unsigned).collect::<Vec<_>>()).into_owned())
    }

    pub(super) fn run_time(&self) -> Result<RunTime> {
        let info = self.info()?;
        Ok(RunTime { nanoseconds: info.run_time_ns, runs: info.run_cnt })
    }

    pub(super) fn attach(&self, hook: Hook<'_>) -> Result<Attached> {
        let attached = match hook {
            Hook::SockOps(cgroup) => self.link(cgroup, BPF_CGROUP_SOCK_OPS as u32),
            Hook::Setsockopt(cgroup) => self.link(cgroup, BPF_CGROUP_SETSOCKOPT as u32),
            Hook::Tracepoint => {
                let mut attr = zeroed_attr();
                attr.raw_tracepoint.prog_fd = self.raw();
                bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr)
            }
        };
        let link = attached.with_context(|| format!("cannot attach an eBPF program to {hook:?}"))?;
        Ok(Attached { _link: link })
    }

    fn link(&self, cgroup: &Cgroup, attach_type: u32) -> io::Result<OwnedFd> {
        let cgroup = File::open(cgroup.path())?;
        let mut attr = zeroed_attr();
        attr.link_create.__bindgen_anon_1.prog_fd = self.raw();
        attr.link_create.__bindgen_anon_2.target_fd = cgroup.as_raw_fd().cast_unsigned();
        attr.link_create.attach_type = attach_type;
        bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr)
    }

    fn info(&self) -> Result<bpf_prog_info> {
        // SAFETY: all zero bytes are a valid value of this plain structure.
        let mut info: bpf_prog_info = unsafe { mem::zeroed() };
        let mut attr = zeroed_attr();
        attr.info.bpf_fd = self.raw();
        attr.info.info_len = u32::try_from(size_of::<bpf_prog_info>())?;
        attr.info.info = std::ptr::from_mut(&mut info) as u64;
        call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).context("cannot ask for an eBPF program")?;
        Ok(info)
    }

    fn raw(&self) -> u32 {
        self.as_fd().as_raw_fd().cast_unsigned()
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

fn zeroed_attr() -> bpf_attr {
    // SAFETY: all zero bytes are a valid value of this union of plain structures.
    unsafe { mem::zeroed() }
}

/// A call that hands out a descriptor.
fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    let descriptor = call(command, attr)?;
    // SAFETY: the kernel just handed it out, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the attribute is whole, and what it points to lives in the caller's frame.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, std::ptr::from_mut(attr), size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}
