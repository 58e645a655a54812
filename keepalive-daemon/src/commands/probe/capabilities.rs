//! The capabilities of this process, one by one.

use std::fs;

use anyhow::{Context as _, Result};

use super::{Check, State};

/// Bits of `linux/capability.h`. The kernel's eBPF side takes `CAP_SYS_ADMIN` for each of its own, and before
/// 5.8 there is no other (capabilities(7)).
const NET_ADMIN: u32 = 12;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const SYS_RESOURCE: u32 = 24;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

const MEMLOCK_RAISER: &str = "CAP_SYS_RESOURCE";

/// Looks at the effective set, on a kernel that does or does not charge the memory of maps to RLIMIT_MEMLOCK.
pub(super) fn checks(is_memory_limited: bool) -> Result<Vec<Check>> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let effective = effective(&status).context("/proc/self/status shows no effective capabilities")?;
    let mut checks = judge(effective);
    if !is_memory_limited {
        checks.retain(|check| check.name != MEMLOCK_RAISER);
    }
    Ok(checks)
}

fn judge(effective: u64) -> Vec<Check> {
    let has = |bit: u32| effective & (1 << bit) != 0;
    let check = |name, bit, without, purpose, cure: &str| {
        if has(bit) {
            Check::present(name, purpose, "")
        } else if has(SYS_ADMIN) && ![SYS_RESOURCE, SYS_PTRACE].contains(&bit) {
            Check::present(name, purpose, "CAP_SYS_ADMIN in its place")
        } else {
            Check::absent(name, without, purpose, cure)
        }
    };
    let add = "run as root, or add the capability";
    vec![
        check("CAP_BPF", BPF, State::Missing, "create maps and load programs", add),
        check(
            "CAP_NET_ADMIN",
            NET_ADMIN,
            State::Missing,
            "load sock_ops programs, and see those of others",
            add,
        ),
        check(
            "CAP_PERFMON",
            PERFMON,
            State::Degraded,
            "connections open before their policy, and their list; `run --log-bpf`; a name for the program in bpftool; dead peers",
            "nothing, unless one of them is wanted",
        ),
        check(
            "CAP_SYS_ADMIN",
            SYS_ADMIN,
            State::Degraded,
            "connections open before their policy, in other network namespaces",
            "nothing, unless policies are to apply to them",
        ),
        check(
            "CAP_SYS_PTRACE",
            SYS_PTRACE,
            State::Degraded,
            "connections open before their policy, of other users' processes",
            "nothing, unless policies are to apply to them",
        ),
        check(
            MEMLOCK_RAISER,
            SYS_RESOURCE,
            State::Degraded,
            "raise RLIMIT_MEMLOCK, where the kernel charges maps to it",
            "add it, or raise the limit from outside",
        ),
    ]
}

fn effective(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(effective: u64) -> Vec<State> {
        judge(effective).into_iter().map(|check| check.state).collect()
    }

    #[test]
    fn the_effective_set_is_read_from_the_status_file() {
        assert_eq!(effective("Name:\tx\nCapPrm:\t0\nCapEff:\t000001fffeffffff\n"), Some(0x1ff_feff_ffff));
        assert_eq!(effective("Name:\tx\n"), None);
    }

    #[test]
    fn without_any_the_two_that_matter_are_missing() {
        let [two, others] = [[State::Missing; 2].to_vec(), [State::Degraded; 4].to_vec()];
        assert_eq!(states(0), [two, others].concat());
    }

    #[test]
    fn the_two_that_matter_suffice() {
        let two = 1 << BPF | 1 << NET_ADMIN;
        let [present, others] = [[State::Present; 2].to_vec(), [State::Degraded; 4].to_vec()];
        assert_eq!(states(two), [present, others].concat());
    }

    #[test]
    fn sys_admin_stands_in_for_what_the_ebpf_side_asks_for() {
        let states = states(1 << SYS_ADMIN);
        let [present, others] = [[State::Present; 4].to_vec(), [State::Degraded; 2].to_vec()];
        assert_eq!(states, [present, others].concat());
    }
}
