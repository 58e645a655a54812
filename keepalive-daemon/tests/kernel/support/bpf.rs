//! The calls of bpf(2) that no tool makes on every kernel.

use std::{
    fs::File,
    io, mem,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{bpf_attach_type::BPF_CGROUP_SOCK_OPS, bpf_attr, bpf_cmd};
use xtask::lab::Cgroup;

/// The ids of the `sock_ops` programs attached to a cgroup itself.
///
/// `bpftool cgroup show` of version 7 asks before Linux 6.0 for what that does not know, and fails (E2BIG).
pub(super) fn attached(cgroup: &Cgroup) -> io::Result<Vec<u32>> {
    let directory = File::open(cgroup.path())?;
    let mut ids = vec![0; super::foreign::MOST_PROGRAMS];
    let mut attr = zeroed_attr();
    attr.query.__bindgen_anon_1.target_fd = directory.as_raw_fd().cast_unsigned();
    attr.query.attach_type = BPF_CGROUP_SOCK_OPS as u32;
    attr.query.prog_ids = ids.as_mut_ptr() as u64;
    attr.query.__bindgen_anon_2.prog_cnt = u32::try_from(ids.len()).unwrap();
    bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr)?;
    // SAFETY: the call filled this member of the union.
    let query = unsafe { attr.query };
    // SAFETY: both members of the inner union are the same number.
    let count = unsafe { query.__bindgen_anon_2.prog_cnt };
    ids.truncate(usize::try_from(count).unwrap());
    Ok(ids)
}

pub(super) fn zeroed_attr() -> bpf_attr {
    // SAFETY: all zero bytes are a valid value of this union of plain structures.
    unsafe { mem::zeroed() }
}

pub(super) fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the attribute is whole, and what it points to lives in the caller's frame.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, std::ptr::from_mut(attr), size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(i32::try_from(result).unwrap()) }
}

pub(super) fn owned(descriptor: i32) -> OwnedFd {
    // SAFETY: the kernel just handed out the descriptor, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
