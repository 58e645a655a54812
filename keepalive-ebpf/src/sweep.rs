//! One open connection after the other, as the kernel's iterator over TCP sockets comes by them.
//!
//! The kernel holds the socket's lock while the program runs. It ends a read as soon as what was written fills the
//! reader's buffer, and has room for far more (eight pages): a record is never cut off, so each is written once.

use core::{ffi::c_void, mem, ptr};

use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_seq_write, bpf_skc_to_tcp_sock};
use keepalive_ebpf::{
    Changes, Decision, Direction, Mode, Offsets, Options, Outcome, Policy, Remote, Socket, SocketOption,
    Sweep, Swept, Target, Timers, judge,
};

use crate::{
    maps::{LISTENING, TARGETS, find},
    other_options,
    socket::{Handle, guard, name},
};

/// Where the kernel keeps what is read here: the daemon writes it into the object before it loads it.
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets {
    family: 0,
    state: 0,
    local_port: 0,
    remote_port: 0,
    local_v4: 0,
    remote_v4: 0,
    local_v6: 0,
    remote_v6: 0,
    cgroup: 0,
    kernfs_node: 0,
    id: 0,
};

/// `struct bpf_iter__tcp`
#[repr(C)]
pub(crate) struct IterTcp {
    meta: *const IterMeta,
    /// A `sock_common`; null at the end.
    socket: *mut c_void,
    uid: u32,
}

/// The beginning of `struct bpf_iter_meta`.
#[repr(C)]
struct IterMeta {
    seq_file: *mut c_void,
}

const AF_INET: u16 = 2;
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
    // SAFETY: the offsets are those of the kernel's fields, here and below; the verifier checks that.
    let state: u8 = unsafe { read(ctx.socket, &raw const OFFSETS.state) };
    // After the application has closed, the timer of keep-alive is that of FIN-WAIT.
    if !matches!(state, TCP_ESTABLISHED | TCP_SYN_RECV | TCP_CLOSE_WAIT | TCP_LISTEN) {
        return;
    }
    // SAFETY: it is the context's socket; the result is null for one that is not whole.
    let socket: *mut c_void = unsafe { bpf_skc_to_tcp_sock(ctx.socket) }.cast();
    if socket.is_null() {
        return;
    }
    // SAFETY: the cgroup of a socket never changes, and lives as long as the socket.
    let Some(target) = (unsafe { TARGETS.get(&cgroup_id(socket)) }) else { return };
    // SAFETY: as above.
    let local_port: u16 = unsafe { read(socket, &raw const OFFSETS.local_port) };
    if state == TCP_LISTEN {
        listening(local_port, true);
        return;
    }
    let swept = treat(socket, local_port, target);
    // SAFETY: the context's own file; the record lives and is as long as it says.
    unsafe {
        bpf_seq_write(
            (*ctx.meta).seq_file.cast(),
            ptr::from_ref(&swept).cast_mut().cast(),
            mem::size_of::<Swept>() as u32,
        )
    };
}

/// Reads a field of the kernel's.
///
/// # Safety
/// `base` is of a type that has a field of type `T` there.
#[inline(always)]
unsafe fn read<T: Copy>(base: *const c_void, offset: *const u64) -> T {
    // SAFETY: a static of this object. Volatile, because the compiler would take the zeros for what they are.
    let offset = unsafe { offset.read_volatile() };
    // SAFETY: as promised.
    unsafe { base.byte_add(offset as usize).cast::<T>().read() }
}

