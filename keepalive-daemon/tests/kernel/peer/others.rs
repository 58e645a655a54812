//! The options other than keep-alive that a policy can set.

use std::{io, os::fd::AsRawFd as _};

use serde::{Deserialize, Serialize};
use socket2::Socket;

/// Their values, as getsockopt tells them; on setting, what is absent is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Others {
    pub(crate) no_delay: Option<i32>,
    pub(crate) not_sent_lowat: Option<i32>,
    pub(crate) max_segment: Option<i32>,
    pub(crate) syn_count: Option<i32>,
    pub(crate) priority: Option<i32>,
    pub(crate) mark: Option<i32>,
    pub(crate) tos: Option<i32>,
    pub(crate) traffic_class: Option<i32>,
    pub(crate) congestion: Option<String>,
}

impl Others {
    /// Each number with its level and name.
    fn numbers(&mut self) -> [(&mut Option<i32>, i32, i32); 8] {
        [
            (&mut self.no_delay, libc::SOL_TCP, libc::TCP_NODELAY),
            (&mut self.not_sent_lowat, libc::SOL_TCP, libc::TCP_NOTSENT_LOWAT),
            (&mut self.max_segment, libc::SOL_TCP, libc::TCP_MAXSEG),
            (&mut self.syn_count, libc::SOL_TCP, libc::TCP_SYNCNT),
            (&mut self.priority, libc::SOL_SOCKET, libc::SO_PRIORITY),
            (&mut self.mark, libc::SOL_SOCKET, libc::SO_MARK),
            (&mut self.tos, libc::SOL_IP, libc::IP_TOS),
            (&mut self.traffic_class, libc::SOL_IPV6, libc::IPV6_TCLASS),
        ]
    }
}

/// What a socket has; absent is what its kind has not.
pub(super) fn get(socket: &Socket) -> io::Result<Others> {
    let mut others = Others::default();
    for (value, level, name) in others.numbers() {
        let (mut found, mut length) = (0_i32, 4);
        // SAFETY: the descriptor is open, and the buffer is as long as it says.
        let result = unsafe {
            libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut found).cast(), &raw mut length)
        };
        *value = (result == 0).then_some(found);
    }
    let congestion = socket.tcp_congestion()?;
    let name = congestion.split(|byte| *byte == 0).next().unwrap_or_default();
    others.congestion = Some(String::from_utf8_lossy(name).into_owned());
    Ok(others)
}

pub(super) fn set(socket: &Socket, mut others: Others) -> io::Result<()> {
    for (value, level, name) in others.numbers() {
        let Some(value) = *value else { continue };
        // SAFETY: the descriptor is open, and the buffer is as long as it says.
        let result =
            unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), 4) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    others.congestion.map_or(Ok(()), |name| socket.set_tcp_congestion(name.as_bytes()))
}
