//! What became of connections, from what the counters say and what they said before: pure.

use std::{
    array,
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::Duration,
};

use keepalive_ebpf::Counters;
use nix::errno::Errno;

use super::{Counts, Event, Kind};

/// How often the counters of a cgroup are read: two system calls, some microseconds each.
const INTERVAL: Duration = Duration::from_secs(5);

/// How many are read in one go, so that nothing else has to wait for longer than a millisecond or so.
pub(crate) const SLICE: usize = 256;

/// Whose counters they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose<'a> {
    pub(crate) id: u64,
    pub(crate) cgroup: &'a str,
    pub(crate) pod: Option<&'a str>,
    pub(crate) policy: &'a str,
}

/// What counters said, by the cgroup's id.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    said: BTreeMap<u64, Counters>,
    /// The options whose refusal was told of.
    told: BTreeSet<(u64, &'static str)>,
    /// The last one that was read.
    at: Option<u64>,
}

impl Ledger {
    /// Notes what the counters of a cgroup say that connections of the past came to.
    pub(crate) fn open(&mut self, id: u64, now: Counters) {
        self.said.insert(id, now);
    }

    /// Whether the counters of a cgroup say what they said, as most do most of the time.
    pub(crate) fn is_known(&self, id: u64, now: &Counters) -> bool {
        self.said.get(&id) == Some(now)
    }

    /// What happened since the counters of a cgroup were read last. What they say at first is of the past.
    pub(crate) fn news(&mut self, whose: Whose<'_>, now: Counters) -> Vec<Event> {
        let Some(before) = self.said.insert(whose.id, now) else { return Vec::new() };
        let passed = difference(&now, &before);
        let about = |kind| Event {
            cgroup: Some(whose.cgroup.to_owned()),
            pod: whose.pod.map(str::to_owned),
            policy: Some(whose.policy.to_owned()),
            ..Event::new(kind)
        };
        let counts = applied(&passed);
        let mut events = Vec::new();
        if counts != Counts::default() {
            events.push(Event { counts, ..about(Kind::Applied) });
        }
        for (option, refused) in refused(&passed).into_iter().filter(|(_, refused)| *refused > 0) {
            let is_known = !self.told.insert((whose.id, option));
            let counts = Counts { refused: Some(refused), ..Counts::default() };
            let (option, error) = (Some(option.to_owned()), error(&now));
            events.push(Event { option, counts, error, is_known, ..about(Kind::OptionRefused) });
        }
        for (option, rewritten) in rewritten(&passed).into_iter().filter(|(_, rewritten)| *rewritten > 0) {
            let counts = Counts { rewritten: Some(rewritten), ..Counts::default() };
            events.push(Event { option: Some(option.to_owned()), counts, ..about(Kind::Rewritten) });
        }
        events
    }

    /// Forgets a cgroup.
    pub(crate) fn close(&mut self, id: u64) {
        self.said.remove(&id);
        self.told.retain(|(of, _)| *of != id);
    }

    /// Forgets all cgroups but those of which `keep` says so, by their ids.
    pub(crate) fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.said.retain(|id, _| keep(*id));
        self.told.retain(|(id, _)| keep(*id));
    }

    /// Those whose turn it is, of all that are attached.
    pub(crate) fn turn<T>(&mut self, attached: &BTreeMap<u64, T>) -> Vec<u64> {
        let after = self.at.map_or(Bound::Unbounded, Bound::Excluded);
        let turn: Vec<u64> =
            attached.range((after, Bound::Unbounded)).map(|(id, _)| *id).take(SLICE).collect();
        self.at = turn.last().copied().filter(|_| turn.len() == SLICE);
        turn
    }

    /// How long to wait between two turns.
    pub(crate) fn pause(attached: usize) -> Duration {
        let turns = attached.div_ceil(SLICE).max(1);
        INTERVAL / u32::try_from(turns).unwrap_or(u32::MAX)
    }
}

/// What was counted since. Counters that went back began anew.
fn difference(now: &Counters, before: &Counters) -> Counters {
    let [words, earlier] = [now.to_words(), before.to_words()];
    Counters::from_words(&array::from_fn(|at| words[at].checked_sub(earlier[at]).unwrap_or(words[at])))
}

fn applied(passed: &Counters) -> Counts {
    let some = |count: u64| (count > 0).then_some(count);
    let left_alone =
        [passed.kept_direction, passed.kept_destination, passed.kept_chosen, passed.kept_tighter];
    Counts {
        connections: some(passed.outbound + passed.inbound),
        armed: some(passed.armed + passed.armed_blind),
        tightened: some(passed.tightened),
        overridden: some(passed.overridden),
        left_alone: some(left_alone.iter().sum()),
        would_change: some(passed.would_arm + passed.would_tighten + passed.would_set_options),
        ..Counts::default()
    }
}

