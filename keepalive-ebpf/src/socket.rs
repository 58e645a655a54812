//! The socket of a `sock_ops` callback: its options, and the mark that says whose policy governs it.

use core::ptr;

use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::generated::{bpf_getsockopt, bpf_ktime_get_ns, bpf_setsockopt, bpf_sk_storage_get},
    programs::SockOpsContext,
};
use keepalive_ebpf::{Socket, SocketOption};

use crate::maps::CLAIMS;

/// `SOL_SOCKET` of the architectures aya builds for, MIPS aside.
const SOL_SOCKET: i32 = 1;
const SOL_TCP: i32 = 6;

/// The level and name of an option, from `asm-generic/socket.h` and `linux/tcp.h`.
const fn name(option: SocketOption) -> (i32, i32) {
    match option {
        SocketOption::Keepalive => (SOL_SOCKET, 9),
        SocketOption::Idle => (SOL_TCP, 4),
        SocketOption::Interval => (SOL_TCP, 5),
        SocketOption::Probes => (SOL_TCP, 6),
        SocketOption::UserTimeout => (SOL_TCP, 18),
    }
}

/// The options of the callback's socket.
pub(crate) struct Options<'a>(pub(crate) &'a SockOpsContext);

impl Options<'_> {
    /// Sets an option; fails with the kernel's errno.
    #[inline(always)]
    pub(crate) fn set(&self, option: SocketOption, mut value: u32) -> Result<(), u64> {
        let (level, optname) = name(option);
        // SAFETY: the context is the one the program was called with, and the buffer is a live u32, the size
        // that every option here has.
        let result =
            unsafe { bpf_setsockopt(self.0.ops.cast(), level, optname, ptr::from_mut(&mut value).cast(), 4) };
        if result == 0 { Ok(()) } else { Err(result.unsigned_abs()) }
    }
}

impl Socket for Options<'_> {
    #[inline(always)]
    fn get(&self, option: SocketOption) -> Option<u32> {
        let (level, optname) = name(option);
        let mut value = 0_u32;
        // SAFETY: as in `set`; the helper writes at most four bytes.
        let result =
            unsafe { bpf_getsockopt(self.0.ops.cast(), level, optname, ptr::from_mut(&mut value).cast(), 4) };
        (result == 0).then_some(value)
    }
}

/// The socket as the storage helpers want it; null in callbacks without a full socket.
#[inline(always)]
pub(crate) fn full_socket(ctx: &SockOpsContext) -> *mut bpf_sock {
    // SAFETY: the context is the one the program was called with.
    let ops = unsafe { &*ctx.ops };
    // SAFETY: the union has this one meaning; the verifier types what is read from it.
    unsafe { ops.__bindgen_anon_2.sk }
}

/// How long a claim holds, in nanoseconds. The programs of all levels run within one callback, microseconds
/// apart, or as long as something on a busy CPU keeps them apart. A claim this old is of an earlier connection
/// of a socket that was disconnected, and perhaps of a policy that is gone.
const CLAIM_HOLDS_NS: u64 = 10_000_000_000;

/// Whether a program of a deeper cgroup has claimed the connection.
///
/// # Safety
/// `socket` is from [`full_socket`] of the callback that is running, and not null.
#[inline(always)]
pub(crate) unsafe fn is_claimed(socket: *mut bpf_sock) -> bool {
    // SAFETY: the map is one of this object's, the socket as promised.
    let claimed: *mut u64 = unsafe { bpf_sk_storage_get(claims(), socket.cast(), ptr::null_mut(), 0) }.cast();
    // SAFETY: the helper gives null or the value, which lives as long as the callback holds the socket.
    let Some(claimed) = (unsafe { claimed.as_ref() }) else { return false };
    now_ns().wrapping_sub(*claimed) < CLAIM_HOLDS_NS
}

/// Claims the connection; fails where the kernel has no memory for the mark or the socket may hold no more.
/// The mark stays with the socket: whoever took it back would have to be sure to be the last to ask.
///
/// # Safety
/// As for [`is_claimed`].
#[inline(always)]
pub(crate) unsafe fn claim(socket: *mut bpf_sock) -> Result<(), ()> {
    let flags = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
    // SAFETY: as in `is_claimed`.
    let mark: *mut u64 =
        unsafe { bpf_sk_storage_get(claims(), socket.cast(), ptr::null_mut(), flags) }.cast();
    // SAFETY: as in `is_claimed`.
    let mark = unsafe { mark.as_mut() }.ok_or(())?;
    *mark = now_ns();
    Ok(())
}

#[inline(always)]
fn now_ns() -> u64 {
    // SAFETY: the helper takes nothing and reads a clock.
    unsafe { bpf_ktime_get_ns() }
}

#[inline(always)]
fn claims() -> *mut core::ffi::c_void {
    ptr::from_ref(&CLAIMS).cast_mut().cast()
}
