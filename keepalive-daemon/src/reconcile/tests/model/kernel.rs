//! What a kernel holds, and refuses.

use super::*;
use crate::workloads::Paths;

/// What goes wrong with an action.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The cgroup ended just before.
    Gone,
    /// The kernel, or somebody else's program, does not allow it.
    Refused,
    /// The daemon is killed amid it, and started again.
    Killed,
}

/// What somebody else did, or a daemon that was killed left.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tampering {
    Zeroed,
    Unreadable,
    Renamed,
    OtherProgram,
    StaleGuard,
    NoGuard,
    Detached,
}

/// The attachments, by the id of their cgroup.
#[derive(Default)]
pub(super) struct Kernel(BTreeMap<u64, Actual>);

impl Kernel {
    /// Does it, if there is what it takes.
    ///
    /// # Errors
    /// If there is not; says what is wrong with the action.
    pub(super) fn act(&mut self, id: u64, action: &Action) -> Result<(), String> {
        if let Action::Attach(want) = action {
            let attached = Actual {
                path: want.path.clone(),
                policy_name: want.policy_name.clone(),
                policy: Some(want.policy),
                current: true,
                swept: None,
                guard: Guard::Absent,
            };
            let second = self.0.insert(id, attached);
            return second.map_or(Ok(()), |_| Err("a second link".to_owned()));
        }
        let Some(attached) = self.0.get_mut(&id) else {
            // That it is gone with its cgroup is as good.
            let is_end = matches!(action, Action::Detach(_));
            return if is_end { Ok(()) } else { Err("nothing is attached".to_owned()) };
        };
        match action {
            Action::Write(want) => {
                attached.policy = Some(want.policy);
                attached.policy_name.clone_from(&want.policy_name);
            }
            Action::Replace(_) if attached.current => return Err("its program is the right one".to_owned()),
            Action::Replace(_) => attached.current = true,
            Action::Guard(want) if attached.policy != Some(want.policy) => {
                return Err("a guard of what is not in force".to_owned());
            }
            Action::Guard(_) => attached.guard = Guard::Holds,
            Action::Unguard(_) => attached.guard = Guard::Absent,
            Action::Detach(_) | Action::Attach(_) => drop(self.0.remove(&id)),
        }
        Ok(())
    }

    /// Does half of it: what is attached has no policy yet.
    pub(super) fn half(&mut self, id: u64, action: &Action) {
        if matches!(action, Action::Attach(_)) && self.act(id, action).is_ok() {
            self.tamper(id, Tampering::Zeroed);
        }
    }

    /// The cgroup is removed, and what was attached with it.
    pub(super) fn remove(&mut self, id: u64) {
        self.0.remove(&id);
    }

    /// A daemon ends; to one of another version what is attached is another's.
    pub(super) fn restart(&mut self, other_version: bool) {
        for attached in self.0.values_mut().filter(|_| other_version) {
            attached.current = false;
            if attached.guard == Guard::Holds {
                attached.guard = Guard::Stale;
            }
        }
    }

    pub(super) fn tamper(&mut self, id: u64, tampering: Tampering) {
        let Some(attached) = self.0.get_mut(&id) else { return };
        match tampering {
            Tampering::Zeroed => attached.policy = Some(Policy::NOTHING),
            Tampering::Unreadable => attached.policy = None,
            Tampering::Renamed => attached.policy_name = "other".to_owned(),
            Tampering::OtherProgram => attached.current = false,
            Tampering::StaleGuard => attached.guard = Guard::Stale,
            Tampering::NoGuard => attached.guard = Guard::Absent,
            Tampering::Detached => drop(self.0.remove(&id)),
        }
    }

    /// What a daemon finds that opens its books, or reads them anew.
    pub(super) fn found(&self, cgroups: &Paths) -> BTreeMap<u64, Actual> {
        let paths: BTreeMap<u64, &String> = cgroups.iter().map(|(path, id)| (*id, path)).collect();
        let named = |(id, it): (&u64, &Actual)| {
            let path = paths.get(id).map_or_else(|| it.path.clone(), |path| (*path).clone());
            (*id, Actual { path, ..it.clone() })
        };
        self.0.iter().map(named).collect()
    }

    /// What governs a connection in the innermost of these cgroups, which are given from there to the root: each program
    /// sets its values over those before, until one has claimed the connection.
    pub(super) fn governing(&self, levels: impl Iterator<Item = u64>) -> Option<(String, u32)> {
        let mut governing = None;
        for attached in levels.filter_map(|id| self.0.get(&id)) {
            let Some(policy) = attached.policy else { continue };
            if policy.mode() != Mode::Nothing {
                governing = Some((attached.policy_name.clone(), policy.timers().idle_s));
            }
            if policy.claims() {
                break;
            }
        }
        governing
    }
}
