//! The end of every connection, and whether its peer was found dead.
//!
//! Since Linux 6.10 a connection that ends with an error is closed, and then its application is told, for which there is
//! the tracepoint `inet_sk_error_report`: no other connection passes it. Before, it is not closed yet when some errors are
//! told, and others are told that do not end it. There the tracepoint is `inet_sock_set_state`, passed nine times in the
//! life of a connection and never for data, which takes 3 % of a short one. What is not the end of an open connection is
//! sorted out by two numbers there, and most ends by one field.

use core::{arch::asm, ffi::c_void, ptr};

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::generated::{bpf_jiffies64, bpf_skc_to_tcp_sock},
    programs::BtfTracePointContext,
};
use keepalive_ebpf::{ClosingOffsets, DeadPeer, DeadPeers, Ending, Finding, UNCOUNTED};

use crate::{
    fields::{self, read},
    maps::{DEAD_PEER_LOG, DEAD_PEERS},
};

const TCP_ESTABLISHED: i32 = 1;
const TCP_CLOSE: i32 = 7;
const TCP_CLOSE_WAIT: i32 = 8;

/// Where the kernel keeps what is read here: the daemon writes it into the object before it loads it.
#[unsafe(no_mangle)]
static CLOSING_OFFSETS: ClosingOffsets = ClosingOffsets {
    error: 0,
    local_port: 0,
    probes_out: 0,
    user_timeout: 0,
    received_at: 0,
    sent_at: 0,
    acknowledged_at: 0,
    written: 0,
    acknowledged: 0,
    cgroup_is_pointer: 0,
    ticks_a_second: 0,
};

/// Looks at a socket that is about to have another state.
#[inline(always)]
pub(crate) fn on_state_change(ctx: &BtfTracePointContext) {
    // The tracepoint's arguments: the socket, and its states before and after.
    let [before, after]: [i32; 2] = [ctx.arg(1), ctx.arg(2)];
    // Who has closed its end waits for no peer any more.
    if after != TCP_CLOSE || !matches!(before, TCP_ESTABLISHED | TCP_CLOSE_WAIT) {
        return;
    }
    on_end(ctx.arg(0));
}

/// Looks at a socket whose application is told of an error.
#[inline(always)]
pub(crate) fn on_error(ctx: &BtfTracePointContext) {
    let socket: *mut c_void = ctx.arg(0);
    // SAFETY: it is the tracepoint's argument, which the verifier knows as a socket.
    if i32::from(unsafe { fields::state(socket) }) == TCP_CLOSE {
        on_end(socket);
    }
}

#[inline(always)]
fn on_end(socket: *mut c_void) {
    // SAFETY: it is the tracepoint's socket; the result is null for one that is not TCP's.
    let socket: *mut c_void = unsafe { bpf_skc_to_tcp_sock(socket) }.cast();
    if socket.is_null() {
        return;
    }
    // SAFETY: the helper has just said that it is a whole TCP socket; so for all that follow.
    let error: u32 = unsafe { read(socket, &raw const CLOSING_OFFSETS.error) };
    if error == 0 {
        return;
    }
    // SAFETY: as above.
    if !unsafe { was_established(socket) } {
        return;
    }
    // SAFETY: as above.
    let ending = unsafe { look(socket, error) };
    // SAFETY: one of this object's.
    let ticks_a_second = unsafe { constant(&raw const CLOSING_OFFSETS.ticks_a_second) };
    let Some(finding) = ending.finding(ticks_a_second) else { return };
    // SAFETY: one of this object's.
    let cgroup = if unsafe { constant(&raw const CLOSING_OFFSETS.cgroup_is_pointer) } == 0 {
        // SAFETY: as above.
        unsafe { fields::cgroup_id_by_number(socket) }
    } else {
        // SAFETY: as above.
        unsafe { fields::cgroup_id(socket) }
    };
    // SAFETY: as above.
    let is_told = unsafe { tell(socket, cgroup, &ending, finding) };
    count(cgroup, finding, is_told);
}

/// What the daemon has written there.
///
/// # Safety
/// It is one of [`CLOSING_OFFSETS`].
#[inline(always)]
unsafe fn constant(of: *const u64) -> u64 {
    // SAFETY: as promised. Volatile, because the compiler would take the zeros for what they are.
    unsafe { of.read_volatile() }
}

/// Whether the peer was ever heard of.
///
/// # Safety
/// As for [`look`].
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "reads of fields, for one reason")]
#[inline(always)]
unsafe fn was_established(socket: *const c_void) -> bool {
    // SAFETY: as in `look`.
    let (received_at, acknowledged_at): (u32, u32) = unsafe {
        (
            read(socket, &raw const CLOSING_OFFSETS.received_at),
            read(socket, &raw const CLOSING_OFFSETS.acknowledged_at),
        )
    };
    received_at | acknowledged_at != 0
}

