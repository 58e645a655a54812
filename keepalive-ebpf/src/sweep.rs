//! One open connection after the other, as the kernel's iterator over TCP sockets comes by them.
//!
//! The kernel holds the socket's lock while the program runs. It ends a read as soon as what was written fills the
//! reader's buffer, and has room for far more (eight pages): a record is never cut off, so each is written once.
#![expect(
    clippy::cast_possible_truncation,
    reason = "a port has sixteen bits, an errno and the length of a record fewer than thirty-two"
)]

use core::{ffi::c_void, hint::black_box, ptr};

use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_seq_write, bpf_skc_to_tcp_sock};
use keepalive_ebpf::{
    Changes, Decision, Direction, Mode, Options, Outcome, Policy, Reading, Remote, SWEPT_BYTES, Socket,
    SocketOption, Sweep, Swept, Target, Timers, judge_again, judge_anew,
};

use crate::{
    fields,
    maps::{LISTENING, TARGETS, WORK, find},
    other_options::{self, Tally},
    socket::{Handle, guard, mark, name},
};

/// `struct bpf_iter__tcp`
#[repr(C)]
pub(crate) struct IterTcp {
    pub(crate) meta: *const IterMeta,
    /// A `sock_common`; null at the end.
    pub(crate) socket: *mut c_void,
    uid: u32,
}

/// The beginning of `struct bpf_iter_meta`.
#[repr(C)]
pub(crate) struct IterMeta {
    pub(crate) seq_file: *mut c_void,
}

const TCP_ESTABLISHED: u8 = 1;
/// Of full sockets only where a connection is open before its handshake is over (TCP Fast Open).
const TCP_SYN_RECV: u8 = 3;
const TCP_CLOSE_WAIT: u8 = 8;
const TCP_LISTEN: u8 = 10;
const ENOMEM: u32 = 12;

/// Treats the socket that the iterator has come to.
#[inline(always)]
pub(crate) fn visit(ctx: &IterTcp) {
    if ctx.socket.is_null() {
        return;
    }
    // SAFETY: the context's socket.
    let state = unsafe { fields::state(ctx.socket) };
    // After the application has closed, the timer of keep-alive is that of FIN-WAIT.
    if !matches!(state, TCP_ESTABLISHED | TCP_SYN_RECV | TCP_CLOSE_WAIT | TCP_LISTEN) {
        return;
    }
    // SAFETY: it is the context's socket; the result is null for one that is not whole.
    let socket: *mut c_void = unsafe { bpf_skc_to_tcp_sock(ctx.socket) }.cast();
    if socket.is_null() {
        return;
    }
    // SAFETY: the helper has just said so.
    let cgroup = unsafe { fields::cgroup_id(socket) };
    // SAFETY: while it walks the daemon at most takes some away, whose memory nothing else gets before the walk is over.
    let Some(target) = (unsafe { TARGETS.get(cgroup) }) else { return };
    // SAFETY: as above.
    let local_port = unsafe { fields::local_port(socket) };
    if state == TCP_LISTEN {
        listening(local_port, true);
        return;
    }
    treat(ctx, socket, local_port, target);
}

/// Whether a target listens on a port of this network namespace; with `set`, it does from now on. The iterator comes
/// by all listeners before it comes to any connection.
#[inline(always)]
fn listening(port: u16, set: bool) -> bool {
    let Some(words) = LISTENING.get_ptr_mut(0) else { return false };
    // SAFETY: the map's one value, which no other program writes, and one thread at a time walks.
    let words = unsafe { &mut *words };
    let word = &mut words[usize::from(port >> 6)];
    let bit = 1 << (port & 63);
    if set {
        *word |= bit;
    }
    *word & bit != 0
}

/// What is known of the connection at hand, and done to it.
///
/// It lies in a map, and each step reads what the one before wrote as if it had never seen it: the verifier, which
/// follows every way through a step, then follows each once, and not once for every way through the steps before.
#[repr(C)]
pub(crate) struct Work {
    record: Swept,
    /// The values that the target's policy has for the destination, and those of the policy before.
    wanted: Answer,
    previous: Answer,
}

/// An `Option` whose bytes are all plain.
#[repr(C)]
struct Answer {
    is_some: u32,
    timers: Timers,
}

impl Answer {
    #[inline(always)]
    fn new(timers: Option<Timers>) -> Self {
        match timers {
            Some(timers) => Self { is_some: 1, timers },
            None => Self { is_some: 0, timers: Timers::NONE },
        }
    }

    #[inline(always)]
    fn get(&self) -> Option<Timers> {
        (self.is_some != 0).then_some(self.timers)
    }
}

/// Does to a connection what its target says, and tells.
#[inline(always)]
fn treat(ctx: &IterTcp, socket: *mut c_void, local_port: u16, target: &Target) {
    // SAFETY: the iterator's socket.
    let guardian = unsafe { mark(socket) }.map_or(0, |mark| mark.guard);
    if matches!(target.sweep, Sweep::Recheck) && guardian != target.policy.cgroup() {
        return;
    }
    let Some(work) = WORK.get_ptr_mut(0) else { return };
    // SAFETY: the map's one value, which no other program uses, and one thread at a time walks.
    let work = unsafe { &mut *work };
    // SAFETY: the full socket that the verifier knows.
    let options = unsafe { Handle::of_iterator(socket) };
    look(socket, local_port, target, &options, work);
    let work = black_box(work);
    consult(target, work);
    let work = black_box(work);
    if matches!(target.sweep, Sweep::Recheck) {
        let Work { record, wanted, .. } = work;
        let decision = judge_again(wanted.get(), &Before(record));
        book(record, &decision);
    } else {
        let Work { record, wanted, previous } = work;
        let decision = judge_anew(target, record.direction, wanted.get(), previous.get(), &Before(record));
        book(record, &decision);
    }
    let work = black_box(work);
    let is_real = !matches!(target.sweep, Sweep::Tell)
        && !matches!(work.record.outcome, Outcome::ArmBlind)
        && !matches!(target.policy.mode(), Mode::Nothing);
    if is_real {
        apply(socket, &options, target, &mut work.record);
    }
    let record = ptr::from_mut(&mut work.record).cast();
    // SAFETY: the kernel's own, never null.
    let meta = unsafe { &*ctx.meta };
    // SAFETY: the iterator's file; the record is as long as it says.
    unsafe { bpf_seq_write(meta.seq_file.cast(), record, SWEPT_BYTES as u32) };
}

