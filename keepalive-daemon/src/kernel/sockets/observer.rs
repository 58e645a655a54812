//! Connections with their options and the processes that hold them: sock_diag's list of a network namespace, joined by
//! the cookie to what the program `sockets` tells and by the inode to what /proc does.
//!
//! The options are read first, all of a namespace, and the list is taken as fast as its reader takes it: what is kept
//! meanwhile is some dozens of bytes a socket, of which the kernel keeps thousands.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    ops::ControlFlow,
};

use anyhow::{Context as _, Result};
use keepalive_ebpf::{Direction, Observed};

use super::{
    Listed, Seen, connected,
    options::{self, Table},
};
use crate::features::Feature;
use crate::kernel::{
    Method,
    features::lacking,
    iteration::{self, SocketProgram},
    sweep::{
        descriptors::{Reached, holders::Holders, socket::Values},
        diag::{Diag, Question, StateFlags, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_LISTEN},
        namespaces::{self, Namespace},
    },
};

/// A connection as it was seen.
#[derive(Debug)]
pub(crate) struct Observation<'a> {
    /// The network namespace: what `nsenter --net=` takes.
    pub(crate) network: &'a str,
    /// What tells that from all others: `DEVICE:INODE`.
    pub(crate) network_id: &'a str,
    pub(crate) socket: &'a Listed,
    /// As far as it can be told of an open connection: one that has the port of a listener was accepted.
    pub(crate) direction: Direction,
    /// Absent if they cannot be read.
    pub(crate) options: Option<Observed>,
    /// A process that holds it, with its name.
    pub(crate) holder: Option<(u32, String)>,
}

/// What sees connections.
pub(crate) struct Observer {
    means: Means,
}

/// By what options are read.
enum Means {
    Program(Box<SocketProgram>),
    /// By duplicates of the descriptors of the processes that hold the sockets; says why the program cannot.
    Descriptors(String),
}

impl Observer {
    /// Loads what this kernel and these privileges allow, which may be nothing. The limit on locked memory is lifted
    /// already, by the one that keeps the pins.
    pub(crate) fn load() -> Self {
        let means = match options::load() {
            Ok(program) => Means::Program(Box::new(program)),
            Err(error) => Means::Descriptors(format!("{error:#}")),
        };
        Self { means }
    }

    /// By what options are read; a list may change it.
    pub(crate) const fn method(&self) -> Method {
        match self.means {
            Means::Program(_) => Method::Iterator,
            Means::Descriptors(_) => Method::Descriptors,
        }
    }