const fn refused(passed: &Counters) -> [(&'static str, u64); 7] {
    [
        ("SO_KEEPALIVE", passed.refused_keepalive),
        ("TCP_KEEPIDLE", passed.refused_idle),
        ("TCP_KEEPINTVL", passed.refused_interval),
        ("TCP_KEEPCNT", passed.refused_probes),
        ("TCP_USER_TIMEOUT", passed.refused_user_timeout),
        ("other options", passed.refused_option),
        ("claim", passed.refused_claim),
    ]
}

const fn rewritten(passed: &Counters) -> [(&'static str, u64); 5] {
    [
        ("SO_KEEPALIVE", passed.rewritten_keepalive),
        ("TCP_KEEPIDLE", passed.rewritten_idle),
        ("TCP_KEEPINTVL", passed.rewritten_interval),
        ("TCP_KEEPCNT", passed.rewritten_probes),
        ("TCP_USER_TIMEOUT", passed.rewritten_user_timeout),
    ]
}

/// The error of the last refusal, of whichever option.
fn error(counters: &Counters) -> Option<String> {
    let errno = i32::try_from(counters.last_errno).ok().filter(|errno| *errno > 0)?;
    Some(Errno::from_raw(errno).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOSE: Whose<'_> = Whose { id: 7, cgroup: "app", pod: None, policy: "p" };

    fn counters(armed: u64) -> Counters {
        Counters { outbound: armed, inbound: 1, armed, ..Counters::default() }
    }

    #[test]
    fn what_was_counted_since_is_told_and_what_was_before_is_not() {
        let mut ledger = Ledger::default();
        assert!(ledger.news(WHOSE, counters(5)).is_empty());

        let events = ledger.news(WHOSE, counters(8));

        assert_eq!((events.len(), events[0].kind), (1, Kind::Applied));
        assert_eq!(events[0].counts.named().collect::<Vec<_>>(), [("connections", 3), ("armed", 3)]);
        assert!(ledger.news(WHOSE, counters(8)).is_empty());
    }

    #[test]
    fn each_option_that_is_refused_is_warned_of_once_and_told_every_time() {
        let mut ledger = Ledger::default();
        let refusals = |count| Counters { refused_idle: count, last_errno: 22, ..Counters::default() };
        ledger.open(7, refusals(0));

        let [first, second] = [2, 3].map(|count| ledger.news(WHOSE, refusals(count)));

        assert_eq!((first[0].kind, first[0].is_known), (Kind::OptionRefused, false));
        assert_eq!(first[0].error.as_deref(), Some("EINVAL: Invalid argument"));
        assert_eq!((second[0].is_known, second[0].counts.refused), (true, Some(1)));
        assert_eq!(second[0].option.as_deref(), Some("TCP_KEEPIDLE"));
    }

    #[test]
    fn rewritten_calls_are_told_by_their_option() {
        let mut ledger = Ledger::default();
        ledger.open(7, Counters::default());

        let events = ledger.news(WHOSE, Counters { rewritten_probes: 4, ..Counters::default() });

        assert_eq!((events.len(), events[0].kind, events[0].counts.rewritten), (1, Kind::Rewritten, Some(4)));
    }

    #[test]
    fn counters_that_began_anew_are_told_from_there() {
        let mut ledger = Ledger::default();
        ledger.open(7, counters(100));

        assert_eq!(ledger.news(WHOSE, counters(2))[0].counts.armed, Some(2));
        ledger.retain(|id| id != 7);
        assert!(ledger.news(WHOSE, counters(9)).is_empty());
    }

    #[test]
    fn all_have_their_turn_within_the_interval() {
        let attached: BTreeMap<u64, ()> = (0..1000).map(|id| (id, ())).collect();
        let mut ledger = Ledger::default();
        let turns = usize::try_from(INTERVAL.as_micros() / Ledger::pause(1000).as_micros()).unwrap_or(0);

        let seen: BTreeSet<u64> = (0..turns).flat_map(|_| ledger.turn(&attached)).collect();

        assert_eq!((turns, seen.len()), (4, 1000));
        assert_eq!(ledger.turn(&attached)[0], 0, "it begins anew");
        assert_eq!(Ledger::pause(0), INTERVAL);
    }
}
