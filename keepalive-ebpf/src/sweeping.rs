//! What the sweep of open connections is told, and what it tells.

use crate::{Changes, Decision, Direction, Mode, Outcome, Policy, Socket, SocketOption, Timers, decide};

/// What to do to the connections of a target.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// What the policy does to a new connection.
    Apply = 0,
    /// Tell what it would do, and do nothing.
    Tell = 1,
    /// Of a policy that enforces: put right what is weaker than its values, leave alone what is tighter.
    Recheck = 2,
}

/// The value of the `TARGETS` map; the key is the id of a cgroup, the governed one or one below it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// What to do.
    pub sweep: Sweep,
    /// 1 if connections that have the very values of `previous` have them from it, and count as ones whose
    /// application asked for nothing.
    pub has_previous: u32,
    /// The policy that governs, as in the storage of its cgroup.
    pub policy: Policy,
    /// The policy that governed when the connections were last swept.
    pub previous: Policy,
}

/// What was found on one connection and done to it: what the `sweep` program writes, one a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// The socket's cookie: its name for as long as the kernel runs.
    pub cookie: u64,
    /// The id of the cgroup whose policy governs it.
    pub governor: u64,
    /// The local address as of IPv6, in network byte order; IPv4 is mapped.
    pub local: [u8; 16],
    /// The remote address.
    pub remote: [u8; 16],
    /// The local port.
    pub local_port: u32,
    /// The remote port.
    pub remote_port: u32,
    /// [`Direction::Outbound`] or [`Direction::Inbound`], as far as it can be told of an open connection.
    pub direction: Direction,
    /// What came of it. With [`Outcome::ArmBlind`], which is of kernels where the program cannot read options,
    /// nothing was set.
    pub outcome: Outcome,
    /// The values that were, or would be, set; 0 for those that stay.
    pub set: Timers,
    /// Whether keep-alive was, or would be, turned on.
    pub arms: u32,
    /// Whether the user timeout was, or would be, taken back.
    pub clears_user_timeout: u32,
    /// The values before.
    pub before: Timers,
    /// Whether keep-alive was on before.
    pub was_on: u32,
    /// The errno of the last option that the kernel refused; 0 if it refused none.
    pub errno: u32,
}

/// Decides what comes of an open connection: what a new one would get. `wanted` are the values that the target's policy
/// has for the destination, `previous` those that the policy before it had; each `None` if it is not for that.
#[inline(always)]
pub fn judge(
    target: &Target,
    direction: Direction,
    wanted: Option<Timers>,
    previous: Option<Timers>,
    socket: &impl Socket,
) -> Decision {
    let keep = |outcome| Decision { changes: Changes::NONE, outcome };
    if !target.policy.direction().covers(direction) {
        return keep(Outcome::KeepDirection);
    }
    let Some(wanted) = wanted else { return keep(Outcome::KeepDestination) };
    let mode = match target.sweep {
        // What is weaker than the values is lowered, what is off is turned on, and nothing else.
        Sweep::Recheck => Mode::Tighten,
        Sweep::Apply | Sweep::Tell => target.policy.mode(),
    };
    let previous = previous.filter(|_| {
        target.has_previous != 0
            && target.previous.direction().covers(direction)
            && !matches!(target.previous.mode(), Mode::Nothing | Mode::Monitor)
    });
    let Some(previous) = previous.filter(|previous| has(socket, previous)) else {
        return decide(mode, &wanted, socket);
    };
    let mut decision = decide(mode, &wanted, &Untouched(socket));
    if same(&previous, &wanted) && matches!(decision.outcome, Outcome::Arm) {
        return keep(Outcome::KeepTighter);
    }
    decision.changes.clear_user_timeout = matches!(decision.outcome, Outcome::Arm)
        && wanted.user_timeout_ms == 0
        && previous.user_timeout_ms != 0;
    decision
}

/// Whether a socket has the very values that a policy gave it.
#[inline(always)]
fn has(socket: &impl Socket, timers: &Timers) -> bool {
    let is = |option, wanted| socket.get(option) == Some(wanted);
    is(SocketOption::Keepalive, 1)
        && is(SocketOption::Idle, timers.idle_s)
        && is(SocketOption::Interval, timers.interval_s)
        && is(SocketOption::Probes, timers.probes)
        && (timers.user_timeout_ms == 0 || is(SocketOption::UserTimeout, timers.user_timeout_ms))
}

#[inline(always)]
fn same(a: &Timers, b: &Timers) -> bool {
    a.idle_s == b.idle_s
        && a.interval_s == b.interval_s
        && a.probes == b.probes
        && a.user_timeout_ms == b.user_timeout_ms
}

/// A socket whose values are a policy's, seen as if nobody had asked for anything.
struct Untouched<'a, S>(&'a S);

impl<S: Socket> Socket for Untouched<'_, S> {
    #[inline(always)]
    fn get(&self, option: SocketOption) -> Option<u32> {
        match option {
            SocketOption::Keepalive | SocketOption::UserTimeout => Some(0),
            SocketOption::Idle | SocketOption::Interval | SocketOption::Probes => self.0.get(option),
        }
    }
}
