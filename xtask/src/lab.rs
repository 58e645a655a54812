//! Kernel objects for tests and for the demo: control groups, network namespaces, a BPF file system, a NAT.
//!
//! Each is a guard: what it made is gone when it is dropped, also while a panic unwinds. Names start with
//! [`TEST_PREFIX`] or [`DEMO_PREFIX`], so that `cargo xtask clean-host` finds what a killed process left.
//!
//! Everything here needs root. Nothing touches an object that it did not make.

pub mod bpf;
mod bpffs;
pub mod capture;
mod cgroup;
mod cgroup1;
mod mounts;
mod nat;
mod netns;
mod process;
mod scratch;
mod sockets;
pub mod story;
mod tool;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

pub use bpffs::Bpffs;
pub(crate) use bpffs::is_kept as is_kept_bpffs;
pub use capture::Capture;
pub use cgroup::{Cgroup, InCgroup, RemovedCgroup, cgroup2_root};
pub(crate) use cgroup::{remove_directories as remove_cgroup1, remove_tree as remove_cgroup};
pub use cgroup1::Cgroup1;
pub(crate) use cgroup1::cgroup1_roots;
pub use nat::{Flow, Nat};
pub use netns::{End, Netns, veth};
pub use process::{Line, Observer, Output, Process, Stream};
pub(crate) use scratch::SCRATCH;
pub use scratch::scratch;
pub use sockets::{SocketRow, Timer, sockets};

/// What the names of all kernel objects made by tests start with.
pub const TEST_PREFIX: &str = "keepalive-test-";

/// What the names of all kernel objects made by the demo start with.
pub const DEMO_PREFIX: &str = "keepalive-demo-";

/// What tells that this machine is emulated: all takes its time, and large numbers are better smaller.
pub const EMULATED: &str = "KEEPALIVE_EMULATED";

/// How long anything that is waited for may take: far beyond what a busy machine needs, so that only a hang reaches it.
#[must_use]
pub fn patience() -> Duration {
    let minutes = if std::env::var_os(EMULATED).is_some() { 5 } else { 1 };
    Duration::from_secs(60 * minutes)
}

/// A name made of `prefix`, `label`, this process and a counter, for which `taken` is false.
///
/// Parallel tests never get the same name, and what a dead process of the same id left is stepped over.
fn unique(prefix: &str, label: &str, taken: impl Fn(&str) -> bool) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}{label}-{}-{number}", std::process::id());
        if !taken(&name) {
            return name;
        }
    }
}

/// Tells on stderr that a guard could not remove `what`: `Drop` has no other way to say so.
fn report_leftover(what: &str, error: &anyhow::Error) {
    use std::io::Write;
    let message = format!("could not remove {what}: {error:#}; `cargo xtask clean-host` removes it\n");
    // Without stderr there is nobody left to tell.
    let _ = std::io::stderr().write_all(message.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_step_over_what_is_taken() {
        let first = unique(TEST_PREFIX, "box", |_| false);

        let second = unique(TEST_PREFIX, "box", |name| name == first);

        assert_ne!(first, second);
        assert!(first.starts_with("keepalive-test-box-"));
    }
}
