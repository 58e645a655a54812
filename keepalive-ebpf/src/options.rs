//! Options other than keep-alive: which a policy sets, and which of them are left to the application.

use crate::{Mode, Reading};

/// Other options of a socket that a policy sets.
///
/// [`Options::CONNECTING`] are set before the first packet, because they are of the handshake; the others when the
/// connection is established, and on open ones.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// One bit an option: whether to set it. The values of the others are 0.
    pub which: u32,
    /// `TCP_NODELAY`, 0 or 1.
    pub no_delay: u32,
    /// `TCP_NOTSENT_LOWAT` in bytes, at least 1; 0 is the kernel's name for the sysctl's value.
    pub not_sent_lowat: u32,
    /// `TCP_MAXSEG`, 88 to 32767 bytes.
    pub max_segment: u32,
    /// `TCP_SYNCNT`, 1 to 127.
    pub syn_count: u32,
    /// `SO_PRIORITY`.
    pub priority: u32,
    /// `SO_MARK`.
    pub mark: u32,
    /// `IP_TOS`, and `IPV6_TCLASS` of IPv6 sockets: 0 to 255.
    pub tos: u32,
    /// `TCP_CONGESTION`: the algorithm's name, padded with zeros.
    pub congestion: [u8; CONGESTION_LENGTH],
    /// The algorithm of sockets whose application chose none.
    pub congestion_default: [u8; CONGESTION_LENGTH],
}

/// The longest name of a congestion control algorithm, with a zero at its end (`TCP_CA_NAME_MAX`).
pub const CONGESTION_LENGTH: usize = 16;

impl Options {
    /// The bit of `TCP_NODELAY`.
    pub const NO_DELAY: u32 = 1;
    /// The bit of `TCP_NOTSENT_LOWAT`.
    pub const NOT_SENT_LOWAT: u32 = 1 << 1;
    /// The bit of `TCP_MAXSEG`.
    pub const MAX_SEGMENT: u32 = 1 << 2;
    /// The bit of `TCP_SYNCNT`.
    pub const SYN_COUNT: u32 = 1 << 3;
    /// The bit of `SO_PRIORITY`.
    pub const PRIORITY: u32 = 1 << 4;
    /// The bit of `SO_MARK`.
    pub const MARK: u32 = 1 << 5;
    /// The bit of `IP_TOS`.
    pub const TOS: u32 = 1 << 6;
    /// The bit of `TCP_CONGESTION`.
    pub const CONGESTION: u32 = 1 << 7;
    /// The options that must be set before the handshake's first packet to matter for it.
    pub const CONNECTING: u32 = Self::MAX_SEGMENT | Self::SYN_COUNT | Self::PRIORITY | Self::MARK | Self::TOS;
    /// The options of [`Self::CONNECTING`] that what is accepted inherits from its listener.
    pub const LISTENING: u32 = Self::MAX_SEGMENT;
    /// The options that matter on an established connection.
    pub const ESTABLISHED: u32 =
        Self::NO_DELAY | Self::NOT_SENT_LOWAT | Self::PRIORITY | Self::MARK | Self::TOS | Self::CONGESTION;

    /// None.
    pub const NONE: Self = Self {
        which: 0,
        no_delay: 0,
        not_sent_lowat: 0,
        max_segment: 0,
        syn_count: 0,
        priority: 0,
        mark: 0,
        tos: 0,
        congestion: [0; CONGESTION_LENGTH],
        congestion_default: [0; CONGESTION_LENGTH],
    };
}

/// What reading the segment size gives where none was chosen, and always of a socket that connects
/// (`TCP_MSS_DEFAULT`).
const UNTOLD_SEGMENT: u32 = 536;

/// Whether an option whose value is `current` (`None` if it cannot be told) is left to the application where a policy
/// of `mode` wants `wanted`, which is another value: unless it is enforced, what an application chose stays, and what
/// it did not choose has the kernel's default, which is 0 for all but two. `Tighten` lowers a bound that is higher.
#[must_use]
#[inline(always)]
pub const fn is_left_to_application(mode: Mode, bit: u32, wanted: u32, current: Reading) -> bool {
    let Reading { is_known: true, value: current } = current else { return false };
    match mode {
        Mode::Enforce => false,
        Mode::Tighten if bit & (Options::NOT_SENT_LOWAT | Options::MAX_SEGMENT | Options::SYN_COUNT) != 0 => {
            let is_told = bit != Options::MAX_SEGMENT || current != UNTOLD_SEGMENT;
            is_told && current != 0 && current <= wanted
        }
        // Whether they were chosen, reading does not tell: of a socket without a count of SYNs it gives the sysctl's.
        _ if bit & (Options::MAX_SEGMENT | Options::SYN_COUNT) != 0 => false,
        _ => current != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Mode::{Enforce, FillMissing, Tighten},
        *,
    };

    #[test]
    fn what_an_application_chose_is_left_to_it() {
        for (mode, bit, wanted, current, is_left) in [
            (FillMissing, Options::MARK, 7, Some(0), false),
            (FillMissing, Options::MARK, 7, Some(9), true),
            (Tighten, Options::MARK, 7, Some(9), true),
            (Enforce, Options::MARK, 7, Some(9), false),
            (FillMissing, Options::MARK, 7, None, false),
            (FillMissing, Options::NOT_SENT_LOWAT, 5, Some(9), true),
            (Tighten, Options::NOT_SENT_LOWAT, 5, Some(9), false),
            (Tighten, Options::NOT_SENT_LOWAT, 9, Some(5), true),
            (Tighten, Options::SYN_COUNT, 3, Some(6), false),
            (Tighten, Options::SYN_COUNT, 3, Some(2), true),
            (FillMissing, Options::SYN_COUNT, 3, Some(2), false),
        ] {
            assert_eq!(
                is_left_to_application(mode, bit, wanted, Reading::of(current)),
                is_left,
                "{mode:?} {bit} {wanted} {current:?}"
            );
        }
    }

    #[test]
    fn a_segment_size_that_nobody_chose_is_not_the_applications() {
        let is_left =
            |current| is_left_to_application(Tighten, Options::MAX_SEGMENT, 1200, Reading::of(Some(current)));

        assert!(!is_left(UNTOLD_SEGMENT) && !is_left(1400) && is_left(500));
    }
}
