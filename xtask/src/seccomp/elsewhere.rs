//! Calls that are made for the same where the C library, the kernel or the processor is another, or something goes wrong.

use std::collections::BTreeSet;

/// Sets of calls of which a C library makes one or another: the image's, which is linked statically, is not the one that
/// tests use; ARM and RISC-V have none of the old calls that x86 has; a new C library tries what old kernels lack.
const ALIKE: &[&[&str]] = &[
    &["accept", "accept4"],
    &["access", "faccessat", "faccessat2"],
    &["chmod", "fchmod", "fchmodat", "fchmodat2"],
    &["chown", "fchown", "fchownat", "lchown"],
    &["clock_nanosleep", "nanosleep"],
    &["clone", "clone3", "fork", "vfork"],
    &["dup", "dup2", "dup3"],
    &["epoll_create", "epoll_create1"],
    &["epoll_pwait", "epoll_pwait2", "epoll_wait"],
    &["eventfd", "eventfd2"],
    &["fstat", "lstat", "newfstatat", "stat", "statx"],
    &["fstatfs", "statfs"],
    &["getdents", "getdents64"],
    &["getrlimit", "prlimit64", "setrlimit"],
    &["inotify_init", "inotify_init1"],
    &["mkdir", "mkdirat"],
    &["open", "openat"],
    &["pipe", "pipe2"],
    &["poll", "ppoll"],
    &["pread64", "preadv", "read", "readv"],
    &["pselect6", "select"],
    &["pwrite64", "pwritev", "write", "writev"],
    &["readlink", "readlinkat"],
    &["recvfrom", "recvmsg"],
    &["rename", "renameat", "renameat2"],
    &["rmdir", "unlink", "unlinkat"],
    &["sendmsg", "sendto"],
    &["symlink", "symlinkat"],
    &["wait4", "waitid"],
];

/// Calls at the start of every program, of whichever C library, and at an end that no test has: a panic, an abort.
const ANY_PROGRAM: &[&str] = &[
    "arch_prctl",
    "brk",
    "exit",
    "exit_group",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getrandom",
    "gettid",
    "getuid",
    "madvise",
    "membarrier",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "tgkill",
    "uname",
    // The kernel makes it in the place of one that a stop has interrupted.
    "restart_syscall",
];

/// What a program asks of the kernel's page in its memory (the vDSO), and of the kernel itself where that cannot tell:
/// with a clock that is no register of the processor's, as in emulated machines, under Xen, or on a host whose counters
/// disagree. No record of this machine has them, and without the time nothing works.
const WITHOUT_VDSO: &[&str] = &["clock_getres", "clock_gettime", "getcpu", "gettimeofday", "time"];

/// What systemd's module of names calls beside the rest, when a group is asked for by its name on a host that systemd
/// runs: it asks systemd's services, with an event loop of its own.
const SYSTEMDS_NAMES: &[&str] = &["timerfd_create", "timerfd_settime"];

/// Calls of a container runtime, and of systemd, between the profile and the program: it is in force for what starts it.
const BEFORE: &[&str] =
    &["close", "close_range", "execve", "fcntl", "futex", "getdents64", "getppid", "prctl"];

/// What is not in the profile though it may have been seen: calls of what records.
const NEVER: &[&str] = &["ptrace"];

/// The calls with all that belong to them.
pub(super) fn complete(calls: BTreeSet<String>) -> BTreeSet<String> {
    let mut complete = calls;
    complete
        .extend([ANY_PROGRAM, WITHOUT_VDSO, SYSTEMDS_NAMES, BEFORE].concat().into_iter().map(str::to_owned));
    for alike in ALIKE {
        if alike.iter().any(|name| complete.contains(*name)) {
            complete.extend(alike.iter().map(|name| (*name).to_owned()));
        }
    }
    complete.retain(|name| !NEVER.contains(&name.as_str()));
    complete
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_those_alike_brings_the_others_and_nothing_else() {
        let complete = complete(["poll", "bpf"].map(str::to_owned).into());

        let has = |name: &str| complete.contains(name);
        assert!(has("ppoll") && has("bpf") && has("execve") && has("restart_syscall"));
        assert!(!has("mkdirat") && !has("socket"));
    }

    #[test]
    fn the_time_may_be_asked_of_the_kernel() {
        assert!(complete(BTreeSet::new()).contains("clock_gettime"));
    }
}
