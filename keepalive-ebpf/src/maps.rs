//! Every map of the object. All of them are owned by what they describe (a cgroup, a socket) and cost nothing
//! for what is not governed:
//!
//! | map | bytes each | for |
//! |---|---|---|
//! | `POLICY` | 28 | governed cgroup |
//! | `COUNTERS` | 144 a CPU | governed cgroup |
//! | `CLAIMS` | 8 | connection of a governed cgroup inside a governed cgroup |
#![expect(
    deprecated,
    reason = "CGRP_STORAGE, which replaces it, needs Linux 6.2 and a look-up; this one works from 5.9 to 7.2 \
              and the value comes with the run context"
)]

use aya_ebpf::{
    btf_maps::{CgroupStorage, PerCpuCgroupStorage, SkStorage},
    macros::btf_map,
};
use keepalive_ebpf::{Counters, Policy};

/// The policy of the cgroup the program is attached to; zero until the daemon writes it.
#[btf_map]
pub(crate) static POLICY: CgroupStorage<Policy> = CgroupStorage::new();

/// What the program did in the cgroup it is attached to.
#[btf_map]
pub(crate) static COUNTERS: PerCpuCgroupStorage<Counters> = PerCpuCgroupStorage::new();

/// When a connection was claimed by a deeper cgroup's policy, in nanoseconds of the monotonic clock.
#[btf_map]
pub(crate) static CLAIMS: SkStorage<u64> = SkStorage::new();
