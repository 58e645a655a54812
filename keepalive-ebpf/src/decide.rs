//! What a policy does to a socket: pure, so that it is tested without a kernel, and the same for connections
//! of every kind.

use crate::{Mode, Timers};

/// The options this project sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// `SO_KEEPALIVE`, 0 or 1.
    Keepalive,
    /// `TCP_KEEPIDLE`, seconds.
    Idle,
    /// `TCP_KEEPINTVL`, seconds.
    Interval,
    /// `TCP_KEEPCNT`.
    Probes,
    /// `TCP_USER_TIMEOUT`, milliseconds, 0 for none.
    UserTimeout,
}

/// A socket whose options can be asked for.
pub trait Socket {
    /// The option's value; `None` where the kernel has no way to tell (a `sock_ops` program before 6.1).
    fn get(&self, option: SocketOption) -> Option<u32>;

    /// The same, for what is compiled for BPF, where a socket of the kernel gives it without an `Option` on the way.
    #[inline(always)]
    fn read(&self, option: SocketOption) -> Reading {
        Reading::of(self.get(option))
    }
}

/// A value that the kernel may be unable to tell: `Option<u32>` whose number is there in any case. Of that of a `None` LLVM
/// takes any register's content, and calculates with it before it looks what it is, or does not, as it happens to lay out
/// the rest; the verifier refuses a register that nothing was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whether the kernel tells it.
    pub is_known: bool,
    /// The value; any if it is not known.
    pub value: u32,
}

impl Reading {
    /// For whoever has an `Option`, which is not to be of BPF.
    #[must_use]
    #[inline(always)]
    pub const fn of(value: Option<u32>) -> Self {
        match value {
            Some(value) => Self { is_known: true, value },
            None => Self { is_known: false, value: 0 },
        }
    }

    /// Whether it is known to be this.
    #[must_use]
    #[inline(always)]
    pub const fn is(self, value: u32) -> bool {
        self.is_known && self.value == value
    }

    /// The value, or another if it is not known.
    #[must_use]
    #[inline(always)]
    pub const fn or(self, other: u32) -> u32 {
        if self.is_known { self.value } else { other }
    }
}

/// What is to be set, in the order of setting: interval, probes, idle, user timeout, and keep-alive last, so
/// that the kernel arms the timer once and with the right value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The values to set; 0 leaves the socket's own (no option accepts it as a value we would set).
    pub timers: Timers,
    /// Whether to set `SO_KEEPALIVE`.
    pub arm: bool,
    /// Whether to take back a user timeout: of open connections only, which had it from an earlier policy.
    pub clear_user_timeout: bool,
}

impl Changes {
    /// Nothing.
    pub const NONE: Self = Self { timers: Timers::NONE, arm: false, clear_user_timeout: false };
}

/// Why; one counter each.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The application had not asked for keep-alive: arm.
    Arm = 0,
    /// What the application had asked for cannot be read: arm with the policy's values.
    ArmBlind = 1,
    /// The application had asked for keep-alive: lower what is higher.
    Tighten = 2,
    /// The application had asked for keep-alive with other values than those enforced.
    Override = 3,
    /// The application had asked for keep-alive and the mode respects that.
    KeepChosen = 4,
    /// The application's values are at least as tight as the policy's, or, where they are enforced, the same.
    KeepTighter = 5,
    /// The policy is not for this direction.
    KeepDirection = 6,
    /// The policy is not for this destination.
    KeepDestination = 7,
    /// Monitor: would arm.
    WouldArm = 8,
    /// Monitor: would lower a value.
    WouldTighten = 9,
}

/// What a policy does to a socket, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to set.
    pub changes: Changes,
    /// Why.
    pub outcome: Outcome,
}

/// Decides what a policy of `mode` does to `socket`, where it wants the values `wanted`. Direction and destination
/// are the caller's to check, and so is that the mode is not [`Mode::Nothing`]; it counts as [`Mode::Monitor`] here.
///
/// Asks the socket for no more than the answer needs: each question costs a helper call a connection.
#[inline(always)]
pub fn decide(mode: Mode, wanted: &Timers, socket: &impl Socket) -> Decision {
    let would = matches!(mode, Mode::Monitor | Mode::Nothing);
    let keepalive = socket.read(SocketOption::Keepalive);
    match (keepalive.is_known, keepalive.value) {
        (false, _) if would => keep(Outcome::WouldArm),
        (false, _) => Decision {
            changes: Changes { timers: *wanted, arm: true, ..Changes::NONE },
            outcome: Outcome::ArmBlind,
        },
        (true, 0) if would => keep(Outcome::WouldArm),
        (true, 0) => {
            let user_timeout_ms = unarmed_user_timeout(mode, wanted, socket);
            let timers = Timers { user_timeout_ms, ..*wanted };
            Decision { changes: Changes { timers, arm: true, ..Changes::NONE }, outcome: Outcome::Arm }
        }
        (true, _) => match mode {
            Mode::FillMissing => keep(Outcome::KeepChosen),
            Mode::Enforce => change(differing(wanted, socket), Outcome::Override),
            Mode::Tighten => change(tighter(wanted, socket), Outcome::Tighten),
            Mode::Monitor | Mode::Nothing => {
                let Decision { outcome, .. } = change(tighter(wanted, socket), Outcome::WouldTighten);
                keep(outcome)
            }
        },
    }
}

