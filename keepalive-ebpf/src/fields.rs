//! The fields of the kernel's sockets that no helper tells.

use core::{ffi::c_void, mem, ptr};

use aya_ebpf::helpers::bpf_probe_read_kernel;
use keepalive_ebpf::Offsets;

const AF_INET: u16 = 2;

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

/// The state of a connection.
///
/// # Safety
/// `socket` is a socket that the verifier knows as one, whole or not.
#[inline(always)]
pub(crate) unsafe fn state(socket: *const c_void) -> u8 {
    // SAFETY: the offset is that of the kernel's field, which the verifier checks; so for all that follow.
    unsafe { read(socket, &raw const OFFSETS.state) }
}

/// The local port.
///
/// # Safety
/// As for [`state`].
#[inline(always)]
pub(crate) unsafe fn local_port(socket: *const c_void) -> u16 {
    // SAFETY: see `state`.
    unsafe { read(socket, &raw const OFFSETS.local_port) }
}

/// The remote port.
///
/// # Safety
/// As for [`state`].
#[inline(always)]
pub(crate) unsafe fn remote_port(socket: *const c_void) -> u16 {
    // SAFETY: see `state`.
    u16::from_be(unsafe { read(socket, &raw const OFFSETS.remote_port) })
}

/// The id of the cgroup of whoever made the socket, or of its listener.
///
/// # Safety
/// `socket` is a whole one.
#[inline(always)]
pub(crate) unsafe fn cgroup_id(socket: *const c_void) -> u64 {
    // SAFETY: see `state`; the kernel reads zero where there is nothing.
    let cgroup: *const c_void = unsafe { read(socket, &raw const OFFSETS.cgroup) };
    // SAFETY: as above.
    let node: *const c_void = unsafe { read(cgroup, &raw const OFFSETS.kernfs_node) };
    // SAFETY: as above.
    unsafe { read(node, &raw const OFFSETS.id) }
}

/// The same where the verifier knows no pointer, but a number whose lowest bits say whether it is one: before Linux
/// 5.15. What the kernel takes for the root's is that here.
///
/// # Safety
/// As for [`cgroup_id`].
#[inline(always)]
pub(crate) unsafe fn cgroup_id_by_number(socket: *const c_void) -> u64 {
    const NO_POINTER: usize = 3;
    const ROOT: u64 = 1;

    // SAFETY: see `state`.
    let cgroup: usize = unsafe { read(socket, &raw const OFFSETS.cgroup) };
    if cgroup & NO_POINTER != 0 {
        return ROOT;
    }
    // SAFETY: the offset is one of them, and a helper that checks the address reads there.
    let Some(node) = (unsafe { peek::<usize>(cgroup, &raw const OFFSETS.kernfs_node) }) else { return ROOT };
    // SAFETY: as above.
    let id = unsafe { peek::<u64>(node, &raw const OFFSETS.id) };
    id.unwrap_or(ROOT)
}

/// Reads a field of what lies at an address, which need not be one.
///
/// # Safety
/// `offset` is one of [`OFFSETS`].
#[expect(clippy::cast_possible_truncation, reason = "offsets in structures are small")]
#[inline(always)]
unsafe fn peek<T>(base: usize, offset: *const u64) -> Option<T> {
    // SAFETY: as promised; volatile as in `read`.
    let offset = unsafe { offset.read_volatile() };
    let field = ptr::without_provenance(base.wrapping_add(offset as usize));
    // SAFETY: the helper fails where nothing can be read.
    unsafe { bpf_probe_read_kernel(field) }.ok()
}

/// The local and the remote address, as of IPv6.
///
/// # Safety
/// As for [`state`].
#[inline(always)]
pub(crate) unsafe fn addresses(socket: *const c_void) -> [[u8; 16]; 2] {
    // SAFETY: see `state`.
    let family: u16 = unsafe { read(socket, &raw const OFFSETS.family) };
    let fields = if family == AF_INET {
        [&raw const OFFSETS.local_v4, &raw const OFFSETS.remote_v4].map(|offset| {
            // SAFETY: as above.
            let address: u32 = unsafe { read(socket, offset) };
            [0, 0, 0xffff_u32.to_be(), address]
        })
    } else {
        [&raw const OFFSETS.local_v6, &raw const OFFSETS.remote_v6].map(|offset| {
            // SAFETY: as above; the kernel's own is four words.
            unsafe { read(socket, offset) }
        })
    };
    // SAFETY: both are plain data of the same size, in the same order.
    unsafe { mem::transmute::<[[u32; 4]; 2], [[u8; 16]; 2]>(fields) }
}

/// Reads a field.
///
/// # Safety
/// `base` has a field of type `T` there.
#[expect(clippy::cast_possible_truncation, reason = "offsets in structures are small")]
#[inline(always)]
pub(crate) unsafe fn read<T: Copy>(base: *const c_void, offset: *const u64) -> T {
    // SAFETY: one of this object's. Volatile, because the compiler would take the zeros for what they are.
    let offset = unsafe { offset.read_volatile() };
    // SAFETY: as promised.
    let field = unsafe { base.byte_add(offset as usize) };
    // SAFETY: as promised.
    unsafe { field.cast::<T>().read() }
}
