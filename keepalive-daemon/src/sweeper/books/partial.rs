//! The sweeps that did not reach all they were for.

use std::collections::BTreeMap;

use keepalive_ebpf::Policy;

use crate::governor::Cause;

/// How often connections are looked for again that could not be reached: an application that still accepts none, some
/// ten minutes later, hardly ever will, and what keeps the daemon out of a namespace mostly lasts as long as it does.
const MOST_RETRIES: usize = 10;

/// What a sweep reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sweeper) enum Reached {
    All,
    /// All but the connections that nobody has accepted yet, which are out of the method's reach.
    AllAccepted,
    /// Not all network namespaces.
    SomeNamespaces,
}

/// The policies that were applied to all but what could not be reached, by cgroup; with how many sweeps did not.
#[derive(Debug, Default)]
pub(super) struct Partial(BTreeMap<u64, (Policy, usize)>);

impl Partial {
    /// Books what a sweep reached; whether it is not to be taken for all that there is to do.
    ///
    /// Whose a connection will be that nobody accepts, nobody knows, and some time it is given up. Of namespaces it is
    /// known that they were out of reach, and it stays so: a daemon that comes later may reach them.
    pub(super) fn book(&mut self, id: u64, policy: &Policy, reached: Reached) -> bool {
        let tries = self.0.remove(&id).filter(|(applied, _)| applied == policy).map_or(0, |(_, tries)| tries);
        let is_partial = match reached {
            Reached::All => false,
            Reached::AllAccepted => tries < MOST_RETRIES,
            Reached::SomeNamespaces => true,
        };
        if is_partial {
            self.0.insert(id, (*policy, tries + 1));
        }
        is_partial
    }

    /// Whether this policy was applied to all but what could not be reached.
    pub(super) fn is_of(&self, id: u64, policy: &Policy) -> bool {
        self.0.get(&id).is_some_and(|(applied, _)| applied == policy)
    }

    /// Whether what was not reached is not to be looked for now.
    pub(super) fn rests(&self, id: u64, policy: &Policy, cause: Cause) -> bool {
        let found = self.0.get(&id).filter(|(applied, _)| applied == policy);
        found.is_some_and(|(_, tries)| cause != Cause::Resync || *tries > MOST_RETRIES)
    }

    pub(super) fn forget(&mut self, id: u64) {
        self.0.remove(&id);
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(u64) -> bool) {
        self.0.retain(|id, _| is_kept(*id));
    }
}
