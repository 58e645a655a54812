//! What is in force, and what was done to it.

use std::collections::{BTreeMap, BTreeSet};

use keepalive_ebpf::Policy;

use crate::{
    governor::Cause,
    reconcile::{Actual, governed_above},
    sweeper::as_swept,
    workloads::Paths,
};

/// Something that the governor did to a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Attached(u64),
    /// Another policy was put in force; with the one before.
    Written(u64, Option<Policy>),
    Detached(u64, Box<Actual>),
}

impl Deed {
    /// The cgroup whose open connections another policy is for now, or none.
    pub(in crate::sweeper) fn changes(&self, attached: &BTreeMap<u64, Actual>) -> Option<u64> {
        match self {
            Self::Attached(id) => Some(*id),
            Self::Written(id, before) => {
                let now = attached.get(id).and_then(|actual| actual.policy);
                let is_other = before.map(|it| as_swept(&it, *id)) != now.map(|it| as_swept(&it, *id));
                is_other.then_some(*id)
            }
            Self::Detached(id, _) => Some(*id),
        }
    }
}

/// What should be swept follows from this.
#[derive(Clone, Copy)]
pub(in crate::sweeper) struct View<'a> {
    pub(in crate::sweeper) attached: &'a BTreeMap<u64, Actual>,
    /// The cgroups whose policy is for open connections too.
    pub(in crate::sweeper) existing: &'a BTreeSet<u64>,
    pub(in crate::sweeper) cgroups: &'a Paths,
    pub(in crate::sweeper) cause: Cause,
}

impl View<'_> {
    /// The next governed cgroup above a path.
    pub(super) fn governed_above(&self, path: &str) -> Option<u64> {
        governed_above(path, self.cgroups, |id| self.attached.contains_key(&id))
    }
}
