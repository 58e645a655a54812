//! Which rule of a policy is for a destination.
//!
//! Every rule has a bit. The starts of all prefixes, and what follows their ends, cut the addresses into intervals,
//! each with the bits of the rules whose prefix covers it; ports likewise. Two binary searches and one `and` find all
//! rules that match, and the lowest bit is the one that wins, because the rules are in the order of precedence: a
//! look-up costs the same for one rule and for [`MOST_RULES`].

use core::hint::black_box;

use crate::Timers;

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
        Some(self.timers[matching.trailing_zeros() as usize % MOST_RULES])
    }

    #[inline(always)]
    fn of_address(&self, remote: &Remote) -> u64 {
        let starts_by = |at: usize| {
            let high = self.address_high[at];
            high < remote.high || (high == remote.high && self.address_low[at] <= remote.low)
        };
        let at = search(starts_by);
        if starts_by(at) { self.address_rules[at] } else { 0 }
    }

    #[inline(always)]
    fn of_port(&self, port: u16) -> u64 {
        let starts_by = |at: usize| self.port_first[at] <= u32::from(port);
        let at = search(starts_by);
        if starts_by(at) { self.port_rules[at] } else { 0 }
    }
}

/// The last interval that starts by what is looked for, or the first one if none does.
#[inline(always)]
fn search(starts_by: impl Fn(usize) -> bool) -> usize {
    let mut at = 0;
    let mut step = MOST_INTERVALS / 2;
    while step > 0 {
        if starts_by(bounded(at + step)) {
            at += step;
        }
        step /= 2;
    }
    bounded(at)
}

/// The same index, so that the verifier sees that it is one: the compiler, which can prove it, would leave out a mask
/// that it may look into.
#[inline(always)]
fn bounded(index: usize) -> usize {
    black_box(index) & (MOST_INTERVALS - 1)
}
