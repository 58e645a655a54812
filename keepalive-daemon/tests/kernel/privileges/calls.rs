//! The seccomp profile.

use std::process::Command;

use nix::errno::Errno;
use syscalls::Sysno;

use crate::{
    ATTEMPT,
    confined::{Profile, Unlisted, confined},
};

crate::tests![what_is_not_in_the_profile_fails, what_is_in_the_profile_are_calls_of_linux,];

/// Calls that the daemon never makes, with arguments that make them fail, and how they fail under the profile.
const UNLISTED: [(Sysno, [usize; 3], Errno); 10] = [
    (Sysno::add_key, [0; 3], Errno::EPERM),
    (Sysno::chroot, [0; 3], Errno::EPERM),
    // The kernel has no user namespace made together with what is shared.
    (Sysno::clone, [(libc::CLONE_NEWUSER | libc::CLONE_FS).cast_unsigned() as usize, 0, 0], Errno::EPERM),
    (Sysno::clone3, [0; 3], Errno::ENOSYS),
    (Sysno::kexec_load, [0, usize::MAX, 0], Errno::EPERM),
    (Sysno::keyctl, [usize::MAX, 0, 0], Errno::EPERM),
    (Sysno::mount, [0; 3], Errno::EPERM),
    (Sysno::ptrace, [usize::MAX, 0, 0], Errno::EPERM),
    (Sysno::swapoff, [0; 3], Errno::EPERM),
    (Sysno::unshare, [usize::MAX, 0, 0], Errno::EPERM),
];

/// Makes those calls, and says what came of each.
pub(crate) fn attempt() {
    for (call, [first, second, third], _) in UNLISTED {
        // SAFETY: none of them reads or writes memory of this process with these arguments, or starts another.
        let result = unsafe { libc::syscall(libc::c_long::from(call.id()), first, second, third, 0, 0, 0) };
        let errno = if result == -1 { Errno::last() } else { Errno::from_raw(0) };
        xtask::console::result(format_args!("{call} {errno:?}"));
    }
}

/// What comes of the calls, for a process that has these capabilities and is told so of unlisted ones.
fn attempted(mut command: Command) -> Vec<String> {
    let output = command.arg(ATTEMPT).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn what_is_not_in_the_profile_fails() {
    let program = std::env::current_exe().unwrap();

    let refused = attempted(confined(&program, Unlisted::Fails));
    let reached = attempted(Command::new(&program));
    let killed = confined(&program, Unlisted::Kills).arg(ATTEMPT).status().unwrap();

    let expected: Vec<_> = UNLISTED.iter().map(|(call, _, errno)| format!("{call} {errno:?}")).collect();
    assert_eq!(refused, expected);
    // It is the profile that refuses them: all of these know better reasons.
    let is_other = |(reached, refused): (&String, &String)| reached != refused;
    assert!(reached.len() == UNLISTED.len() && reached.iter().zip(&refused).all(is_other), "{reached:?}");
    let signal = std::os::unix::process::ExitStatusExt::signal(&killed);
    assert_eq!(signal, Some(libc::SIGSYS), "the tests would see it");
}

fn what_is_in_the_profile_are_calls_of_linux() {
    let profile = Profile::shipped();

    let unknown: Vec<_> = profile.names().filter(|name| name.parse::<Sysno>().is_err()).collect();
    // x86-64 has all the calls that the others have, and more.
    assert!(unknown.is_empty() || cfg!(not(target_arch = "x86_64")), "{unknown:?}");
}
