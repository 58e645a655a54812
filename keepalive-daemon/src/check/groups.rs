//! Connections by what has them and where they go.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::{
    Middlebox, Problem, Surroundings,
    problem::{Level, finds_dead_peer_after, problems},
};
use crate::report::sockets::SocketRow;

/// The states in which a connection lives, and something may wait for the other end.
const LIVING: [&str; 2] = ["ESTAB", "CLOSE-WAIT"];

/// The end of a connection that many have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// Where outbound ones go.
    Remote(SocketAddr),
    /// Where inbound ones come in.
    LocalPort(u16),
}

/// What a group of connections has in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    pod: Option<String>,
    cgroup: Option<String>,
    end: End,
}

/// Connections of one pod or cgroup with one destination.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    pub(crate) pod: Option<String>,
    pub(crate) cgroup: Option<String>,
    pub(crate) end: End,
    pub(crate) connections: u64,
    /// How many of them are armed.
    pub(crate) armed: u64,
    /// The idle times of those that are, from the shortest to the longest.
    pub(crate) idle_seconds: Option<(u32, u32)>,
    /// After how much silence the slowest of those finds that its peer is gone.
    pub(crate) dead_peer_found_after_s: Option<u32>,
    /// What is wrong, and with how many of them; the worst first.
    pub(crate) problems: Vec<(Problem<'a>, u64)>,
    /// The strictest on the way that probes help against.
    pub(crate) strictest: Option<&'a Middlebox>,
    /// The policies that govern them.
    pub(crate) policies: BTreeSet<String>,
}

/// Groups in the making.
pub(crate) struct Groups<'a> {
    surroundings: &'a Surroundings,
    groups: BTreeMap<Key, Tally<'a>>,
    /// Whatever is on the way of any of them.
    seen: BTreeSet<&'a Middlebox>,
}

#[derive(Default)]
struct Tally<'a> {
    connections: u64,
    armed: u64,
    idle_seconds: Option<(u32, u32)>,
    dead_peer_found_after_s: Option<u32>,
    problems: BTreeMap<Problem<'a>, u64>,
    strictest: Option<&'a Middlebox>,
    policies: BTreeSet<String>,
}

impl<'a> Groups<'a> {
    pub(crate) const fn new(surroundings: &'a Surroundings) -> Self {
        Self { surroundings, groups: BTreeMap::new(), seen: BTreeSet::new() }
    }

    /// Adds a connection, if it lives.
    pub(crate) fn add(&mut self, row: SocketRow) {
        if !LIVING.contains(&row.state.as_str()) {
            return;
        }
        let end = end(&row);
        let SocketRow { pod, cgroup, network_id, local, remote, options, policy, .. } = row;
        let leaves = leaves(local.ip(), remote.ip());
        let on_the_way: Vec<_> = self.surroundings.on_the_way(&network_id, leaves).collect();
        self.seen.extend(&on_the_way);
        let tally = self.groups.entry(Key { pod, cgroup, end }).or_default();
        tally.connections += 1;
        if let (Some(true), Some(idle)) = (options.keepalive, options.idle_seconds) {
            tally.armed += 1;
            let (least, most) = tally.idle_seconds.unwrap_or((idle, idle));
            tally.idle_seconds = Some((least.min(idle), most.max(idle)));
        }
        tally.dead_peer_found_after_s = tally.dead_peer_found_after_s.max(finds_dead_peer_after(&options));
        for problem in problems(&options, on_the_way.iter().copied(), leaves) {
            *tally.problems.entry(problem).or_default() += 1;
        }
        let helps = on_the_way.into_iter().filter(|it| it.keep_alive_helps);
        let candidates = helps.chain(tally.strictest);
        tally.strictest = candidates.min_by_key(|it| it.idle_timeout_seconds);
        tally.policies.extend(policy);
    }

    /// What is on the way of any of them, the strictest first.
    pub(crate) fn seen(&self) -> Vec<&'a Middlebox> {
        let mut seen: Vec<_> = self.seen.iter().copied().collect();
        seen.sort_by_key(|it| it.idle_timeout_seconds);
        seen
    }

    /// All groups, the worst first.
    pub(crate) fn finish(self) -> Vec<Group<'a>> {
        let groups = self.groups.into_iter().map(|(Key { pod, cgroup, end }, tally)| {
            let mut problems: Vec<_> = tally.problems.into_iter().collect();
            problems.sort_by_key(|(problem, _)| Reverse(problem.level()));
            Group {
                pod,
                cgroup,
                end,
                connections: tally.connections,
                armed: tally.armed,
                idle_seconds: tally.idle_seconds,
                dead_peer_found_after_s: tally.dead_peer_found_after_s,
                problems,
                strictest: tally.strictest,
                policies: tally.policies,
            }
        });
        let mut groups: Vec<_> = groups.collect();
        groups.sort_by_key(|group| Reverse(group.level()));
        groups
    }
}

impl Group<'_> {
    pub(crate) fn level(&self) -> Level {
        self.problems.first().map_or(Level::Fine, |(problem, _)| problem.level())
    }
}

/// Whether a connection leaves its network namespace.
fn leaves(local: IpAddr, remote: IpAddr) -> bool {
    let [local, remote] = [local, remote].map(|address| address.to_canonical());
    !remote.is_loopback() && local != remote
}

/// What a connection has in common with others of its kind. If nobody tells which end opened it, the lower port is taken
/// for the one that listens.
fn end(row: &SocketRow) -> End {
    let is_inbound = match row.direction.as_deref() {
        Some(direction) => direction == "Inbound",
        None => row.local.port() < row.remote.port(),
    };
    if is_inbound { End::LocalPort(row.local.port()) } else { End::Remote(row.remote) }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(remote) => write!(f, "to {remote}"),
            Self::LocalPort(port) => write!(f, "in at port {port}"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
