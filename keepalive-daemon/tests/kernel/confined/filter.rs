//! A profile as the kernel takes it.

use std::mem::offset_of;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW,
    SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, seccomp_data, sock_filter, sock_fprog,
};

use super::{Profile, profile::Verdict};

/// What the kernel calls this architecture; what calls by the numbers of another one is none of ours.
const ARCHITECTURE: u32 = if cfg!(target_arch = "aarch64") { 0xc000_00b7 } else { 0xc000_003e };

/// Lets this process, and what it becomes, make the calls of the profile; `otherwise` becomes of all others.
pub(super) fn install(profile: &Profile, otherwise: u32) {
    let mut program = vec![
        load(offset_of!(seccomp_data, arch)),
        compare(ARCHITECTURE, 1, 0),
        end(SECCOMP_RET_KILL_PROCESS),
        load(offset_of!(seccomp_data, nr)),
    ];
    for (number, verdict) in profile.numbers() {
        let then = match verdict {
            Verdict::IsAllowed => vec![end(SECCOMP_RET_ALLOW)],
            Verdict::IsAllowedWithout(bits) => {
                // The lower half of the first argument, which comes first on all machines that these tests are for.
                let argument = load(offset_of!(seccomp_data, args));
                let mask = statement(BPF_ALU | BPF_AND | BPF_K, 0, 0, bits);
                vec![argument, mask, compare(0, 0, 1), end(SECCOMP_RET_ALLOW), end(otherwise)]
            }
            Verdict::FailsWith(errno) => vec![end(SECCOMP_RET_ERRNO | errno)],
        };
        program.push(compare(number, 0, u8::try_from(then.len()).unwrap()));
        program.extend(then);
    }
    program.push(end(otherwise));
    let program = sock_fprog { len: u16::try_from(program.len()).unwrap(), filter: program.as_mut_ptr() };
    // SAFETY: the kernel reads the program, which outlives the call, and copies it.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Loads a field of what the call is.
fn load(offset: usize) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, 0, 0, u32::try_from(offset).unwrap())
}

/// Skips so many statements if what is loaded equals the value, and so many if it does not.
fn compare(value: u32, equal: u8, other: u8) -> sock_filter {
    statement(BPF_JMP | BPF_JEQ | BPF_K, equal, other, value)
}

fn end(action: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, 0, 0, action)
}

fn statement(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap(), jt, jf, k }
}
