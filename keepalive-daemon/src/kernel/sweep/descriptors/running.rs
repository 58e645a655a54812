//! The open connections of one process and its descendants, whatever cgroups and namespaces they are of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::fd::RawFd,
    path::Path,
};

use anyhow::{Result, anyhow};
use keepalive_ebpf::{Direction, Swept, Target};

use super::{
    process::{Process, is_denied, is_gone, processes, sockets},
    socket::OpenSocket,
    treat::{Connection, treat},
};
use crate::{
    features::Feature,
    kernel::{
        features::lacking,
        sweep::diag::{TCP_CLOSE_WAIT, TCP_ESTABLISHED},
    },
};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// The connections, each with a process that holds it.
    pub(crate) connections: Vec<(u32, Swept)>,
    /// The descendants that this process has no right to look into.
    pub(crate) denied: Vec<u32>,
    /// Why other sockets were not reached, though they may be open.
    pub(crate) failed: Vec<anyhow::Error>,
}

/// Treats the open connections of a process and its descendants by what a target's policy says of connections of both
/// directions to all destinations.
///
/// # Errors
/// If there is no such process, or this one has no right to its descriptors.
pub(crate) fn sweep_process(pid: u32, target: &Target) -> Result<Running> {
    let parents = parents()?;
    if !parents.contains_key(&pid) {
        return Err(absent(pid));
    }
    let mut running = Running::default();
    let mut seen = BTreeSet::new();
    for member in family(pid, &parents) {
        let treated = connections(member, &mut seen, |connection| {
            let swept = treat(connection, target, Some(target.policy.timers()), None);
            running.connections.push((member, swept));
        });
        match treated {
            Ok(()) => {}
            Err(error) if member == pid && running.connections.is_empty() => {
                return Err(explained(pid, &error));
            }
            Err(error) if is_denied(&error) => running.denied.push(member),
            // It has ended meanwhile, and nobody needs its connections.
            Err(error) if is_gone(&error) => {}
            Err(error) => running.failed.push(explained(member, &error)),
        }
    }
    Ok(running)
}

fn explained(pid: u32, error: &io::Error) -> anyhow::Error {
    if is_denied(error) {
        return anyhow!(
            "cannot get at the sockets of process {pid}: {error}; it takes root with CAP_SYS_PTRACE (and that the \
             security module Yama does not forbid it to everyone, kernel.yama.ptrace_scope=3)"
        );
    }
    match error.raw_os_error() {
        Some(libc::ENOSYS) => anyhow!(lacking("this kernel does not duplicate descriptors", Feature::Borrow)),
        _ if is_gone(error) => absent(pid),
        _ => anyhow!("cannot get at the sockets of process {pid}: {error}"),
    }
}

fn absent(pid: u32) -> anyhow::Error {
    if Path::new("/proc").join(pid.to_string()).exists() {
        return anyhow!("{pid} is a thread; pass the process that it is of (Tgid in /proc/{pid}/status)");
    }
    anyhow!("there is no process {pid}; `ss -tnp` shows which process holds a connection")
}

/// Hands out the connections among a process's sockets one after the other, without those that were seen at another
/// process: each takes a descriptor of this process only as long as it is treated.
fn connections(pid: u32, seen: &mut BTreeSet<u64>, mut each: impl FnMut(&Connection)) -> io::Result<()> {
    // Before its descriptors are listed, so that they are not those of another.
    let process = Process::open(pid)?;
    for (descriptor, inode) in sockets(pid)? {
        match connection(&process, descriptor, inode) {
            Ok(Some(connection)) if seen.insert(connection.cookie) => each(&connection),
            Ok(_) => {}
            Err(error) if is_closed(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether an error says that a descriptor was closed, taken by another file, or disconnected meanwhile.
fn is_closed(error: &io::Error) -> bool {
    is_gone(error) || matches!(error.raw_os_error(), Some(libc::ENOTSOCK | libc::ENOTCONN))
}

/// A descriptor's connection; `None` if it is something else.
fn connection(process: &Process, descriptor: RawFd, inode: u32) -> io::Result<Option<Connection>> {
    let socket = OpenSocket::new(process.duplicate(descriptor, inode)?);
    if !socket.is_tcp()? || !matches!(socket.state()?, TCP_ESTABLISHED | TCP_CLOSE_WAIT) {
        return Ok(None);
    }
    let (cookie, local, remote) = (socket.cookie()?, socket.local()?, socket.remote()?);
    Ok(Some(Connection { socket, cookie, local, remote, direction: Direction::Both }))
}

/// Every process with its parent.
fn parents() -> Result<BTreeMap<u32, u32>> {
    // The kernel cuts names where it has to, also amid a character.
    let stat = |pid: &u32| fs::read(format!("/proc/{pid}/stat")).ok();
    let parent = |pid| Some((pid, parent(&String::from_utf8_lossy(&stat(&pid)?))?));
    Ok(processes()?.into_iter().filter_map(parent).collect())
}

/// The fourth field; the second is the program's name in parentheses, which may hold anything.
pub(crate) fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// A process and its descendants.
fn family(pid: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(member) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, parent)| **parent == member).map(|(child, _)| *child));
        next += 1;
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_closed_meanwhile_is_told_from_what_this_process_cannot_do() {
        let is = |code| is_closed(&io::Error::from_raw_os_error(code));

        assert!([libc::ESRCH, libc::EBADF, libc::ENOENT, libc::ENOTSOCK, libc::ENOTCONN].into_iter().all(is));
        assert!(![libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EPERM].into_iter().any(is));
    }

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent("12 (sh) S 7 12 12"), Some(7));
        assert_eq!(parent("12 (a) S 1 (b) R 7 12"), Some(7));
        assert_eq!(parent("12 (sh"), None);
    }

    #[test]
    fn a_process_with_a_name_that_was_cut_amid_a_character_has_a_parent() {
        let name = fs::read("/proc/self/comm").expect("this process has one");
        // Of fifteen bytes, the last is the first half of a letter.
        fs::write("/proc/self/comm", "aäääääääää").expect("it is ours");

        let parents = parents();

        fs::write("/proc/self/comm", name).expect("it is ours");
        assert!(parents.expect("/proc is there").contains_key(&std::process::id()));
    }

    #[test]
    fn the_family_is_the_process_and_all_that_descend_from_it() {
        let parents = BTreeMap::from([(1, 0), (2, 1), (3, 2), (4, 2), (5, 4), (6, 1)]);

        assert_eq!(family(2, &parents), [2, 3, 4, 5]);
        assert_eq!(family(9, &parents), [9]);
    }
}
