//! The sockets that programs are called for: their options, and the marks that say whose policy governs them.

use core::{ffi::c_void, hint::cold_path, mem::MaybeUninit, ptr};

use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::generated::{bpf_getsockopt, bpf_ktime_get_ns, bpf_setsockopt, bpf_sk_storage_get},
    programs::SockOpsContext,
};
use keepalive_ebpf::{Claim, Counters, Moment, Reading, Socket, SocketOption};

use crate::maps::CLAIMS;

/// `SOL_SOCKET` of the architectures aya builds for, MIPS aside.
pub(crate) const SOL_SOCKET: i32 = 1;
pub(crate) const SOL_TCP: i32 = 6;

/// The level and name of an option, from `asm-generic/socket.h` and `linux/tcp.h`.
pub(crate) const fn name(option: SocketOption) -> (i32, i32) {
    match option {
        SocketOption::Keepalive => (SOL_SOCKET, 9),
        SocketOption::Idle => (SOL_TCP, 4),
        SocketOption::Interval => (SOL_TCP, 5),
        SocketOption::Probes => (SOL_TCP, 6),
        SocketOption::UserTimeout => (SOL_TCP, 18),
    }
}

/// The options of a socket, by what the helpers take for it: the context of `sock_ops`, the socket of an iterator.
#[derive(Clone, Copy)]
pub(crate) struct Handle(*mut c_void);

impl Handle {
    /// The socket of a callback.
    #[inline(always)]
    pub(crate) const fn of_callback(ctx: &SockOpsContext) -> Self {
        Self(ctx.ops.cast())
    }

    /// The socket of an iterator.
    ///
    /// # Safety
    /// It is the context's, with the type that the verifier gave it.
    #[inline(always)]
    pub(crate) const unsafe fn of_iterator(socket: *mut c_void) -> Self {
        Self(socket)
    }

    /// Sets an option of `N` bytes; fails with the kernel's errno.
    #[expect(clippy::cast_possible_truncation, reason = "options are some bytes long")]
    #[inline(always)]
    pub(crate) fn set<const N: usize>(
        &self,
        (level, name): (i32, i32),
        mut value: [u8; N],
    ) -> Result<(), u64> {
        // SAFETY: the handle is what the program was called with, and the buffer lives and is as long as it says.
        let result =
            unsafe { bpf_setsockopt(self.0, level, name, ptr::from_mut(&mut value).cast(), N as i32) };
        if result == 0 { Ok(()) } else { Err(result.unsigned_abs()) }
    }

    /// An option that is a number.
    #[inline(always)]
    pub(crate) fn number(&self, (level, name): (i32, i32)) -> Reading {
        const LENGTH: i32 = (u32::BITS / 8).cast_signed();
        let mut value = MaybeUninit::<u32>::uninit();
        // SAFETY: as in `set`; the helper writes as many bytes.
        let result = unsafe { bpf_getsockopt(self.0, level, name, value.as_mut_ptr().cast(), LENGTH) };
        // SAFETY: the helper wrote all of it, zeroes where it failed.
        Reading { is_known: result == 0, value: unsafe { value.assume_init() } }
    }

    /// An option of `N` bytes; `None` where the kernel has no way to tell.
    #[expect(clippy::cast_possible_truncation, reason = "options are some bytes long")]
    #[inline(always)]
    pub(crate) fn get<const N: usize>(&self, (level, name): (i32, i32)) -> Option<[u8; N]> {
        // Not zeroed: that is a loop for more than a word, which the verifier takes with `CAP_PERFMON` only.
        let mut value = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: as in `set`; the helper writes `N` bytes.
        let result = unsafe { bpf_getsockopt(self.0, level, name, value.as_mut_ptr().cast(), N as i32) };
        // SAFETY: the helper wrote all of it, with zeroes after what is shorter, also where it fails.
        (result == 0).then(|| unsafe { value.assume_init() })
    }
}

impl Socket for Handle {
    #[inline(always)]
    fn get(&self, option: SocketOption) -> Option<u32> {
        let Reading { is_known, value } = self.read(option);
        is_known.then_some(value)
    }

