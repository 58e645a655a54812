//! A connection as it is told: pure.

use std::net::{IpAddr, SocketAddr};

use keepalive_ebpf::{Observed, Remote, Socket as _, SocketOption};

use super::{
    places::{Governing, Place},
    verdict::{Facts, Phase, verdict},
};
use crate::{
    kernel::sockets::{Listed, Observation, TimerKind},
    report::{
        sockets::{Process, SocketRow, Timer},
        sweep::Values,
    },
};

/// Puts together what is known of a connection, and of the cgroup it belongs to.
pub(super) fn row(place: Option<&Place>, seen: &Observation<'_>) -> SocketRow {
    let Observation { network, network_id, socket, direction, options, holder } = seen;
    let governing = place.map_or(&Governing::Nobody, |place| &place.governing);
    let phase = phase(socket.state);
    let is_on = options.map_or_else(|| is_on(socket, phase), |options| on(&options));
    let facts =
        Facts { phase, direction: *direction, remote: remote(&socket.remote), is_on, options: *options };
    let (verdict, why) = verdict(governing, &facts);
    let why = if place.is_none() { "its cgroup is gone, or not below --cgroup-root".to_owned() } else { why };
    SocketRow {
        cookie: socket.cookie,
        pod: place.and_then(|place| place.pod.clone()),
        cgroup: place.map(|place| place.cgroup.clone()),
        network: (*network).to_owned(),
        network_id: (*network_id).to_owned(),
        process: holder.as_ref().map(|(pid, name)| Process { pid: *pid, name: name.clone() }),
        direction: Some(format!("{direction:?}")),
        local: plain(&socket.local),
        remote: plain(&socket.remote),
        state: state(socket.state).to_owned(),
        options: options.map_or_else(|| Values { keepalive: is_on, ..Values::default() }, |it| values(&it)),
        timer: socket.timer.map(|timer| Timer {
            kind: kind(timer.kind).to_owned(),
            expires_milliseconds: timer.expires_ms,
            unanswered: timer.unanswered.into(),
        }),
        last_data_sent_milliseconds: socket.times.map(|times| times.last_data_sent_ms),
        last_data_received_milliseconds: socket.times.map(|times| times.last_data_received_ms),
        last_ack_received_milliseconds: socket.times.map(|times| times.last_ack_received_ms),
        policy: match governing {
            Governing::Policy(ruling) => Some(ruling.name.clone()),
            Governing::Nobody | Governing::Exec => None,
        },
        verdict,
        why,
    }
}

fn on(options: &Observed) -> Option<bool> {
    options.get(SocketOption::Keepalive).map(|on| on != 0)
}

/// Whether keep-alive is on, by the timer alone: that of an open connection runs as long as it is on, but the kernel
/// tells of it only if no other does.
fn is_on(socket: &Listed, phase: Phase) -> Option<bool> {
    match socket.timer.map(|timer| timer.kind) {
        Some(TimerKind::Keepalive) if phase == Phase::Open => Some(true),
        None if phase == Phase::Open => Some(false),
        _ => None,
    }
}

fn values(options: &Observed) -> Values {
    Values {
        keepalive: on(options),
        idle_seconds: options.get(SocketOption::Idle),
        interval_seconds: options.get(SocketOption::Interval),
        probes: options.get(SocketOption::Probes),
        user_timeout_milliseconds: options.get(SocketOption::UserTimeout),
    }
}

