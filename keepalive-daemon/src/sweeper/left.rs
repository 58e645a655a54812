//! The cgroups that are no longer governed, and whose connections keep what they were given: detaching changes no
//! open connection. In memory only: it is there to be told, and nothing depends on it.

use std::{collections::BTreeMap, time::SystemTime};

use keepalive_ebpf::Policy;

use crate::{reconcile::Actual, report::open_connections::LeftBehind};

/// The most that are remembered.
const MOST: usize = 1000;

/// The cgroups, by their ids.
#[derive(Debug, Default)]
pub(super) struct Left {
    cgroups: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    path: String,
    policy_name: String,
    /// What governed it last.
    gave: Policy,
    since: SystemTime,
    /// How many connections have its values; absent until they are counted.
    connections: Option<u64>,
}

impl Left {
    pub(super) fn add(&mut self, id: u64, had: Actual) {
        let Some(gave) = had.policy.filter(|_| self.cgroups.len() < MOST) else { return };
        let Actual { path, policy_name, .. } = had;
        let (gave, since) = (gave.claiming(false), SystemTime::now());
        self.cgroups.insert(id, Entry { path, policy_name, gave, since, connections: None });
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.cgroups.contains_key(&id)
    }

    /// Keeps those of which `keep` says so, by their id and path.
    pub(super) fn retain(&mut self, keep: impl Fn(u64, &str) -> bool) {
        self.cgroups.retain(|id, entry| keep(*id, &entry.path));
    }

    /// Those whose connections are still to be counted, with the policy whose values they may have.
    pub(super) fn uncounted(&self) -> impl Iterator<Item = (u64, Policy)> {
        let uncounted = self.cgroups.iter().filter(|(_, entry)| entry.connections.is_none());
        uncounted.map(|(id, entry)| (*id, entry.gave))
    }

    /// What governed them last.
    pub(super) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.cgroups.values().map(|entry| &entry.gave)
    }

    /// Books how many connections keep the values; with none there is nothing to tell.
    pub(super) fn count(&mut self, id: u64, connections: u64) {
        if connections == 0 {
            self.cgroups.remove(&id);
        } else if let Some(entry) = self.cgroups.get_mut(&id) {
            entry.connections = Some(connections);
        }
    }

    pub(super) fn report(&self) -> Vec<LeftBehind> {
        let told = self.cgroups.values().filter_map(|entry| {
            let Entry { path, policy_name, gave, since, connections } = entry;
            Some(LeftBehind::new(path, policy_name, gave, (*connections)?, *since))
        });
        told.collect()
    }
}
