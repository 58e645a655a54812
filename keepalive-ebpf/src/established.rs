//! The moments before a handshake and after it.

use core::{
    ffi::c_void,
    hint::{black_box, cold_path},
};

use aya_ebpf::{
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_TCP_CONNECT_CB,
        BPF_SOCK_OPS_TCP_LISTEN_CB, bpf_sock_ops,
    },
    programs::SockOpsContext,
};
use aya_log_ebpf::trace;
use keepalive_ebpf::{
    Changes, Counters, Direction, LOG_TARGET, Mode, Moment, Options, Outcome, Policy, Remote, SocketOption,
    Timers, decide,
};

use crate::{
    maps::{COUNTERS, POLICY, find},
    other_options::{self, Tally},
    socket::{Handle, claim, full_socket, is_claimed_below, name, refused},
};

const AF_INET: u32 = 2;

/// Whether a log line is written for each connection; a type, so that it is decided when the object is built.
pub(crate) trait Logging {
    fn log(ctx: &SockOpsContext, direction: Direction, timers: &Timers, outcome: Outcome);
}

pub(crate) struct Quiet;

impl Logging for Quiet {
    #[inline(always)]
    fn log(_: &SockOpsContext, _: Direction, _: &Timers, _: Outcome) {}
}

pub(crate) struct Verbose;

impl Logging for Verbose {
    #[inline(always)]
    fn log(ctx: &SockOpsContext, direction: Direction, timers: &Timers, outcome: Outcome) {
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
        Outcome::Override => "given the enforced values",
        Outcome::KeepChosen => "left alone, the application asked for keep-alive",
        Outcome::KeepTighter => "left alone, the application's values are tighter",
        Outcome::KeepDirection => "left alone, another direction",
        Outcome::KeepDestination => "left alone, another destination",
        Outcome::WouldArm => "would be armed",
        Outcome::WouldTighten => "would be tightened",
    }
}

/// Applies the policy if the callback is one of a connection that begins or is established.
#[inline(always)]
pub(crate) fn on_callback<L: Logging>(ctx: &SockOpsContext) {
    // Read nothing else before this: in callbacks on request sockets most fields are not there.
    let direction = match ctx.op() {
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => Direction::Outbound,
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => Direction::Inbound,
        BPF_SOCK_OPS_TCP_CONNECT_CB => {
            return before_handshake(ctx, Direction::Outbound, Options::CONNECTING);
        }
        // What is accepted inherits it.
        BPF_SOCK_OPS_TCP_LISTEN_CB => return before_handshake(ctx, Direction::Inbound, Options::LISTENING),
        _ => return,
    };
    established::<L>(ctx.ops, direction);
}

/// Both directions are handled alike on purpose: a simultaneous open ends a `connect` in the passive callback, and a
/// restored socket (`TCP_REPAIR`) has no handshake at all. One code for both, apart from the rest: what the one end of a
/// connection has brought into the caches serves the other.
#[inline(never)]
fn established<L: Logging>(ops: *mut bpf_sock_ops, direction: Direction) {
    let ctx = &SockOpsContext::new(ops);
    // SAFETY: the kernel hands out the storage of the cgroup the program is attached to, never null, and
    // replaces it whole when the daemon writes it.
    let policy = unsafe { &*POLICY.get_ptr_mut() };
    if matches!(policy.mode(), Mode::Nothing) && !policy.claims() {
        return;
    }
    // SAFETY: as above; the copy is this CPU's, and programs do not interrupt each other within a callback.
    let counters = unsafe { &mut *COUNTERS.get_ptr_mut() };
    let socket = full_socket(ctx).cast();
    if yields(socket, policy, Moment::Established) {
        count(&mut counters.yielded);
        return;
    }
    let (is_covered, timers) = if matches!(policy.mode(), Mode::Nothing) {
        NOT_COVERED
    } else {
        covers(ctx, direction, policy, counters)
    };
    leave_mark(socket, policy, Moment::Established, is_covered, counters);
    if !is_covered {
        return;
    }
    let options = Handle::of_callback(ctx);
    let decision = decide(policy.mode(), &timers, &options);
    // An arming that the kernel refused is counted as refused, and as nothing else.
    if apply(&options, &decision.changes, counters) {
        count_outcome(counters, decision.outcome);
        L::log(ctx, direction, &timers, decision.outcome);
    }
    apply_options(&options, policy, Options::ESTABLISHED, counters);
}

