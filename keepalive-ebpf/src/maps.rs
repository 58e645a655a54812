//! Every map of the object. All but the last four are owned by what they describe (a cgroup, a socket) and cost nothing
//! for what is not governed:
//!
//! | map | bytes each | for |
//! |---|---|---|
//! | `POLICY` | 112 | governed cgroup |
//! | `COUNTERS` | 224 a CPU | governed cgroup, twice if it enforces |
//! | `CLAIMS` | 32 | connection of a governed cgroup inside a governed cgroup, and of one that enforces |
//! | `DESTINATIONS` | 5,632 | different set of rules |
//! | `TARGETS` | 232 | cgroup, while its open connections are swept |
//! | `LISTENING` | 8,192 | sweeper |
//! | `WORK` | 152 | sweeper |
//! | `DEAD_PEERS` | 425,984 in all | machine |
//! | `DEAD_PEER_LOG` | 262,144 in all | machine |
#![expect(
    deprecated,
    reason = "CGRP_STORAGE, which replaces it, needs Linux 6.2 and a look-up; this one works from 5.9 to 7.2 \
              and the value comes with the run context"
)]

use aya_ebpf::{
    btf_maps::{Array, CgroupStorage, HashMap, PerCpuCgroupStorage, RingBuf, SkStorage},
    macros::btf_map,
};
use keepalive_ebpf::{
    Claim, Counters, DeadPeer, DeadPeers, MOST_TARGETS, Policy, Remote, RuleSet, Target, Timers,
};

use crate::sweep::Work;

/// The policy of the cgroup the program is attached to; zero until the daemon writes it.
#[btf_map]
pub(crate) static POLICY: CgroupStorage<Policy> = CgroupStorage::new();

/// What the program did in the cgroup it is attached to.
#[btf_map]
pub(crate) static COUNTERS: PerCpuCgroupStorage<Counters> = PerCpuCgroupStorage::new();

/// Who claimed a connection, and who guards it.
#[btf_map]
pub(crate) static CLAIMS: SkStorage<Claim> = SkStorage::new();

/// The most sets of rules at a time. Cgroups with the same rules and values share one; it takes memory only as it
/// fills.
const MOST_RULE_SETS: usize = 4096;

/// The rules for destinations, by the id that policies refer to.
#[btf_map]
pub(crate) static DESTINATIONS: HashMap<u64, RuleSet, MOST_RULE_SETS, NO_PREALLOC> = HashMap::new();

/// What to do to the connections of a cgroup, by its id.
#[btf_map]
pub(crate) static TARGETS: HashMap<u64, Target, MOST_TARGETS, NO_PREALLOC> = HashMap::new();

/// The ports that targets listen on in the network namespace that is swept, one bit each; the daemon clears it before
/// it goes to another.
#[btf_map]
pub(crate) static LISTENING: Array<[u64; 1024], 1> = Array::new();

/// The connection that the sweep is at.
#[btf_map]
pub(crate) static WORK: Array<Work, 1> = Array::new();

/// The most cgroups that peers are counted for between two looks of the daemon: those in which one was found dead.
/// The daemon takes out what it need not know.
const MOST_MOURNERS: usize = 4096;

/// How many peers were found dead, by the id of their connection's cgroup. Made at once, as what traces may not ask for
/// memory on every kernel.
#[btf_map]
pub(crate) static DEAD_PEERS: HashMap<u64, DeadPeers, MOST_MOURNERS> = HashMap::new();

/// One record a peer that was found dead, until the daemon has read it.
#[btf_map]
pub(crate) static DEAD_PEER_LOG: RingBuf<DeadPeer, { 256 << 10 }> = RingBuf::new();

/// `BPF_F_NO_PREALLOC`.
const NO_PREALLOC: usize = 1;

/// The values that the rules of a policy have for a destination; `None` if it is not for that, and in the moment
/// before the daemon has written them.
#[inline(always)]
pub(crate) fn find(policy: &Policy, remote: &Remote) -> Option<Timers> {
    let id = policy.destinations();
    // SAFETY: nobody writes to a value that is in the map: other rules have another id.
    unsafe { DESTINATIONS.get(id) }?.find(remote)
}
