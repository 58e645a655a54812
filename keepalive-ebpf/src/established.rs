//! The moment a connection is established.

use core::hint::black_box;

use aya_ebpf::{
    bindings::{BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB},
    programs::SockOpsContext,
};
use aya_log_ebpf::trace;
use keepalive_ebpf::{Changes, Counters, Direction, LOG_TARGET, Mode, Outcome, Policy, SocketOption, decide};

use crate::{
    maps::{COUNTERS, POLICY},
    socket::{Options, claim, full_socket, is_claimed},
};

/// Whether a log line is written for each connection; a type, so that it is decided when the object is built.
pub(crate) trait Logging {
    fn log(ctx: &SockOpsContext, direction: Direction, policy: &Policy, outcome: Outcome);
}

pub(crate) struct Quiet;

impl Logging for Quiet {
    #[inline(always)]
    fn log(_: &SockOpsContext, _: Direction, _: &Policy, _: Outcome) {}
}

pub(crate) struct Verbose;

impl Logging for Verbose {
    #[inline(always)]
    fn log(ctx: &SockOpsContext, direction: Direction, policy: &Policy, outcome: Outcome) {
        let timers = policy.timers();
        trace!(
            ctx,
            target: LOG_TARGET,
            "{} connection, local port {}, remote port {}: {} (policy: idle {} s, interval {} s, probes {}, user timeout {} ms)",
            if matches!(direction, Direction::Outbound) { "outbound" } else { "inbound" },
            ctx.local_port(),
            u32::from_be(ctx.remote_port()),
            describe(outcome),
            timers.idle_s,
            timers.interval_s,
            timers.probes,
            timers.user_timeout_ms
        );
    }
}

#[inline(always)]
const fn describe(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Arm => "armed",
        Outcome::ArmBlind => "armed without reading what the application had set",
        Outcome::Tighten => "tightened",
        Outcome::KeepChosen => "left alone, the application asked for keep-alive",
        Outcome::KeepTighter => "left alone, the application's values are tighter",
        Outcome::WouldArm => "would be armed",
        Outcome::WouldTighten => "would be tightened",
    }
}

/// Applies the policy if the callback is one of a connection being established.
///
/// Both callbacks are handled alike on purpose: a simultaneous open ends a `connect` in the passive one, and a
/// restored socket (`TCP_REPAIR`) has no handshake at all.
#[inline(always)]
pub(crate) fn on_callback<L: Logging>(ctx: &SockOpsContext) {
    // Read nothing else before this: in callbacks on request sockets most fields are not there.
    let direction = match ctx.op() {
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => Direction::Outbound,
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => Direction::Inbound,
        _ => return,
    };
    // SAFETY: the kernel hands out the storage of the cgroup the program is attached to, never null, and
    // replaces it whole when the daemon writes it.
    let policy = unsafe { &*POLICY.get_ptr_mut() };
    if matches!(policy.mode(), Mode::Nothing) && !policy.claims() {
        return;
    }
    // SAFETY: as above; the copy is this CPU's, and programs do not interrupt each other within a callback.
    let counters = unsafe { &mut *COUNTERS.get_ptr_mut() };
    if yields(ctx, policy, counters) || matches!(policy.mode(), Mode::Nothing) {
        return;
    }
    if matches!(direction, Direction::Outbound) {
        count(&mut counters.outbound);
    } else {
        count(&mut counters.inbound);
    }
    if !policy.direction().covers(direction) {
        count(&mut counters.kept_direction);
        return;
    }
    let options = Options(ctx);
    let decision = decide(policy, &options);
    // An arming that the kernel refused is counted as refused, and as nothing else.
    if apply(&options, &decision.changes, counters) {
        count_outcome(counters, decision.outcome);
        L::log(ctx, direction, policy, decision.outcome);
    }
}

/// Whether a deeper cgroup's policy governs the connection. The kernel runs the deepest program first; that
/// one leaves a mark if its cgroup has governed ancestors.
#[inline(always)]
fn yields(ctx: &SockOpsContext, policy: &Policy, counters: &mut Counters) -> bool {
    let socket = full_socket(ctx);
    if socket.is_null() {
        return false;
    }
    // SAFETY: just read from this callback's context, and not null; the same below.
    if unsafe { is_claimed(socket) } {
        count(&mut counters.yielded);
        return true;
    }
    // SAFETY: see above.
    if policy.claims() && unsafe { claim(socket) }.is_err() {
        count(&mut counters.refused_claim);
    }
    false
}

/// Sets what is to be set; whether keep-alive is on then, if it was to be turned on.
#[inline(always)]
fn apply(options: &Options<'_>, changes: &Changes, counters: &mut Counters) -> bool {
    let Changes { timers, arm } = changes;
    set(options, SocketOption::Interval, timers.interval_s, counters);
    set(options, SocketOption::Probes, timers.probes, counters);
    set(options, SocketOption::Idle, timers.idle_s, counters);
    set(options, SocketOption::UserTimeout, timers.user_timeout_ms, counters);
    set(options, SocketOption::Keepalive, u32::from(*arm), counters)
}

#[inline(always)]
fn set(options: &Options<'_>, option: SocketOption, value: u32, counters: &mut Counters) -> bool {
    if value == 0 {
        return true;
    }
    if let Err(errno) = options.set(option, value) {
        let refused = match option {
            SocketOption::Interval => &mut counters.refused_interval,
            SocketOption::Probes => &mut counters.refused_probes,
            SocketOption::Idle => &mut counters.refused_idle,
            SocketOption::UserTimeout => &mut counters.refused_user_timeout,
            SocketOption::Keepalive => &mut counters.refused_keepalive,
        };
        count(refused);
        counters.last_errno = errno;
        return false;
    }
    true
}

#[inline(always)]
fn count_outcome(counters: &mut Counters, outcome: Outcome) {
    match outcome {
        Outcome::Arm => count(&mut counters.armed),
        Outcome::ArmBlind => count(&mut counters.armed_blind),
        Outcome::Tighten => count(&mut counters.tightened),
        Outcome::KeepChosen => count(&mut counters.kept_chosen),
        Outcome::KeepTighter => count(&mut counters.kept_tighter),
        Outcome::WouldArm => count(&mut counters.would_arm),
        Outcome::WouldTighten => count(&mut counters.would_tighten),
    }
}

/// Counts one. LLVM would merge the increments of different branches into a single one at a chosen address, and
/// the verifier takes that from a program only with `CAP_PERFMON`, which nothing else here needs; what LLVM
/// cannot look into, behind each, it does not merge.
#[inline(always)]
fn count(counter: &mut u64) {
    *counter += 1;
    black_box(1_u64);
}
