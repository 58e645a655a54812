//! The options of one connection after the other, as the kernel's iterator over TCP sockets comes by them: what sock_diag
//! leaves out. It reads, and sets nothing; it knows no cgroups and no policies, which are joined to it by the cookie.
//!
//! A program of its own beside `sweep`, which could tell the same: that one is for the cgroups of a map, whose every
//! connection takes it a record five times as long, and a listing must not come in the way of a sweep, nor be able to
//! change anything.
#![expect(clippy::cast_possible_truncation, reason = "a record has fewer than 2^32 bytes")]

use core::{ffi::c_void, ptr};

use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_seq_write, bpf_skc_to_tcp_sock};
use keepalive_ebpf::{OBSERVED_BYTES, Observed};

use crate::{socket::Handle, sweep::IterTcp};

/// Tells the options of the socket that the iterator has come to.
#[inline(always)]
pub(crate) fn tell(ctx: &IterTcp) {
    if ctx.socket.is_null() {
        return;
    }
    // SAFETY: it is the context's socket; the result is null for one that is not whole.
    let socket: *mut c_void = unsafe { bpf_skc_to_tcp_sock(ctx.socket) }.cast();
    if socket.is_null() {
        return;
    }
    // SAFETY: the full socket that the verifier knows.
    let options = unsafe { Handle::of_iterator(socket) };
    // SAFETY: the iterator's socket.
    let mut record = Observed::of(unsafe { bpf_get_socket_cookie(socket) }, &options);
    // SAFETY: the kernel's own, never null.
    let meta = unsafe { &*ctx.meta };
    // SAFETY: the iterator's file; the record is as long as it says. The kernel has room for it, see `sweep`.
    unsafe { bpf_seq_write(meta.seq_file.cast(), ptr::from_mut(&mut record).cast(), OBSERVED_BYTES as u32) };
}
