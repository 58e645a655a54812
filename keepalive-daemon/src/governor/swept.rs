//! What is noted of the sweeps of open connections.

use keepalive_ebpf::Policy as InKernel;
use tracing::warn;

use super::Governor;
use crate::{
    reconcile::{Action, Actual, governed_above},
    sweeper::{as_swept, gives_values},
    workloads::Paths,
};

impl Governor {
    /// Books that the connections open in a cgroup were swept for `policy`. If that cannot be noted for whoever comes
    /// later, they are swept again then.
    pub(crate) fn set_swept(&mut self, id: u64, policy: &InKernel) {
        let Some(actual) = self.actual.get_mut(&id) else { return };
        actual.swept = Some(*policy);
        if let Err(error) = self.kernel.set_swept(id, policy) {
            warn!(cgroup = actual.path, "cannot note that open connections were swept: {error:#}");
        }
    }

    /// What is to be noted before an action puts another policy in force. If its own sweep is noted as finished, or
    /// none is, the note would not tell of the values that connections have from what is in force until now: some
    /// would keep them, also after a restart. Instead of that the policy in force is noted, as one that claims, which
    /// no policy is noted as that connections were swept for: so a sweep is due, whatever is in force then.
    pub(super) fn unfinished(&self, id: u64, action: &Action) -> Option<InKernel> {
        let Action::Write(want) = action else { return None };
        let have = self.actual.get(&id)?;
        let [in_force, wanted] = [have.policy?, want.policy].map(|policy| as_swept(&policy, id));
        let is_due = match have.swept {
            Some(swept) if swept.cgroup() == id => swept.claiming(false) == wanted,
            // With nothing in force there are no values of it. What an outer policy gave was before it.
            _ => have.policy != Some(InKernel::NOTHING),
        };
        (in_force != wanted && is_due).then(|| in_force.claiming(true))
    }

    /// What is to be noted before a cgroup that is still there is let go of, and of which: the next above that is
    /// governed takes its connections over, so that a sweep is due there again, also if the daemon ends before.
    pub(super) fn taken_over(&self, id: u64, action: &Action, cgroups: &Paths) -> Option<(u64, InKernel)> {
        let Action::Detach(have) = action else { return None };
        // Another may have its path by now, as that of a service that was started again.
        cgroups.get(&have.path).filter(|there| **there == id)?;
        let (outer, actual) = self.governed_above(&have.path, cgroups)?;
        let policy = as_swept(&actual.policy?, outer);
        let is_swept = self.existing.contains(&outer) && actual.swept == Some(policy);
        is_swept.then(|| (outer, policy.claiming(true)))
    }

    /// What is to be noted with a cgroup that is attached: its connections may have their values from the next above that
    /// is governed, and would keep them if the daemon ended before they are swept.
    pub(super) fn given_before(&self, path: &str, cgroups: &Paths) -> Option<InKernel> {
        let (outer, actual) = self.governed_above(path, cgroups)?;
        let policy = as_swept(&actual.policy?, outer);
        gives_values(&policy).then(|| policy.claiming(true))
    }

    /// The next governed cgroup above a path, with what is attached there.
    fn governed_above(&self, path: &str, cgroups: &Paths) -> Option<(u64, &Actual)> {
        let id = governed_above(path, cgroups, |id| self.actual.contains_key(&id))?;
        Some((id, self.actual.get(&id)?))
    }
}
