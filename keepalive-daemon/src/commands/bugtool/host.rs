//! What the node is like.

mod config;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use keepalive_ebpf::ABI_VERSION;
use serde::Serialize;

use super::{Part, Source, daemon, json};
use crate::{commands::probe, workloads::CriSocket};

pub(super) const PARTS: &[Part] = &[
    Part { file: "version.json", about: "this program", collect: |_| version() },
    Part { file: "kernel.json", about: "the kernel, and how it was built and set up", collect: |_| kernel() },
    Part {
        file: "probe.json",
        about: "what this kernel and the privileges of whoever made this allow, by trying it",
        collect: |source| {
            json(&probe::examine(&source.bpffs, source.cgroup_root.as_deref(), &CriSocket::Auto)?)
        },
    },
    Part { file: "mounts.txt", about: "where cgroups and bpffs are mounted", collect: |_| mounts() },
    Part {
        file: "privileges.json",
        about: "the capabilities of whoever made this",
        collect: |_| json(&privileges(Path::new("/proc/self/status"))?),
    },
    Part {
        file: "daemon-privileges.json",
        about: "the capabilities of the daemon",
        collect: |source| json(&privileges_of_daemon(source)?),
    },
];

/// Settings that decide what becomes of silent connections, and of eBPF programs.
const SETTINGS: &[&str] = &[
    "kernel/unprivileged_bpf_disabled",
    "net/core/bpf_jit_enable",
    "net/ipv4/tcp_keepalive_intvl",
    "net/ipv4/tcp_keepalive_probes",
    "net/ipv4/tcp_keepalive_time",
    "net/ipv4/tcp_retries2",
    "net/ipv4/vs/timeout_tcp",
    "net/netfilter/nf_conntrack_tcp_loose",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
];

/// Lines of `/proc/PID/status` about what the process may do.
const PRIVILEGES: &[&str] = &["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"];

fn version() -> Result<Vec<u8>> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        version: &'static str,
        /// Of the maps.
        layout: u32,
        architecture: &'static str,
    }
    json(&Version {
        version: env!("CARGO_PKG_VERSION"),
        layout: ABI_VERSION,
        architecture: std::env::consts::ARCH,
    })
}

fn kernel() -> Result<Vec<u8>> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Kernel {
        release: String,
        version: String,
        machine: String,
        distribution: Option<String>,
        has_type_information: bool,
        security_modules: Option<String>,
        lockdown: Option<String>,
        processors: Option<usize>,
        settings: BTreeMap<&'static str, String>,
        /// How it was built; absent if that is not to be found out.
        config: Option<BTreeMap<&'static str, String>>,
    }
    let uname = nix::sys::utsname::uname().context("cannot read the kernel's name")?;
    let release = uname.release().to_string_lossy().into_owned();
    let settings = SETTINGS.iter().filter_map(|&name| Some((name, read(&format!("/proc/sys/{name}"))?)));
    json(&Kernel {
        config: config::of(&release),
        release,
        version: uname.version().to_string_lossy().into_owned(),
        machine: uname.machine().to_string_lossy().into_owned(),
        distribution: read("/etc/os-release").and_then(|text| distribution(&text)),
        has_type_information: Path::new("/sys/kernel/btf/vmlinux").exists(),
        security_modules: read("/sys/kernel/security/lsm"),
        lockdown: read("/sys/kernel/security/lockdown"),
        processors: std::thread::available_parallelism().ok().map(usize::from),
        settings: settings.collect(),
    })
}

/// A file of one line, or of a few; `None` if this kernel or this node has none.
fn read(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn distribution(os_release: &str) -> Option<String> {
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

fn mounts() -> Result<Vec<u8>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    Ok(of_interest(&table).into_bytes())
}

/// The lines about cgroups and bpffs: others name volumes of pods.
fn of_interest(mountinfo: &str) -> String {
    let kind = |line: &str| line.split(" - ").nth(1)?.split(' ').next().map(str::to_owned);
    let lines = mountinfo
        .lines()
        .filter(|line| kind(line).is_some_and(|kind| ["bpf", "cgroup", "cgroup2"].contains(&&*kind)));
    lines.map(|line| format!("{line}\n")).collect()
}

fn privileges_of_daemon(source: &Source) -> Result<BTreeMap<String, String>> {
    let pid = daemon::pid(source)?;
    let status = format!("/proc/{pid}/status");
    privileges(Path::new(&status)).context("the daemon is of another PID namespace, or has just ended")
}

fn privileges(status: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(status).with_context(|| format!("cannot read {}", status.display()))?;
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let fields = fields.filter(|(name, _)| PRIVILEGES.contains(name));
    Ok(fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_others_are_left_out() {
        let table = "22 1 0:20 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
                     23 1 0:21 / /var/lib/kubelet/pods/secret rw - tmpfs tmpfs rw\n\
                     24 1 0:22 / /sys/fs/bpf rw shared:1 - bpf bpf rw,mode=700\nbroken\n";

        let left = of_interest(table);

        assert_eq!(left.lines().map(|line| &line[..2]).collect::<Vec<_>>(), ["22", "24"]);
    }

    #[test]
    fn the_distribution_goes_by_the_name_people_know() {
        assert_eq!(distribution("ID=debian\nPRETTY_NAME=\"Debian 13\"\n").as_deref(), Some("Debian 13"));
        assert_eq!(distribution("ID=debian\n"), None);
    }

    #[test]
    fn of_a_process_only_what_it_may_do_is_read() {
        let found = privileges(Path::new("/proc/self/status")).unwrap();

        assert!(found.contains_key("CapEff") && !found.contains_key("Name"), "{found:?}");
    }
}
