//! Rules as the kernel looks them up.

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};

use keepalive_ebpf::{MOST_INTERVALS, MOST_RULES, RuleSet, Timers};
use sha2::{Digest as _, Sha256};

use super::{Cidr, Ports};

/// What is set on connections to one range of ports of one prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) cidr: Option<Cidr>,
    pub(super) ports: Ports,
    pub(super) timers: Timers,
}

impl Entry {
    /// The first and the last address that it is for.
    fn addresses(&self) -> (u128, u128) {
        self.cidr.map_or((0, u128::MAX), |cidr| cidr.bounds())
    }
}

/// Rules ready for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// What policies refer to them by: the same for the same rules, and never 0.
    pub id: u64,
    /// The rules.
    pub rules: Arc<RuleSet>,
}

/// Compiles at most [`MOST_RULES`] entries, in the order of the text: of those that match the one with the longest
/// prefix wins, then the one with fewer ports, then the first.
pub(super) fn compile(mut entries: Vec<Entry>) -> Compiled {
    // The sort is stable.
    entries.sort_by_key(|entry| {
        let length = entry.cidr.map_or(0, |cidr| cidr.length());
        (Reverse(length), entry.ports.width())
    });
    let addresses = intervals(entries.iter().map(Entry::addresses));
    let ports = intervals(entries.iter().map(|entry| entry.ports.bounds()));
    let address = padded(&addresses);
    let port = padded(&ports);
    let mut timers = [Timers::NONE; MOST_RULES];
    for (to, entry) in timers.iter_mut().zip(&entries) {
        *to = entry.timers;
    }
    let rules = RuleSet {
        address_high: address.map(|(first, _)| word(first >> 64)),
        address_low: address.map(|(first, _)| word(first)),
        address_rules: address.map(|(_, rules)| rules),
        // One more than the last port is the most there is.
        port_first: port.map(|(first, _)| u32::try_from(first).unwrap_or(u32::MAX)),
        port_rules: port.map(|(_, rules)| rules),
        timers,
    };
    Compiled { id: id(&rules), rules: Arc::new(rules) }
}

/// The starts of the intervals into which the ends of `ranges` cut what there is, each with a bit for every range that
/// covers it. Of neighbours that the same ranges cover there is one.
fn intervals(ranges: impl Iterator<Item = (u128, u128)>) -> Vec<(u128, u64)> {
    let ranges: Vec<_> = ranges.collect();
    let ends = ranges.iter().flat_map(|(first, last)| [Some(*first), last.checked_add(1)]);
    let starts: BTreeSet<u128> = ends.flatten().collect();
    let covering = |start: u128| {
        let bits = ranges.iter().enumerate().filter(|(_, (first, last))| (first..=last).contains(&&start));
        bits.fold(0, |rules, (bit, _)| rules | 1 << bit)
    };
    let mut intervals: Vec<_> = starts.into_iter().map(|start| (start, covering(start))).collect();
    intervals.dedup_by_key(|(_, rules)| *rules);
    intervals
}

/// As many as the kernel looks among, the last one repeated.
fn padded(intervals: &[(u128, u64)]) -> [(u128, u64); MOST_INTERVALS] {
    let mut padded = [intervals.last().copied().unwrap_or_default(); MOST_INTERVALS];
    for (to, from) in padded.iter_mut().zip(intervals) {
        *to = *from;
    }
    padded
}

/// The lower half.
fn word(number: u128) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = number.to_be_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// A hash of the rules: those of two policies that say the same are one in the kernel.
fn id(rules: &RuleSet) -> u64 {
    let RuleSet { address_high, address_low, address_rules, port_first, port_rules, timers } = rules;
    let mut hash = Sha256::new();
    for words in [address_high, address_low, address_rules, port_rules] {
        for word in words {
            hash.update(word.to_le_bytes());
        }
    }
    for word in port_first {
        hash.update(word.to_le_bytes());
    }
    for Timers { idle_s, interval_s, probes, user_timeout_ms } in timers {
        for value in [idle_s, interval_s, probes, user_timeout_ms] {
            hash.update(value.to_le_bytes());
        }
    }
    let first = hash.finalize().into_iter().take(size_of::<u64>());
    // 0 is the id of no rules.
    first.fold(0, |id, byte| id << 8 | u64::from(byte)).max(1)
}
