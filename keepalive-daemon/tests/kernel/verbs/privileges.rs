//! What the verbs do, and say, with fewer rights than root.

use std::{fs, process::Command};

use nix::sys::signal::Signal;
use serde_json::Value;
use xtask::lab::{Cgroup, InCgroup as _, Process, cgroup2_root};

use super::{stderr, stdout};
use crate::needs;
use crate::support::{Host, document, objects::attached, options, with_privileges};
use keepalive_daemon::features::Feature;

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";
/// For root, the bounding set is what is left; the first two are given up by what confines the program.
const TWO: &[&str] = &["--bounding-set=-all,+setpcap,+sys_resource,+bpf,+net_admin"];
const THREE: &[&str] = &["--bounding-set=-all,+setpcap,+sys_resource,+bpf,+net_admin,+perfmon"];

/// Runs `probe` with these privileges; returns its exit code and its checks.
fn probe(host: &Host, cgroup: &Cgroup, privileges: &[&str]) -> (Option<i32>, Vec<Value>) {
    let mut command = host.command("probe");
    command.args(["-o", "json"]);
    let output = with_privileges(privileges, &command).in_cgroup(cgroup).output().unwrap();
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    (output.status.code(), report["checks"].as_array().unwrap().clone())
}

fn check<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}: {checks:?}"))
}

pub(super) fn probe_finds_everything_as_root_and_leaves_nothing() {
    let host = Host::new("probe");
    let cgroup = host.cgroup("probe");

    let (code, checks) = probe(&host, &cgroup, &[]);
    let table = stdout(&host.command("probe").in_cgroup(&cgroup).output().unwrap());

    assert_eq!(code, Some(0), "{checks:?}");
    for name in ["cgroup2", "bpffs", "CAP_BPF", "CAP_NET_ADMIN", "load the program", "attach with a link"] {
        assert_eq!(check(&checks, name)["state"], "present");
    }
    for check in &checks {
        let name = check["name"].as_str().unwrap();
        assert!(table.lines().any(|line| line.starts_with(name)), "{name} is not in:\n{table}");
    }
    let left = fs::read_dir(cgroup.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(left.count(), 0, "probe left a cgroup");
    assert!(!host.bpffs.path().join("keepalive").exists(), "probe left a pin");
}

pub(super) fn what_a_missing_capability_is_for_is_told() {
    let host = Host::new("lacking");
    let cgroup = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    for (without, name, state, code, purpose) in [
        // CAP_SYS_ADMIN would stand in for the others.
        ("-bpf,-sys_admin", "CAP_BPF", "missing", 1, "load programs"),
        ("-net_admin,-sys_admin", "CAP_NET_ADMIN", "missing", 1, "sock_ops"),
        ("-perfmon,-sys_admin", "CAP_PERFMON", "degraded", 0, "--log-bpf"),
    ] {
        let bounding = format!("--bounding-set={without}");

        let (probed, checks) = probe(&host, &cgroup, &[&bounding]);
        let run = with_privileges(&[&bounding], &host.command("run"));

        let check = check(&checks, name);
        assert_eq!((probed, check["state"].as_str()), (Some(code), Some(state)), "{checks:?}");
        assert!(check["purpose"].as_str().unwrap().contains(purpose), "{check}");
        assert_ne!(check["note"], "", "{check}");
        if code == 1 {
            let output = { run }.output().unwrap();
            assert_eq!(output.status.code(), Some(1));
            let said = stderr(&output);
            assert!(said.contains(name) && said.contains("keepalive-daemon probe"), "{said}");
            let mut peer = host.peer(&cgroup);
            let pair = peer.pair();
            assert_eq!(peer.options(pair.client), crate::support::UNTOUCHED, "without {name}");
        }
    }
}

pub(super) fn what_is_pinned_is_taken_over_with_the_capability_alone() {
    let host = Host::new("takeover");
    let cgroup = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    let daemon = host.start();
    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();

    let output = with_privileges(&["--bounding-set=-bpf,-sys_admin"], &host.command("run")).output().unwrap();

    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("CAP_BPF") && !said.contains("cleanup"), "{said}");
    let mut peer = host.peer(&cgroup);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0), "what is pinned stays in force");
}

pub(super) fn probe_attaches_to_its_own_cgroup_where_it_may_make_none() {
    let host = Host::new("read-only");
    let cgroup = host.cgroup("container");
    let root = cgroup2_root().unwrap();
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script]).arg(root).arg(env!("CARGO_BIN_EXE_keepalive-daemon"));
    command.args(["probe", "-o", "json", "--bpffs"]).arg(host.bpffs.path());

    let output = command.in_cgroup(&cgroup).output().unwrap();

    let probed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = probed["checks"].as_array().unwrap();
    assert_eq!(check(checks, "attach with a link")["state"], "present", "{checks:?}");
    assert_eq!(needs::of(&probed, Feature::SetOptions)["present"], true, "{probed}");
    assert!(attached(&cgroup).is_empty(), "the trial's program is gone with it");
}

pub(super) fn two_capabilities_suffice() {
    let host = Host::new("two-caps");
    let cgroup = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    let reduced = |command: &Command| with_privileges(TWO, command);

    let daemon = host.start_with(reduced(&host.command("run")));
    daemon.wait_line("ready: all policies").unwrap();

    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    assert!(status.contains(&format!("CapEff:\t{:016x}", 1_u64 << 39 | 1 << 12)), "{status}");
    let mut peer = host.peer(&cgroup);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0));
    // A change, a restart with the same few rights, the other verbs.
    let mark = daemon.mark();
    host.write_policies(
        "p.yaml",
        &document("app", "app", "keepalive: {idle: 62s, interval: 13s, probes: 5}"),
    );
    daemon.wait_line_from(mark, "changed the policy").unwrap();
    drop(daemon);
    let daemon = host.start_with(reduced(&host.command("run")));
    daemon.wait_line("adopted").unwrap();
    daemon.wait_line("ready: all policies").unwrap();
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 62, 13, 5, 0));
    drop(daemon);
    assert_eq!(probe(&host, &cgroup, TWO).0, Some(0));
    for verb in ["status", "cleanup"] {
        let output = reduced(&host.command(verb)).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{verb}: {}", stderr(&output));
    }
    assert!(!host.bpffs.path().join("keepalive").exists());
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), crate::support::UNTOUCHED);
}

pub(super) fn the_log_of_connections_needs_one_capability_more() {
    let host = Host::new("log-caps");
    let cgroup = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    let mut run = host.command("run");
    run.arg("--log-bpf");

    let refused = with_privileges(TWO, &run).output().unwrap();
    let daemon = Process::spawn("the daemon", with_privileges(THREE, &run)).unwrap();
    daemon.wait_line("ready: all policies").unwrap();

    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("CAP_PERFMON"), "{said}");
    assert!(said.lines().count() < 5, "a verifier's whole log is no message: {said}");
    let mut peer = host.peer(&cgroup);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0));
    daemon.wait_line("outbound connection").unwrap();
}
