//! Tries what kernels differ in, each by what uses it. Nothing is left when these return, and nothing of others is
//! changed.

use std::{collections::BTreeMap, io, ops::ControlFlow};

use anyhow::{Context as _, Result, bail};
use keepalive_ebpf::{Policy, Sweep, Target};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    Closing, Sweeper, Targets,
    memory_limit::{self, MemoryLimit},
    object::Object,
    sockets,
    sweep::descriptors,
};
use crate::{features::Feature, privileges::without_perfmon};

/// Sees what the program that sweeps would do to the open connections of a cgroup, of which there must be one in the
/// network namespace of the calling thread.
pub(crate) fn sweep(policy: &Policy) -> Result<()> {
    let targets = Targets::default();
    let mut sweeper = Sweeper::load_private(&targets)?;
    let target = Target { sweep: Sweep::Tell, has_previous: 0, policy: *policy, previous: Policy::NOTHING };
    targets.begin(&BTreeMap::from([(policy.cgroup(), target)]))?;
    let mut seen = false;
    // It ends with the first connection that it is told of, so that it holds up none of the others for long.
    let passed = sweeper.pass(&targets, &mut |_| {
        seen = true;
        ControlFlow::Break(())
    });
    targets.end()?;
    passed?;
    if !seen {
        bail!("the program found no connection of this process");
    }
    Ok(())
}

/// Sees whether the program `sockets` can tell the options of the connections in the network namespace of the calling
/// thread, of which there must be one.
pub(crate) fn list_options() -> Result<()> {
    let _memory_limit = MemoryLimit::raise();
    if !sockets::tells_options()? {
        bail!("{}", lacking("this kernel does not let its programs read options", Feature::ListOptions));
    }
    Ok(())
}

/// Sees whether a descriptor can be duplicated; of this process, so that it takes no right.
pub(crate) fn borrow() -> Result<()> {
    descriptors::process::try_own().map_err(|error| match error.raw_os_error() {
        Some(libc::ENOSYS) => {
            anyhow::anyhow!(lacking("this kernel does not duplicate descriptors", Feature::Borrow))
        }
        _ => anyhow::Error::new(error).context("cannot duplicate a descriptor of this process"),
    })
}

/// Sees whether the program that sees why connections end can be loaded and attached.
pub(crate) fn notice_dead_peers() -> Result<()> {
    Closing::load().map(drop)
}

/// Sees whether there are sockets of Multipath TCP.
pub(crate) fn mptcp() -> Result<()> {
    match Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP)) {
        Ok(_) => Ok(()),
        Err(error) if is_unknown(&error) => {
            bail!("this kernel is built without it, or net.mptcp.enabled is 0")
        }
        Err(error) => Err(error).context("cannot open a socket of it"),
    }
}

/// Sees whether what programs need of memory is not charged to the limit of this process.
pub(crate) fn memory() -> Result<()> {
    if memory_limit::is_charged()? {
        bail!("this kernel charges the memory of maps to RLIMIT_MEMLOCK");
    }
    Ok(())
}

/// Sees whether the programs that govern can be loaded without `CAP_PERFMON`.
pub(crate) fn least_privilege() -> Result<()> {
    without_perfmon(|| {
        let _memory_limit = MemoryLimit::raise();
        Object::load_private(None)?.private_guard().map(drop)
    })
}

/// What a kernel cannot do, and which is the first that can.
pub(super) fn lacking(what: &str, feature: Feature) -> String {
    format!("{what}; Linux {} is the first that does", feature.since())
}

fn is_unknown(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPROTONOSUPPORT | libc::ENOPROTOOPT | libc::EINVAL))
}
