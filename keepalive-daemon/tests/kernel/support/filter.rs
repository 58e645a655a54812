//! The seccomp filter that stops a traced program at the calls which leave something behind.

use std::{io, ptr};

use aya_obj::generated::bpf_cmd;

/// The system calls that change what is pinned, or an option of a socket.
const CALLS: &[(libc::c_long, &str)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, "mkdir"),
    (libc::SYS_mkdirat, "mkdirat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_symlink, "symlink"),
    (libc::SYS_symlinkat, "symlinkat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, "rename"),
    (libc::SYS_renameat, "renameat"),
    (libc::SYS_renameat2, "renameat2"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_unlinkat, "unlinkat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rmdir, "rmdir"),
    (libc::SYS_setsockopt, "setsockopt"),
];

/// The commands of bpf(2) that do. What is only made and not pinned goes with the program.
const COMMANDS: &[(bpf_cmd, &str)] = &[
    (bpf_cmd::BPF_MAP_UPDATE_ELEM, "BPF_MAP_UPDATE_ELEM"),
    (bpf_cmd::BPF_MAP_DELETE_ELEM, "BPF_MAP_DELETE_ELEM"),
    (bpf_cmd::BPF_OBJ_PIN, "BPF_OBJ_PIN"),
    (bpf_cmd::BPF_PROG_ATTACH, "BPF_PROG_ATTACH"),
    (bpf_cmd::BPF_PROG_DETACH, "BPF_PROG_DETACH"),
    (bpf_cmd::BPF_LINK_CREATE, "BPF_LINK_CREATE"),
    (bpf_cmd::BPF_LINK_DETACH, "BPF_LINK_DETACH"),
    (bpf_cmd::BPF_LINK_UPDATE, NEVER),
];

/// What no program of this project ever does.
pub(super) const NEVER: &str = "BPF_LINK_UPDATE";

/// The names of all that the filter stops at.
fn names() -> impl Iterator<Item = &'static str> {
    CALLS.iter().map(|(_, name)| *name).chain(COMMANDS.iter().map(|(_, name)| *name))
}

/// What the filter stopped at, by what it says of it.
pub(super) fn name(message: u64) -> &'static str {
    names().nth(usize::try_from(message).unwrap()).unwrap_or("a call unknown")
}

pub(super) fn instructions() -> Vec<libc::sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    /// Where the number of the call is in what a filter sees, and its first argument.
    const NUMBER: u32 = 0;
    const FIRST: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };
    let instruction = |code: u32, skip_if_not: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: 0,
        jf: skip_if_not,
        k,
    };
    let stop_at = |value: u32, index: usize| {
        let message = u32::try_from(index).unwrap();
        [instruction(IF_EQUAL, 1, value), instruction(RETURN, 0, libc::SECCOMP_RET_TRACE | message)]
    };
    let mut filter = vec![instruction(LOAD, 0, NUMBER)];
    for (index, (call, _)) in CALLS.iter().enumerate() {
        filter.extend(stop_at(u32::try_from(*call).unwrap(), index));
    }
    let commands = COMMANDS.iter().enumerate();
    let commands: Vec<_> =
        commands.flat_map(|(index, (command, _))| stop_at(*command as u32, CALLS.len() + index)).collect();
    let all = u8::try_from(commands.len() + 1).unwrap();
    filter.push(instruction(IF_EQUAL, all, u32::try_from(libc::SYS_bpf).unwrap()));
    filter.push(instruction(LOAD, 0, FIRST));
    filter.extend(commands);
    filter.push(instruction(RETURN, 0, libc::SECCOMP_RET_ALLOW));
    filter
}

/// Far beyond what a busy machine needs, so that only a hang reaches it, in seconds.
const DEADLINE: u32 = 60;

/// Has the parent trace this process, which the filter stops from now on; the kernel ends it if it hangs.
pub(super) fn trace_me(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the call takes a number.
    unsafe { libc::alarm(DEADLINE) };
    let none: *mut libc::c_void = ptr::null_mut();
    // SAFETY: the request takes no memory.
    let traced = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, none, none) };
    if traced < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call reads the program, which lives in this frame, and the filter, which lives in the caller's.
    let filtered = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::c_ulong::from(libc::SECCOMP_MODE_FILTER), &raw const program)
    };
    if filtered < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
