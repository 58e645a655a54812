//! What was counted, for whom: pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use keepalive_ebpf::{DeadPeers, UNCOUNTED};

use super::tracker::Gain;
use crate::report::helped::{DeadPeerCounts, Help, Watch};

/// Whose connections are whose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Governed {
    /// The id of the cgroup that governs, by that of the connections' own.
    pub(super) governors: BTreeMap<u64, u64>,
    /// The governing cgroups by their id.
    pub(super) places: BTreeMap<u64, Place>,
}

/// A governed cgroup, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) cgroup: String,
    pub(super) pod: Option<String>,
    pub(super) policy: String,
}

impl Governed {
    pub(super) fn is_empty(&self) -> bool {
        self.governors.is_empty()
    }
}

/// What came of the connections of a governed cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    dead: DeadPeers,
    kept: u64,
    used: u64,
    longest_ms: i64,
}

impl Tally {
    /// Adds what a look at a connection brought to light.
    pub(super) fn gain(&mut self, gain: Gain) {
        self.kept += u64::from(gain.is_kept);
        self.used += u64::from(gain.is_used);
        self.longest_ms = self.longest_ms.max(gain.survived_ms);
    }

    fn add(&mut self, other: &Self) {
        self.dead.add(&other.dead);
        self.kept += other.kept;
        self.used += other.used;
        self.longest_ms = self.longest_ms.max(other.longest_ms);
    }
}

/// All that is counted.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Shared, so that whoever reads it holds up nobody who waits for these books.
    pub(super) governed: Arc<Governed>,
    /// By the id of the governed cgroup.
    tallies: BTreeMap<u64, Tally>,
    /// By the name of the policy, also of cgroups that it governs no more: these never go back.
    by_policy: BTreeMap<String, Tally>,
    /// What the program had counted in each cgroup when it was last asked.
    counted: BTreeMap<u64, DeadPeers>,
    pub(super) watch: Watch,
}

impl Books {
    /// Takes note of what is governed now, and forgets what no longer is.
    pub(super) fn follow(&mut self, governed: Governed) {
        self.tallies.retain(|id, _| governed.places.contains_key(id));
        self.governed = Arc::new(governed);
    }

    /// The governed cgroup that answers for the connections of a cgroup, and its id.
    pub(super) fn governor(&self, cgroup: u64) -> Option<(u64, &Place)> {
        let id = *self.governed.governors.get(&cgroup)?;
        self.governed.places.get(&id).map(|place| (id, place))
    }

    /// Adds what was found out of the connections of governed cgroups.
    pub(super) fn add(&mut self, tallies: &BTreeMap<u64, Tally>) {
        for (id, tally) in tallies {
            self.add_one(*id, tally);
        }
    }

    fn add_one(&mut self, id: u64, tally: &Tally) {
        let Some(place) = self.governed.places.get(&id) else { return };
        self.tallies.entry(id).or_default().add(tally);
        self.by_policy.entry(place.policy.clone()).or_default().add(tally);
    }

    /// Takes note of what the program has counted so far. Returns the cgroups that it can forget: nobody governs them.
    pub(super) fn count(&mut self, counts: BTreeMap<u64, DeadPeers>) -> BTreeSet<u64> {
        let mut nobodys = BTreeSet::new();
        for (cgroup, now) in &counts {
            let news = now.since(&self.counted.get(cgroup).copied().unwrap_or_default());
            match self.governed.governors.get(cgroup) {
                Some(id) => {
                    // Of what nobody governs no event was to tell.
                    self.watch.untold += news.untold;
                    self.add_one(*id, &Tally { dead: news, ..Tally::default() });
                }
                None if *cgroup == UNCOUNTED => self.watch.uncounted += news.total(),
                None => {
                    nobodys.insert(*cgroup);
                }
            }
        }
        self.counted = counts;
        self.counted.retain(|cgroup, _| !nobodys.contains(cgroup));
        nobodys
    }

    /// What is known of a governed cgroup.
    pub(super) fn of(&self, id: u64) -> Help {
        self.help(&self.tallies.get(&id).copied().unwrap_or_default())
    }

