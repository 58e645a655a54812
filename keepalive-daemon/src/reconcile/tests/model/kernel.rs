//! What a kernel holds, and refuses.
#![expect(clippy::panic, reason = "what no kernel takes has failed")]

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
    /// Does it. A link more, or a change to what is not there, is a fault of whoever asked.
    pub(super) fn act(&mut self, id: u64, action: &Action) {
        match action {
            Action::Attach(want) => {
                let attached = Actual {
                    path: want.path.clone(),
                    policy_name: want.policy_name.clone(),
                    policy: Some(want.policy),
                    current: true,
                    swept: None,
                    guard: Guard::Absent,
                };
                assert!(self.0.insert(id, attached).is_none(), "a second link at {}", want.path);
            }
            // That it is gone with its cgroup is as good.
            Action::Detach(_) => drop(self.0.remove(&id)),
            Action::Write(want) => {
                let attached = self.attached(id, action);
                attached.policy = Some(want.policy);
                attached.policy_name.clone_from(&want.policy_name);
            }
            Action::Replace(_) => {
                let attached = self.attached(id, action);
                assert!(!attached.current, "its program is the right one already");
                attached.current = true;
            }
            Action::Guard(want) => {
                let attached = self.attached(id, action);
                assert_eq!(attached.policy, Some(want.policy), "a guard of what is not in force");
                attached.guard = Guard::Holds;
            }
            Action::Unguard(_) => self.attached(id, action).guard = Guard::Absent,
        }
    }

    fn attached(&mut self, id: u64, action: &Action) -> &mut Actual {
        self.0.get_mut(&id).unwrap_or_else(|| panic!("nothing is attached for {action:?}"))
    }

    /// Does half of it: what is attached has no policy yet.
    pub(super) fn half(&mut self, id: u64, action: &Action) {
        if matches!(action, Action::Attach(_)) {
            self.act(id, action);
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
