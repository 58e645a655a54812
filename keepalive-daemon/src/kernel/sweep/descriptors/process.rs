//! The sockets that processes hold, and duplicates of their descriptors: what is set on one is set on the other, since
//! both are the same socket.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::{fs::MetadataExt as _, net::UnixStream},
    },
};

use anyhow::{Context as _, Result};

/// A process, so that no other can be taken for it when it has ended.
pub(crate) struct Process {
    pid: u32,
    descriptor: OwnedFd,
}

impl Process {
    /// # Errors
    /// `ESRCH` if there is none.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: the call takes two numbers and touches no memory.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        owned(result).map(|descriptor| Self { pid, descriptor })
    }

    /// The same socket as the process's descriptor, if that is still the one with this inode number: closing the
    /// duplicate of another file, a terminal or a lease, could have effects of its own.
    ///
    /// # Errors
    /// `EBADF` if the process has closed it, `ENOENT` or `ESRCH` if it has ended, `EPERM` without `CAP_SYS_PTRACE`.
    pub(crate) fn duplicate(&self, descriptor: RawFd, inode: u32) -> io::Result<OwnedFd> {
        let link = fs::read_link(format!("/proc/{}/fd/{descriptor}", self.pid))?;
        if link.to_str().and_then(inode_of) != Some(inode) {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        // SAFETY: as above, with three numbers.
        let result =
            unsafe { libc::syscall(libc::SYS_pidfd_getfd, self.descriptor.as_raw_fd(), descriptor, 0) };
        owned(result)
    }
}

/// Sees whether this kernel duplicates descriptors, by one of this process's own.
///
/// # Errors
/// `ENOSYS` if it does not.
pub(in crate::kernel) fn try_own() -> io::Result<()> {
    let (socket, _) = UnixStream::pair()?;
    // The kernel's numbers for sockets have 32 bits.
    let inode = u32::try_from(fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd()))?.ino());
    let inode = inode.map_err(io::Error::other)?;
    Process::open(std::process::id())?.duplicate(socket.as_raw_fd(), inode).map(drop)
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(result) {
        // SAFETY: the kernel just handed out the descriptor, and nobody else knows it.
        Ok(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// All processes.
pub(crate) fn processes() -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let name = entry.context("cannot list /proc")?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(pids)
}

/// The descriptors of a process that are sockets, each with the socket's inode number.
///
/// # Errors
/// `ENOENT` or `ESRCH` if the process is gone, `EACCES` without `CAP_SYS_PTRACE` if it is another user's, or has more
/// rights than this one.
pub(crate) fn sockets(pid: u32) -> io::Result<Vec<(RawFd, u32)>> {
    let mut sockets = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        let descriptor = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let inode = match fs::read_link(entry.path()) {
            Ok(link) => link.to_str().and_then(inode_of),
            // Root may list the links of a process that it may not follow.
            Err(error) if is_denied(&error) => return Err(error),
            // Closed meanwhile.
            Err(_) => None,
        };
        sockets.extend(descriptor.zip(inode));
    }
    Ok(sockets)
}

/// The number in `socket:[4026]`. sock_diag tells only the lower half; the kernel makes none that is longer.
pub(crate) fn inode_of(link: &str) -> Option<u32> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether an error says that what was looked at is gone, which is as normal as its end.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH | libc::EBADF))
}

/// Whether an error says that a right is missing.
pub(crate) fn is_denied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_links_to_sockets_have_an_inode() {
        assert_eq!(inode_of("socket:[4026]"), Some(4026));
        for other in ["pipe:[4026]", "socket:[x]", "socket:[4026", "/dev/null", "anon_inode:[eventpoll]"] {
            assert_eq!(inode_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_socket_is_listed_and_a_closed_one_is_gone() {
        let pid = std::process::id();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let descriptor = listener.as_raw_fd();

        let listed = sockets(pid).expect("one may look at oneself");
        let process = Process::open(pid).expect("it runs");
        let (_, inode) = listed.into_iter().find(|(fd, _)| *fd == descriptor).expect("it is open");
        let duplicate = process.duplicate(descriptor, inode).map(TcpListener::from).expect("it is open");

        assert_eq!(duplicate.local_addr().ok(), listener.local_addr().ok());
        // Closed, and taken by another socket.
        for (descriptor, inode) in [(RawFd::MAX, inode), (descriptor, inode + 1)] {
            assert!(process.duplicate(descriptor, inode).is_err_and(|error| is_gone(&error)));
        }
    }

    #[test]
    fn a_process_that_is_not_there_is_gone() {
        // Beyond the kernel's largest, 2^22.
        let nobody = 1 << 23;

        assert!(Process::open(nobody).is_err_and(|error| is_gone(&error)));
        assert!(sockets(nobody).is_err_and(|error| is_gone(&error)));
    }
}
