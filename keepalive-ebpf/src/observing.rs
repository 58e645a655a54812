//! What is told of a connection that nobody touches.

use crate::{Socket, SocketOption, Timers};

/// The options of a connection, as the program `sockets` writes them, one record each.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The socket's cookie: its name for as long as the kernel runs.
    pub cookie: u64,
    /// Each is [`Observed::UNKNOWN`] if the kernel cannot tell it.
    pub timers: Timers,
    /// Whether keep-alive is on, 0 or 1; likewise.
    pub keepalive: u32,
    /// Nothing: it fills the record.
    pub unused: u32,
}

/// The length of an [`Observed`] as the program writes it.
pub const OBSERVED_BYTES: usize = size_of::<Observed>();

impl Observed {
    /// What stands for a value that the kernel cannot tell; no option has it.
    pub const UNKNOWN: u32 = u32::MAX;

    /// The options of a socket, each asked for once.
    #[inline(always)]
    pub fn of(cookie: u64, socket: &impl Socket) -> Self {
        let get = |option| socket.read(option).or(Self::UNKNOWN);
        Self {
            cookie,
            timers: Timers {
                idle_s: get(SocketOption::Idle),
                interval_s: get(SocketOption::Interval),
                probes: get(SocketOption::Probes),
                user_timeout_ms: get(SocketOption::UserTimeout),
            },
            keepalive: get(SocketOption::Keepalive),
            unused: 0,
        }
    }

    /// What the program wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; OBSERVED_BYTES]) -> Self {
        // SAFETY: it is plain data of this size, all of it integers, which any bytes are.
        unsafe { core::mem::transmute::<[u8; OBSERVED_BYTES], Self>(*bytes) }
    }
}

impl Socket for Observed {
    fn get(&self, option: SocketOption) -> Option<u32> {
        let value = match option {
            SocketOption::Keepalive => self.keepalive,
            SocketOption::Idle => self.timers.idle_s,
            SocketOption::Interval => self.timers.interval_s,
            SocketOption::Probes => self.timers.probes,
            SocketOption::UserTimeout => self.timers.user_timeout_ms,
        };
        (value != Self::UNKNOWN).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket of a kernel that cannot tell a user timeout.
    struct Partly;

    impl Socket for Partly {
        fn get(&self, option: SocketOption) -> Option<u32> {
            match option {
                SocketOption::Keepalive => Some(1),
                SocketOption::Idle => Some(60),
                SocketOption::Interval => Some(15),
                SocketOption::Probes => Some(4),
                SocketOption::UserTimeout => None,
            }
        }
    }

    #[test]
    fn what_is_told_is_what_was_asked_for_also_through_bytes() {
        let told = Observed::of(7, &Partly);
        // SAFETY: plain data without padding: its fields fill 32 bytes.
        let bytes = unsafe { core::mem::transmute::<Observed, [u8; OBSERVED_BYTES]>(told) };

        let read = Observed::from_bytes(&bytes);

        assert_eq!((read, read.cookie, OBSERVED_BYTES), (told, 7, 32));
        for option in [SocketOption::Keepalive, SocketOption::Idle, SocketOption::UserTimeout] {
            assert_eq!(read.get(option), Partly.get(option));
        }
    }
}
