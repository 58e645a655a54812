//! A socket as sock_diag tells it: `struct inet_diag_msg` and the attributes after it. Pure.
//!
//! Read by hand: the crate that writes the question leaves out how many probes are unanswered, and takes some attributes
//! only in the length that the newest kernels give them.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::NlasIterator;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6};

/// `INET_DIAG_INFO`, a `struct tcp_info`.
const INFO: u16 = 2;
/// `INET_DIAG_CGROUP_ID`; part of every answer since Linux 5.8.
const CGROUP_ID: u16 = 21;
/// The length of `struct inet_diag_msg`.
const HEADER: usize = 72;

/// A TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its name for as long as the kernel runs.
    pub(crate) cookie: u64,
    /// By which the links in `/proc/PID/fd` name it; 0 if it has no descriptor because nobody has accepted it yet.
    pub(crate) inode: u32,
    /// Such as [`TCP_ESTABLISHED`](super::TCP_ESTABLISHED).
    pub(crate) state: u8,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// The id of the cgroup it was made in; `None` if the kernel does not tell.
    pub(crate) cgroup: Option<u64>,
    /// The timer that runs.
    pub(crate) timer: Option<Timer>,
    /// If they were asked for, and it is a whole socket.
    pub(crate) times: Option<Times>,
}

/// A timer of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    pub(crate) kind: TimerKind,
    /// From now, in milliseconds.
    pub(crate) expires_ms: u32,
    /// Probes, or segments, that were sent without an answer.
    pub(crate) unanswered: u8,
}

/// What a timer is for. The kernel tells of one, and of keep-alive last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerKind {
    /// To send again what was not acknowledged.
    Retransmission,
    /// Keep-alive, and in FIN-WAIT-2 the end of waiting.
    Keepalive,
    /// The end of TIME-WAIT.
    TimeWait,
    /// To probe a window that was closed.
    Persist,
}

/// How long ago something happened, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) last_data_sent_ms: u32,
    pub(crate) last_data_received_ms: u32,
    /// Of whatever kind, also of a probe.
    pub(crate) last_ack_received_ms: u32,
}

/// Reads the payload of a message about a socket.
///
/// # Errors
/// If it is none.
pub(super) fn read(payload: &[u8]) -> Result<Listed> {
    let (header, attributes) = payload.split_first_chunk::<HEADER>().context("the answer is too short")?;
    let mut listed = read_header(header)?;
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        match attribute.kind() {
            INFO => listed.times = times(attribute.value()),
            CGROUP_ID => listed.cgroup = attribute.value().try_into().ok().map(u64::from_ne_bytes),
            _ => {}
        }
    }
    Ok(listed)
}

/// The errno that a message begins with, zero or negative.
pub(super) fn errno(payload: &[u8]) -> i32 {
    payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes))
}

fn read_header(header: &[u8; HEADER]) -> Result<Listed> {
    let [family, state, timer, unanswered, ..] = *header;
    let word = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let ip = |at: usize| {
        Ok(match family {
            AF_INET => IpAddr::from(word(at)),
            AF_INET6 => IpAddr::from(<[u8; 16]>::try_from(&header[at..at + 16])?),
            other => bail!("the answer is of the unknown family {other}"),
        })
    };
    let number = |at: usize| u32::from_ne_bytes(word(at));
    let kind = match timer {
        1 => Some(TimerKind::Retransmission),
        2 => Some(TimerKind::Keepalive),
        3 => Some(TimerKind::TimeWait),
        4 => Some(TimerKind::Persist),
        _ => None,
    };
    Ok(Listed {
        // The kernel writes the lower half first, whatever the order of bytes.
        cookie: u64::from(number(48)) << 32 | u64::from(number(44)),
        inode: number(68),
        state,
        local: SocketAddr::new(ip(8)?, port(4)),
        remote: SocketAddr::new(ip(24)?, port(6)),
        cgroup: None,
        timer: kind.map(|kind| Timer { kind, expires_ms: number(52), unanswered }),
        times: None,
    })
}

/// What is read of a `struct tcp_info`, whose beginning has been the same since Linux 2.6.
fn times(info: &[u8]) -> Option<Times> {
    let number = |at: usize| {
        let bytes = info.get(at..)?.first_chunk()?;
        Some(u32::from_ne_bytes(*bytes))
    };
    Some(Times {
        last_data_sent_ms: number(44)?,
        last_data_received_ms: number(52)?,
        last_ack_received_ms: number(56)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(family: u8, timer: u8) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&[family, 1, timer, 3, 0x1f, 0x90, 0x00, 0x50]);
        header[8..12].copy_from_slice(&[10, 0, 0, 7]);
        header[24..28].copy_from_slice(&[10, 0, 0, 9]);
        header[44..48].copy_from_slice(&7_u32.to_ne_bytes());
        header[48..52].copy_from_slice(&1_u32.to_ne_bytes());
        header[52..56].copy_from_slice(&59_000_u32.to_ne_bytes());
        header[68..].copy_from_slice(&4026_u32.to_ne_bytes());
        header
    }

    #[test]
    fn each_field_is_where_the_kernel_puts_it() {
        let listed = read(&header(AF_INET, 2)).expect("it is whole");

        let timer = Timer { kind: TimerKind::Keepalive, expires_ms: 59_000, unanswered: 3 };
        assert_eq!((listed.cookie, listed.inode, listed.state), ((1 << 32) + 7, 4026, 1));
        assert_eq!([listed.local.to_string(), listed.remote.to_string()], ["10.0.0.7:8080", "10.0.0.9:80"]);
        assert_eq!((listed.timer, listed.cgroup, listed.times), (Some(timer), None, None));
        assert_eq!(read(&header(AF_INET6, 0)).map(|it| it.timer).ok(), Some(None));
        assert!(read(&header(7, 0)).is_err());
    }

    #[test]
    fn a_shorter_description_of_the_connection_has_no_times() {
        let mut info = [0; 60];
        for (at, value) in [(44, 1_u32), (48, 9), (52, 2), (56, 3)] {
            info[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }

        let read = times(&info).expect("it is long enough");

        assert_eq!(
            [read.last_data_sent_ms, read.last_data_received_ms, read.last_ack_received_ms],
            [1, 2, 3]
        );
        assert_eq!(times(&info[..59]), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (read(&payload), errno(&payload));
        }
    }
}
