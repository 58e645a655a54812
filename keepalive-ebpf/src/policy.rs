//! The policy of one cgroup, as the kernel side reads it.

use crate::Options;

/// What may be done to a socket.
///
/// A `repr(u32)` enum rather than a number so that its names are in the program's BTF and `bpftool map dump`
/// prints them.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No policy: the cgroup is attached but nothing was written yet. With a claim, see [`Policy::exempt`].
    Nothing = 0,
    /// Count what would be done.
    Monitor = 1,
    /// Arm sockets whose application did not ask for keep-alive, leave the others alone.
    FillMissing = 2,
    /// As `FillMissing`, and lower the values of the others to the policy's where they are higher.
    Tighten = 3,
    /// The policy's values on every socket; later calls of the application that would weaken them are rewritten.
    Enforce = 4,
}

/// Which ends of a connection a policy is for.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Whichever end the socket is.
    Both = 0,
    /// Sockets that connected (`BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB`).
    Outbound = 1,
    /// Sockets that were accepted (`BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB`), and both ends of a simultaneous
    /// open.
    Inbound = 2,
}

impl Direction {
    /// Whether a policy for `self` is for a socket of direction `of`.
    #[must_use]
    #[inline(always)]
    pub fn covers(self, of: Self) -> bool {
        matches!(self, Self::Both) || self as u32 == of as u32
    }
}

/// The keep-alive options and the user timeout of a socket, in the kernel's units.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// `TCP_KEEPIDLE`, 1 to 32767 seconds.
    pub idle_s: u32,
    /// `TCP_KEEPINTVL`, 1 to 32767 seconds.
    pub interval_s: u32,
    /// `TCP_KEEPCNT`, 1 to 127.
    pub probes: u32,
    /// `TCP_USER_TIMEOUT` in milliseconds; 0 leaves the socket's own.
    pub user_timeout_ms: u32,
}

impl Timers {
    /// No value at all.
    pub const NONE: Self = Self { idle_s: 0, interval_s: 0, probes: 0, user_timeout_ms: 0 };
}

/// The number of 64-bit words of a [`Policy`].
pub const POLICY_WORDS: usize = size_of::<Policy>() / size_of::<u64>();

/// The value of the `POLICY` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    mode: Mode,
    direction: Direction,
    timers: Timers,
    claims: u32,
    unused: u32,
    cgroup: u64,
    destinations: u64,
    options: Options,
    #[cfg(feature = "next-abi")]
    reserved: [u64; 5],
}

impl Policy {
    /// No policy; all its bytes are zero.
    pub const NOTHING: Self = Self::new(Mode::Nothing, Direction::Both, Timers::NONE);

    /// A policy for every destination, of no cgroup yet and without a claim.
    #[must_use]
    pub const fn new(mode: Mode, direction: Direction, timers: Timers) -> Self {
        Self {
            mode,
            direction,
            timers,
            claims: 0,
            unused: 0,
            cgroup: 0,
            destinations: 0,
            options: Options::NONE,
            #[cfg(feature = "next-abi")]
            reserved: [0; 5],
        }
    }

    /// What leaves every socket of `cgroup` alone and has the policies of all ancestors do so too: a claim and
    /// nothing else.
    #[must_use]
    pub const fn exempt(cgroup: u64) -> Self {
        Self::NOTHING.of_cgroup(cgroup).claiming(true)
    }

    /// The same for the cgroup with this id, which tells its marks on sockets from those of others.
    #[must_use]
    pub const fn of_cgroup(self, cgroup: u64) -> Self {
        Self { cgroup, ..self }
    }

    /// The same in another mode.
    #[must_use]
    pub const fn in_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// The same with or without a claim. It is for a cgroup that has a governed ancestor: the kernel runs the
    /// ancestor's program after this one, and the mark that a claim leaves on the socket makes it yield.
    #[must_use]
    pub const fn claiming(self, claims: bool) -> Self {
        Self { claims: claims as u32, ..self }
    }

    /// The same for those destinations only that the [`RuleSet`](crate::RuleSet) with this id has rules for; 0 for
    /// all.
    #[must_use]
    pub const fn to_destinations(self, id: u64) -> Self {
        Self { destinations: id, ..self }
    }

    /// The same with other options to set.
    #[must_use]
    pub const fn with_options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// What may be done.
    #[must_use]
    #[inline(always)]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The sockets it is for.
    #[must_use]
    #[inline(always)]
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// The values to set where no rule of the destinations has others.
    #[must_use]
    #[inline(always)]
    pub const fn timers(&self) -> Timers {
        self.timers
    }

    /// Whether an ancestor of the cgroup is governed too.
    #[must_use]
    #[inline(always)]
    pub const fn claims(&self) -> bool {
        self.claims != 0
    }

    /// The id of the cgroup it is of; 0 if it was never told.
    #[must_use]
    #[inline(always)]
    pub const fn cgroup(&self) -> u64 {
        self.cgroup
    }

    /// The id of the rules for destinations; 0 if it is for all.
    #[must_use]
    #[inline(always)]
    pub const fn destinations(&self) -> u64 {
        self.destinations
    }

