//! The sweep for kernels whose iterators can neither read nor set options (before 6.1), and for what those of others leave
//! out: sock_diag tells which
//! connections there are and of which cgroup, and each is reached by a duplicate of a descriptor that some process holds.
//!
//! It finds only what has a descriptor: not connections that nobody has accepted, not those whose descriptor is on its
//! way to another process or lives in an io_uring alone, not the ones that MPTCP is made of. They count as
//! [`Pass::pending`].

pub(in crate::kernel) mod holders;
mod maps;
mod other_options;
pub(in crate::kernel) mod process;
pub(in crate::kernel) mod running;
pub(in crate::kernel) mod socket;
mod treat;

use std::{collections::BTreeSet, ops::ControlFlow, os::fd::RawFd, path::Path};

use anyhow::Result;
use keepalive_ebpf::{Direction, Sweep, Swept, Target};

pub(crate) use running::{Running, sweep_process};

use self::{
    holders::Holders,
    maps::Maps,
    process::Process,
    socket::OpenSocket,
    treat::{Connection, guard, is_real, treat},
};
use super::{
    Pass, Targets,
    diag::{self, Diag, Listed, Question, StateFlags, TCP_LISTEN},
    namespaces::{self, Namespace},
};

/// Sweeps by the descriptors of the processes that hold the sockets.
pub(super) struct Descriptors {
    maps: Maps,
}

impl Descriptors {
    /// Shares the marks and the rules for destinations with the programs, as far as they are pinned.
    ///
    /// # Errors
    /// If `bpffs` is none, or something else is pinned in their place.
    pub(super) fn load(bpffs: &Path) -> Result<Self> {
        Ok(Self { maps: Maps::pinned(bpffs)? })
    }

