//! The socket of a `sock_ops` callback: its options, and the mark that says whose policy governs it.

use core::ptr;

use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::generated::{bpf_getsockopt, bpf_setsockopt, bpf_sk_storage_delete, bpf_sk_storage_get},
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

/// Whether a program of a deeper cgroup has claimed the socket.
///
/// # Safety
/// `socket` is from [`full_socket`] of the callback that is running, and not null.
#[inline(always)]
pub(crate) unsafe fn is_claimed(socket: *mut bpf_sock) -> bool {
    // SAFETY: the map is one of this object's, the socket as promised.
    let mark = unsafe { bpf_sk_storage_get(claims(), socket.cast(), ptr::null_mut(), 0) };
    !mark.is_null()
}

/// Claims the socket; fails where the kernel has no memory for the mark or the socket may hold no more.
///
/// # Safety
/// As for [`is_claimed`].
#[inline(always)]
pub(crate) unsafe fn claim(socket: *mut bpf_sock) -> Result<(), ()> {
    let flags = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
    // SAFETY: as in `is_claimed`.
    let mark = unsafe { bpf_sk_storage_get(claims(), socket.cast(), ptr::null_mut(), flags) };
    if mark.is_null() { Err(()) } else { Ok(()) }
}

/// Takes the claim back, once no further program can ask for it.
///
/// # Safety
/// As for [`is_claimed`].
#[inline(always)]
pub(crate) unsafe fn release(socket: *mut bpf_sock) {
    // SAFETY: as in `is_claimed`. The result says whether there was one, which the caller knows.
    unsafe { bpf_sk_storage_delete(claims(), socket.cast()) };
}

#[inline(always)]
fn claims() -> *mut core::ffi::c_void {
    ptr::from_ref(&CLAIMS).cast_mut().cast()
}