    /// Tells of the connections of all network namespaces that are wanted, each once. `each` may wait, and end the list.
    /// Returns what was seen besides, with a sentence for each thing that could not be told.
    ///
    /// # Errors
    /// If /proc cannot be listed.
    pub(crate) fn list(
        &mut self,
        is_wanted: &dyn Fn(&Listed) -> bool,
        each: &mut dyn FnMut(&Observation<'_>) -> ControlFlow<()>,
    ) -> Result<(Seen, Vec<String>)> {
        let found = namespaces::all()?;
        let mut seen = Seen { namespaces: 0, unreachable: found.unreachable };
        let mut desk = Desk::default();
        for namespace in &found.namespaces {
            let flow = match self.open(namespace) {
                Ok(None) => continue,
                Ok(Some((walk, diag))) => {
                    seen.namespaces += 1;
                    self.look([&namespace.name(), &namespace.id()], walk, diag, &mut desk, is_wanted, each)
                }
                Err(error) => Err(error),
            };
            match flow {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(error) => seen.unreachable.push((namespace.name(), format!("{error:#}"))),
            }
        }
        Ok((seen, desk.missing(&self.means)))
    }

    /// The ways into a namespace; `None` if it is gone.
    fn open(&mut self, namespace: &Namespace) -> Result<Option<(Option<File>, Diag)>> {
        let link = match &mut self.means {
            Means::Program(program) => Some(program.link()?),
            Means::Descriptors(_) => None,
        };
        let opened = namespaces::inside(namespace, || {
            let walk = link.map(iteration::begin).transpose()?;
            Ok((walk, Diag::open()?))
        });
        opened?.transpose()
    }

    fn look(
        &mut self,
        [network, network_id]: [&str; 2],
        walk: Option<File>,
        diag: Diag,
        desk: &mut Desk,
        is_wanted: &dyn Fn(&Listed) -> bool,
        each: &mut dyn FnMut(&Observation<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let table = match walk.map(Table::read) {
            None => None,
            Some(Ok(Some(table))) => Some(table),
            Some(Ok(None)) => {
                let what = "its programs cannot read options: this kernel does not let them";
                self.means = Means::Descriptors(lacking(what, Feature::ListOptions));
                None
            }
            Some(Err(error)) => return Err(error).context("cannot walk the sockets"),
        };
        let question = Question { states: connected() | StateFlags::LISTEN, times: true };
        let skips = iteration::may_skip();
        let mut listening = HashSet::new();
        let mut seen = HashSet::new();
        let mut flow = ControlFlow::Continue(());
        diag.list(&question, &mut |socket| {
            if socket.state == TCP_LISTEN {
                listening.insert(socket.local.port());
            } else if is_wanted(&socket) && seen.insert(socket.cookie) {
                let is_accepted = listening.contains(&socket.local.port());
                let direction = if is_accepted { Direction::Inbound } else { Direction::Outbound };
                let holder = desk.holder(socket.inode);
                let options = match &table {
                    Some(table) => match table.get(socket.cookie) {
                        // It began after the options were read, and is for the next list; or it was left out.
                        None if has_options(&socket) => match skips.then(|| desk.reach(&socket)).flatten() {
                            None => return flow,
                            options => options,
                        },
                        options => options,
                    },
                    None => desk.options(&socket),
                };
                flow =
                    each(&Observation { network, network_id, socket: &socket, direction, options, holder });
            }
            flow
        })?;
        Ok(flow)
    }
}

/// Whether the program tells of a connection: of one that is open, it does.
const fn has_options(socket: &Listed) -> bool {
    matches!(socket.state, TCP_ESTABLISHED | TCP_CLOSE_WAIT)
}

/// What a list needs of processes, looked up when the first connection asks for it, and what it could not have.
#[derive(Default)]
struct Desk {
    holders: Option<Holders>,
    names: BTreeMap<u32, Option<String>>,
    reached: Reached,
    /// Connections that have a descriptor which no process shows.
    without_holder: usize,
    without_options: usize,
    /// Why processes could not be looked at.
    trouble: Option<String>,
}

impl Desk {
    fn holders(&mut self) -> &Holders {
        let trouble = &mut self.trouble;
        self.holders.get_or_insert_with(|| {
            Holders::all().unwrap_or_else(|error| {
                *trouble = Some(format!("{error:#}"));
                Holders::default()
            })
        })
    }

    fn holder(&mut self, inode: u32) -> Option<(u32, String)> {
        // Nobody has accepted it, or the application has let go of it.
        if inode == 0 {
            return None;
        }
        let Some((pid, _)) = self.holders().of(inode) else {
            self.without_holder += 1;
            return None;
        };
        let name = self.names.entry(pid).or_insert_with(|| name(pid)).clone();
        // It has ended meanwhile.
        name.map(|name| (pid, name))
    }

    /// The options by a duplicate of the holder's descriptor, and a note if there is none to be had.
    fn options(&mut self, socket: &Listed) -> Option<Observed> {
        let options = self.reach(socket);
        self.without_options += usize::from(options.is_none());
        options
    }

    /// The options by a duplicate of the holder's descriptor.
    fn reach(&mut self, socket: &Listed) -> Option<Observed> {
        let holder = self.holders().of(socket.inode).filter(|_| socket.inode > 0);
        let open = holder.and_then(|holder| self.reached.take(holder, socket))?;
        Some(Observed::of(socket.cookie, &Values::of(&open)))
    }

    /// What could not be told, and why.
    fn missing(self, means: &Means) -> Vec<String> {
        let mut missing: Vec<String> = self.trouble.into_iter().collect();
        let denied = self.holders.map_or(0, |holders| holders.denied);
        if self.without_holder > 0 && denied > 0 {
            missing.push(format!(
                "the processes of {} connections: this one may not look into {denied} others (needs CAP_SYS_PTRACE)",
                self.without_holder
            ));
        }
        if let Means::Descriptors(why) = means
            && self.without_options > 0
        {
            let (without, denied) = (self.without_options, denied.max(self.reached.denied.len()));
            let cure = if denied > 0 { " (needs CAP_SYS_PTRACE)" } else { "" };
            missing.push(format!(
                "the options of {without} connections: {why}; and no descriptor of theirs is to be had{cure}"
            ));
        }
        missing
    }
}

/// The name of a process; `None` if it has ended.
fn name(pid: u32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(without_holder: usize, without_options: usize, denied: usize) -> Desk {
        let mut holders = Holders::default();
        holders.denied = denied;
        Desk { holders: Some(holders), without_holder, without_options, ..Desk::default() }
    }

    #[test]
    fn a_process_has_its_name_and_one_that_ended_has_none() {
        assert!(name(std::process::id()).is_some_and(|name| !name.is_empty() && !name.ends_with('\n')));
        assert_eq!(name(1 << 23), None);
    }

    #[test]
    fn what_is_missing_is_named_with_the_right_that_would_help() {
        let descriptors = Means::Descriptors("it is too old".to_owned());

        let missing = desk(3, 5, 2).missing(&descriptors);

        assert_eq!(missing.len(), 2);
        assert!(missing[0].starts_with("the processes of 3 ") && missing[0].contains("CAP_SYS_PTRACE"));
        assert!(missing[1].starts_with("the options of 5 connections: it is too old;"), "{}", missing[1]);
    }

    #[test]
    fn what_ended_meanwhile_is_not_missing() {
        assert!(desk(3, 0, 0).missing(&Means::Descriptors(String::new())).is_empty());
    }
}
