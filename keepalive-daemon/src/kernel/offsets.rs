//! Where the running kernel keeps the fields that the programs read.
//!
//! aya has no relocations for fields, so the daemon looks them up and hands them to the programs as constants.

mod btf;

use std::fs;

use anyhow::{Context as _, Result};
use keepalive_ebpf::{ClosingOffsets, Offsets};
use nix::{
    sys::time::TimeValLike as _,
    time::{ClockId, clock_getres},
};

pub(crate) use self::btf::Btf;

/// The kernel's description of its own types.
const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// Finds where a socket has its ends and its cgroup.
///
/// # Errors
/// If this kernel does not describe its types, or has other fields.
pub(super) fn find() -> Result<Offsets> {
    read(&kernel_types()?, |types| ends(types, "cgroup"))
}

/// Finds that, and where a connection has what tells why it ends.
///
/// # Errors
/// As [`find`].
pub(super) fn find_closing() -> Result<(Offsets, ClosingOffsets)> {
    let ticks_a_second = ticks_a_second()?;
    read(&kernel_types()?, |types| {
        let (ends, cgroup_is_pointer) = match ends(types, "cgroup") {
            Ok(ends) => (ends, true),
            // Before Linux 5.15.
            Err(error) => (ends(types, "val").map_err(|_| error)?, false),
        };
        let closing = closing(types)?;
        Ok((ends, ClosingOffsets { cgroup_is_pointer: cgroup_is_pointer.into(), ticks_a_second, ..closing }))
    })
}

fn kernel_types() -> Result<Vec<u8>> {
    fs::read(KERNEL_TYPES).with_context(|| {
        format!("cannot read {KERNEL_TYPES} (it takes a kernel built with CONFIG_DEBUG_INFO_BTF)")
    })
}

fn read<T>(types: &[u8], find: impl FnOnce(&Btf<'_>) -> Result<T>) -> Result<T> {
    find(&Btf::parse(types).with_context(|| format!("cannot make sense of {KERNEL_TYPES}"))?)
}

/// With the field of `sock_cgroup_data` that leads to the cgroup.
fn ends(types: &Btf<'_>, cgroup: &str) -> Result<Offsets> {
    let common = |field| types.offset("sock_common", field);
    // A kernel without IPv6 has neither the fields nor sockets that they would be read of.
    let common_or_first = |field| common(field).unwrap_or(0);
    Ok(Offsets {
        family: common("skc_family")?,
        state: common("skc_state")?,
        local_port: common("skc_num")?,
        remote_port: common("skc_dport")?,
        local_v4: common("skc_rcv_saddr")?,
        remote_v4: common("skc_daddr")?,
        local_v6: common_or_first("skc_v6_rcv_saddr"),
        remote_v6: common_or_first("skc_v6_daddr"),
        cgroup: types.offset("sock", "sk_cgrp_data")? + types.offset("sock_cgroup_data", cgroup)?,
        kernfs_node: types.offset("cgroup", "kn")?,
        id: types.offset("kernfs_node", "id")?,
    })
}

fn closing(types: &Btf<'_>) -> Result<ClosingOffsets> {
    let connection = |field| types.offset("inet_connection_sock", field);
    let tcp = |field| types.offset("tcp_sock", field);
    Ok(ClosingOffsets {
        error: types.offset("sock", "sk_err")?,
        local_port: types.offset("inet_sock", "inet_sport")?,
        probes_out: connection("icsk_probes_out")?,
        user_timeout: connection("icsk_user_timeout")?,
        received_at: connection("icsk_ack.lrcvtime")?,
        sent_at: tcp("lsndtime")?,
        acknowledged_at: tcp("rcv_tstamp")?,
        written: tcp("write_seq")?,
        acknowledged: tcp("snd_una")?,
        ..ClosingOffsets::default()
    })
}

/// How many ticks of its clock the kernel counts a second (`CONFIG_HZ`): the resolution of a clock that shows them.
pub(super) fn ticks_a_second() -> Result<u64> {
    const SECOND_NS: u64 = 1_000_000_000;

    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).context("cannot read the length of a tick")?;
    let tick_ns = u64::try_from(tick.num_nanoseconds())?;
    // 300 a second are not a whole number of nanoseconds each.
    let ticks = (SECOND_NS + tick_ns / 2).checked_div(tick_ns).filter(|ticks| *ticks > 0);
    ticks.context("the kernel's clock has no ticks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_ticks_as_often_as_kernels_do() {
        assert!([100, 250, 300, 1000].contains(&ticks_a_second().expect("every kernel has this clock")));
    }
}
