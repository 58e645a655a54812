//! The calls of bpf(2) that neither aya nor bpftool makes, or not on every kernel. Attributes are the kernel's UAPI as aya
//! generates it.

use std::{
    ffi::CString,
    fs::File,
    io, mem,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_prog_info};

use super::Cgroup;

/// The most programs that the kernel attaches to a cgroup for one hook (`BPF_CGROUP_MAX_PROGS`).
pub const MOST_PROGRAMS: usize = 64;

/// An attribute that asks for nothing yet.
#[must_use]
pub fn attr() -> bpf_attr {
    // SAFETY: all zero bytes are a valid value of this union of plain structures.
    unsafe { mem::zeroed() }
}

/// Makes a call.
///
/// # Errors
///
/// The kernel's.
pub fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the attribute is whole, and what it points to lives in the caller's frame.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, std::ptr::from_mut(attr), size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}

/// Makes a call that hands out a descriptor.
///
/// # Errors
///
/// The kernel's.
pub fn open(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    let descriptor = call(command, attr)?;
    // SAFETY: the kernel just handed it out, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Opens what somebody pinned.
///
/// # Errors
///
/// If there is no pin, or not for this process.
pub fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = attr();
    attr.__bindgen_anon_4.pathname = name.as_ptr() as u64;
    open(bpf_cmd::BPF_OBJ_GET, &mut attr)
}

/// Opens the program with this id.
///
/// # Errors
///
/// If it is gone, or not for this process.
pub fn program(id: u32) -> io::Result<OwnedFd> {
    let mut attr = attr();
    attr.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
    open(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attr)
}

/// What the kernel calls a program.
///
/// # Errors
///
/// If this process may not ask.
pub fn name(program: BorrowedFd<'_>) -> io::Result<String> {
    let name = info(program)?.name.into_iter().take_while(|byte| *byte != 0);
    Ok(String::from_utf8_lossy(&name.map(i8::cast_unsigned).collect::<Vec<_>>()).into_owned())
}

/// What the kernel tells of a program.
///
/// # Errors
///
/// If this process may not ask.
pub fn info(program: BorrowedFd<'_>) -> io::Result<bpf_prog_info> {
    // SAFETY: all zero bytes are a valid value of this plain structure.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    let mut attr = attr();
    attr.info.bpf_fd = program.as_raw_fd().cast_unsigned();
    attr.info.info_len = u32::try_from(size_of::<bpf_prog_info>()).map_err(io::Error::other)?;
    attr.info.info = std::ptr::from_mut(&mut info) as u64;
    call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info)
}

/// Attaches a program to a cgroup, for as long as what it returns is open.
///
/// # Errors
///
/// If the cgroup is gone, or the kernel refuses it.
pub fn link(program: BorrowedFd<'_>, cgroup: &Cgroup, attach_type: u32) -> io::Result<OwnedFd> {
    let directory = File::open(cgroup.path())?;
    let mut attr = attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attr.link_create.__bindgen_anon_2.target_fd = directory.as_raw_fd().cast_unsigned();
    attr.link_create.attach_type = attach_type;
    open(bpf_cmd::BPF_LINK_CREATE, &mut attr)
}

/// The ids of the programs of a hook that are attached to a cgroup itself.
///
/// `bpftool cgroup show` of version 7 asks before Linux 6.0 for what that does not know, and fails (E2BIG).
///
/// # Errors
///
/// If the cgroup is gone, or the kernel does not tell.
pub fn attached(cgroup: &Cgroup, hook: bpf_attach_type) -> io::Result<Vec<u32>> {
    let directory = File::open(cgroup.path())?;
    let mut ids = vec![0; MOST_PROGRAMS];
    let mut attr = attr();
    attr.query.__bindgen_anon_1.target_fd = directory.as_raw_fd().cast_unsigned();
    attr.query.attach_type = hook as u32;
    attr.query.prog_ids = ids.as_mut_ptr() as u64;
    attr.query.__bindgen_anon_2.prog_cnt = u32::try_from(ids.len()).map_err(io::Error::other)?;
    call(bpf_cmd::BPF_PROG_QUERY, &mut attr)?;
    // SAFETY: the call filled this member of the union.
    let query = unsafe { attr.query };
    // SAFETY: both members of the inner union are the same number.
    let count = unsafe { query.__bindgen_anon_2.prog_cnt };
    ids.truncate(usize::try_from(count).map_err(io::Error::other)?);
    Ok(ids)
}
