//! A process that begins in a cgroup that was made a moment ago, as a container's first one does.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::fd::AsRawFd as _,
    path::Path,
    process, thread,
    time::{Duration, Instant},
};

use nix::{errno::Errno, sys::wait::waitpid, unistd::Pid};

use super::{Answer, Hands, see};

/// Between two connections of one that waits for its policy: long against a connection, short against the wait.
const PAUSE: Duration = Duration::from_micros(200);

/// When it gives up: far beyond what a restart of the daemon takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the cgroup and a process in it; returns what that saw, with the cgroup gone again.
pub(super) fn visit(cgroup: &Path, count: u32) -> io::Result<Answer> {
    fs::create_dir(cgroup)?;
    let seen = inside(cgroup, count);
    let removed = remove(cgroup);
    let seen = seen?;
    removed?;
    serde_json::from_str(&seen).map_err(io::Error::from)
}

fn inside(cgroup: &Path, count: u32) -> io::Result<String> {
    let began = Instant::now();
    let directory = File::open(cgroup)?;
    let (mut reader, mut writer) = io::pipe()?;
    let Some(child) = fork_into(&directory)? else {
        let answer = connect(began, count)
            .unwrap_or_else(|error| Answer { failure: Some(error.to_string()), ..Answer::default() });
        // Whoever asked sees by an answer that is none that this one could not write.
        let _ = serde_json::to_writer(&mut writer, &answer);
        let _ = writer.flush();
        process::exit(0);
    };
    drop(writer);
    let mut seen = String::new();
    reader.read_to_string(&mut seen)?;
    waitpid(child, None)?;
    Ok(seen)
}

/// Connects until an end is armed, and then so many times.
fn connect(began: Instant, count: u32) -> io::Result<Answer> {
    let hands = Hands::new()?;
    let mut answer = Answer::default();
    loop {
        let mut ends = Vec::new();
        see(&hands.pair()?, &mut ends)?;
        let waited = began.elapsed();
        if answer.connected_after_us == 0 {
            answer.connected_after_us = micros(waited);
        }
        if ends.iter().all(|end| end.keepalive) {
            answer.armed_after_us = Some(micros(waited));
            answer.ends.extend(ends);
            break;
        }
        if waited > PATIENCE {
            return Ok(answer);
        }
        thread::sleep(PAUSE);
    }
    for _ in 0..count {
        see(&hands.pair()?, &mut answer.ends)?;
    }
    Ok(answer)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// As fork(2), with the child in a cgroup from its first instruction on; `None` is the child.
fn fork_into(cgroup: &File) -> io::Result<Option<Pid>> {
    /// `struct clone_args`, with the cgroup in its last field.
    type Arguments = [u64; 11];
    /// `CLONE_INTO_CGROUP`, for which libc's type is too narrow.
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    const EXIT_SIGNAL: usize = 4;
    const CGROUP: usize = 10;

    let mut arguments: Arguments = [0; 11];
    arguments[0] = INTO_CGROUP;
    arguments[EXIT_SIGNAL] = u64::from(libc::SIGCHLD.cast_unsigned());
    arguments[CGROUP] = u64::from(cgroup.as_raw_fd().cast_unsigned());
    // SAFETY: the arguments are as long as said, and this process has one thread, so that the child's memory, a copy of
    // this one's, has no lock that somebody else held.
    let result = unsafe { libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of::<Arguments>()) };
    match i32::try_from(result) {
        Ok(0) => Ok(None),
        Ok(child @ 1..) => Ok(Some(Pid::from_raw(child))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What ended is in its cgroup for a moment longer.
fn remove(cgroup: &Path) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match fs::remove_dir(cgroup) {
            Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) && began.elapsed() < PATIENCE => {
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}