    /// What is known of all that a policy governs, or did.
    pub(super) fn by_policy(&self) -> BTreeMap<String, Help> {
        self.by_policy.iter().map(|(policy, tally)| (policy.clone(), self.help(tally))).collect()
    }

    /// Forgets the policies of which `keep` does not say so.
    pub(super) fn retain_policies(&mut self, keep: impl Fn(&str) -> bool) {
        self.by_policy.retain(|policy, _| keep(policy));
    }

    fn help(&self, tally: &Tally) -> Help {
        let Tally { dead, kept, used, longest_ms } = *tally;
        let DeadPeers { keepalive, user_timeout, reset, untold: _ } = dead;
        Help {
            dead_peers: self.watch.finds_dead_peers.then_some(DeadPeerCounts {
                keepalive,
                user_timeout,
                reset,
            }),
            kept_alive: kept,
            used_again: used,
            longest_silence_seconds: u64::try_from(longest_ms / 1000).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cgroup 2 governs itself and 3.
    fn books() -> Books {
        let mut books = Books::default();
        books.watch.finds_dead_peers = true;
        books.follow(governed(&[(2, 2), (3, 2)]));
        books
    }

    fn governed(pairs: &[(u64, u64)]) -> Governed {
        let place = Place { cgroup: "app".to_owned(), pod: None, policy: "p".to_owned() };
        let places = pairs.iter().map(|(_, governor)| (*governor, place.clone()));
        Governed { governors: pairs.iter().copied().collect(), places: places.collect() }
    }

    fn counts(of: &[(u64, u64)]) -> BTreeMap<u64, DeadPeers> {
        let dead = |keepalive| DeadPeers { keepalive, ..DeadPeers::default() };
        of.iter().map(|(cgroup, count)| (*cgroup, dead(*count))).collect()
    }

    fn dead(books: &Books, id: u64) -> Option<u64> {
        books.of(id).dead_peers.map(|dead| dead.keepalive)
    }

    #[test]
    fn the_governed_cgroup_answers_for_those_below_it() {
        let mut books = books();

        assert!(books.count(counts(&[(2, 1), (3, 2)])).is_empty());
        assert!(books.count(counts(&[(2, 1), (3, 5)])).is_empty());

        assert_eq!(dead(&books, 2), Some(6));
        assert_eq!((books.governor(3).map(|(id, _)| id), books.governor(9)), (Some(2), None));
    }

    #[test]
    fn what_nobody_governs_is_forgotten_and_begins_anew() {
        let mut books = books();

        assert_eq!(books.count(counts(&[(9, 4), (UNCOUNTED, 0)])), BTreeSet::from([9]));
        books.follow(governed(&[(9, 9)]));
        books.count(counts(&[(9, 1), (UNCOUNTED, 3)]));

        assert_eq!((dead(&books, 9), books.watch.uncounted), (Some(1), 3));
    }

    #[test]
    fn what_is_no_longer_governed_is_not_told_of() {
        let mut books = books();
        let mut tally = Tally::default();
        tally.gain(Gain { is_kept: true, is_used: false, survived_ms: 9_999 });
        tally.gain(Gain { is_kept: false, is_used: true, survived_ms: 4000 });
        books.add(&BTreeMap::from([(2, tally), (5, tally)]));
        let help = books.of(2);
        assert_eq!((help.kept_alive, help.used_again, help.longest_silence_seconds), (1, 1, 9));

        books.follow(governed(&[(7, 7)]));

        assert_eq!((books.of(2).kept_alive, books.of(5).kept_alive), (0, 0));
        assert_eq!(books.by_policy()["p"].kept_alive, 1, "but for the policy, where it stays");
        books.retain_policies(|policy| policy != "p");
        assert_eq!(books.by_policy().len(), 0);
    }

    #[test]
    fn where_nobody_notices_dead_peers_there_are_not_none_but_unknown() {
        let mut books = books();
        books.watch.finds_dead_peers = false;

        assert_eq!(books.of(2).dead_peers, None);
    }
}
