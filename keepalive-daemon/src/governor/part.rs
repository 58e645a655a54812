//! A pass over what changed alone.

use std::{collections::BTreeSet, mem};

use super::{Cause, Governor, Refusals};
use crate::{
    plan::{Part, hold, plan},
    policy::PolicySet,
    reconcile,
    workloads::{Paths, Placed},
};

impl Governor {
    /// The part of the tree that a pass has to go through after cgroups were made at these paths, and those of these ids
    /// are gone; with what was missed before. `None` if it has to go through everything: what was refused is tried again.
    pub(crate) fn part(
        &mut self,
        mut made: BTreeSet<String>,
        gone: BTreeSet<u64>,
        cgroups: &Paths,
    ) -> Option<Part> {
        if !self.refused.is_empty() {
            return None;
        }
        made.append(&mut mem::take(&mut self.missed));
        Some(Part::of(&made, gone, cgroups))
    }

    /// Makes the kernel match in a part of the tree; whether it does afterwards. For when it matched before, the policies
    /// are the same and so are the pods.
    pub(crate) fn reconcile_part(
        &mut self,
        policies: &PolicySet,
        part: &Part,
        pods: Option<&Placed>,
        cause: Cause,
    ) -> bool {
        let attached = part.of_attached(&self.actual);
        let mut plan = plan(policies, &part.cgroups, &part.placed(pods));
        hold(&mut plan, &attached, policies, &part.cgroups, pods);
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
        let actions = reconcile::actions(&plan.desired, &attached);
        self.bar(&actions, &part.cgroups);
        self.kernel.begin();
        for (id, action) in actions {
            self.act(id, action, &part.cgroups, cause, &Refusals::new());
        }
        self.refused.is_empty()
    }
}
