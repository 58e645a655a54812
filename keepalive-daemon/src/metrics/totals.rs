//! What the programs counted since the daemon started, summed so that no sum ever goes back: pure.
//!
//! The kernel counts by cgroup, and a cgroup's counts end with it; what is told is by policy, and stays. So what a
//! cgroup counted since it was last looked at is added to the policy that it had meanwhile, and when the cgroup goes,
//! its part of the sum stays.
//!
//! What can be missed: the counts of a cgroup between the last look, five seconds before at most, and the moment when the
//! kernel frees them. A cgroup that a policy lets go of is looked at once more, after its program is detached, and so is
//! a pod's, whose end the runtime tells before the kubelet removes the cgroup. Of one that is removed first, the kernel
//! frees the counts as soon as none of its sockets is left, milliseconds later, and the daemon gathers what becomes of
//! cgroups for a tenth of a second before it looks. So a sum may lack what such a cgroup did in its last five seconds, and
//! never has anything that did not happen.

use std::collections::BTreeMap;

use keepalive_ebpf::{COUNTER_WORDS, Counters};

use super::options;

/// The sums, and what they are made of.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// What each cgroup had counted when it was last looked at, by its id.
    last: BTreeMap<u64, Counters>,
    sums: Sums,
}

/// The sums.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    by_policy: BTreeMap<String, Counters>,
    /// Over all policies, also those that are gone.
    all: Counters,
    /// Options that the kernel refused, by the name of the option and the errno.
    refused: BTreeMap<(&'static str, u64), u64>,
}

impl Totals {
    /// From here on the counts of a cgroup matter, if they did not before: what it had counted was for an earlier run.
    pub(crate) fn begin(&mut self, id: u64, counted: Counters) {
        self.last.entry(id).or_insert(counted);
    }

    /// Whether the counts of a cgroup matter already.
    pub(crate) fn knows(&self, id: u64) -> bool {
        self.last.contains_key(&id)
    }

    /// Adds to a policy what a cgroup counted since it was looked at last.
    pub(crate) fn count(&mut self, id: u64, policy: &str, counted: Counters) {
        let news = since(&self.last.insert(id, counted).unwrap_or_default(), &counted);
        self.sums.add(policy, &news);
    }

    /// Lets go of the cgroups that are not among these: ids are not used again.
    pub(crate) fn retain_cgroups(&mut self, is_there: impl Fn(u64) -> bool) {
        self.last.retain(|id, _| is_there(*id));
    }

    /// Lets go of the sums of policies that are gone, so that their number stays what that of policies is.
    pub(crate) fn retain_policies(&mut self, is_there: impl Fn(&str) -> bool) {
        self.sums.by_policy.retain(|policy, _| is_there(policy));
    }

    /// What a cgroup had counted when it was last looked at.
    pub(crate) fn of_cgroup(&self, id: u64) -> Counters {
        self.last.get(&id).copied().unwrap_or_default()
    }

    pub(crate) const fn sums(&self) -> &Sums {
        &self.sums
    }
}

impl Sums {
    fn add(&mut self, policy: &str, news: &Counters) {
        if let Some(sum) = self.by_policy.get_mut(policy) {
            *sum = plus(sum, news);
        } else {
            self.by_policy.insert(policy.to_owned(), *news);
        }
        self.all = plus(&self.all, news);
        for (option, refused) in options::refused(news).filter(|(_, refused)| *refused > 0) {
            *self.refused.entry((option, news.last_errno)).or_default() += refused;
        }
    }

    /// The sums of a policy.
    pub(crate) fn of_policy(&self, policy: &str) -> Counters {
        self.by_policy.get(policy).copied().unwrap_or_default()
    }

    /// The policies that there are sums of.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &str> {
        self.by_policy.keys().map(String::as_str)
    }

    /// The sums over all policies.
    pub(crate) const fn all(&self) -> &Counters {
        &self.all
    }

    /// How often the kernel refused an option, by the name of the option and the errno. The program notes only the last
    /// errno, so that of several refusals between two looks all have that one.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        self.refused.iter().map(|((option, errno), refused)| (*option, *errno, *refused))
    }
}