    /// The other options to set.
    #[must_use]
    #[inline(always)]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Whether it does nothing but claim.
    #[must_use]
    pub const fn is_exempt(&self) -> bool {
        matches!(self.mode, Mode::Nothing) && self.claims()
    }

    /// The words as they lie in the map.
    #[must_use]
    pub fn to_words(&self) -> [u64; POLICY_WORDS] {
        // SAFETY: both are plain data of the same size, without padding (a test counts the fields), and the words'
        // alignment is that of the policy.
        unsafe { core::mem::transmute::<Self, [u64; POLICY_WORDS]>(*self) }
    }

    /// The policy that lies in a map as `words`; `None` if no version of this layout wrote them.
    #[must_use]
    pub fn from_words(words: &[u64; POLICY_WORDS]) -> Option<Self> {
        let [first, ..] = *words;
        let [mode, direction] = halves(first);
        let mode = match mode {
            0 => Mode::Nothing,
            1 => Mode::Monitor,
            2 => Mode::FillMissing,
            3 => Mode::Tighten,
            4 => Mode::Enforce,
            _ => return None,
        };
        let direction = match direction {
            0 => Direction::Both,
            1 => Direction::Outbound,
            2 => Direction::Inbound,
            _ => return None,
        };
        let mut valid = *words;
        valid[0] = 0;
        // SAFETY: with the first word zero, which is `Nothing` and `Both`, every pattern of bytes is a value: all
        // other fields are integers.
        let rest = unsafe { core::mem::transmute::<[u64; POLICY_WORDS], Self>(valid) };
        (rest.claims <= 1 && rest.unused == 0).then_some(Self { mode, direction, ..rest })
    }
}

/// The two 32-bit words of a 64-bit one, as they lie in memory.
const fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMERS: Timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 120_000 };

    fn policy() -> Policy {
        let options = Options { which: Options::MARK, mark: 7, ..Options::NONE };
        Policy::new(Mode::Tighten, Direction::Inbound, TIMERS)
            .claiming(true)
            .of_cgroup(42)
            .to_destinations(u64::MAX)
            .with_options(options)
    }

    #[test]
    fn the_layout_is_the_one_that_is_pinned() {
        let words = policy().to_words();

        let halves: Vec<u32> = words[..4].iter().flat_map(|word| halves(*word)).collect();
        assert_eq!(halves, [3, 2, 60, 15, 4, 120_000, 1, 0]);
        assert_eq!(words[4..6], [42, u64::MAX]);
        let fields = size_of::<[u32; 8]>() + 2 * size_of::<u64>() + size_of::<Options>();
        let reserved = if cfg!(feature = "next-abi") { 40 } else { 0 };
        assert_eq!(size_of::<Policy>(), fields + reserved);
        assert_eq!(align_of::<Policy>(), align_of::<u64>());
    }

    #[test]
    fn zeroed_storage_is_no_policy() {
        assert_eq!(Policy::from_words(&[0; POLICY_WORDS]), Some(Policy::NOTHING));
        assert_eq!(Policy::NOTHING.to_words(), [0; POLICY_WORDS]);
    }

    #[test]
    fn every_policy_reads_back_as_written() {
        for mode in [Mode::Nothing, Mode::Monitor, Mode::FillMissing, Mode::Tighten, Mode::Enforce] {
            for direction in [Direction::Both, Direction::Outbound, Direction::Inbound] {
                for claims in [false, true] {
                    let policy = Policy { mode, direction, ..policy() }.claiming(claims);
                    assert_eq!(Policy::from_words(&policy.to_words()), Some(policy));
                }
            }
        }
    }

    #[test]
    fn words_that_no_policy_has_are_refused() {
        for (field, value) in [(0, 5), (1, 3), (6, 2), (7, 1)] {
            let mut words = policy().to_words();
            let mut halves = halves(words[field / 2]);
            halves[field % 2] = value;
            words[field / 2] = (0..2)
                .map(|half| {
                    u64::from(halves[half])
                        << (if cfg!(target_endian = "little") { half } else { 1 - half } * 32)
                })
                .sum();
            assert_eq!(Policy::from_words(&words), None, "field {field} = {value}");
        }
    }

    #[test]
    fn exempt_is_a_claim_and_nothing_else() {
        let exempt = Policy::exempt(42);

        assert!(exempt.is_exempt() && exempt.claims() && exempt.cgroup() == 42);
        assert!(!policy().is_exempt() && !Policy::NOTHING.is_exempt());
    }

    #[test]
    fn a_direction_covers_itself_and_both_covers_all() {
        use Direction::{Both, Inbound, Outbound};
        for (policy, socket, covered) in [
            (Both, Outbound, true),
            (Both, Inbound, true),
            (Outbound, Outbound, true),
            (Outbound, Inbound, false),
            (Inbound, Outbound, false),
            (Inbound, Inbound, true),
        ] {
            assert_eq!(policy.covers(socket), covered, "{policy:?} {socket:?}");
        }
    }
}
