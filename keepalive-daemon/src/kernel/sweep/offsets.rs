//! Where the running kernel keeps the fields that the program `sweep` reads.
//!
//! aya has no relocations for fields, so the daemon looks them up and hands them to the program as constants.

mod btf;

use std::fs;

use anyhow::{Context as _, Result};
use keepalive_ebpf::Offsets;

use self::btf::Btf;

/// The kernel's description of its own types.
const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// Finds the offsets.
///
/// # Errors
/// If this kernel does not describe its types, or has other fields.
pub(super) fn find() -> Result<Offsets> {
    let types = fs::read(KERNEL_TYPES).with_context(|| {
        format!("cannot read {KERNEL_TYPES} (it takes a kernel built with CONFIG_DEBUG_INFO_BTF)")
    })?;
    let types = Btf::parse(&types).with_context(|| format!("cannot make sense of {KERNEL_TYPES}"))?;
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
        cgroup: types.offset("sock", "sk_cgrp_data")? + types.offset("sock_cgroup_data", "cgroup")?,
        kernfs_node: types.offset("cgroup", "kn")?,
        id: types.offset("kernfs_node", "id")?,
    })
}
