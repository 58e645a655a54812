//! Sets the options that are not of keep-alive.

use keepalive_ebpf::{CONGESTION_LENGTH, Mode, Options, Policy, Reading, is_left_to_application};

use crate::socket::{Handle, SOL_SOCKET, SOL_TCP};

const NO_DELAY: (i32, i32) = (SOL_TCP, 1);
const MAX_SEGMENT: (i32, i32) = (SOL_TCP, 2);
const SYN_COUNT: (i32, i32) = (SOL_TCP, 7);
const CONGESTION: (i32, i32) = (SOL_TCP, 13);
const NOT_SENT_LOWAT: (i32, i32) = (SOL_TCP, 25);
const PRIORITY: (i32, i32) = (SOL_SOCKET, 12);
const MARK: (i32, i32) = (SOL_SOCKET, 36);
/// `IP_TOS`
const TOS_V4: (i32, i32) = (0, 1);
/// `IPV6_TCLASS`
const TOS_V6: (i32, i32) = (41, 67);

/// Where what is done is counted. It lies in a map: what the verifier knows of numbers on the stack would keep it from
/// seeing that the ways through one option meet before the next.
pub(crate) trait Tally {
    fn set(&mut self);
    fn would_set(&mut self);
    fn refused(&mut self, errno: u64);
}

/// Sets those among `which` that the policy sets and that its mode does not leave to the application.
#[inline(always)]
pub(crate) fn apply(socket: &Handle, policy: &Policy, which: u32, tally: &mut impl Tally) {
    let options = policy.options();
    let which = options.which & which;
    let mode = policy.mode();
    let mut each = |bit: u32, name: (i32, i32), wanted: u32| {
        if which & bit != 0 {
            number(socket, mode, bit, name, wanted, tally);
        }
    };
    each(Options::NO_DELAY, NO_DELAY, options.no_delay);
    each(Options::NOT_SENT_LOWAT, NOT_SENT_LOWAT, options.not_sent_lowat);
    each(Options::MAX_SEGMENT, MAX_SEGMENT, options.max_segment);
    each(Options::SYN_COUNT, SYN_COUNT, options.syn_count);
    each(Options::MARK, MARK, options.mark);
    let sets_priority = which & Options::PRIORITY != 0 && {
        let current = socket.number(PRIORITY);
        let is_same = current.is(options.priority);
        is_same || !is_left_to_application(mode, Options::PRIORITY, options.priority, current)
    };
    if which & Options::TOS != 0 {
        // A socket of IPv4 has no traffic class; one of IPv6 has both, for what it sends to mapped addresses.
        let is_v6 = socket.number(TOS_V6).is_known;
        if is_v6 {
            number(socket, mode, Options::TOS, TOS_V6, options.tos, tally);
        }
        // On a socket of IPv6 since 6.1.
        if socket.number(TOS_V4).is_known {
            number(socket, mode, Options::TOS, TOS_V4, options.tos, tally);
        }
    }
    if sets_priority {
        // Not by what it is now: with the type of service came a priority that nobody chose.
        let current = socket.number(PRIORITY);
        if !current.is(options.priority) {
            record(mode, tally, || socket.set(PRIORITY, options.priority.to_ne_bytes()));
        }
    }
    if which & Options::CONGESTION != 0 {
        congestion(socket, mode, options, tally);
    }
}

#[inline(always)]
fn number(socket: &Handle, mode: Mode, bit: u32, name: (i32, i32), wanted: u32, tally: &mut impl Tally) {
    // The lowest two bits of the type of service are the connection's own (ECN), and stay whatever is set.
    let mask = if bit == Options::TOS { !3 } else { !0 };
    let Reading { is_known, value } = socket.number(name);
    let current = Reading { is_known, value: value & mask };
    if current.is(wanted & mask) || is_left_to_application(mode, bit, wanted, current) {
        return;
    }
    record(mode, tally, || socket.set(name, wanted.to_ne_bytes()));
}

#[inline(always)]
fn congestion(socket: &Handle, mode: Mode, options: &Options, tally: &mut impl Tally) {
    let current: Option<[u8; CONGESTION_LENGTH]> = socket.get(CONGESTION);
    let is_chosen = current.is_some_and(|current| !is_same(&current, &options.congestion_default));
    let is_left = current.is_some_and(|current| is_same(&current, &options.congestion))
        || is_chosen && !matches!(mode, Mode::Enforce);
    if !is_left {
        record(mode, tally, || socket.set(CONGESTION, options.congestion));
    }
}

/// Word by word: a loop over bytes makes the verifier's work longer.
#[inline(always)]
fn is_same(a: &[u8; CONGESTION_LENGTH], b: &[u8; CONGESTION_LENGTH]) -> bool {
    u128::from_ne_bytes(*a) == u128::from_ne_bytes(*b)
}

#[inline(always)]
fn record(mode: Mode, tally: &mut impl Tally, set: impl FnOnce() -> Result<(), u64>) {
    if matches!(mode, Mode::Monitor) {
        tally.would_set();
        return;
    }
    match set() {
        Ok(()) => tally.set(),
        Err(errno) => tally.refused(errno),
    }
}