/// Sets what is of the handshake.
#[inline(always)]
fn before_handshake(ctx: &SockOpsContext, direction: Direction, which: u32) {
    // SAFETY: as in `established`.
    let policy = unsafe { &*POLICY.get_ptr_mut() };
    let sets_any = policy.options().which & which != 0 && !matches!(policy.mode(), Mode::Nothing);
    if !sets_any && !policy.claims() {
        return;
    }
    // SAFETY: as above.
    let counters = unsafe { &mut *COUNTERS.get_ptr_mut() };
    let socket = full_socket(ctx).cast();
    if yields(socket, policy, Moment::Handshake) {
        return;
    }
    leave_mark(socket, policy, Moment::Handshake, false, counters);
    // The destination of what will be accepted is not known yet.
    let covers = policy.direction().covers(direction)
        && (policy.destinations() == 0
            || matches!(direction, Direction::Outbound) && find(policy, &remote(ctx)).is_some());
    if sets_any && covers {
        apply_options(&Handle::of_callback(ctx), policy, which, counters);
    }
}

/// Whether a deeper cgroup's policy governs the connection. The kernel runs the deepest program first; that
/// one leaves a mark if its cgroup has governed ancestors.
#[inline(always)]
fn yields(socket: *mut c_void, policy: &Policy, moment: Moment) -> bool {
    // SAFETY: just read from this callback's context, and not null.
    !socket.is_null() && unsafe { is_claimed_below(socket, policy.cgroup(), moment) }
}

/// Leaves the mark that ancestors yield to, and by which the connection is guarded.
#[inline(always)]
fn leave_mark(socket: *mut c_void, policy: &Policy, moment: Moment, covered: bool, counters: &mut Counters) {
    let guard = if covered && matches!(policy.mode(), Mode::Enforce) { policy.cgroup() } else { 0 };
    if (guard == 0 && !policy.claims()) || socket.is_null() {
        return;
    }
    cold_path();
    // SAFETY: just read from this callback's context, and not null.
    if unsafe { claim(socket, policy.cgroup(), moment, guard) }.is_err() {
        count(&mut counters.refused_claim);
    }
}

/// For a connection that a policy is not for. No `Option`, whose values LLVM would leave undefined, and the verifier
/// refuses a program that moves such about.
const NOT_COVERED: (bool, Timers) = (false, Timers::NONE);

/// Whether the policy is for the direction and destination of the connection, and its values for that.
#[inline(always)]
fn covers(
    ctx: &SockOpsContext,
    direction: Direction,
    policy: &Policy,
    counters: &mut Counters,
) -> (bool, Timers) {
    if matches!(direction, Direction::Outbound) {
        count(&mut counters.outbound);
    } else {
        count(&mut counters.inbound);
    }
    if !policy.direction().covers(direction) {
        cold_path();
        count(&mut counters.kept_direction);
        return NOT_COVERED;
    }
    if policy.destinations() == 0 {
        return (true, policy.timers());
    }
    cold_path();
    if let Some(timers) = find(policy, &remote(ctx)) {
        return (true, timers);
    }
    count(&mut counters.kept_destination);
    NOT_COVERED
}

