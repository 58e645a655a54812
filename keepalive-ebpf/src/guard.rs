//! The later calls of applications on sockets whose values are enforced.

use core::ptr;

use aya_ebpf::{
    bindings::{bpf_sock, bpf_sockopt},
    programs::SockoptContext,
};
use keepalive_ebpf::{Direction, Mode, Policy, Remote, SocketOption, Timers, hold};

use crate::{
    established::count,
    maps::{COUNTERS, POLICY, find},
    socket::{mark, name},
};

const AF_INET: u32 = 2;
const IPPROTO_MPTCP: u32 = 262;
/// States of sockets, from `net/tcp_states.h`.
const SYN_SENT: u32 = 2;
const CLOSE: u32 = 7;
const LISTEN: u32 = 10;

/// The largest value that a program sees: a page, of the smallest there are.
const VISIBLE: i32 = 4096;

/// The length of the value of all options that are guarded; the kernel takes longer ones, and reads as much.
const VALUE: i32 = 4;

const OPTIONS: [SocketOption; 5] = [
    SocketOption::Keepalive,
    SocketOption::Idle,
    SocketOption::Interval,
    SocketOption::Probes,
    SocketOption::UserTimeout,
];

/// Puts the policy's value in the place of one that would weaken it.
#[inline(always)]
pub(crate) fn on_setsockopt(ctx: &SockoptContext) {
    // SAFETY: the context is the one the program was called with.
    let call = unsafe { &mut *ctx.sockopt };
    let length = call.optlen;
    if length > VISIBLE {
        // "As it was." Left alone, a value longer than what programs see is EFAULT for the application on 5.10.
        call.optlen = 0;
    }
    if length >= VALUE && rewrite(call) && length > VISIBLE {
        // The kernel takes the value from the application again, unless the length says that there is one here.
        call.optlen = VALUE;
    }
}

/// Rewrites the value of a call that would weaken what is enforced on its socket; whether it did.
#[inline(always)]
fn rewrite(call: &mut bpf_sockopt) -> bool {
    let Some(option) = option(call.level, call.optname) else { return false };
    // SAFETY: the kernel hands out the storage of the cgroup the program is attached to, never null, and
    // replaces it whole when the daemon writes it.
    let policy = unsafe { &*POLICY.get_ptr_mut() };
    if !matches!(policy.mode(), Mode::Enforce) {
        return false;
    }
    // SAFETY: the union has this one meaning; the verifier types what is read from it, and it is never null.
    let Some(wanted) = enforced(unsafe { call.__bindgen_anon_1.sk }, policy) else { return false };
    let Some(value) = value(call) else { return false };
    let Some(held) = hold(option, *value, &wanted) else { return false };
    *value = held.cast_signed();
    count_rewrite(option);
    true
}

/// Which of the guarded options a call is for.
#[inline(always)]
fn option(level: i32, optname: i32) -> Option<SocketOption> {
    OPTIONS.into_iter().find(|option| name(*option) == (level, optname))
}

/// The value of a call, where the program can see it.
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "the two ends of one buffer")]
#[inline(always)]
fn value(call: &mut bpf_sockopt) -> Option<&mut i32> {
    // SAFETY: both unions have this one meaning.
    let [start, end] = unsafe { [call.__bindgen_anon_2.optval, call.__bindgen_anon_3.optval_end] }
        .map(<*mut core::ffi::c_void>::cast::<i32>);
    // The verifier knows this form of the comparison, and no other.
    if start.wrapping_add(1) > end {
        return None;
    }
    // SAFETY: the buffer is the kernel's copy for the programs, never null, and it is long enough.
    Some(unsafe { &mut *start })
}

/// The values that the policy enforces on a socket; `None` if none.
#[inline(always)]
fn enforced(socket: *mut bpf_sock, policy: &Policy) -> Option<Timers> {
    // SAFETY: the socket of the program's context, and not null.
    let guarded = match unsafe { mark(socket.cast()) } {
        Some(mark) => mark.guard == policy.cgroup(),
        // The marks of an MPTCP connection are on its subflows, which no call reaches. Which direction it has is not
        // to be seen on its own socket, and the destinations are those of its subflows.
        None => {
            is_open_mptcp(socket)
                && matches!(policy.direction(), Direction::Both)
                && policy.destinations() == 0
        }
    };
    if !guarded {
        return None;
    }
    if policy.destinations() == 0 { Some(policy.timers()) } else { find(policy, &remote(socket)) }
}

/// Whether it is a connection of MPTCP.
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "the same read, of two fields")]
#[inline(always)]
fn is_open_mptcp(socket: *mut bpf_sock) -> bool {
    // SAFETY: the verifier lets the program read these fields of any socket.
    unsafe {
        read(&raw const (*socket).protocol) == IPPROTO_MPTCP
            && !matches!(read(&raw const (*socket).state), SYN_SENT | CLOSE | LISTEN)
    }
}

/// The remote end of a connection.
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "the same read, field by field")]
#[inline(always)]
fn remote(socket: *mut bpf_sock) -> Remote {
    // SAFETY: as above. The port has two bytes; what follows them differs between kernels.
    unsafe {
        let port = u16::from_be(ptr::read_volatile(&raw const (*socket).dst_port));
        if read(&raw const (*socket).family) == AF_INET {
            return Remote::v4(u32::from_be(read(&raw const (*socket).dst_ip4)), port);
        }
        let words = &raw const (*socket).dst_ip6;
        let words = [0, 1, 2, 3].map(|at| u32::from_be(read(words.cast::<u32>().add(at))));
        Remote::v6(words, port)
    }
}

/// Reads a field by itself, which the compiler must not join with another: the verifier knows each by its size.
///
/// # Safety
/// As for [`ptr::read_volatile`].
#[inline(always)]
unsafe fn read(field: *const u32) -> u32 {
    // SAFETY: as promised.
    unsafe { ptr::read_volatile(field) }
}

#[inline(always)]
fn count_rewrite(option: SocketOption) {
    // SAFETY: as for the policy; the copy is this CPU's. A task that another one interrupts here may lose a count.
    let counters = unsafe { &mut *COUNTERS.get_ptr_mut() };
    match option {
        SocketOption::Keepalive => count(&mut counters.rewritten_keepalive),
        SocketOption::Idle => count(&mut counters.rewritten_idle),
        SocketOption::Interval => count(&mut counters.rewritten_interval),
        SocketOption::Probes => count(&mut counters.rewritten_probes),
        SocketOption::UserTimeout => count(&mut counters.rewritten_user_timeout),
    }
}
