//! What is noted of the sweeps of open connections.

use keepalive_ebpf::Policy as InKernel;
use tracing::warn;

use super::Governor;
use crate::{reconcile::Action, sweeper::as_swept};

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

    /// The policy in force, if an action puts another in its place that open connections are noted as swept for. What
    /// is in force now some of them have: were it not noted instead, they would keep it, also after a restart.
    pub(super) fn unswept(&self, id: u64, action: &Action) -> Option<InKernel> {
        let Action::Write(want) = action else { return None };
        let have = self.actual.get(&id)?;
        let in_force = as_swept(&have.policy?, id);
        let comes_back = have.swept == Some(as_swept(&want.policy, id)) && have.swept != Some(in_force);
        comes_back.then_some(in_force)
    }
}
