//! Makes the kernel match the policies: runs the actions that [`reconcile`] names and keeps
//! the books of what is attached and what was refused.

mod cause;
mod counted;
mod part;
mod retiring;
mod swept;
mod telling;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    path::PathBuf,
};

use anyhow::Result;
use keepalive_ebpf::{Counters, Policy};
use tracing::{debug, info, warn};

pub(crate) use cause::Cause;
use counted::Counted;

use crate::{
    journal::{Journal, Kind, Ledger},
    kernel::{AttachError, Cgroup, Kernel, Refusal, Stored, Targets},
    plan::{self, Desired, Note, levels},
    policy::{PolicySet, Tie},
    reconcile::{self, Action, Actual, Guard},
    sweeper::Deed,
    workloads::{Paths, Placed},
};

/// Paths and reasons, by the cgroup's id.
pub(crate) type Refusals = BTreeMap<u64, (String, String)>;

/// The books on one kernel.
pub(crate) struct Governor {
    kernel: Kernel,
    root: PathBuf,
    actual: BTreeMap<u64, Actual>,
    /// Why a cgroup that should be governed is not, with its path, by its id.
    refused: Refusals,
    /// The paths of cgroups that were gone when something was to be done to them: if they are there again, or still, it is
    /// done with the next change.
    missed: BTreeSet<String>,
    /// Whether what is attached could be read when it was tried last, and whether all that should be attached was then.
    is_read: bool,
    is_whole: bool,
    /// What somebody should know of the last plan, and was told.
    notes: BTreeSet<Note>,
    told_ties: BTreeSet<Tie>,
    told_blind: bool,
    /// The cgroups whose policy is for connections that are open already, too.
    existing: BTreeSet<u64>,
    /// Whose open connections are being swept meanwhile.
    targets: Targets,
    /// What was done since somebody asked.
    deeds: Vec<Deed>,
    /// The layouts of other versions that could not be removed, and what went wrong; nothing if the kernel is to let go.
    staying_layouts: BTreeMap<PathBuf, String>,
    counted: Counted,
    /// Where all that is done is told.
    journal: Journal,
    ledger: Ledger,
    /// What the pods of attached cgroups are called, by the cgroup's id.
    pods: BTreeMap<u64, String>,
}

impl Governor {
    /// Opens the books with what an earlier run left attached.
    pub(crate) fn new(
        kernel: Kernel,
        root: PathBuf,
        targets: Targets,
        cgroups: &Paths,
        journal: Journal,
    ) -> Result<Self> {
        let mut governor = Self {
            kernel,
            root,
            actual: BTreeMap::new(),
            refused: BTreeMap::new(),
            missed: BTreeSet::new(),
            is_read: false,
            is_whole: false,
            notes: BTreeSet::new(),
            told_ties: BTreeSet::new(),
            told_blind: false,
            existing: BTreeSet::new(),
            targets,
            deeds: Vec::new(),
            staying_layouts: BTreeMap::new(),
            counted: Counted::default(),
            journal,
            ledger: Ledger::default(),
            pods: BTreeMap::new(),
        };
        governor.refresh(cgroups)?;
        if !governor.actual.is_empty() {
            info!(cgroups = governor.actual.len(), "adopted what an earlier run left attached");
        }
        Ok(governor)
    }

    /// Reads again what is attached, for changes made behind the daemon's back.
    pub(crate) fn refresh(&mut self, cgroups: &Paths) -> Result<()> {
        let paths: BTreeMap<u64, &String> = cgroups.iter().map(|(path, id)| (*id, path)).collect();
        self.is_read = false;
        let attachments = self.kernel.attachments(mem::take(&mut self.is_whole), |path| {
            info!(cgroup = path, "removed pins whose cgroup or link is gone");
        })?;
        self.is_read = true;
        self.actual.clear();
        for attachment in attachments {
            let policy = match attachment.stored {
                Stored::Policy(policy) => Some(policy),
                Stored::Unreadable | Stored::Missing => None,
            };
            let current = self.kernel.is_current(&attachment);
            let guard = match self.kernel.guard_holds(&attachment) {
                None => Guard::Absent,
                Some(false) => Guard::Stale,
                Some(true) => Guard::Holds,
            };
            let path = paths.get(&attachment.cgroup_id).map_or(attachment.path, |path| (*path).clone());
            let (policy_name, swept) = (attachment.policy_name, attachment.swept);
            let actual = Actual { path, policy_name, policy, current, swept, guard };
            self.actual.insert(attachment.cgroup_id, actual);
        }
        self.begin_with_attached();
        Ok(())
    }

