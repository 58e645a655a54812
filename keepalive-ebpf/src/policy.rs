//! The policy of one cgroup, as the kernel side reads it.

/// What may be done to a socket.
///
/// A `repr(u32)` enum rather than a number so that its names are in the program's BTF and `bpftool map dump`
/// prints them.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No policy: the cgroup is attached but nothing was written yet. With a claim, see [`Policy::EXEMPT`].
    Nothing = 0,
    /// Count what would be done.
    Monitor = 1,
    /// Arm sockets whose application did not ask for keep-alive, leave the others alone.
    FillMissing = 2,
    /// As `FillMissing`, and lower the values of the others to the policy's where they are higher.
    Tighten = 3,
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

/// The number of 32-bit words of a [`Policy`].
pub const POLICY_WORDS: usize = size_of::<Policy>() / size_of::<u32>();

/// The value of the `POLICY` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    mode: Mode,
    direction: Direction,
    idle_s: u32,
    interval_s: u32,
    probes: u32,
    user_timeout_ms: u32,
    claims: u32,
    #[cfg(feature = "next-abi")]
    reserved: [u32; 9],
}

impl Policy {
    /// No policy; all its bytes are zero.
    pub const NOTHING: Self = Self::new(
        Mode::Nothing,
        Direction::Both,
        Timers { idle_s: 0, interval_s: 0, probes: 0, user_timeout_ms: 0 },
        false,
    );

    /// Leaves every socket alone and has the policies of all ancestors do so too: a claim and nothing else.
    pub const EXEMPT: Self = Self::new(
        Mode::Nothing,
        Direction::Both,
        Timers { idle_s: 0, interval_s: 0, probes: 0, user_timeout_ms: 0 },
        true,
    );

    /// A policy. `claims` is for a cgroup that has a governed ancestor: the kernel runs the ancestor's program
    /// after this one, and the mark that a claim leaves on the socket makes it yield.
    #[must_use]
    pub const fn new(mode: Mode, direction: Direction, timers: Timers, claims: bool) -> Self {
        let Timers { idle_s, interval_s, probes, user_timeout_ms } = timers;
        Self {
            mode,
            direction,
            idle_s,
            interval_s,
            probes,
            user_timeout_ms,
            claims: claims as u32,
            #[cfg(feature = "next-abi")]
            reserved: [0; 9],
        }
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

    /// The values to set.
    #[must_use]
    #[inline(always)]
    pub const fn timers(&self) -> Timers {
        Timers {
            idle_s: self.idle_s,
            interval_s: self.interval_s,
            probes: self.probes,
            user_timeout_ms: self.user_timeout_ms,
        }
    }

    /// Whether an ancestor of the cgroup is governed too.
    #[must_use]
    #[inline(always)]
    pub const fn claims(&self) -> bool {
        self.claims != 0
    }

    /// The words as they lie in the map.
    #[must_use]
    pub fn to_words(&self) -> [u32; POLICY_WORDS] {
        let mut words = [0; POLICY_WORDS];
        words[..7].copy_from_slice(&[
            self.mode as u32,
            self.direction as u32,
            self.idle_s,
            self.interval_s,
            self.probes,
            self.user_timeout_ms,
            self.claims,
        ]);
        words
    }

    /// The policy that lies in a map as `words`; `None` if no version of this layout wrote them.
    #[must_use]
    pub fn from_words(words: &[u32; POLICY_WORDS]) -> Option<Self> {
        let [mode, direction, idle_s, interval_s, probes, user_timeout_ms, claims, ..] = *words;
        let mode = match mode {
            0 => Mode::Nothing,
            1 => Mode::Monitor,
            2 => Mode::FillMissing,
            3 => Mode::Tighten,
            _ => return None,
        };
        let direction = match direction {
            0 => Direction::Both,
            1 => Direction::Outbound,
            2 => Direction::Inbound,
            _ => return None,
        };
        let timers = Timers { idle_s, interval_s, probes, user_timeout_ms };
        (claims <= 1).then(|| Self::new(mode, direction, timers, claims == 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMERS: Timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 120_000 };

    #[test]
    fn the_layout_is_the_one_that_is_pinned() {
        let words = Policy::new(Mode::Tighten, Direction::Inbound, TIMERS, true).to_words();

        assert_eq!(words[..7], [3, 2, 60, 15, 4, 120_000, 1]);
        assert_eq!(size_of::<Policy>(), if crate::ABI_VERSION == 1 { 28 } else { 64 });
        assert_eq!(align_of::<Policy>(), 4);
    }

    #[test]
    fn zeroed_storage_is_no_policy() {
        assert_eq!(Policy::from_words(&[0; POLICY_WORDS]), Some(Policy::NOTHING));
        assert_eq!(Policy::NOTHING.to_words(), [0; POLICY_WORDS]);
    }

    #[test]
    fn every_policy_reads_back_as_written() {
        for mode in [Mode::Nothing, Mode::Monitor, Mode::FillMissing, Mode::Tighten] {
            for direction in [Direction::Both, Direction::Outbound, Direction::Inbound] {
                for claims in [false, true] {
                    let policy = Policy::new(mode, direction, TIMERS, claims);
                    assert_eq!(Policy::from_words(&policy.to_words()), Some(policy));
                }
            }
        }
    }

    #[test]
    fn words_that_no_policy_has_are_refused() {
        for (word, value) in [(0, 4), (1, 3), (6, 2)] {
            let mut words = Policy::new(Mode::Tighten, Direction::Both, TIMERS, false).to_words();
            words[word] = value;
            assert_eq!(Policy::from_words(&words), None, "word {word} = {value}");
        }
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
