//! What a policy does to a socket: pure, so that it is tested without a kernel, and the same for connections
//! of every kind.

use crate::{Mode, Policy, Timers};

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
}

/// What is to be set, in the order of setting: interval, probes, idle, user timeout, and keep-alive last, so
/// that the kernel arms the timer once and with the right value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The values to set; 0 leaves the socket's own (no option accepts it as a value we would set).
    pub timers: Timers,
    /// Whether to set `SO_KEEPALIVE`.
    pub arm: bool,
}

impl Changes {
    const NONE: Self =
        Self { timers: Timers { idle_s: 0, interval_s: 0, probes: 0, user_timeout_ms: 0 }, arm: false };
}

/// Why; one counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The application had not asked for keep-alive: arm.
    Arm,
    /// What the application had asked for cannot be read: arm with the policy's values.
    ArmBlind,
    /// The application had asked for keep-alive: lower what is higher.
    Tighten,
    /// The application had asked for keep-alive and the mode respects that.
    KeepChosen,
    /// The application's values are at least as tight as the policy's.
    KeepTighter,
    /// Monitor: would arm.
    WouldArm,
    /// Monitor: would lower a value.
    WouldTighten,
}

/// What a policy does to a socket, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to set.
    pub changes: Changes,
    /// Why.
    pub outcome: Outcome,
}

/// Decides what `policy` does to `socket`. The direction is the caller's to check, and so is that the policy
/// is not [`Mode::Nothing`]; it counts as [`Mode::Monitor`] here.
///
/// Asks the socket for no more than the answer needs: each question costs a helper call a connection.
#[inline(always)]
pub fn decide(policy: &Policy, socket: &impl Socket) -> Decision {
    let wanted = policy.timers();
    let would = matches!(policy.mode(), Mode::Monitor | Mode::Nothing);
    match socket.get(SocketOption::Keepalive) {
        None if would => Decision { changes: Changes::NONE, outcome: Outcome::WouldArm },
        None => Decision { changes: Changes { timers: wanted, arm: true }, outcome: Outcome::ArmBlind },
        Some(0) if would => Decision { changes: Changes::NONE, outcome: Outcome::WouldArm },
        Some(0) => {
            let user_timeout_ms = unarmed_user_timeout(policy, socket);
            let timers = Timers { user_timeout_ms, ..wanted };
            Decision { changes: Changes { timers, arm: true }, outcome: Outcome::Arm }
        }
        Some(_) if matches!(policy.mode(), Mode::FillMissing) => {
            Decision { changes: Changes::NONE, outcome: Outcome::KeepChosen }
        }
        Some(_) => {
            let timers = tighter(&wanted, socket);
            let any = timers.idle_s | timers.interval_s | timers.probes | timers.user_timeout_ms;
            match (any, would) {
                (0, _) => Decision { changes: Changes::NONE, outcome: Outcome::KeepTighter },
                (_, true) => Decision { changes: Changes::NONE, outcome: Outcome::WouldTighten },
                (_, false) => Decision { changes: Changes { timers, arm: false }, outcome: Outcome::Tighten },
            }
        }
    }
}

/// The user timeout to set on a socket without keep-alive: an application can have chosen one all the same.
#[inline(always)]
fn unarmed_user_timeout(policy: &Policy, socket: &impl Socket) -> u32 {
    let wanted = policy.timers().user_timeout_ms;
    if wanted == 0 {
        return 0;
    }
    match (socket.get(SocketOption::UserTimeout), policy.mode()) {
        (None | Some(0), _) => wanted,
        (Some(current), Mode::Tighten) if wanted < current => wanted,
        _ => 0,
    }
}

/// The values of `wanted` that are lower than the socket's, 0 for the others.
#[inline(always)]
fn tighter(wanted: &Timers, socket: &impl Socket) -> Timers {
    Timers {
        idle_s: if_lower(wanted.idle_s, socket.get(SocketOption::Idle)),
        interval_s: if_lower(wanted.interval_s, socket.get(SocketOption::Interval)),
        probes: if_lower(wanted.probes, socket.get(SocketOption::Probes)),
        user_timeout_ms: match wanted.user_timeout_ms {
            0 => 0,
            // 0 is "no limit", the loosest of all.
            wanted => match socket.get(SocketOption::UserTimeout) {
                Some(0) => wanted,
                current => if_lower(wanted, current),
            },
        },
    }
}

#[inline(always)]
fn if_lower(wanted: u32, current: Option<u32>) -> u32 {
    match current {
        Some(current) if wanted < current => wanted,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