/// What is left on the socket.
///
/// # Safety
/// `socket` is a whole TCP socket that the verifier knows as one; so for all that follow.
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "reads of fields, for one reason")]
#[inline(always)]
unsafe fn look(socket: *const c_void, error: u32) -> Ending {
    // SAFETY: the offsets are those of the kernel's fields, which the verifier checks.
    unsafe {
        let probes_out: u8 = read(socket, &raw const CLOSING_OFFSETS.probes_out);
        let written: u32 = read(socket, &raw const CLOSING_OFFSETS.written);
        let acknowledged: u32 = read(socket, &raw const CLOSING_OFFSETS.acknowledged);
        Ending {
            error,
            probes_out: u32::from(probes_out),
            is_pending: written != acknowledged,
            user_timeout_ms: read(socket, &raw const CLOSING_OFFSETS.user_timeout),
            unheard_ticks: ticks_since(
                read(socket, &raw const CLOSING_OFFSETS.received_at),
                read(socket, &raw const CLOSING_OFFSETS.acknowledged_at),
            ),
        }
    }
}

/// The ticks since the later of two moments, as the kernel notes them: by the lower half of its count.
#[expect(clippy::cast_possible_truncation, reason = "the lower half of the count")]
#[inline(always)]
fn ticks_since(one: u32, other: u32) -> u32 {
    // SAFETY: the helper takes nothing and reads a count.
    let now = unsafe { bpf_jiffies64() } as u32;
    now.wrapping_sub(one).min(now.wrapping_sub(other))
}

/// Leaves a record for the daemon; whether there was room.
///
/// # Safety
/// As for [`look`].
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "reads of fields, for one reason")]
#[inline(always)]
unsafe fn tell(socket: *const c_void, cgroup: u64, ending: &Ending, finding: Finding) -> bool {
    let Some(mut record) = DEAD_PEER_LOG.reserve(0) else { return false };
    // SAFETY: as in `look`.
    let (ends, local_port_be, remote_port, silent_ticks) = unsafe {
        (
            fields::addresses(socket),
            read::<u16>(socket, &raw const CLOSING_OFFSETS.local_port),
            fields::remote_port(socket),
            ticks_since(
                read(socket, &raw const CLOSING_OFFSETS.received_at),
                read(socket, &raw const CLOSING_OFFSETS.sent_at),
            ),
        )
    };
    let [local, remote] = ends;
    record.write(DeadPeer {
        cgroup,
        local,
        remote,
        local_port: u32::from(u16::from_be(local_port_be)),
        remote_port: u32::from(remote_port),
        finding,
        error: ending.error,
        probes_out: ending.probes_out,
        silent_ticks,
        unheard_ticks: ending.unheard_ticks,
        reserved: 0,
    });
    record.submit(0);
    true
}

/// Counts, for the cgroup or, where the table has no room for it, for none.
#[inline(always)]
fn count(cgroup: u64, finding: Finding, is_told: bool) {
    const NONE: DeadPeers = DeadPeers { keepalive: 0, user_timeout: 0, reset: 0, untold: 0 };

    let known = DEAD_PEERS.get_ptr_mut(cgroup).or_else(|| {
        // Another processor may be the first.
        let _ = DEAD_PEERS.insert(cgroup, NONE, u64::from(BPF_NOEXIST));
        DEAD_PEERS.get_ptr_mut(cgroup)
    });
    let Some(counts) = known.or_else(|| DEAD_PEERS.get_ptr_mut(UNCOUNTED)) else { return };
    // SAFETY: a value of the map, which the program may use as long as it runs.
    let counts = unsafe { &mut *counts };
    let found = match finding {
        Finding::Keepalive => &mut counts.keepalive,
        Finding::UserTimeout => &mut counts.user_timeout,
        Finding::Reset => &mut counts.reset,
    };
    add_one(found);
    if !is_told {
        add_one(&mut counts.untold);
    }
}

/// Adds as one step: connections end on all processors. The compiler knows of no atomic operation of this machine.
#[inline(always)]
fn add_one(count: &mut u64) {
    // SAFETY: the address is that of a word, aligned and writable, and nothing else is touched.
    unsafe {
        asm!(
            "lock *(u64 *)({count} + 0) += {one}",
            count = in(reg) ptr::from_mut(count),
            one = in(reg) 1_u64,
            options(nostack),
        );
    }
}