/// The remote end of a callback's connection.
#[expect(clippy::cast_possible_truncation, reason = "a port has sixteen bits")]
#[inline(always)]
fn remote(ctx: &SockOpsContext) -> Remote {
    // The kernel puts the port, in network byte order, into the upper half of what is read as a word of that order.
    let port = u32::from_be(ctx.remote_port()) as u16;
    if ctx.family() == AF_INET {
        Remote::v4(u32::from_be(ctx.remote_ip4()), port)
    } else {
        Remote::v6(remote_ip6(ctx).map(u32::from_be), port)
    }
}

/// The remote address, word by word: the verifier takes no wider loads, into which LLVM would merge these.
#[inline(always)]
fn remote_ip6(ctx: &SockOpsContext) -> [u32; 4] {
    // SAFETY: the context is the one the program was called with; nothing is read here.
    let words = unsafe { &raw const (*ctx.ops).remote_ip6 }.cast::<u32>();
    // SAFETY: each is one of the four words of the field, and the context is live.
    [0, 1, 2, 3].map(|word| unsafe { words.wrapping_add(word).read_volatile() })
}

/// Sets what is to be set; whether keep-alive is on then, if it was to be turned on.
#[inline(always)]
fn apply(options: &Handle, changes: &Changes, counters: &mut Counters) -> bool {
    let Changes { timers, arm, clear_user_timeout: _ } = changes;
    set(options, SocketOption::Interval, timers.interval_s, counters);
    set(options, SocketOption::Probes, timers.probes, counters);
    set(options, SocketOption::Idle, timers.idle_s, counters);
    set(options, SocketOption::UserTimeout, timers.user_timeout_ms, counters);
    set(options, SocketOption::Keepalive, u32::from(*arm), counters)
}

#[inline(always)]
fn set(options: &Handle, option: SocketOption, value: u32, counters: &mut Counters) -> bool {
    if value == 0 {
        return true;
    }
    if let Err(errno) = options.set(name(option), value.to_ne_bytes()) {
        cold_path();
        count(refused(counters, option));
        counters.last_errno = errno;
        return false;
    }
    true
}

/// Sets the other options, as far as they are among `which`.
#[inline(always)]
fn apply_options(options: &Handle, policy: &Policy, which: u32, counters: &mut Counters) {
    if policy.options().which & which != 0 {
        cold_path();
        apply_wanted(*options, policy, which, counters);
    }
}

/// Apart from the rest, which few policies take the way through: what all take is the shorter.
#[inline(never)]
fn apply_wanted(options: Handle, policy: &Policy, which: u32, counters: &mut Counters) {
    other_options::apply(&options, policy, which, counters);
}

impl Tally for Counters {
    #[inline(always)]
    fn set(&mut self) {
        count(&mut self.options_set);
    }

    #[inline(always)]
    fn would_set(&mut self) {
        count(&mut self.would_set_options);
    }

    #[inline(always)]
    fn refused(&mut self, errno: u64) {
        count(&mut self.refused_option);
        self.last_errno = errno;
    }
}

#[inline(always)]
fn count_outcome(counters: &mut Counters, outcome: Outcome) {
    match outcome {
        Outcome::Arm => count(&mut counters.armed),
        Outcome::ArmBlind => count(&mut counters.armed_blind),
        Outcome::Tighten => count(&mut counters.tightened),
        Outcome::Override => count(&mut counters.overridden),
        Outcome::KeepChosen => count(&mut counters.kept_chosen),
        Outcome::KeepTighter => count(&mut counters.kept_tighter),
        Outcome::KeepDirection => count(&mut counters.kept_direction),
        Outcome::KeepDestination => count(&mut counters.kept_destination),
        Outcome::WouldArm => count(&mut counters.would_arm),
        Outcome::WouldTighten => count(&mut counters.would_tighten),
    }
}

/// Counts one. LLVM would merge the increments of different branches into a single one at a chosen address, and
/// the verifier takes that from a program only with `CAP_PERFMON`, which nothing else here needs; what LLVM
/// cannot look into, behind each, it does not merge.
#[inline(always)]
pub(crate) fn count(counter: &mut u64) {
    *counter += 1;
    black_box(1_u64);
}