/// Decides what puts a socket right on which the values `wanted` are enforced: what is weaker is made as tight, what is
/// off is turned on, and what is tighter stays.
#[inline(always)]
pub(crate) fn strengthen(wanted: &Timers, socket: &impl Socket) -> Decision {
    let user_timeout_ms = lower_user_timeout(wanted.user_timeout_ms, socket, u64::MAX);
    let timers = Timers { user_timeout_ms, ..tighter(wanted, socket) };
    let keepalive = socket.read(SocketOption::Keepalive);
    match (keepalive.is_known, keepalive.value) {
        (false, _) => keep(Outcome::ArmBlind),
        (true, 0) => {
            Decision { changes: Changes { timers, arm: true, ..Changes::NONE }, outcome: Outcome::Arm }
        }
        (true, _) => change(timers, Outcome::Tighten),
    }
}

#[inline(always)]
const fn keep(outcome: Outcome) -> Decision {
    Decision { changes: Changes::NONE, outcome }
}

/// Sets `timers` because of `outcome`, if there is any value among them.
#[inline(always)]
const fn change(timers: Timers, outcome: Outcome) -> Decision {
    if timers.idle_s | timers.interval_s | timers.probes | timers.user_timeout_ms == 0 {
        return keep(Outcome::KeepTighter);
    }
    Decision { changes: Changes { timers, ..Changes::NONE }, outcome }
}

/// The user timeout to set on a socket without keep-alive: an application can have chosen one all the same.
#[inline(always)]
fn unarmed_user_timeout(mode: Mode, wanted: &Timers, socket: &impl Socket) -> u32 {
    let wanted = wanted.user_timeout_ms;
    if wanted == 0 || matches!(mode, Mode::Enforce) {
        return wanted;
    }
    match (socket.read(SocketOption::UserTimeout).or(0), mode) {
        (0, _) => wanted,
        (current, Mode::Tighten) if wanted < current => wanted,
        _ => 0,
    }
}

/// The values of `wanted` that the socket does not have, 0 for the others.
#[inline(always)]
fn differing(wanted: &Timers, socket: &impl Socket) -> Timers {
    Timers {
        idle_s: if_other(wanted.idle_s, socket.read(SocketOption::Idle)),
        interval_s: if_other(wanted.interval_s, socket.read(SocketOption::Interval)),
        probes: if_other(wanted.probes, socket.read(SocketOption::Probes)),
        user_timeout_ms: match wanted.user_timeout_ms {
            0 => 0,
            wanted => if_other(wanted, socket.read(SocketOption::UserTimeout)),
        },
    }
}

#[inline(always)]
fn if_other(wanted: u32, current: Reading) -> u32 {
    if current.is(wanted) { 0 } else { wanted }
}

/// The values of `wanted` that are lower than those of a socket with keep-alive, 0 for the others.
#[inline(always)]
fn tighter(wanted: &Timers, socket: &impl Socket) -> Timers {
    let [idle, interval, probes] =
        [SocketOption::Idle, SocketOption::Interval, SocketOption::Probes].map(|option| socket.read(option));
    let [idle_s, interval_s, probes_n] = [idle, interval, probes].map(|value| u64::from(value.or(0)));
    let gives_up_ms = (idle_s + interval_s * probes_n) * 1000;
    Timers {
        idle_s: if_lower(wanted.idle_s, idle),
        interval_s: if_lower(wanted.interval_s, interval),
        probes: if_lower(wanted.probes, probes),
        user_timeout_ms: lower_user_timeout(wanted.user_timeout_ms, socket, gives_up_ms),
    }
}

/// The user timeout to set, 0 for none. Without one a silent connection ends with its last probe, after `gives_up_ms`;
/// with one it ends then, however many probes there were (`tcp_keepalive_timer`), so that a longer one would weaken what
/// the application asked for.
#[inline(always)]
fn lower_user_timeout(wanted: u32, socket: &impl Socket, gives_up_ms: u64) -> u32 {
    match wanted {
        0 => 0,
        wanted => {
            let current = socket.read(SocketOption::UserTimeout);
            if !current.is(0) {
                if_lower(wanted, current)
            } else if u64::from(wanted) < gives_up_ms {
                wanted
            } else {
                0
            }
        }
    }
}

#[inline(always)]
fn if_lower(wanted: u32, current: Reading) -> u32 {
    if current.is_known && wanted < current.value { wanted } else { 0 }
}

#[cfg(test)]
mod tests;
