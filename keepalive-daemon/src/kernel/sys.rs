//! The calls of bpf(2) that aya has no way to: reading an object from its pin, and asking what it is.
//!
//! Attributes and structures are the kernel's UAPI as aya generates it.

pub(super) mod load;

use std::{
    ffi::CString,
    io, mem,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya_obj::generated::{
    bpf_attach_type::{BPF_CGROUP_SETSOCKOPT, BPF_CGROUP_SOCK_OPS},
    bpf_attr, bpf_cmd, bpf_link_info,
    bpf_map_type::BPF_MAP_TYPE_ARRAY,
    bpf_prog_info,
};

/// What of a cgroup a program is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// What happens to connections.
    SockOps,
    /// The calls of setsockopt(2).
    Setsockopt,
}

impl Hook {
    /// The kernel's number for it; part of the key of cgroup storage.
    pub(crate) const fn attach_type(self) -> u32 {
        match self {
            Self::SockOps => BPF_CGROUP_SOCK_OPS as u32,
            Self::Setsockopt => BPF_CGROUP_SETSOCKOPT as u32,
        }
    }
}

impl std::fmt::Display for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SockOps => "sock_ops",
            Self::Setsockopt => "setsockopt",
        })
    }
}

/// What a descriptor of an eBPF object stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Link,
    Map,
    Program,
    Other,
}

/// What the kernel says of a link to a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkInfo {
    pub(crate) program_id: u32,
    /// The cgroup's inode number; 0 once the cgroup is gone or the link was detached by force.
    pub(crate) cgroup_id: u64,
    pub(crate) attach_type: u32,
}

/// What the kernel says of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProgramInfo {
    pub(crate) id: u32,
    /// A digest of the instructions, the same for the same program whichever maps it uses.
    pub(crate) tag: [u8; 8],
    pub(crate) map_ids: Vec<u32>,
    /// The length of the code that it became; 0 if it was not compiled, or this process may not know.
    pub(crate) jited_bytes: u32,
}

/// The programs attached to one hook of one cgroup itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) program_ids: Vec<u32>,
    /// `BPF_F_ALLOW_OVERRIDE`, `BPF_F_ALLOW_MULTI`, or 0.
    pub(crate) flags: u32,
}

/// Opens a pinned object.
///
/// # Errors
/// `ENOENT` where nothing is pinned, `EACCES` or `EPERM` without the right to, `EINVAL` for a file that is
/// not on a bpffs.
pub(crate) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    let fd = bpf(bpf_cmd::BPF_OBJ_GET, &mut attr)?;
    // SAFETY: the kernel just handed out the descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Pins an object.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attr.__bindgen_anon_4.bpf_fd = object.as_raw_fd().cast_unsigned();
    bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr).map(drop)
}

/// Makes a map of one number, which is gone with its descriptor.
pub(crate) fn create_map() -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_1.map_type = BPF_MAP_TYPE_ARRAY as u32;
    attr.__bindgen_anon_1.key_size = 4;
    attr.__bindgen_anon_1.value_size = 4;
    attr.__bindgen_anon_1.max_entries = 1;
    let fd = bpf(bpf_cmd::BPF_MAP_CREATE, &mut attr)?;
    // SAFETY: the kernel just handed out the descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The key of a map after another, or the first; `None` after the last, or if the other is not there any more.
pub(crate) fn next_key<const N: usize>(
    map: BorrowedFd<'_>,
    key: Option<&[u8; N]>,
) -> io::Result<Option<[u8; N]>> {
    let mut next = [0_u8; N];
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd().cast_unsigned();
    attr.__bindgen_anon_2.key = key.map_or(0, |key| key.as_ptr() as u64);
    attr.__bindgen_anon_2.__bindgen_anon_1.next_key = next.as_mut_ptr() as u64;
    found(bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr)).map(|is_found| is_found.then_some(next))
}

/// Whether a map has a key; `value` is as long as its values are.
pub(crate) fn has_key<const N: usize>(
    map: BorrowedFd<'_>,
    key: &[u8; N],
    value: &mut [u8],
) -> io::Result<bool> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd().cast_unsigned();
    attr.__bindgen_anon_2.key = key.as_ptr() as u64;
    attr.__bindgen_anon_2.__bindgen_anon_1.value = value.as_mut_ptr() as u64;
    found(bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr))
}

fn found(answer: io::Result<i32>) -> io::Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Attaches a program to a cgroup for as long as the link, or a pin of it, lives; it shares the cgroup with others.
pub(crate) fn create_link(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    hook: Hook,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attr.link_create.__bindgen_anon_2.target_fd = cgroup.as_raw_fd().cast_unsigned();
    attr.link_create.attach_type = hook.attach_type();
    let fd = bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr)?;
    // SAFETY: the kernel just handed out the descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What kind of object a descriptor is, by the name the kernel gives its anonymous inode.
