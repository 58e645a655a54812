//! The cgroups whose connections are listed, and what governs each.

use std::{collections::HashMap, sync::Arc};

use keepalive_ebpf::{Policy, RuleSet};

/// Cgroups, by their ids, as they were when somebody asked.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) by_id: HashMap<u64, Place>,
    /// Whether connections of other cgroups are listed, too: of cgroups that are gone, or that the daemon does not see.
    pub(crate) others: bool,
}

/// A cgroup.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its path, as it is shown.
    pub(crate) cgroup: String,
    /// The pod it belongs to.
    pub(crate) pod: Option<String>,
    pub(crate) governing: Governing,
}

/// What governs a cgroup.
#[derive(Clone, Debug)]
pub(crate) enum Governing {
    Nobody,
    /// The `exec` that runs a command in it.
    Exec,
    Policy(Arc<Ruling>),
}

/// A policy as it is in force.
#[derive(Clone, Debug)]
pub(crate) struct Ruling {
    pub(crate) name: String,
    pub(crate) policy: Policy,
    /// The rules for destinations that it refers to; absent if it refers to none, or nobody knows them.
    pub(crate) rules: Option<Arc<RuleSet>>,
    /// What became of the connections that were open before it, as `status` says it; absent if it sets nothing.
    pub(crate) open: Option<String>,
}

impl Places {
    /// What is known of a cgroup; `None` if its connections are not to be listed.
    pub(super) fn of(&self, cgroup: Option<u64>) -> Option<Option<&Place>> {
        match cgroup.and_then(|id| self.by_id.get(&id)) {
            Some(place) => Some(Some(place)),
            None => self.others.then_some(None),
        }
    }
}
