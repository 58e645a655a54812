//! A socket by its descriptor: its options, and what it is.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

use keepalive_ebpf::{Socket, SocketOption, Timers};
use socket2::SockRef;

use super::super::super::waiting;

/// The level and name of an option.
pub(super) type Name = (libc::c_int, libc::c_int);

/// A socket.
pub(crate) struct OpenSocket(OwnedFd);

impl OpenSocket {
    pub(crate) const fn new(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// The kernel's name for it, which no other socket ever has.
    pub(crate) fn cookie(&self) -> io::Result<u64> {
        self.bytes((libc::SOL_SOCKET, libc::SO_COOKIE)).map(u64::from_ne_bytes)
    }

    /// Whether it is one of TCP, and not a raw one or what another protocol (MPTCP) is made of.
    pub(crate) fn is_tcp(&self) -> io::Result<bool> {
        Ok(self.number((libc::SOL_SOCKET, libc::SO_TYPE))? == libc::SOCK_STREAM.cast_unsigned()
            && self.number((libc::SOL_SOCKET, libc::SO_PROTOCOL))? == libc::IPPROTO_TCP.cast_unsigned())
    }

    /// The state of a socket of TCP.
    pub(crate) fn state(&self) -> io::Result<u8> {
        // `tcpi_state` is the first byte of `struct tcp_info`, and the kernel copies as much as is asked for.
        self.bytes((libc::IPPROTO_TCP, libc::TCP_INFO)).map(|[state]| state)
    }

    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        ip(&SockRef::from(&self.0).local_addr()?)
    }

    pub(crate) fn remote(&self) -> io::Result<SocketAddr> {
        ip(&SockRef::from(&self.0).peer_addr()?)
    }

    pub(super) fn number(&self, name: Name) -> io::Result<u32> {
        self.bytes(name).map(u32::from_ne_bytes)
    }

    /// An option of `N` bytes; what the kernel does not fill is zero.
    pub(super) fn bytes<const N: usize>(&self, (level, name): Name) -> io::Result<[u8; N]> {
        let mut value = [0_u8; N];
        let mut length = libc::socklen_t::try_from(N).map_err(io::Error::other)?;
        // SAFETY: the descriptor is open as long as this owns it; the kernel writes no more than `length` bytes to
        // the value, which is as long.
        let result = waiting::wait(|| unsafe {
            libc::getsockopt(self.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut length)
        });
        if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
    }

    /// Sets an option.
    pub(super) fn set(&self, (level, name): Name, value: &[u8]) -> io::Result<()> {
        let length = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
        // SAFETY: as in `bytes`; the kernel reads the `length` bytes of the value.
        let result = waiting::wait(|| unsafe {
            libc::setsockopt(self.as_raw_fd(), level, name, value.as_ptr().cast(), length)
        });
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsRawFd for OpenSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The options that this project is about, as they were at one time.
pub(in crate::kernel) struct Values {
    keepalive: Option<u32>,
    idle_s: Option<u32>,
    interval_s: Option<u32>,
    probes: Option<u32>,
    user_timeout_ms: Option<u32>,
}

impl Values {
    pub(in crate::kernel) fn of(socket: &OpenSocket) -> Self {
        let read = |option| socket.number(name(option)).ok();
        Self {
            keepalive: read(SocketOption::Keepalive),
            idle_s: read(SocketOption::Idle),
            interval_s: read(SocketOption::Interval),
            probes: read(SocketOption::Probes),
            user_timeout_ms: read(SocketOption::UserTimeout),
        }
    }

    /// As [`Swept`](keepalive_ebpf::Swept) tells them.
    pub(super) fn timers(&self) -> Timers {
        Timers {
            idle_s: self.idle_s.unwrap_or(UNKNOWN),
            interval_s: self.interval_s.unwrap_or(UNKNOWN),
            probes: self.probes.unwrap_or(UNKNOWN),
            user_timeout_ms: self.user_timeout_ms.unwrap_or(UNKNOWN),
        }
    }

    /// Whether keep-alive is on, likewise.
    pub(super) fn keepalive(&self) -> u32 {
        self.keepalive.unwrap_or(UNKNOWN)
    }
}

/// What stands in a [`Swept`](keepalive_ebpf::Swept) for a value that cannot be read; no option has it.
const UNKNOWN: u32 = u32::MAX;

impl Socket for Values {
    fn get(&self, option: SocketOption) -> Option<u32> {
        match option {
            SocketOption::Keepalive => self.keepalive,
            SocketOption::Idle => self.idle_s,
            SocketOption::Interval => self.interval_s,
            SocketOption::Probes => self.probes,
            SocketOption::UserTimeout => self.user_timeout_ms,
        }
    }
}

pub(super) const fn name(option: SocketOption) -> Name {
    match option {
        SocketOption::Keepalive => (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
        SocketOption::Idle => (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
        SocketOption::Interval => (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
        SocketOption::Probes => (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
        SocketOption::UserTimeout => (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
    }
}

fn ip(address: &socket2::SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::other("not an IP address"))
}
