//! The service of plain hosts under systemd, installed as `deploy/README.md` says.
//!
//! It writes where an installation does, which only a machine of `cargo xtask vm` is for.

use std::{fs, path::Path, process::Command};

use crate::{
    peer::Options,
    support::{Host, Peer, UNTOUCHED, document, eventually, options},
};

/// Where the service looks for its policies.
const POLICIES: &str = "/etc/keepalive/policies.d";

const UNIT: &str = "keepalive-daemon.service";

crate::tests!(
    the_service_is_exposed_no_more_than_it_has_to_be,
    the_service_is_ready_when_policies_are_in_force_and_leaves_them_so,
);

/// What systemd makes of the service, of 100; so much come of root, of capabilities that it needs, of sockets.
const EXPOSURE: u32 = 33;

fn the_service_is_ready_when_policies_are_in_force_and_leaves_them_so() {
    let host = Host::new("unit");
    let group = host.cgroup("service");
    let mut peer = host.peer(&group);
    let service = Service::install(&policy(&host, 61));
    let early = peer.pair();
    assert_eq!(peer.options(early.client), UNTOUCHED);

    service.systemctl("start");
    let first = connection(&mut peer);
    eventually("what was open before the service has the policy's values", || {
        (peer.options(early.client) == armed(61)).then_some(())
    });
    let process = service.show("MainPID");
    service.write_policy(&policy(&host, 71));
    service.systemctl("reload");
    eventually("the changed policy is in force", || (connection(&mut peer) == armed(71)).then_some(()));
    let process_after = service.show("MainPID");
    service.systemctl("stop");

    assert_eq!(first, armed(61));
    assert_eq!(process_after, process);
    assert_eq!((service.show("ActiveState"), service.show("Result")), ("inactive".into(), "success".into()));
    assert_eq!(connection(&mut peer), armed(71), "after the service's end");
}

fn the_service_is_exposed_no_more_than_it_has_to_be() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd").join(UNIT);
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager", &format!("--threshold={EXPOSURE}")]).arg(unit);

    // It fails above the threshold.
    xtask::process::output(&mut command).unwrap();
}

fn policy(host: &Host, idle_s: u64) -> String {
    let glob = format!("{}/*", host.root.relative().display());
    document("unit", &glob, &format!("keepalive: {{idle: {idle_s}s, interval: 7s, probes: 3}}"))
}

fn connection(peer: &mut Peer) -> Options {
    let pair = peer.pair();
    peer.options(pair.client)
}

const fn armed(idle_s: u64) -> Options {
    options(true, idle_s, 7, 3, 0)
}

/// The installed service; when it is dropped it is stopped, and so is the work of the policies.
struct Service;

impl Service {
    fn install(policy: &str) -> Self {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd").join(UNIT);
        fs::copy(env!("CARGO_BIN_EXE_keepalive-daemon"), "/usr/local/bin/keepalive-daemon").unwrap();
        fs::copy(deploy, Path::new("/etc/systemd/system").join(UNIT)).unwrap();
        fs::create_dir_all(POLICIES).unwrap();
        let service = Self;
        service.write_policy(policy);
        xtask::process::output(Command::new("systemctl").arg("daemon-reload")).unwrap();
        service
    }

    fn write_policy(&self, text: &str) {
        fs::write(Path::new(POLICIES).join("unit.yaml"), text).unwrap();
    }

    /// Does something with the service and waits until it is done.
    fn systemctl(&self, verb: &str) {
        xtask::process::output(Command::new("systemctl").args([verb, UNIT])).unwrap();
    }

    /// What systemd says of the service.
    fn show(&self, property: &str) -> String {
        let mut command = Command::new("systemctl");
        command.args(["show", "--value", "--property", property, UNIT]);
        xtask::process::output(&mut command).unwrap().trim().to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // What is missing, because a step before it failed, need not be removed.
        let _ = Command::new("systemctl").args(["stop", UNIT]).status();
        let _ = Command::new("/usr/local/bin/keepalive-daemon").arg("cleanup").status();
        let _ = fs::remove_dir_all(POLICIES);
        let _ = fs::remove_file("/usr/local/bin/keepalive-daemon");
        let _ = fs::remove_file(Path::new("/etc/systemd/system").join(UNIT));
        let _ = Command::new("systemctl").arg("daemon-reload").status();
    }
}