pub(crate) fn kind(fd: BorrowedFd<'_>) -> io::Result<Kind> {
    let name = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    Ok(match name.to_string_lossy().trim_start_matches("anon_inode:").trim_matches(['[', ']']) {
        "bpf_link" | "bpf-link" => Kind::Link,
        "bpf-map" => Kind::Map,
        "bpf-prog" => Kind::Program,
        _ => Kind::Other,
    })
}

/// Describes a link to a cgroup.
pub(crate) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    // SAFETY: all zero bytes are a valid value of this plain structure.
    let mut info: bpf_link_info = unsafe { mem::zeroed() };
    object_info(link, &mut info)?;
    // SAFETY: the union's members are plain integers; for a link to something else than a cgroup they mean
    // something else, which the attach type tells.
    let cgroup = unsafe { info.__bindgen_anon_1.cgroup };
    Ok(LinkInfo { program_id: info.prog_id, cgroup_id: cgroup.cgroup_id, attach_type: cgroup.attach_type })
}

/// Ends the attachment of a link at once, whoever else holds the link.
pub(crate) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.link_detach.link_fd = link.as_raw_fd().cast_unsigned();
    bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr).map(drop)
}

/// Describes a program.
pub(crate) fn program_info(program: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    // BPF_MAX_USED_MAPS; the kernel refuses a program with more.
    let mut map_ids = vec![0_u32; 64];
    // SAFETY: all zero bytes are a valid value of this plain structure.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    info.nr_map_ids = 64;
    info.map_ids = map_ids.as_mut_ptr() as u64;
    object_info(program, &mut info)?;
    map_ids.truncate(info.nr_map_ids as usize);
    Ok(ProgramInfo { id: info.id, tag: info.tag, map_ids, jited_bytes: info.jited_prog_len })
}

/// Lists the programs attached to a hook of a cgroup itself, not those it inherits.
pub(crate) fn attached(cgroup: BorrowedFd<'_>, hook: Hook) -> io::Result<Attached> {
    // The kernel's limit for one cgroup and attach type.
    let mut program_ids = vec![0_u32; 64];
    let mut attr = zeroed_attr();
    attr.query.__bindgen_anon_1.target_fd = cgroup.as_raw_fd().cast_unsigned();
    attr.query.attach_type = hook.attach_type();
    attr.query.prog_ids = program_ids.as_mut_ptr() as u64;
    attr.query.__bindgen_anon_2.prog_cnt = 64;
    bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr)?;
    // SAFETY: the call filled this member of the union.
    let query = unsafe { attr.query };
    // SAFETY: both members of the inner union are the same number.
    program_ids.truncate(unsafe { query.__bindgen_anon_2.prog_cnt } as usize);
    Ok(Attached { program_ids, flags: query.attach_flags })
}

/// Whether the kernel lets a `sock_ops` program set keep-alive options; true if that cannot be told.
///
/// Nothing but a connection shows it directly. The command `BPF_LINK_DETACH` came in the same release, 5.9, and
/// tells by its error whether it is known.
pub(crate) fn can_set_keepalive() -> bool {
    let mut attr = zeroed_attr();
    attr.link_detach.link_fd = u32::MAX;
    let answer = bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr);
    knows_command(answer.err().and_then(|error| error.raw_os_error()))
}

/// A kernel that knows a command finds the descriptor bad; one that does not, finds the command invalid.
const fn knows_command(errno: Option<i32>) -> bool {
    !matches!(errno, Some(libc::EINVAL))
}

fn object_info<T>(object: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.info.bpf_fd = object.as_raw_fd().cast_unsigned();
    attr.info.info_len = u32::try_from(size_of::<T>()).map_err(io::Error::other)?;
    attr.info.info = std::ptr::from_mut(info) as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(drop)
}

fn zeroed_attr() -> bpf_attr {
    // SAFETY: all zero bytes are a valid value of this union of plain structures, and the kernel demands them
    // in all that a command does not use.
    unsafe { mem::zeroed() }
}

fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the attribute is whole and zeroed beyond what the command uses; pointers in it live in the
    // caller's frame for the time of the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, std::ptr::from_mut(attr), size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_invalid_command_is_an_unknown_one() {
        assert!(!knows_command(Some(libc::EINVAL)));
        for errno in [Some(libc::EBADF), Some(libc::EPERM), None] {
            assert!(knows_command(errno), "{errno:?}");
        }
    }
}