    /// Makes the kernel match; whether it does afterwards. `pods` are absent while they are not known. Rules for
    /// destinations with an id of `sweeps_need` stay.
    pub(crate) fn reconcile(
        &mut self,
        policies: &PolicySet,
        cgroups: &Paths,
        pods: Option<&Placed>,
        sweeps_need: BTreeSet<u64>,
        cause: Cause,
    ) -> bool {
        let mut plan = plan::plan(policies, cgroups, pods.unwrap_or(&Placed::default()));
        plan::hold(&mut plan, &self.actual, policies, cgroups, pods);
        self.name_pods(pods);
        self.tell(plan.notes, cause);
        let existing = plan.desired.iter().filter(|(_, want)| want.apply_to_existing);
        self.existing = existing.map(|(id, _)| *id).collect();
        // What was refused and still should be is tried again now, so that this pass names all refusals anew.
        let before = mem::take(&mut self.refused);
        self.missed.clear();
        let mut rules_before = self.rules_in_use();
        rules_before.extend(sweeps_need);
        let actions = reconcile::actions(&plan.desired, &self.actual);
        self.bar(&actions, cgroups);
        self.kernel.begin();
        for (id, action) in actions {
            self.act(id, action, cgroups, cause, &before);
        }
        if matches!(cause, Cause::Start | Cause::Resync) {
            self.collect_rules(rules_before);
        }
        self.retire_other_layouts(cause, |id, path, policy_name| {
            !plan.desired.contains_key(&id) && plan::is_untold(path, policy_name, policies, pods)
        });
        self.is_whole = self.is_read && self.refused.is_empty() && plan::are_all_told(pods);
        self.refused.is_empty()
    }

    /// Keeps the sweeper from the connections that other policies are about to govern.
    fn bar(&self, actions: &[(u64, Action)], cgroups: &Paths) {
        let changes = actions.iter().map(|(_, action)| action).filter(|action| match action {
            Action::Attach(_) | Action::Write(_) | Action::Detach(_) => true,
            Action::Replace(_) | Action::Guard(_) | Action::Unguard(_) => false,
        });
        let changing: BTreeSet<&str> = changes.map(Action::path).collect();
        if changing.is_empty() {
            return;
        }
        let within = cgroups.iter().filter(|(path, _)| levels(path).any(|level| changing.contains(level)));
        self.targets.bar(within.map(|(_, id)| *id));
    }

    /// The rules for destinations that what is attached refers to, or was swept for.
    fn rules_in_use(&self) -> BTreeSet<u64> {
        let policies = self.actual.values().flat_map(|actual| [actual.policy, actual.swept]);
        policies.flatten().map(|policy| policy.destinations()).collect()
    }

    /// Removes rules that are in use neither now nor were a moment ago.
    fn collect_rules(&mut self, mut in_use: BTreeSet<u64>) {
        in_use.append(&mut self.rules_in_use());
        if let Err(error) = self.kernel.collect_rules(&in_use) {
            warn!("cannot remove rules for destinations that are out of use: {error:#}");
        }
    }

    /// What is attached, by cgroup id.
    pub(crate) const fn attached(&self) -> &BTreeMap<u64, Actual> {
        &self.actual
    }

    /// The cgroups that should be governed and are not, as path and reason by cgroup id.
    pub(crate) const fn refused(&self) -> &Refusals {
        &self.refused
    }

    /// The cgroups whose policy is for connections that are open already, too.
    pub(crate) const fn existing(&self) -> &BTreeSet<u64> {
        &self.existing
    }

    /// What was done since this was asked last.
    pub(crate) fn take_deeds(&mut self) -> Vec<Deed> {
        mem::take(&mut self.deeds)
    }

    /// What somebody should know of what was last found to be desired.
    pub(crate) const fn notes(&self) -> &BTreeSet<Note> {
        &self.notes
    }

    /// The counters of an attached cgroup; zero if they cannot be read.
    pub(crate) fn counters(&self, id: u64) -> Counters {
        let counters = self.kernel.counters(id).unwrap_or_else(|error| {
            warn!("{error:#}");
            None
        });
        counters.unwrap_or_default()
    }

