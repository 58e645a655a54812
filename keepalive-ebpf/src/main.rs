//! The eBPF object: entry points only. `lib.rs` says what it shares with the daemon.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod closing;
#[cfg(target_arch = "bpf")]
mod established;
#[cfg(target_arch = "bpf")]
mod fields;
#[cfg(target_arch = "bpf")]
mod guard;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod observe;
#[cfg(target_arch = "bpf")]
mod other_options;
#[cfg(target_arch = "bpf")]
mod socket;
#[cfg(target_arch = "bpf")]
mod sweep;

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::{
        macros::{btf_tracepoint, cgroup_sockopt, sock_ops},
        programs::{BtfTracePointContext, SockOpsContext, SockoptContext},
    };

    use crate::{
        closing::{on_error, on_state_change},
        established::{Quiet, Verbose, on_callback},
        guard::on_setsockopt,
        observe::tell,
        sweep::{IterTcp, visit},
    };

    /// What a `sock_ops` program returns when it has nothing to say. Anything else, or a write to `reply`,
    /// would answer the callback on behalf of every other program of the hierarchy.
    const CONTINUE: u32 = 1;

    /// What a `setsockopt` program returns that lets the call go on.
    const ALLOW: i32 = 1;

    /// Applies the cgroup's policy to each connection as it is established.
    #[sock_ops]
    pub(crate) fn keepalive(ctx: SockOpsContext) -> u32 {
        on_callback::<Quiet>(&ctx);
        CONTINUE
    }

    /// As [`keepalive`], with a log line a connection. A program of its own, so that the other neither holds
    /// the ring buffer nor tests a flag.
    #[sock_ops]
    pub(crate) fn keepalive_log(ctx: SockOpsContext) -> u32 {
        on_callback::<Verbose>(&ctx);
        CONTINUE
    }

    /// Keeps the application from weakening what the cgroup's policy enforces. Never denies a call: applications take
    /// EPERM for the end.
    #[cgroup_sockopt(setsockopt)]
    pub(crate) fn guard(ctx: SockoptContext) -> i32 {
        on_setsockopt(&ctx);
        ALLOW
    }

    /// Counts the connections that end because their peer was found dead.
    #[btf_tracepoint(function = "inet_sock_set_state")]
    pub(crate) fn closing(ctx: BtfTracePointContext) {
        on_state_change(&ctx);
    }

    /// The same where the kernel closes before it reports.
    #[btf_tracepoint(function = "inet_sk_error_report")]
    pub(crate) fn closing_error(ctx: BtfTracePointContext) {
        on_error(&ctx);
    }

    /// Applies policies to the connections that are open already.
    ///
    /// # Safety
    /// Only the kernel calls it, with a context of its own.
    #[unsafe(link_section = "iter/tcp")]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn sweep(ctx: *mut IterTcp) -> i32 {
        // SAFETY: as promised.
        visit(unsafe { &*ctx });
        // 1 would ask the kernel to come by the same socket again.
        0
    }

    /// Tells the options of all connections.
    ///
    /// # Safety
    /// As for [`sweep`].
    #[unsafe(link_section = "iter/tcp")]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn sockets(ctx: *mut IterTcp) -> i32 {
        // SAFETY: as promised.
        tell(unsafe { &*ctx });
        0
    }
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(target_arch = "bpf"))]
fn main() {
    // On the host this target exists so that `cargo build` and `cargo clippy` cover the whole workspace; the
    // daemon's build script compiles the real one for BPF.
}
