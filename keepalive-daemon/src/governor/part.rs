//! A pass over what changed alone.

use super::{Cause, Governor, Refusals};
use crate::{
    plan::{self, Part, plan},
    policy::PolicySet,
    reconcile,
    workloads::Placed,
};

impl Governor {
    /// Whether a pass over what changed does what one over everything would: where nothing was refused, which is tried
    /// again, and nothing is held.
    pub(crate) fn may_go_by_part(&self, pods: Option<&Placed>) -> bool {
        self.refused.is_empty() && plan::are_all_told(pods)
    }

    /// Makes the kernel match in a part of the tree; whether it does afterwards. For when it matched before, the policies
    /// are the same and so are the pods.
    pub(crate) fn reconcile_part(&mut self, policies: &PolicySet, part: &Part, cause: Cause) -> bool {
        let mut plan = plan(policies, &part.cgroups, &part.pods);
        // Of the rest there still is what there was.
        plan.notes.extend(self.notes.iter().cloned());
        self.tell(plan.notes, cause);
        for id in part.ids() {
            if plan.desired.get(&id).is_some_and(|want| want.apply_to_existing) {
                self.existing.insert(id);
            } else {
                self.existing.remove(&id);
            }
        }
        let actions = reconcile::actions(&plan.desired, &part.of_attached(&self.actual));
        self.bar(&actions, &part.cgroups);
        self.kernel.begin();
        for (id, action) in actions {
            self.act(id, action, cause, &Refusals::new());
        }
        self.refused.is_empty()
    }
}