    /// The cookies of the open connections of targets, but for those that are only looked at again: of these the iterator
    /// tells only what is guarded.
    ///
    /// # Errors
    /// If /proc or the sockets cannot be listed.
    pub(super) fn open(&self, targets: &Targets) -> Result<BTreeSet<u64>> {
        let is_treated = |target: &Target| target.sweep != Sweep::Recheck;
        let mut cookies = BTreeSet::new();
        if !targets.any(is_treated) {
            return Ok(cookies);
        }
        let states = StateFlags::ESTABLISHED | StateFlags::CLOSE_WAIT;
        let question = Question { states, times: false };
        for namespace in &namespaces::all()?.namespaces {
            // What cannot be looked into is told by the iterator, which cannot, either.
            let Ok(Some(Ok(diag))) = namespaces::inside(namespace, Diag::open) else { continue };
            diag.list(&question, &mut |socket| {
                if socket.cgroup.and_then(|cgroup| targets.get(cgroup)).as_ref().is_some_and(is_treated) {
                    cookies.insert(socket.cookie);
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(cookies)
    }

    /// See [`super::Sweeper::pass`]; with `only`, over none but the connections with these cookies.
    ///
    /// # Errors
    /// If /proc cannot be listed, or the rules for destinations or the marks not be read.
    pub(super) fn pass(
        &mut self,
        targets: &Targets,
        only: Option<&BTreeSet<u64>>,
        each: &mut dyn FnMut(&Swept) -> ControlFlow<()>,
    ) -> Result<Pass> {
        self.maps.forget();
        let found = namespaces::all()?;
        let mut pass = Pass { unreachable: found.unreachable, ..Pass::default() };
        let mut open = Vec::new();
        for namespace in &found.namespaces {
            match list(namespace) {
                Ok(Some(listed)) => {
                    pass.namespaces += 1;
                    let is_meant = |open: &Open| only.is_none_or(|only| only.contains(&open.listed.cookie));
                    open.extend(of_targets(&listed, targets).into_iter().filter(is_meant));
                }
                Ok(None) => {}
                Err(error) => pass.unreachable.push((namespace.name(), format!("{error:#}"))),
            }
        }
        if open.is_empty() {
            return Ok(pass);
        }
        let inodes: BTreeSet<u32> = open.iter().map(|open| open.listed.inode).filter(|it| *it > 0).collect();
        let holders = Holders::find(&inodes)?;
        // One process after the other, so that each is opened once.
        open.sort_by_key(|open| (holders.of(open.listed.inode), open.listed.cookie));
        let mut reached = Reached::default();
        let mut is_any_missed = false;
        for Open { listed, cgroup, direction } in open {
            let socket = holders.of(listed.inode).and_then(|holder| reached.take(holder, &listed));
            let Some(socket) = socket else {
                pass.pending += 1;
                is_any_missed |= listed.inode > 0;
                continue;
            };
            // Only now: a connection that begins under another policy is found after this one's end.
            let Some(target) = targets.get(cgroup) else { continue };
            let Listed { cookie, local, remote, .. } = listed;
            let connection = Connection { socket, cookie, local, remote, direction };
            // What is looked at again is what the policy guards, and no more.
            if matches!(target.sweep, Sweep::Recheck)
                && self.maps.guard(&connection.socket)? != Some(target.policy.cgroup())
            {
                continue;
            }
            let swept = self.treat(&connection, &target)?;
            if each(&swept).is_break() {
                break;
            }
        }
        let denied = holders.denied.max(reached.denied.len());
        // On many a node there is a process that nobody may look into; it matters if it may hold what was missed.
        if is_any_missed && denied > 0 {
            pass.unreachable.push((
                format!("the descriptors of other processes, {denied} in number"),
                "this process may not duplicate them (needs CAP_SYS_PTRACE)".to_owned(),
            ));
        }
        Ok(pass)
    }

    fn treat(&mut self, connection: &Connection, target: &Target) -> Result<Swept> {
        let destination = connection.destination();
        let wanted = self.maps.find(&target.policy, &destination)?;
        let previous = match target.has_previous {
            0 => None,
            _ => self.maps.find(&target.previous, &destination)?,
        };
        let mut swept = treat(connection, target, wanted, previous);
        if is_real(target, swept.outcome) && matches!(target.sweep, Sweep::Apply) {
            let guard = guard(&target.policy, swept.outcome);
            let marked = self.maps.mark(&connection.socket, target.policy.cgroup(), guard);
            treat::record(&mut swept.errno, marked);
        }
        Ok(swept)
    }
}

/// A connection of a target.
struct Open {
    listed: Listed,
    cgroup: u64,
    direction: Direction,
}

/// The sockets of a namespace; `None` if it is gone.
fn list(namespace: &Namespace) -> Result<Option<Vec<Listed>>> {
    let states = StateFlags::ESTABLISHED | StateFlags::CLOSE_WAIT | StateFlags::LISTEN;
    namespaces::inside(namespace, move || diag::list(&states))?.transpose()
}

/// The connections of the targets among all sockets of a namespace. Whether one was accepted is not told of an open
/// connection; its port is that of a listener then, as long as there is one.
fn of_targets(listed: &[Listed], targets: &Targets) -> Vec<Open> {
    let listening: BTreeSet<u16> =
        listed.iter().filter(|it| it.state == TCP_LISTEN).map(|it| it.local.port()).collect();
    // The kernel lists a socket again whose neighbours came or went between two parts of its answer.
    let mut seen = BTreeSet::new();
    let open = listed.iter().filter(|it| it.state != TCP_LISTEN && seen.insert(it.cookie));
    open.filter_map(|listed| {
        let cgroup = listed.cgroup?;
        targets.get(cgroup)?;
        let is_accepted = listening.contains(&listed.local.port());
        let direction = if is_accepted { Direction::Inbound } else { Direction::Outbound };
        Some(Open { listed: *listed, cgroup, direction })
    })
    .collect()
}

/// The process whose descriptors are being duplicated.
#[derive(Default)]
pub(in crate::kernel) struct Reached {
    current: Option<(u32, Option<Process>)>,
    /// Those that this one has no right to.
    pub(in crate::kernel) denied: BTreeSet<u32>,
}

impl Reached {
    /// The socket that a process holds as a descriptor, if it is still the one that was listed.
    pub(in crate::kernel) fn take(
        &mut self,
        (pid, descriptor): (u32, RawFd),
        listed: &Listed,
    ) -> Option<OpenSocket> {
        if self.current.as_ref().is_none_or(|(current, _)| *current != pid) {
            self.current = Some((pid, Process::open(pid).ok()));
        }
        let (_, process) = self.current.as_ref()?;
        match process.as_ref()?.duplicate(descriptor, listed.inode) {
            Ok(duplicate) => {
                let socket = OpenSocket::new(duplicate);
                (socket.cookie().ok()? == listed.cookie).then_some(socket)
            }
            Err(error) => {
                if process::is_denied(&error) {
                    self.denied.insert(pid);
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