    #[inline(always)]
    fn read(&self, option: SocketOption) -> Reading {
        self.number(name(option))
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

/// The claim on a connection, if there is one.
///
/// # Safety
/// `socket` is that of the program's context, and not null; so for all that follow.
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "the call, and a look at what it gave")]
#[inline(always)]
pub(crate) unsafe fn mark<'a>(socket: *mut c_void) -> Option<&'a mut Claim> {
    // SAFETY: the map is one of this object's, the socket as promised. The helper gives null or the value, which
    // lives as long as the program holds the socket.
    unsafe { bpf_sk_storage_get(claims(), socket, ptr::null_mut(), 0).cast::<Claim>().as_mut() }
}

/// Whether the program of a cgroup below `cgroup` has claimed the connection at this moment.
///
/// # Safety
/// As for [`mark`].
#[inline(always)]
pub(crate) unsafe fn is_claimed_below(socket: *mut c_void, cgroup: u64, moment: Moment) -> bool {
    // SAFETY: as promised.
    let Some(mark) = (unsafe { mark(socket) }) else { return false };
    cold_path();
    // What claims at several callbacks of a connection finds its own.
    let is_of_now = mark.moment as u64 == moment as u64;
    mark.cgroup != cgroup && is_of_now && now_ns().wrapping_sub(mark.at_ns) < CLAIM_HOLDS_NS
}

/// Claims the connection, and says which cgroup guards it, 0 for none; fails where the kernel has no memory for the
/// mark or the socket may hold no more. The mark stays with the socket: whoever took it back would have to be sure
/// to be the last to ask.
///
/// # Safety
/// As for [`mark`].
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "the call, and a look at what it gave")]
#[inline(always)]
pub(crate) unsafe fn claim(socket: *mut c_void, cgroup: u64, moment: Moment, guard: u64) -> Result<(), ()> {
    let flags = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
    // SAFETY: as in `mark`.
    let mark =
        unsafe { bpf_sk_storage_get(claims(), socket, ptr::null_mut(), flags).cast::<Claim>().as_mut() };
    let mark = ptr::from_mut(mark.ok_or(())?);
    // Word by word: of several constant ones LLVM makes a loop, which the verifier takes only with `CAP_PERFMON`.
    // SAFETY: the fields are those of a value of the map.
    unsafe {
        (&raw mut (*mark).at_ns).write_volatile(now_ns());
        (&raw mut (*mark).cgroup).write_volatile(cgroup);
        (&raw mut (*mark).moment).write_volatile(moment);
        (&raw mut (*mark).guard).write_volatile(guard);
    }
    Ok(())
}

/// Says which cgroup guards an open connection, 0 for none. Unlike [`claim`] it claims nothing: a mark that it makes is
/// as old as the machine. Fails as that does.
///
/// # Safety
/// As for [`mark`].
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "the call, and a look at what it gave")]
#[inline(always)]
pub(crate) unsafe fn guard(socket: *mut c_void, guard: u64) -> Result<(), ()> {
    let flags = if guard == 0 { 0 } else { u64::from(BPF_SK_STORAGE_GET_F_CREATE) };
    // SAFETY: as in `mark`; the kernel makes new values of zeros.
    let mark =
        unsafe { bpf_sk_storage_get(claims(), socket, ptr::null_mut(), flags).cast::<Claim>().as_mut() };
    match mark {
        Some(mark) => mark.guard = guard,
        None if guard == 0 => {}
        None => return Err(()),
    }
    Ok(())
}

/// The counter of refusals of an option.
#[inline(always)]
pub(crate) const fn refused(counters: &mut Counters, option: SocketOption) -> &mut u64 {
    match option {
        SocketOption::Interval => &mut counters.refused_interval,
        SocketOption::Probes => &mut counters.refused_probes,
        SocketOption::Idle => &mut counters.refused_idle,
        SocketOption::UserTimeout => &mut counters.refused_user_timeout,
        SocketOption::Keepalive => &mut counters.refused_keepalive,
    }
}

#[inline(always)]
fn now_ns() -> u64 {
    // SAFETY: the helper takes nothing and reads a clock.
    unsafe { bpf_ktime_get_ns() }
}

#[inline(always)]
fn claims() -> *mut c_void {
    ptr::from_ref(&CLAIMS).cast_mut().cast()
}
