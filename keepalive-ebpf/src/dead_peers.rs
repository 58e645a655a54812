//! The end of a connection whose peer was found dead: how the `closing` program tells it from every other end, and
//! what it tells.
//!
//! The kernel leaves it all on the socket when it closes it, and in this order since long before Linux 5.10: the error
//! first (`tcp_write_err`, `tcp_reset`, and what they share from 6.11 on), the state after it. A queue that is thrown away
//! before keeps its numbers: what was written and not acknowledged can still be told. An application that closes, with a
//! reset or without, changes the state before it leaves an error, if it leaves one.

/// By what a peer was found dead.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The connection was idle, and probes were not answered: as many as there are to be, or for as long as the user
    /// timeout allows. Without keep-alive an idle connection has no end, whatever its user timeout.
    Keepalive = 0,
    /// Data was not acknowledged for the user timeout. Keep-alive does not look at a connection that waits for that.
    UserTimeout = 1,
    /// A probe was answered with a reset: who answers knows nothing of the connection.
    Reset = 2,
}

/// What the kernel has left on a socket that it closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// `sk_err`
    pub error: u32,
    /// The probes sent since the peer was last heard of.
    pub probes_out: u32,
    /// Whether something was written that the peer has not acknowledged.
    pub is_pending: bool,
    /// The user timeout in milliseconds; 0 for none.
    pub user_timeout_ms: u32,
    /// The ticks since the peer was last heard of.
    pub unheard_ticks: u32,
}

const EPIPE: u32 = 32;
const ECONNABORTED: u32 = 103;
const ECONNRESET: u32 = 104;

impl Ending {
    /// By what the peer was found dead, if it was.
    ///
    /// A connection that nobody would have missed for `tcp_retries2` (15 minutes) is found dead by none of the means this
    /// project sets, and neither is one that somebody else ends (`ss --kill`).
    #[inline(always)]
    #[must_use]
    pub const fn finding(&self, ticks_a_second: u64) -> Option<Finding> {
        match self.error {
            0 | ECONNABORTED => None,
            // What a reset leaves on a connection whose other half was closed is EPIPE. One that comes without a probe is
            // the peer's own wish, and one that answers data is the application's discovery.
            ECONNRESET | EPIPE if self.probes_out > 0 && !self.is_pending => Some(Finding::Reset),
            ECONNRESET | EPIPE => None,
            // ETIMEDOUT, or what a router or the own machine had said meanwhile: EHOSTUNREACH, say.
            _ if !self.is_pending && self.probes_out > 0 => Some(Finding::Keepalive),
            _ if self.is_pending && self.is_unheard(ticks_a_second) => Some(Finding::UserTimeout),
            _ => None,
        }
    }

    /// Whether the peer was silent for as long as the user timeout. That also ends connections to peers that answer, and
    /// have no room for what is sent: the pauses between questions double, so they were heard of in its second half.
    #[inline(always)]
    const fn is_unheard(&self, ticks_a_second: u64) -> bool {
        let timeout_ms = self.user_timeout_ms as u64;
        let unheard = self.unheard_ticks as u64 * 1000;
        timeout_ms > 0 && unheard * 4 >= timeout_ms * 3 * ticks_a_second
    }
}

/// How many peers were found dead, by what: the value of the `DEAD_PEERS` map, whose key is the id of a cgroup.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadPeers {
    /// By [`Finding::Keepalive`].
    pub keepalive: u64,
    /// By [`Finding::UserTimeout`].
    pub user_timeout: u64,
    /// By [`Finding::Reset`].
    pub reset: u64,
    /// Of these, those that the ring buffer had no room for.
    pub untold: u64,
}

/// The key of the `DEAD_PEERS` map for the connections of cgroups that it has no room for; no cgroup has this id.
pub const UNCOUNTED: u64 = 0;

impl DeadPeers {
    /// The counts that lie in the map as `words`.
    #[must_use]
    pub const fn from_words(&[keepalive, user_timeout, reset, untold]: &[u64; 4]) -> Self {
        Self { keepalive, user_timeout, reset, untold }
    }

    /// By whatever.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.keepalive.wrapping_add(self.user_timeout).wrapping_add(self.reset)
    }

    /// Adds what was counted elsewhere, or since.
    pub const fn add(&mut self, other: &Self) {
        self.keepalive = self.keepalive.wrapping_add(other.keepalive);
        self.user_timeout = self.user_timeout.wrapping_add(other.user_timeout);
        self.reset = self.reset.wrapping_add(other.reset);
        self.untold = self.untold.wrapping_add(other.untold);
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            keepalive: self.keepalive.wrapping_sub(earlier.keepalive),
            user_timeout: self.user_timeout.wrapping_sub(earlier.user_timeout),
            reset: self.reset.wrapping_sub(earlier.reset),
            untold: self.untold.wrapping_sub(earlier.untold),
        }
    }
}

