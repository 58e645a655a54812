//! The capabilities of this process, one by one.

use std::fs;

use anyhow::{Context as _, Result};

use super::{Check, State};

/// Bits of `linux/capability.h`.
const NET_ADMIN: u32 = 12;
const SYS_ADMIN: u32 = 21;
const SYS_RESOURCE: u32 = 24;
const BPF: u32 = 39;

/// Looks at the effective set.
pub(super) fn checks() -> Result<Vec<Check>> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let effective = effective(&status).context("/proc/self/status shows no effective capabilities")?;
    Ok(judge(effective))
}

fn judge(effective: u64) -> Vec<Check> {
    let has = |bit: u32| effective & (1 << bit) != 0;
    // CAP_SYS_ADMIN includes CAP_BPF, and before 5.8 there is no other (capabilities(7)).
    let instead = |bit| if !has(bit) && has(SYS_ADMIN) { "CAP_SYS_ADMIN in its place" } else { "" };
    let required = |name, bit, purpose, cure: &str| {
        if has(bit) || has(SYS_ADMIN) {
            Check::present(name, purpose, instead(bit))
        } else {
            Check::absent(name, State::Missing, purpose, cure)
        }
    };
    let memory = "raise RLIMIT_MEMLOCK, before Linux 5.11 only";
    vec![
        required("CAP_BPF", BPF, "create maps and load programs", "run as root, or add the capability"),
        required(
            "CAP_NET_ADMIN",
            NET_ADMIN,
            "load sock_ops programs, and see those of others",
            "run as root, or add the capability",
        ),
        if has(SYS_RESOURCE) {
            Check::present("CAP_SYS_RESOURCE", memory, "")
        } else {
            let cure = "nothing since Linux 5.11; before, add it or raise the limit from outside";
            Check::absent("CAP_SYS_RESOURCE", State::Degraded, memory, cure)
        },
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
        assert_eq!(states(0), [State::Missing, State::Missing, State::Degraded]);
    }

    #[test]
    fn the_two_that_matter_suffice_and_sys_admin_stands_in_for_them() {
        let two = 1 << BPF | 1 << NET_ADMIN;
        assert_eq!(states(two), [State::Present, State::Present, State::Degraded]);
        assert_eq!(states(1 << SYS_ADMIN), [State::Present, State::Present, State::Degraded]);
    }
}