/// Reads what the connection is and has.
#[inline(always)]
fn look(socket: *mut c_void, local_port: u16, target: &Target, options: &Handle, work: &mut Work) {
    // SAFETY: the iterator's socket, here and below.
    let [local, remote] = unsafe { fields::addresses(socket) };
    // SAFETY: as above.
    let remote_port = unsafe { fields::remote_port(socket) };
    let get = |option| options.read(option).or(UNKNOWN);
    work.record = Swept {
        // SAFETY: as above.
        cookie: unsafe { bpf_get_socket_cookie(socket) },
        governor: target.policy.cgroup(),
        local,
        remote,
        local_port: u32::from(local_port),
        remote_port: u32::from(remote_port),
        direction: if listening(local_port, false) { Direction::Inbound } else { Direction::Outbound },
        outcome: Outcome::KeepDestination,
        set: Timers::NONE,
        arms: 0,
        clears_user_timeout: 0,
        before: Timers {
            idle_s: get(SocketOption::Idle),
            interval_s: get(SocketOption::Interval),
            probes: get(SocketOption::Probes),
            user_timeout_ms: get(SocketOption::UserTimeout),
        },
        was_on: get(SocketOption::Keepalive),
        errno: 0,
    };
}

/// Asks the policies for the values they have for the destination.
#[inline(always)]
fn consult(target: &Target, work: &mut Work) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = work.record.remote;
    let words = [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(u32::from_be_bytes);
    let remote = Remote::v6(words, work.record.remote_port as u16);
    let values = |policy: &Policy| {
        Answer::new(if policy.destinations() == 0 { Some(policy.timers()) } else { find(policy, &remote) })
    };
    work.wanted = values(&target.policy);
    work.previous = if target.has_previous == 0 { Answer::new(None) } else { values(&target.previous) };
}

/// Records what was decided.
#[inline(always)]
fn book(record: &mut Swept, decision: &Decision) {
    let Decision { changes: Changes { timers, arm, clear_user_timeout }, outcome } = decision;
    record.outcome = *outcome;
    record.set = *timers;
    record.arms = u32::from(*arm);
    record.clears_user_timeout = u32::from(*clear_user_timeout);
}

/// What stands in a record for a value that the kernel cannot tell; no option has it.
const UNKNOWN: u32 = u32::MAX;

/// The options of a connection as they were recorded.
struct Before<'a>(&'a Swept);

impl Socket for Before<'_> {
    #[inline(always)]
    fn get(&self, option: SocketOption) -> Option<u32> {
        let Reading { is_known, value } = self.read(option);
        is_known.then_some(value)
    }

    #[inline(always)]
    fn read(&self, option: SocketOption) -> Reading {
        let Swept { before, was_on, .. } = self.0;
        let value = match option {
            SocketOption::Keepalive => *was_on,
            SocketOption::Idle => before.idle_s,
            SocketOption::Interval => before.interval_s,
            SocketOption::Probes => before.probes,
            SocketOption::UserTimeout => before.user_timeout_ms,
        };
        Reading { is_known: value != UNKNOWN, value }
    }
}

/// Sets what was decided, and the mark by which the connection is guarded.
#[inline(always)]
fn apply(socket: *mut c_void, options: &Handle, target: &Target, record: &mut Swept) {
    let Target { policy, sweep, .. } = target;
    let Timers { idle_s, interval_s, probes, user_timeout_ms } = record.set;
    let clears = record.clears_user_timeout != 0;
    set(options, SocketOption::Interval, interval_s, interval_s != 0, record);
    set(options, SocketOption::Probes, probes, probes != 0, record);
    set(options, SocketOption::Idle, idle_s, idle_s != 0, record);
    set(options, SocketOption::UserTimeout, user_timeout_ms, user_timeout_ms != 0 || clears, record);
    set(options, SocketOption::Keepalive, 1, record.arms != 0, record);
    let covered = !matches!(record.outcome, Outcome::KeepDirection | Outcome::KeepDestination);
    // What is enforced of the others is enforced once, and what is checked again keeps its mark.
    if !matches!(sweep, Sweep::Apply) {
        return;
    }
    if covered {
        other_options::apply(options, policy, Options::ESTABLISHED, record);
    }
    let guarded = covered && matches!(policy.mode(), Mode::Enforce);
    // SAFETY: the iterator's socket.
    if unsafe { guard(socket, if guarded { policy.cgroup() } else { 0 }) }.is_err() {
        record.errno = ENOMEM;
    }
}

impl Tally for Swept {
    #[inline(always)]
    fn set(&mut self) {}

    #[inline(always)]
    fn would_set(&mut self) {}

    #[inline(always)]
    fn refused(&mut self, errno: u64) {
        self.errno = errno as u32;
    }
}

#[inline(always)]
fn set(options: &Handle, option: SocketOption, value: u32, is_wanted: bool, record: &mut Swept) {
    if is_wanted && let Err(errno) = options.set(name(option), value.to_ne_bytes()) {
        record.errno = errno as u32;
    }
}
