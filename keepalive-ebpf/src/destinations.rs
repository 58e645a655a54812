//! Which rule of a policy is for a destination.
//!
//! Every rule has a bit. The starts of all prefixes, and what follows their ends, cut the addresses into intervals,
//! each with the bits of the rules whose prefix covers it; ports likewise. Two binary searches and one `and` find all
//! rules that match, and the lowest bit is the one that wins, because the rules are in the order of precedence: a
//! look-up costs the same for one rule and for [`MOST_RULES`].

use crate::{Timers, opaque::opaque};

/// The most rules a policy may have.
pub const MOST_RULES: usize = 64;
/// The most intervals that so many rules make; those of which no rule is come before the first.
pub const MOST_INTERVALS: usize = 2 * MOST_RULES;

/// The remote end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The first half of the IPv6 address, as a number; 0 for one of IPv4.
    pub high: u64,
    /// The second half; of IPv4 it is that of the mapped address, `::ffff:a.b.c.d`.
    pub low: u64,
    /// The port.
    pub port: u16,
}

impl Remote {
    /// The remote end at an IPv4 address.
    #[must_use]
    #[inline(always)]
    pub const fn v4(address: u32, port: u16) -> Self {
        Self { high: 0, low: 0xffff_0000_0000 | address as u64, port }
    }

    /// The remote end at an IPv6 address, given as its four words, each as a number.
    #[must_use]
    #[inline(always)]
    pub const fn v6(words: [u32; 4], port: u16) -> Self {
        let [a, b, c, d] = words;
        Self { high: (a as u64) << 32 | b as u64, low: (c as u64) << 32 | d as u64, port }
    }
}

/// The value of the `DESTINATIONS` map: the rules of a policy, ready to be looked up.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleSet {
    /// The first halves of the intervals' first addresses, ascending; padded with the last one.
    pub address_high: [u64; MOST_INTERVALS],
    /// The second halves.
    pub address_low: [u64; MOST_INTERVALS],
    /// The rules whose prefix covers the interval; padded with those of the last.
    pub address_rules: [u64; MOST_INTERVALS],
    /// The intervals' first ports, ascending; padded with the last one.
    pub port_first: [u32; MOST_INTERVALS],
    /// The rules whose ports cover the interval; padded with those of the last.
    pub port_rules: [u64; MOST_INTERVALS],
    /// The values of each rule, in the order of precedence.
    pub timers: [Timers; MOST_RULES],
}

impl RuleSet {
    /// The values for a destination; `None` if no rule is for it.
    #[must_use]
    #[inline(always)]
    pub fn find(&self, remote: &Remote) -> Option<Timers> {
        let matching = self.of_address(remote) & self.of_port(remote.port);
        if matching == 0 {
            return None;
        }
        Some(self.timers[bounded::<MOST_RULES>(matching.trailing_zeros() as usize, remote.low)])
    }

    #[inline(always)]
    fn of_address(&self, remote: &Remote) -> u64 {
        let starts_by = |at: usize| {
            let (high, low) = (self.address_high[at], self.address_low[at]);
            let is_beyond =
                is_less(remote.high, high) | (is_same(remote.high, high) & is_less(remote.low, low));
            is_beyond ^ 1
        };
        let at = search(starts_by, remote.low);
        self.address_rules[at] & all_or_none(starts_by(at))
    }

    #[inline(always)]
    fn of_port(&self, port: u16) -> u64 {
        let starts_by = |at: usize| is_less(u64::from(port), u64::from(self.port_first[at])) ^ 1;
        let at = search(starts_by, u64::from(port));
        self.port_rules[at] & all_or_none(starts_by(at))
    }
}

/// The last interval that starts by what is looked for, or the first one if none does.
///
/// Nowhere here is a branch on what is compared, as the verifier would follow each way on its own, through 128 paths
/// a search, and a processor would guess wrong every other time. Where LLVM puts one in all the same, the two ways meet,
/// as the verifier knows no more of the index on one than on the other.
#[expect(clippy::cast_possible_truncation, reason = "all bits of a mask are the same")]
#[inline(always)]
fn search(starts_by: impl Fn(usize) -> u64, unknown: u64) -> usize {
    const { assert!(MOST_INTERVALS == 2 * 64) };
    let bounded = |index| bounded::<MOST_INTERVALS>(index, unknown);
    let narrowed =
        |at: usize, step: usize| bounded(at + (step & all_or_none(starts_by(bounded(at + step))) as usize));
    // Step by step: the verifier, where it also follows what a processor only guesses, takes a loop for too many ways.
    let at = narrowed(bounded(0), 64);
    let at = narrowed(at, 32);
    let at = narrowed(at, 16);
    let at = narrowed(at, 8);
    let at = narrowed(at, 4);
    let at = narrowed(at, 2);
    narrowed(at, 1)
}

/// 1 if `a < b`, else 0: the borrow of `a - b`.
#[inline(always)]
fn is_less(a: u64, b: u64) -> u64 {
    opaque(((!a & b) | ((!a | b) & a.wrapping_sub(b))) >> 63)
}

/// 1 if `a == b`, else 0.
#[inline(always)]
fn is_same(a: u64, b: u64) -> u64 {
    let differing = a ^ b;
    opaque((differing | differing.wrapping_neg()) >> 63) ^ 1
}

/// All bits for 1, none for 0.
#[inline(always)]
fn all_or_none(bit: u64) -> u64 {
    opaque(bit.wrapping_neg())
}

/// The same index, so that the verifier sees that it is one: the compiler, which can prove it, would leave out a mask
/// that it may look into. And so that it sees no more: without `CAP_PERFMON` it takes a pointer that is added to only if
/// it knows as much of what is added whichever way it came there, and of the first steps of a search it would know
/// all. `unknown` is any number that it knows nothing of.
#[expect(clippy::cast_possible_truncation, reason = "any bits do")]
#[inline(always)]
fn bounded<const SIZE: usize>(index: usize, unknown: u64) -> usize {
    const { assert!(SIZE.is_power_of_two()) };
    let unknown = unknown as usize;
    (opaque((index ^ unknown) as u64) as usize ^ unknown) & (SIZE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparing_without_branches_compares() {
        let edges = [0, 1, 2, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX - 1, u64::MAX];
        for a in edges {
            for b in edges {
                assert_eq!(is_less(a, b), u64::from(a < b), "{a} {b}");
                assert_eq!(is_same(a, b), u64::from(a == b), "{a} {b}");
            }
        }
    }

    #[test]
    fn the_search_finds_the_last_interval_that_starts_by_what_is_looked_for() {
        for used in 1..=MOST_INTERVALS {
            // As in a map: ascending, and padded with the last one.
            let starts: [u64; MOST_INTERVALS] = core::array::from_fn(|at| 10 * at.min(used - 1) as u64);
            for wanted in (0..1290).step_by(3) {
                let starts_by = |at: usize| u64::from(starts[at] <= wanted);
                for unknown in [0, 1, 127, u64::MAX, 0x0123_4567_89ab_cdef] {
                    assert_eq!(
                        starts[search(starts_by, unknown)],
                        (wanted - wanted % 10).min(starts[used - 1])
                    );
                }
            }
        }
    }
}
