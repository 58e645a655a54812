//! Each documented capability, missing alone: one feature does without, by its name, and the rest goes on.

use std::{path::Path, process::Command};

use keepalive_daemon::features::Feature;
use nix::sys::signal::Signal;
use serde_json::Value;
use xtask::lab::{Cgroup, InCgroup as _, Process, Stream};

use super::{ARMED, KEEPALIVE};
use crate::{
    PEER, needs,
    peer::Options,
    support::{
        Host, Pair, Peer, UNTOUCHED, document, eventually, inside, with_little_memory, with_privileges,
    },
};

crate::tests![
    sys_admin_stands_in_for_bpf_and_perfmon,
    without_bpf_or_net_admin_nothing_begins_and_what_is_in_force_stays,
    without_perfmon_open_connections_are_reached_by_descriptors_and_dead_peers_are_not_counted,
    without_sys_admin_connections_of_other_namespaces_keep_what_they_had,
    without_sys_ptrace_connections_of_namespaces_that_only_processes_have_keep_what_they_had,
    without_sys_resource_a_low_limit_of_memory_matters_where_maps_are_charged_to_it,
];

/// A connection that was open before its policy.
struct Site {
    peer: Peer,
    early: Pair,
    _app: Cgroup,
    host: Host,
}

impl Site {
    /// `peer` starts a process whose connections there are.
    fn new(label: &str, peer: impl FnOnce(&Host, &Cgroup) -> Peer) -> Self {
        let host = Host::new(label);
        let app = host.cgroup("app");
        let mut peer = peer(&host, &app);
        let early = peer.pair();
        host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
        Self { peer, early, _app: app, host }
    }

    /// Starts the daemon with all that is documented but one.
    fn start_without(&self, capability: &str) -> Process {
        let command = without(capability, &self.host.command("run"));
        let daemon = self.host.start_with(command);
        daemon.wait_line("ready: all policies").unwrap();
        daemon
    }

    /// Looks at the status until the open connections are swept, or only those within reach (`partial`), and it is known
    /// whether dead peers are found.
    fn status_when(&self, state: &str) -> Value {
        eventually("the sweep is done", || {
            let status = self.host.status();
            let helping = &status["daemon"]["helping"];
            let is_known = helping["findsDeadPeers"] == true || helping["trouble"].is_string();
            let is_swept = status["cgroups"][0]["openConnections"]["state"] == state;
            (is_known && is_swept).then_some(status)
        })
    }

    /// Whoever gives the capability, and starts the daemon anew, has what was out of reach until then.
    fn assert_made_up_for(&mut self, without: &Process) {
        without.signal(Signal::SIGTERM).unwrap();
        without.wait().unwrap();
        let _daemon = self.host.start();
        eventually("the connection from before is armed", || {
            (self.peer.options(self.early.client) == ARMED).then_some(())
        });
    }

    /// What a connection has that begins now, and what that has which was there before.
    fn new_and_early(&mut self) -> [Options; 2] {
        let pair = self.peer.pair();
        [self.peer.options(pair.client), self.peer.options(self.early.client)]
    }
}

fn without(capability: &str, command: &Command) -> Command {
    with_privileges(&[&format!("--bounding-set=-{capability}")], command)
}

fn without_bpf_or_net_admin_nothing_begins_and_what_is_in_force_stays() {
    let mut site = Site::new("without-bpf", Host::peer);
    let daemon = site.host.start();
    daemon.signal(Signal::SIGTERM).unwrap();
    daemon.wait().unwrap();
    for (capability, name) in [("bpf", "CAP_BPF"), ("net_admin", "CAP_NET_ADMIN")] {
        // CAP_SYS_ADMIN would stand in for it.
        let run = site.host.command("run");
        let refused = without(&format!("{capability},-sys_admin"), &run).output().unwrap();

        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains(name) && said.contains("keepalive-daemon probe"), "{said}");
        assert_eq!(site.new_and_early()[0], ARMED, "without {name}");
    }
}

fn sys_admin_stands_in_for_bpf_and_perfmon() {
    let mut site = Site::new("stand-in", Host::peer);

    let _daemon = site.start_without("bpf,-perfmon");

    let status = site.status_when("swept");
    assert_eq!(site.new_and_early(), [ARMED; 2]);
    assert_eq!(status["daemon"]["helping"]["findsDeadPeers"], true);
}