/// One peer that was found dead: a record of the `DEAD_PEER_LOG` ring buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadPeer {
    /// The id of the connection's cgroup.
    pub cgroup: u64,
    /// The local address as of IPv6, in network byte order; IPv4 is mapped.
    pub local: [u8; 16],
    /// The remote address.
    pub remote: [u8; 16],
    /// The local port.
    pub local_port: u32,
    /// The remote port.
    pub remote_port: u32,
    /// By what.
    pub finding: Finding,
    /// What the application is told: an errno.
    pub error: u32,
    /// The probes that were not answered.
    pub probes_out: u32,
    /// The ticks since data was last sent or received.
    pub silent_ticks: u32,
    /// The ticks since the peer was last heard of.
    pub unheard_ticks: u32,
    /// No part of it: records are whole words long.
    pub reserved: u32,
}

/// The length of a [`DeadPeer`].
pub const DEAD_PEER_BYTES: usize = size_of::<DeadPeer>();

impl DeadPeer {
    /// What the program wrote; `None` if it was something else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; DEAD_PEER_BYTES]) -> Option<Self> {
        const FINDING: usize = core::mem::offset_of!(DeadPeer, finding);

        let (words, _) = bytes.as_chunks();
        if u32::from_ne_bytes(words[FINDING / size_of::<u32>()]) > Finding::Reset as u32 {
            return None;
        }
        // SAFETY: it is plain data of this size, and the one field that is not integers, which any bytes are, has just been
        // looked at.
        Some(unsafe { core::mem::transmute::<[u8; DEAD_PEER_BYTES], Self>(*bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETIMEDOUT: u32 = 110;
    const EHOSTUNREACH: u32 = 113;
    const TICKS: u64 = 250;

    const fn ending(error: u32, probes_out: u32, is_pending: bool) -> Ending {
        Ending { error, probes_out, is_pending, user_timeout_ms: 0, unheard_ticks: 20 * 250 }
    }

    #[test]
    fn unanswered_probes_are_keep_alives_whatever_a_router_said() {
        for error in [ETIMEDOUT, EHOSTUNREACH] {
            assert_eq!(ending(error, 4, false).finding(TICKS), Some(Finding::Keepalive));
            let with_timeout = Ending { user_timeout_ms: 5000, ..ending(error, 1, false) };
            assert_eq!(with_timeout.finding(TICKS), Some(Finding::Keepalive));
        }
    }

    #[test]
    fn a_reset_counts_only_as_the_answer_to_a_probe() {
        for error in [ECONNRESET, EPIPE] {
            assert_eq!(ending(error, 1, false).finding(TICKS), Some(Finding::Reset));
            assert_eq!(ending(error, 0, false).finding(TICKS), None);
            // Zero windows are probed with the same counter.
            assert_eq!(ending(error, 1, true).finding(TICKS), None);
        }
    }

    #[test]
    fn unacknowledged_data_counts_only_if_the_user_timeout_ended_it() {
        let default = ending(ETIMEDOUT, 0, true);
        assert_eq!(default.finding(TICKS), None);
        let ended = |user_timeout_ms| Ending { user_timeout_ms, ..default }.finding(TICKS);
        assert_eq!(ended(20_000), Some(Finding::UserTimeout));
        // The segment that timed out was sent a moment before the peer was last heard of.
        assert_eq!(ended(20_100), Some(Finding::UserTimeout));
        // It answered that it has no room, 20 seconds ago.
        assert_eq!(ended(40_000), None);
    }

    #[test]
    fn an_application_that_closes_has_found_nobody_dead() {
        for (probes_out, is_pending) in [(0, false), (0, true), (3, false)] {
            assert_eq!(ending(0, probes_out, is_pending).finding(TICKS), None);
            assert_eq!(ending(ECONNABORTED, probes_out, is_pending).finding(TICKS), None);
        }
    }

    #[test]
    fn what_was_counted_is_a_difference() {
        let [before, after] = [[1, 2, 3, 4], [1, 4, 3, 5]].map(|words| DeadPeers::from_words(&words));

        let since = DeadPeers { user_timeout: 2, untold: 1, ..DeadPeers::default() };
        assert_eq!(after.since(&before), since);
    }

    #[test]
    fn records_have_no_padding_and_are_refused_if_they_are_none() {
        let mut bytes = [0; DEAD_PEER_BYTES];
        assert_eq!(DEAD_PEER_BYTES, 8 + 2 * 16 + 8 * 4);
        assert_eq!(DeadPeer::from_bytes(&bytes).map(|it| it.finding), Some(Finding::Keepalive));

        bytes[core::mem::offset_of!(DeadPeer, finding)] = 3;
        bytes[core::mem::offset_of!(DeadPeer, finding) + 3] = 3;
        assert_eq!(DeadPeer::from_bytes(&bytes), None);
    }
}
