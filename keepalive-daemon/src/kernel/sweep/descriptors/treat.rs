//! What is done to one open connection: the same as the program `sweep` does, by system calls.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use keepalive_ebpf::{
    Changes, Decision, Direction, Mode, Options, Outcome, Policy, Remote, SocketOption, Sweep, Swept, Target,
    Timers, judge,
};

use super::{
    other_options,
    socket::{OpenSocket, Values, name},
};

/// An open connection.
pub(crate) struct Connection {
    pub(crate) socket: OpenSocket,
    pub(crate) cookie: u64,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// [`Direction::Both`] if it cannot be told, which only policies for both are for.
    pub(crate) direction: Direction,
}

impl Connection {
    /// The remote end, as rules for destinations look it up.
    pub(crate) fn destination(&self) -> Remote {
        let [high, low] = halves(&octets(&self.remote));
        Remote { high, low, port: self.remote.port() }
    }
}

/// Decides what comes of a connection and does it, if the sweep is one that does something. `wanted` and `previous`
/// are the values that the target's policies have for the destination.
pub(crate) fn treat(
    connection: &Connection,
    target: &Target,
    wanted: Option<Timers>,
    previous: Option<Timers>,
) -> Swept {
    let Connection { socket, cookie, local, remote, direction } = connection;
    let values = Values::of(socket);
    let Decision { changes, outcome } = judge(target, *direction, wanted, previous, &values);
    let mut errno = 0;
    if is_real(target, outcome) {
        apply(socket, &changes, &mut errno);
        // What is enforced of the others is enforced once.
        if is_covered(outcome) && matches!(target.sweep, Sweep::Apply) {
            other_options::apply(socket, &target.policy, Options::ESTABLISHED, &mut errno);
        }
    }
    Swept {
        cookie: *cookie,
        governor: target.policy.cgroup(),
        local: octets(local),
        remote: octets(remote),
        local_port: local.port().into(),
        remote_port: remote.port().into(),
        direction: *direction,
        outcome,
        set: changes.timers,
        arms: changes.arm.into(),
        clears_user_timeout: changes.clear_user_timeout.into(),
        before: values.timers(),
        was_on: values.keepalive(),
        errno,
    }
}

/// Whether anything is to be done, and not only told: what cannot be read, as another's program forbids it, is left alone.
pub(super) const fn is_real(target: &Target, outcome: Outcome) -> bool {
    !matches!(target.sweep, Sweep::Tell)
        && !matches!(outcome, Outcome::ArmBlind)
        && !matches!(target.policy.mode(), Mode::Nothing)
}

/// The cgroup that is to guard a connection; 0 if none is.
pub(super) fn guard(policy: &Policy, outcome: Outcome) -> u64 {
    if matches!(policy.mode(), Mode::Enforce) && is_covered(outcome) { policy.cgroup() } else { 0 }
}

const fn is_covered(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::KeepDirection | Outcome::KeepDestination)
}

/// Keep-alive comes last, so that the kernel arms the timer once.
fn apply(socket: &OpenSocket, changes: &Changes, errno: &mut u32) {
    let Changes { timers, arm, clear_user_timeout } = changes;
    let mut set = |option, value: u32| record(errno, socket.set(name(option), &value.to_ne_bytes()));
    for (option, value) in [
        (SocketOption::Interval, timers.interval_s),
        (SocketOption::Probes, timers.probes),
        (SocketOption::Idle, timers.idle_s),
        (SocketOption::UserTimeout, timers.user_timeout_ms),
    ] {
        if value != 0 {
            set(option, value);
        }
    }
    if *clear_user_timeout {
        set(SocketOption::UserTimeout, 0);
    }
    if *arm {
        set(SocketOption::Keepalive, 1);
    }
}

/// Keeps the errno of a refusal.
pub(super) fn record(errno: &mut u32, result: io::Result<()>) {
    if let Err(error) = result {
        *errno = error.raw_os_error().and_then(|raw| u32::try_from(raw).ok()).unwrap_or_default();
    }
}

/// An address as of IPv6.
fn octets(address: &SocketAddr) -> [u8; 16] {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn halves(octets: &[u8; 16]) -> [u64; 2] {
    let whole = u128::from_be_bytes(*octets);
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
    [half(whole >> 64), half(whole)]
}

#[cfg(test)]
mod tests;
