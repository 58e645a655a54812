//! What the sweep of open connections is told, and what it tells.

use crate::{
    Changes, Decision, Direction, Mode, Outcome, Policy, Reading, Socket, SocketOption, Timers, decide,
    decide::strengthen,
};

/// What to do to the connections of a target.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// What the policy does to a new connection.
    Apply = 0,
    /// Tell what it would do, and do nothing.
    Tell = 1,
    /// Of a policy that enforces: put right what is weaker than its values on the connections that are marked as
    /// guarded by its cgroup, leave alone what is tighter, and all others.
    Recheck = 2,
}

/// The most cgroups that a sweep is for at a time: those governed, and all below them.
pub const MOST_TARGETS: usize = 65_536;

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

/// The number of 64-bit words of a [`Target`].
pub const TARGET_WORDS: usize = size_of::<Target>() / size_of::<u64>();

impl Target {
    /// The words as they lie in the map.
    #[must_use]
    pub fn to_words(&self) -> [u64; TARGET_WORDS] {
        // SAFETY: both are plain data of the same size, without padding (a test counts the fields), and the words'
        // alignment is that of the target.
        unsafe { core::mem::transmute::<Self, [u64; TARGET_WORDS]>(*self) }
    }
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
    /// The values before; `u32::MAX` for those that the kernel cannot tell.
    pub before: Timers,
    /// Whether keep-alive was on before; likewise.
    pub was_on: u32,
    /// The errno of the last option that the kernel refused; 0 if it refused none.
    pub errno: u32,
}

/// The length of a [`Swept`] as the program writes it.
pub const SWEPT_BYTES: usize = size_of::<Swept>();

impl Swept {
    /// What the program wrote; `None` if it was something else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; SWEPT_BYTES]) -> Option<Self> {
        const DIRECTION: usize = core::mem::offset_of!(Swept, direction);
        const OUTCOME: usize = core::mem::offset_of!(Swept, outcome);

        let (words, _) = bytes.as_chunks();
        let word = |offset: usize| u32::from_ne_bytes(words[offset / size_of::<u32>()]);
        if !(1..=2).contains(&word(DIRECTION)) || word(OUTCOME) > Outcome::WouldTighten as u32 {
            return None;
        }
        // SAFETY: it is plain data of this size, and the two fields that are not integers, which any bytes are, have
        // just been looked at.
        Some(unsafe { core::mem::transmute::<[u8; SWEPT_BYTES], Self>(*bytes) })
    }
}

/// Decides what comes of an open connection: what a new one would get. `wanted` are the values that the target's policy
/// has for the destination, `previous` those that the policy before it had; each `None` if it is not for that.
///
/// Where nothing governs any more ([`Mode::Nothing`]), it tells what still has the values of the policy before
/// ([`Outcome::KeepTighter`]) from what has others ([`Outcome::KeepChosen`]).
#[inline(always)]
pub fn judge(
    target: &Target,
    direction: Direction,
    wanted: Option<Timers>,
    previous: Option<Timers>,
    socket: &impl Socket,
) -> Decision {
    if matches!(target.sweep, Sweep::Recheck) {
        return judge_again(wanted, socket);
    }
    judge_anew(target, direction, wanted, previous, socket)
}

/// Decides what comes of a connection that is marked as guarded. It was covered when it was marked, and its direction
/// was known better then.
#[inline(always)]
pub fn judge_again(wanted: Option<Timers>, socket: &impl Socket) -> Decision {
    match wanted {
        Some(wanted) => strengthen(&wanted, socket),
        None => Decision { changes: Changes::NONE, outcome: Outcome::KeepDestination },
    }
}

/// As [`judge`], where it is no [`Sweep::Recheck`].
#[inline(always)]
pub fn judge_anew(
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
    let previous = previous.filter(|previous| is_from_previous(target, direction, previous, socket));
    if matches!(target.policy.mode(), Mode::Nothing) {
        return keep(if previous.is_some() { Outcome::KeepTighter } else { Outcome::KeepChosen });
    }
    let mode = target.policy.mode();
    let Some(previous) = previous else {
        return decide(mode, &wanted, socket);
    };
    let gave_user_timeout = previous.user_timeout_ms != 0;
    let mut decision = decide(mode, &wanted, &Untouched { socket, gave_user_timeout });
    if same(&previous, &wanted) && matches!(decision.outcome, Outcome::Arm | Outcome::WouldArm) {
        return keep(Outcome::KeepTighter);
    }
    decision.changes.clear_user_timeout =
        matches!(decision.outcome, Outcome::Arm) && wanted.user_timeout_ms == 0 && gave_user_timeout;
    decision
}

/// Whether a connection has its values from the policy that governed before.
#[inline(always)]
fn is_from_previous(target: &Target, direction: Direction, previous: &Timers, socket: &impl Socket) -> bool {
    target.has_previous != 0
        && target.previous.direction().covers(direction)
        && !matches!(target.previous.mode(), Mode::Nothing | Mode::Monitor)
        && has(socket, previous)
}

/// Whether a socket has the very values that a policy gave it.
#[inline(always)]
fn has(socket: &impl Socket, timers: &Timers) -> bool {
    let is = |option, wanted| socket.read(option).is(wanted);
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

/// A socket whose values are a policy's, seen as if nobody had asked for them.
struct Untouched<'a, S> {
    socket: &'a S,
    /// Whether its user timeout is the policy's: else it is the application's, if there is one.
    gave_user_timeout: bool,
}

impl<S: Socket> Socket for Untouched<'_, S> {
    #[inline(always)]
    fn get(&self, option: SocketOption) -> Option<u32> {
        let Reading { is_known, value } = self.read(option);
        is_known.then_some(value)
    }

    #[inline(always)]
    fn read(&self, option: SocketOption) -> Reading {
        match option {
            SocketOption::Keepalive => Reading { is_known: true, value: 0 },
            SocketOption::UserTimeout if self.gave_user_timeout => Reading { is_known: true, value: 0 },
            _ => self.socket.read(option),
        }
    }
}

#[cfg(test)]
mod tests;