/// The other end, as rules for destinations look it up.
fn remote(address: &SocketAddr) -> Remote {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
    let words = [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(u32::from_be_bytes);
    Remote::v6(words, address.port())
}

/// The address, with IPv4 told as such.
const fn plain(address: &SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The kernel's states, and how `ss` names them.
const STATES: [(&str, Phase); 12] = [
    ("UNKNOWN", Phase::Closing),
    ("ESTAB", Phase::Open),
    ("SYN-SENT", Phase::Opening),
    ("SYN-RECV", Phase::Opening),
    ("FIN-WAIT-1", Phase::Closing),
    ("FIN-WAIT-2", Phase::Closing),
    ("TIME-WAIT", Phase::Closing),
    ("UNCONN", Phase::Closing),
    ("CLOSE-WAIT", Phase::Open),
    ("LAST-ACK", Phase::Closing),
    ("LISTEN", Phase::Opening),
    ("CLOSING", Phase::Closing),
];

fn state(state: u8) -> &'static str {
    STATES.get(usize::from(state)).unwrap_or(&STATES[0]).0
}

fn phase(state: u8) -> Phase {
    STATES.get(usize::from(state)).unwrap_or(&STATES[0]).1
}

const fn kind(kind: TimerKind) -> &'static str {
    match kind {
        TimerKind::Retransmission => "on",
        TimerKind::Keepalive => "keepalive",
        TimerKind::TimeWait => "timewait",
        TimerKind::Persist => "persist",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::sockets::{self, Times},
        report::sockets::Verdict,
    };
    use keepalive_ebpf::{Direction, Timers};

    fn socket(state: u8, timer: Option<TimerKind>) -> Listed {
        let timer = timer.map(|kind| sockets::Timer { kind, expires_ms: 59_000, unanswered: 1 });
        let times = Times { last_data_sent_ms: 1, last_data_received_ms: 2, last_ack_received_ms: 3 };
        Listed {
            cookie: 7,
            inode: 0,
            state,
            local: SocketAddr::from(([10, 0, 0, 7], 41_234)),
            remote: "[::ffff:10.0.0.9]:5432".parse().unwrap_or(SocketAddr::from(([0; 4], 0))),
            cgroup: Some(1),
            timer,
            times: Some(times),
        }
    }

    fn told(socket: &Listed, options: Option<Observed>) -> SocketRow {
        let place = Place { cgroup: "app".to_owned(), pod: None, governing: Governing::Nobody };
        let direction = Direction::Outbound;
        let (network, network_id) = ("/n", "4:1");
        row(Some(&place), &Observation { network, network_id, socket, direction, options, holder: None })
    }

    #[test]
    fn all_that_was_seen_is_told() {
        let timers = Timers { idle_s: 60, interval_s: 15, probes: 4, user_timeout_ms: 0 };
        let options = Observed { cookie: 7, timers, keepalive: 1, unused: 0 };

        let row = told(&socket(1, Some(TimerKind::Keepalive)), Some(options));

        assert_eq!((row.state.as_str(), row.remote.to_string()), ("ESTAB", "10.0.0.9:5432".to_owned()));
        let timer = Timer { kind: "keepalive".to_owned(), expires_milliseconds: 59_000, unanswered: 1 };
        assert_eq!((row.timer, row.options.idle_seconds), (Some(timer), Some(60)));
        assert_eq!((row.options.keepalive, row.verdict), (Some(true), Verdict::Application));
        assert_eq!(row.last_data_received_milliseconds, Some(2));
    }

    #[test]
    fn without_options_the_timer_tells_whether_keep_alive_is_on() {
        let keepalive = |state, timer| told(&socket(state, timer), None).options.keepalive;

        assert_eq!(keepalive(1, Some(TimerKind::Keepalive)), Some(true));
        assert_eq!(keepalive(1, None), Some(false));
        // It may run behind the other; and in FIN-WAIT-2 the same timer ends the waiting.
        assert_eq!(keepalive(1, Some(TimerKind::Retransmission)), None);
        assert_eq!(keepalive(5, Some(TimerKind::Keepalive)), None);
    }

    #[test]
    fn the_other_end_is_looked_up_as_the_programs_do() {
        let v4 = SocketAddr::from(([10, 0, 0, 9], 5432));
        assert_eq!(remote(&v4), Remote::v4(0x0a00_0009, 5432));
        assert_eq!(remote(&socket(1, None).remote), remote(&v4));
    }

    #[test]
    fn a_state_that_is_not_known_yet_is_told_as_that() {
        assert_eq!([state(9), state(12), state(255)], ["LAST-ACK", "UNKNOWN", "UNKNOWN"]);
    }
}
