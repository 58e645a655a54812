//! What the eBPF program and the daemon agree on: the value that holds a policy, the counters, the names by
//! which the daemon finds programs and maps, and the decision both sides must make alike.
//!
//! Everything here lives in maps that outlast the daemon, under a pin directory named after [`ABI_VERSION`].
//! Rules for the types: `repr(C)`, 4- or 8-byte words only and no padding (the kernel compares and copies
//! bytes), and all zero bytes mean "nothing": the kernel zeroes the storage of a cgroup at the first attach
//! and before the policy is written.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod counters;
mod dead_peers;
mod decide;
mod destinations;
mod hold;
mod marks;
mod observing;
mod offsets;
mod opaque;
mod options;
mod policy;
mod sweeping;

pub use counters::{COUNTER_NAMES, COUNTER_WORDS, Counters};
pub use dead_peers::{DEAD_PEER_BYTES, DeadPeer, DeadPeers, Ending, Finding, UNCOUNTED};
pub use decide::{Changes, Decision, Outcome, Reading, Socket, SocketOption, decide};
pub use destinations::{MOST_INTERVALS, MOST_RULES, Remote, RuleSet};
pub use hold::hold;
pub use marks::{Claim, Moment};
pub use observing::{OBSERVED_BYTES, Observed};
pub use offsets::{ClosingOffsets, Offsets};
pub use options::{CONGESTION_LENGTH, Options, is_left_to_application};
pub use policy::{Direction, Mode, POLICY_WORDS, Policy, Timers};
pub use sweeping::{
    MOST_TARGETS, SWEPT_BYTES, Sweep, Swept, TARGET_WORDS, Target, judge, judge_again, judge_anew,
};

/// The version of the layouts in this crate; part of the path they are pinned under. Any change of a type in
/// a map raises it, because two layouts must never share a map.
pub const ABI_VERSION: u32 = if cfg!(feature = "next-abi") { 3 } else { 2 };

/// The program attached to cgroups.
pub const PROGRAM: &str = "keepalive";
/// The same program, which also writes a log line a connection.
pub const PROGRAM_WITH_LOG: &str = "keepalive_log";
/// The target of the log lines that the program writes, by which they are filtered. Filters go by how a target
/// begins, so it is none that the daemon's own targets begin with.
pub const LOG_TARGET: &str = "sock_ops";
/// `CGROUP_STORAGE`: the [`Policy`] of each governed cgroup.
pub const POLICY_MAP: &str = "POLICY";
/// `PERCPU_CGROUP_STORAGE`: the [`Counters`] of each governed cgroup.
pub const COUNTERS_MAP: &str = "COUNTERS";
/// `SK_STORAGE`: the [`Claim`] on a connection that a deeper cgroup's policy governs, or that is guarded.
pub const CLAIMS_MAP: &str = "CLAIMS";
/// `HASH`: each [`RuleSet`] by its id, which policies refer to.
pub const DESTINATIONS_MAP: &str = "DESTINATIONS";
/// The program attached, besides the other, to cgroups whose policy enforces.
pub const GUARD_PROGRAM: &str = "guard";
/// The iterator over open connections.
pub const SWEEP_PROGRAM: &str = "sweep";
/// The iterator that tells the options of connections, and does nothing to them.
pub const SOCKETS_PROGRAM: &str = "sockets";
/// `HASH`: the [`Target`] of each cgroup whose connections are to be swept, by the cgroup's id.
pub const TARGETS_MAP: &str = "TARGETS";
/// `ARRAY`: one value with a bit for each port that targets listen on in a network namespace.
pub const LISTENING_MAP: &str = "LISTENING";
/// `ARRAY`: one value, the connection that the sweep is at.
pub const WORK_MAP: &str = "WORK";
/// The [`Offsets`], constants of the iterator's.
pub const OFFSETS: &str = "OFFSETS";
/// The tracing program that looks at connections as they end.
pub const CLOSING_PROGRAM: &str = "closing";
/// The one that looks at those alone of whose end the application is told as of an error.
pub const CLOSING_ERROR_PROGRAM: &str = "closing_error";
/// `HASH`: the [`DeadPeers`] of each cgroup in which one was found, by the cgroup's id.
pub const DEAD_PEERS_MAP: &str = "DEAD_PEERS";
/// `RINGBUF`: a [`DeadPeer`] for each.
pub const DEAD_PEER_LOG_MAP: &str = "DEAD_PEER_LOG";
/// The [`ClosingOffsets`], constants of that program's.
pub const CLOSING_OFFSETS: &str = "CLOSING_OFFSETS";