    fn act(&mut self, id: u64, action: Action, cgroups: &Paths, cause: Cause, refused_before: &Refusals) {
        self.count_before(id, &action);
        if let Some((outer, is_due)) = self.taken_over(id, &action, cgroups) {
            self.set_swept(outer, &is_due);
        }
        if let Some(unfinished) = self.unfinished(id, &action) {
            self.set_swept(id, &unfinished);
        }
        let cgroup = Cgroup { root: &self.root, path: action.path(), id };
        let mut given = None;
        let done = match &action {
            Action::Attach(Desired { path, policy_name, policy, rules, .. }) => {
                given = self.given_before(path, cgroups);
                self.kernel.attach(cgroup, policy_name, policy, rules.as_deref(), given.as_ref())
            }
            Action::Write(Desired { policy_name, policy, rules, .. }) => {
                let has_name = self.actual.get(&id).is_some_and(|have| have.policy_name == *policy_name);
                let name = (!has_name).then_some(policy_name.as_str());
                self.kernel.set_policy(cgroup, name, policy, rules.as_deref())
            }
            Action::Replace(Desired { policy, rules, .. }) => {
                self.kernel.replace(cgroup, policy, rules.as_deref())
            }
            Action::Guard(want) => self.kernel.guard(cgroup, &want.policy),
            Action::Unguard(_) => self.kernel.unguard(id).map_err(AttachError::from),
            Action::Detach(_) => self.kernel.detach(id).map_err(AttachError::from),
        };
        match done {
            Ok(()) => self.book(id, action, given, cause),
            Err(AttachError::Gone) => {
                // What is booked of it, and its pins, end with the event that tells of its end.
                self.missed.insert(action.path().to_owned());
                debug!(cgroup = action.path(), "gone before it could be governed");
            }
            Err(AttachError::Refused(refusal)) => self.refuse(id, &action, refusal, refused_before),
        }
    }

    fn book(&mut self, id: u64, action: Action, given: Option<Policy>, cause: Cause) {
        let why = cause.why(&action);
        match action {
            Action::Attach(want) => {
                self.journal.push(telling::of(Kind::Attached, &want, why));
                self.ledger.open(id, self.counters(id));
                let Desired { path, pod, policy_name, policy, .. } = want;
                self.pods.extend(pod.map(|pod| (id, pod)));
                let actual = Actual {
                    path,
                    policy_name,
                    policy: Some(policy),
                    current: true,
                    swept: given,
                    guard: Guard::Absent,
                };
                self.actual.insert(id, actual);
                self.deeds.push(Deed::Attached(id));
            }
            Action::Write(want) => {
                let Some(actual) = self.actual.get_mut(&id) else { return };
                self.deeds.push(Deed::Written(id, actual.policy));
                if want.differs_in_claim_only(actual) {
                    debug!(
                        cgroup = want.path,
                        claims = want.policy.claims(),
                        "changed whose ancestors yield"
                    );
                } else {
                    self.journal.push(telling::of(Kind::PolicyChanged, &want, why));
                }
                actual.policy = Some(want.policy);
                actual.policy_name = want.policy_name;
            }
            Action::Replace(want) => {
                self.journal.push(telling::of(Kind::ProgramReplaced, &want, why));
                if let Some(actual) = self.actual.get_mut(&id) {
                    actual.current = true;
                }
            }
            Action::Guard(want) => {
                self.journal.push(telling::of(Kind::Guarded, &want, why));
                if let Some(actual) = self.actual.get_mut(&id) {
                    actual.guard = Guard::Holds;
                }
            }
            Action::Unguard(want) => {
                self.journal.push(telling::of(Kind::Unguarded, &want, why));
                if let Some(actual) = self.actual.get_mut(&id) {
                    actual.guard = Guard::Absent;
                }
            }
            Action::Detach(have) => {
                // While its last counters can be told whose they are.
                self.count_one(id);
                self.journal.push(self.about(Kind::Detached, id).because(why));
                self.actual.remove(&id);
                self.pods.remove(&id);
                self.ledger.close(id);
                self.deeds.push(Deed::Detached(id, Box::new(have)));
            }
        }
    }

    /// Books a refusal, and reports it if it was not reported before. Of several of one cgroup the first counts:
    /// what else is tried depends on it.
    fn refuse(&mut self, id: u64, action: &Action, refusal: Refusal, before: &Refusals) {
        if self.refused.contains_key(&id) {
            return;
        }
        let Refusal { why, text: reason } = refusal;
        let kind = match action {
            Action::Guard(_) => Kind::CannotGuard,
            _ => Kind::CannotGovern,
        };
        let event = telling::refusal(kind, action, reason);
        let path = action.path();
        let reason = match kind {
            Kind::CannotGuard => event.message(),
            _ => event.reason.clone().unwrap_or_default(),
        };
        if before.get(&id).is_none_or(|(_, known)| *known != reason) {
            self.counted.refused(why);
            self.journal.push(event);
        }
        self.refused.insert(id, (path.to_owned(), reason));
    }
}
