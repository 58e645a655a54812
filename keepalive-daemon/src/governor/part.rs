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
    /// are gone; with what was missed before, and what was refused, which is tried again. `None` if it has to go through
    /// everything: something was refused of a cgroup that is no more.
    pub(crate) fn part(
        &mut self,
        mut made: BTreeSet<String>,
        gone: BTreeSet<u64>,
        cgroups: &Paths,
    ) -> Option<Part> {
        made.append(&mut to_try_again(&self.refused, cgroups)?);
        made.append(&mut mem::take(&mut self.missed));
        Some(Part::of(&made, gone, cgroups))
    }

    /// Makes the kernel match in a part of the tree; whether it does afterwards. For when it matched before but for what
    /// was refused in this part, the policies are the same and so are the pods.
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
        let before = mem::take(&mut self.refused);
        self.kernel.begin();
        for (id, action) in actions {
            self.act(id, action, &part.cgroups, cause, &before);
        }
        self.refused.is_empty()
    }
}

/// Where something was refused; `None` if one of the cgroups is no more.
fn to_try_again(refused: &Refusals, cgroups: &Paths) -> Option<BTreeSet<String>> {
    refused.iter().map(|(id, (path, _))| (cgroups.get(path) == Some(id)).then(|| path.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_tried_again_in_a_part_unless_its_cgroup_is_gone() {
        let cgroups: Paths = [("a", 1), ("b", 2)].map(|(path, id)| (path.to_owned(), id)).into();
        let refused = |id: u64, path: &str| Refusals::from([(id, (path.to_owned(), "no room".to_owned()))]);

        assert_eq!(to_try_again(&refused(2, "b"), &cgroups), Some(BTreeSet::from(["b".to_owned()])));
        assert_eq!(to_try_again(&refused(3, "b"), &cgroups), None, "another was made in its place");
        assert_eq!(to_try_again(&refused(3, "c"), &cgroups), None);
        assert_eq!(to_try_again(&Refusals::new(), &cgroups), Some(BTreeSet::new()));
    }
}