/// What was counted between two looks. Counts that went back are those of another storage (somebody removed the map),
/// and all of them are new.
fn since(before: &Counters, now: &Counters) -> Counters {
    let (mut words, now) = (before.to_words(), now.to_words());
    let counts = COUNTER_WORDS - 1;
    let went_back = (0..counts).any(|at| now[at] < words[at]);
    for at in 0..counts {
        words[at] = if went_back { now[at] } else { now[at] - words[at] };
    }
    words[counts] = now[counts];
    Counters::from_words(&words)
}

fn plus(sum: &Counters, news: &Counters) -> Counters {
    Counters::sum([sum, news])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn armed(armed: u64) -> Counters {
        Counters { armed, ..Counters::default() }
    }

    #[test]
    fn a_cgroup_that_is_gone_stays_in_the_sum_of_its_policy() {
        let mut totals = Totals::default();
        totals.count(1, "p", armed(3));
        totals.count(2, "p", armed(4));

        // The kernel removed it first: nobody looks at it again.
        totals.retain_cgroups(|id| id == 2);
        totals.count(2, "p", armed(5));

        assert_eq!(totals.sums().of_policy("p").armed, 8);
    }

    #[test]
    fn what_was_counted_before_the_daemon_came_is_no_part_of_it() {
        let mut totals = Totals::default();
        totals.begin(1, armed(100));
        totals.count(1, "p", armed(101));
        // Known already: it was detached and is attached again.
        totals.begin(1, armed(500));
        totals.count(1, "p", armed(102));

        assert_eq!((totals.sums().of_policy("p").armed, totals.of_cgroup(1).armed), (2, 102));
    }

    #[test]
    fn what_follows_another_policy_is_counted_as_that_ones() {
        let mut totals = Totals::default();
        totals.count(1, "a", armed(3));
        totals.count(1, "b", armed(5));

        assert_eq!((totals.sums().of_policy("a").armed, totals.sums().of_policy("b").armed), (3, 2));
        assert_eq!(totals.sums().all().armed, 5);
    }

    #[test]
    fn a_storage_made_anew_is_counted_from_its_beginning() {
        let mut totals = Totals::default();
        totals.count(1, "p", Counters { outbound: 9, armed: 9, ..Counters::default() });
        totals.count(1, "p", Counters { outbound: 10, armed: 2, ..Counters::default() });

        assert_eq!((totals.sums().of_policy("p").outbound, totals.sums().of_policy("p").armed), (19, 11));
    }

    #[test]
    fn a_refusal_is_told_with_the_errno_it_was_seen_with() {
        let mut totals = Totals::default();
        totals.count(1, "p", Counters { refused_idle: 2, last_errno: 22, ..Counters::default() });
        totals.count(1, "p", Counters { refused_idle: 3, last_errno: 1, ..Counters::default() });
        totals.count(1, "p", Counters { refused_idle: 3, last_errno: 1, ..Counters::default() });

        let refused: Vec<_> = totals.sums().refused().collect();
        assert_eq!(refused, [("TCP_KEEPIDLE", 1, 1), ("TCP_KEEPIDLE", 22, 2)]);
    }

    #[test]
    fn a_policy_that_is_gone_takes_its_sums_along_and_not_those_of_all() {
        let mut totals = Totals::default();
        totals.count(1, "gone", armed(3));
        totals.count(2, "p", armed(1));
        totals.retain_policies(|policy| policy == "p");

        assert_eq!(totals.sums().policies().collect::<Vec<_>>(), ["p"]);
        assert_eq!(totals.sums().all().armed, 4);
    }

    proptest! {
        /// Whatever comes and goes, no sum goes back, and as long as each end is seen, nothing is lost or invented.
        #[test]
        fn sums_only_grow_and_add_up(steps in prop::collection::vec((0_u64..4, 0_usize..2, 0_u64..5, any::<bool>()), 0..60)) {
            let mut totals = Totals::default();
            let mut kernel: BTreeMap<u64, u64> = BTreeMap::new();
            let (mut happened, mut before) = (0, 0);
            let mut generation = 0;
            for (slot, policy, more, ends) in steps {
                let id = generation * 4 + slot;
                let counted = kernel.entry(id).or_default();
                *counted += more;
                happened += more;
                totals.count(id, ["a", "b"][policy], armed(*counted));
                if ends {
                    generation += 1;
                    totals.retain_cgroups(|_| false);
                }
                let sum = totals.sums().of_policy("a").armed + totals.sums().of_policy("b").armed;
                prop_assert!(sum >= before);
                prop_assert_eq!(sum, happened);
                before = sum;
            }
        }
    }
}