#[inline(always)]
fn cgroup_id(socket: *const c_void) -> u64 {
    // SAFETY: a full socket; the kernel reads zero where there is nothing.
    let cgroup: *const c_void = unsafe { read(socket, &raw const OFFSETS.cgroup) };
    // SAFETY: as above.
    let node: *const c_void = unsafe { read(cgroup, &raw const OFFSETS.kernfs_node) };
    // SAFETY: as above.
    unsafe { read(node, &raw const OFFSETS.id) }
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

/// Does to a connection what its target says, and tells.
#[inline(always)]
fn treat(socket: *mut c_void, local_port: u16, target: &Target) -> Swept {
    let direction = if listening(local_port, false) { Direction::Inbound } else { Direction::Outbound };
    let (local, remote) = addresses(socket);
    // SAFETY: as in `visit`.
    let remote_port = u16::from_be(unsafe { read(socket, &raw const OFFSETS.remote_port) });
    let far_end = Remote::v6(remote.map(u32::from_be), remote_port);
    // SAFETY: the full socket that the verifier knows.
    let options = unsafe { Handle::of_iterator(socket) };
    let before = Before::read(&options);
    let wanted = values(&target.policy, &far_end);
    let previous = if target.has_previous == 0 { None } else { values(&target.previous, &far_end) };
    let decision = judge(target, direction, wanted, previous, &before);
    let Changes { timers, arm, clear_user_timeout } = decision.changes;
    let is_real = !matches!(target.sweep, Sweep::Tell)
        && !matches!(decision.outcome, Outcome::ArmBlind)
        && !matches!(target.policy.mode(), Mode::Nothing);
    let errno = if is_real { apply(socket, &options, target, &decision) } else { 0 };
    Swept {
        // SAFETY: as above.
        cookie: unsafe { bpf_get_socket_cookie(socket) },
        governor: target.policy.cgroup(),
        local: bytes(local),
        remote: bytes(remote),
        local_port: u32::from(local_port),
        remote_port: u32::from(remote_port),
        direction,
        outcome: decision.outcome,
        set: timers,
        arms: u32::from(arm),
        clears_user_timeout: u32::from(clear_user_timeout),
        before: before.timers(),
        was_on: before.keepalive.unwrap_or(0),
        errno,
    }
}

/// The local and the remote address, as words in network byte order; IPv4 as IPv6.
#[inline(always)]
fn addresses(socket: *const c_void) -> ([u32; 4], [u32; 4]) {
    // SAFETY: as in `visit`.
    let family: u16 = unsafe { read(socket, &raw const OFFSETS.family) };
    if family == AF_INET {
        let mapped = |address: u32| [0, 0, 0xffff_u32.to_be(), address];
        // SAFETY: as above.
        let [local, remote] = unsafe {
            [read(socket, &raw const OFFSETS.local_v4), read(socket, &raw const OFFSETS.remote_v4)]
        };
        return (mapped(local), mapped(remote));
    }
    // SAFETY: as above; an address is four words.
    let [local, remote] =
        unsafe { [read(socket, &raw const OFFSETS.local_v6), read(socket, &raw const OFFSETS.remote_v6)] };
    (local, remote)
}

#[inline(always)]
const fn bytes(address: [u32; 4]) -> [u8; 16] {
    // SAFETY: both are plain data of the same size.
    unsafe { mem::transmute::<[u32; 4], [u8; 16]>(address) }
}

/// The values that a policy has for a destination.
#[inline(always)]
fn values(policy: &Policy, remote: &Remote) -> Option<Timers> {
    if policy.destinations() == 0 { Some(policy.timers()) } else { find(policy, remote) }
}

/// What a connection had: read once, for the decision and for the record.
struct Before {
    keepalive: Option<u32>,
    idle: Option<u32>,
    interval: Option<u32>,
    probes: Option<u32>,
    user_timeout: Option<u32>,
}

impl Before {
    #[inline(always)]
    fn read(options: &Handle) -> Self {
        let get = |option| Socket::get(options, option);
        Self {
            keepalive: get(SocketOption::Keepalive),
            idle: get(SocketOption::Idle),
            interval: get(SocketOption::Interval),
            probes: get(SocketOption::Probes),
            user_timeout: get(SocketOption::UserTimeout),
        }
    }

    #[inline(always)]
    fn timers(&self) -> Timers {
        Timers {
            idle_s: self.idle.unwrap_or(0),
            interval_s: self.interval.unwrap_or(0),
            probes: self.probes.unwrap_or(0),
            user_timeout_ms: self.user_timeout.unwrap_or(0),
        }
    }
}

impl Socket for Before {
    #[inline(always)]
    fn get(&self, option: SocketOption) -> Option<u32> {
        match option {
            SocketOption::Keepalive => self.keepalive,
            SocketOption::Idle => self.idle,
            SocketOption::Interval => self.interval,
            SocketOption::Probes => self.probes,
            SocketOption::UserTimeout => self.user_timeout,
        }
    }
}

/// Sets what was decided, and the mark by which the connection is guarded; the errno of the last refusal, 0 if there
/// was none.
#[inline(always)]
fn apply(socket: *mut c_void, options: &Handle, target: &Target, decision: &Decision) -> u32 {
    let Target { policy, sweep, .. } = target;
    let Decision { changes: Changes { timers, arm, clear_user_timeout }, outcome } = decision;
    let mut errno = 0;
    let mut set = |option, value: u32, is_wanted: bool| {
        if is_wanted && let Err(refused) = options.set(name(option), value.to_ne_bytes()) {
            errno = refused as u32;
        }
    };
    set(SocketOption::Interval, timers.interval_s, timers.interval_s != 0);
    set(SocketOption::Probes, timers.probes, timers.probes != 0);
    set(SocketOption::Idle, timers.idle_s, timers.idle_s != 0);
    set(
        SocketOption::UserTimeout,
        timers.user_timeout_ms,
        timers.user_timeout_ms != 0 || *clear_user_timeout,
    );
    set(SocketOption::Keepalive, 1, *arm);
    let covered = !matches!(outcome, Outcome::KeepDirection | Outcome::KeepDestination);
    // What is enforced of the others is enforced once.
    if covered && matches!(sweep, Sweep::Apply) {
        let applied = other_options::apply(options, policy, Options::ESTABLISHED);
        if applied.errno != 0 {
            errno = applied.errno as u32;
        }
    }
    let guarded = covered && matches!(policy.mode(), Mode::Enforce);
    // SAFETY: the iterator's socket.
    if unsafe { guard(socket, if guarded { policy.cgroup() } else { 0 }) }.is_err() {
        errno = ENOMEM;
    }
    errno
}
