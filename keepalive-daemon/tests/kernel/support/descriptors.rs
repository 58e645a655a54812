//! The sockets of a process that cannot be asked: its descriptors are duplicated into this one, so that
//! getsockopt answers for the very sockets it uses.

use std::{
    fs, io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use socket2::{Protocol, Socket};

use crate::peer::{self, Options};

/// What getsockopt says of the TCP connections that a process holds, in the order of their descriptors.
pub(crate) fn connections_of(pid: u32) -> Vec<Options> {
    let process = pidfd_open(pid).unwrap();
    let mut descriptors: Vec<i32> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| {
            fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
        })
        .map(|entry| entry.file_name().to_str().unwrap().parse().unwrap())
        .collect();
    descriptors.sort_unstable();
    let sockets =
        descriptors.into_iter().map(|descriptor| Socket::from(duplicate(&process, descriptor).unwrap()));
    let connections = sockets
        .filter(|socket| socket.protocol().unwrap() == Some(Protocol::TCP) && socket.peer_addr().is_ok());
    connections.map(|connection| peer::get(&connection).unwrap()).collect()
}

pub(super) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers and touches no memory.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    owned(descriptor)
}

fn duplicate(process: &OwnedFd, descriptor: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes three numbers and touches no memory.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), descriptor, 0) };
    owned(descriptor)
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(result) {
        // SAFETY: the kernel just handed out the descriptor, and nobody else knows it.
        Ok(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}
