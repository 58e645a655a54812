//! What the sweep of open connections is told, and what it tells.

use crate::{Direction, Outcome, Policy, Timers};

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
    /// The values before.
    pub before: Timers,
    /// Whether keep-alive was on before.
    pub was_on: u32,
    /// The errno of the last option that the kernel refused; 0 if it refused none.
    pub errno: u32,
}
