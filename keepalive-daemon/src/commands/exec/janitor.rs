//! What stays behind for the time the command runs: a small process that holds the link and removes the cgroup
//! when the last process in it has ended, however it ended.
//!
//! It is no parent of the command, which has taken the place of this process and keeps its own children to
//! itself. It is in neither the command's cgroup nor its session, and deaf to the signals that ask to end, so that
//! what is meant for the command, or for all of a unit, does not end it; it ends by itself.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _},
    os::fd::{AsFd as _, OwnedFd, RawFd},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigHandler, Signal, signal},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid},
};

use crate::{
    kernel::PrivateLink,
    workloads::{Transient, remove_emptied},
};

/// The descriptors beyond the standard three that the caller left open; to be asked for before any is opened. The
/// janitor closes them: whoever waits for their end waits for the command's.
pub(super) fn inherited() -> Result<Vec<RawFd>> {
    let listed = fs::read_dir("/proc/self/fd").context("cannot list the open files in /proc/self/fd")?;
    let open: Vec<RawFd> = listed
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    // The listing had one of its own, which is closed by now.
    Ok(open.into_iter().filter(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).is_ok()).collect())
}

/// Forks the janitor. It begins its watch when this process has become the command, or has ended.
///
/// # Errors
/// If it cannot be made; the command would not be kept armed then.
pub(super) fn leave_behind(cgroup: &Transient, link: PrivateLink, inherited: &[RawFd]) -> Result<()> {
    // Closed on exec: its end is the sign that the command runs.
    let (started, starting) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).context("cannot make a pipe")?;
    let path = cgroup.path().to_owned();
    // SAFETY: this process has one thread, so the child inherits no lock that nobody will release.
    match unsafe { fork() }.context("cannot fork the process that cleans up")? {
        ForkResult::Parent { child } => {
            match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, 0)) => {}
                // The caller has SIGCHLD ignored: the child has ended, how is not told.
                Err(Errno::ECHILD) => {}
                ended => bail!("cannot set up the process that cleans up behind the command ({ended:?})"),
            }
            // Stays open until exec or exit.
            std::mem::forget(starting);
            Ok(())
        }
        ForkResult::Child => {
            drop(starting);
            let mut done = detach(inherited).is_ok();
            if done {
                // Forked twice: the janitor's parent is gone, so the command inherits no child.
                // SAFETY: as above.
                match unsafe { fork() } {
                    Ok(ForkResult::Child) => {
                        let _ = clean_up_after(&path, started);
                        drop(link);
                    }
                    Ok(ForkResult::Parent { .. }) => {}
                    Err(_) => done = false,
                }
            }
            std::process::exit(i32::from(!done));
        }
    }
}

/// Cuts the ties to the terminal and to the caller: session, signals, descriptors, directory. All of it happens before the command can run: an interrupt
/// at the terminal is for the command alone.
fn detach(inherited: &[RawFd]) -> Result<()> {
    setsid()?;
    for asking in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: to ignore a signal installs no handler.
        unsafe { signal(asking, SigHandler::SigIgn) }?;
    }
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    drop(null);
    for descriptor in inherited {
        // SAFETY: they were open before this program opened any, so nothing in it owns one.
        unsafe { libc::close(*descriptor) };
    }
    std::env::set_current_dir("/")?;
    Ok(())
}

/// Waits until the cgroup is empty and removes it.
fn clean_up_after(cgroup: &Path, started: OwnedFd) -> Result<()> {
    // Nothing is ever written: this is the end of the pipe.
    File::from(started).read_to_end(&mut Vec::new())?;
    let mut events = File::open(cgroup.join("cgroup.events"))?;
    while is_populated(&mut events)? {
        let mut changed = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
        poll(&mut changed, PollTimeout::NONE)?;
    }
    remove_emptied(cgroup)
}

/// Reads `cgroup.events`; what is read is what `poll` then reports a change of.
fn is_populated(events: &mut File) -> Result<bool> {
    let mut text = String::new();
    events.rewind()?;
    events.read_to_string(&mut text)?;
    Ok(text.lines().any(|line| line == "populated 1"))
}
