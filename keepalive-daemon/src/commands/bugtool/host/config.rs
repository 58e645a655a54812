//! How the kernel was built.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
};

use flate2::read::GzDecoder;

/// What decides whether programs can be attached, and which.
const NAMES: &[&str] = &[
    "CONFIG_BPF",
    "CONFIG_BPF_JIT",
    "CONFIG_BPF_LSM",
    "CONFIG_BPF_SYSCALL",
    "CONFIG_CGROUPS",
    "CONFIG_CGROUP_BPF",
    "CONFIG_DEBUG_INFO_BTF",
    "CONFIG_INET_DIAG",
    "CONFIG_INET_TCP_DIAG",
    "CONFIG_MPTCP",
    "CONFIG_NET_NS",
    "CONFIG_SOCK_CGROUP_DATA",
];

/// What the kernel of this release was built with; `None` if it does not tell and nobody left it in `/boot`.
pub(super) fn of(release: &str) -> Option<BTreeMap<&'static str, String>> {
    let own = File::open("/proc/config.gz").ok().and_then(|file| {
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).ok()?;
        Some(text)
    });
    let text = own.or_else(|| fs::read_to_string(format!("/boot/config-{release}")).ok())?;
    Some(pick(&text))
}

fn pick(text: &str) -> BTreeMap<&'static str, String> {
    let set: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    NAMES.iter().map(|&name| (name, set.get(name).copied().unwrap_or("n").to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_told_as_such() {
        let picked = pick("CONFIG_BPF=y\n# CONFIG_BPF_LSM is not set\nCONFIG_INET_DIAG=m\nCONFIG_OTHER=y\n");

        assert_eq!(
            (&*picked["CONFIG_BPF"], &*picked["CONFIG_BPF_LSM"], &*picked["CONFIG_INET_DIAG"]),
            ("y", "n", "m")
        );
        assert_eq!(picked.len(), NAMES.len());
    }
}