fn without_perfmon_open_connections_are_reached_by_descriptors_and_dead_peers_are_not_counted() {
    let mut site = Site::new("without-perfmon", Host::peer);
    // CAP_SYS_ADMIN would stand in for it, and so the daemon is where the connections are.
    let run = without("perfmon,-sys_admin", &site.host.command("run"));

    let daemon = site.host.start_with(inside(&site.host.netns, &run));
    daemon.wait_line("ready: all policies").unwrap();
    let told = daemon.wait_line("peers that are found dead cannot be counted").unwrap();

    let status = site.status_when("partial");
    assert_eq!(site.new_and_early(), [ARMED; 2]);
    let daemon = &status["daemon"];
    assert_eq!((&daemon["ready"], &daemon["sweeping"]["method"]), (&true.into(), &"descriptors".into()));
    assert!(told.contains("CAP_PERFMON"), "{told}");
    assert!(daemon["helping"]["trouble"].to_string().contains("CAP_PERFMON"), "{daemon}");
}

fn without_sys_admin_connections_of_other_namespaces_keep_what_they_had() {
    let mut site = Site::new("without-admin", Host::peer);

    let process = site.start_without("sys_admin");
    let told = process.wait_line("(needs CAP_SYS_ADMIN)").unwrap();

    let status = site.status_when("partial");
    assert!(told.contains("cannot sweep the open connections of a network namespace"), "{told}");
    // However many namespaces there are.
    let printed = process.text(Stream::Stderr);
    assert_eq!(printed.lines().filter(|line| line.contains("(needs CAP_SYS_ADMIN)")).count(), 1, "{printed}");
    assert_eq!(site.new_and_early(), [ARMED, UNTOUCHED]);
    let daemon = &status["daemon"];
    let unreachable = daemon["sweeping"]["unreachable"].to_string();
    assert!(unreachable.contains("CAP_SYS_ADMIN"), "{unreachable}");
    assert_eq!((&daemon["ready"], &daemon["helping"]["findsDeadPeers"]), (&true.into(), &true.into()));
    site.assert_made_up_for(&process);
}

/// In a network namespace that is mounted nowhere.
fn hidden(_: &Host, app: &Cgroup) -> Peer {
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]);
    command.arg(std::env::current_exe().unwrap()).arg(PEER);
    command.in_cgroup(app);
    Peer::new(Process::spawn("a peer", command).unwrap())
}

fn without_sys_ptrace_connections_of_namespaces_that_only_processes_have_keep_what_they_had() {
    let mut site = Site::new("without-ptrace", hidden);

    let process = site.start_without("sys_ptrace");
    let told = process.wait_line("cannot sweep the open connections of a network namespace").unwrap();

    let status = site.status_when("partial");
    assert_eq!(site.new_and_early(), [ARMED, UNTOUCHED]);
    let daemon = &status["daemon"];
    for said in [told, daemon["sweeping"]["unreachable"].to_string()] {
        assert!(said.contains("CAP_SYS_PTRACE"), "{said}");
    }
    assert_eq!((&daemon["ready"], &daemon["helping"]["findsDeadPeers"]), (&true.into(), &true.into()));
    site.assert_made_up_for(&process);
}

fn without_sys_resource_a_low_limit_of_memory_matters_where_maps_are_charged_to_it() {
    let mut site = Site::new("without-resource", Host::peer);
    // What has the documented capabilities lifts the limit first.
    let run = site.host.free_command_of(Path::new(env!("CARGO_BIN_EXE_keepalive-daemon")), "run");
    let mut limited = with_little_memory(&without("sys_resource", &run));

    let daemon = if needs::present().contains(&Feature::Memory) {
        site.host.start_with(limited)
    } else {
        let refused = limited.output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("RLIMIT_MEMLOCK") && said.contains("CAP_SYS_RESOURCE"), "{said}");
        site.host.start_with(with_little_memory(&run))
    };

    daemon.wait_line("ready: all policies").unwrap();
    assert_eq!(site.new_and_early()[0], ARMED);
}
