//! Root without CAP_DAC_OVERRIDE and the like: what belongs to others is theirs, and keeps the daemon from nothing else.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use nix::sys::signal::Signal;
use xtask::lab::Cgroup;

use super::{ARMED, KEEPALIVE};
use crate::{
    peer::Options,
    support::{Host, UNTOUCHED, document},
};

crate::tests![
    a_cgroup_that_its_owner_lets_nobody_list_keeps_no_other_from_its_policy,
    a_policy_that_its_owner_lets_nobody_read_leaves_the_last_good_ones_in_force,
];

/// Somebody who is not root.
const OWNER: u32 = 65534;

/// Gives a file to somebody who lets nobody else use it.
fn give_away(path: &Path) {
    std::os::unix::fs::chown(path, Some(OWNER), None).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}

fn connection(host: &Host, cgroup: &Cgroup) -> Options {
    let mut peer = host.peer(cgroup);
    let pair = peer.pair();
    peer.options(pair.client)
}

fn a_cgroup_that_its_owner_lets_nobody_list_keeps_no_other_from_its_policy() {
    let host = Host::new("hidden");
    let [ours, theirs, late] = ["ours", "theirs", "late"].map(|path| host.cgroup(path));
    give_away(theirs.path());
    host.write_policies("p.yaml", &document("all", "*", KEEPALIVE));

    let daemon = host.start_with(host.command("run"));

    let told = daemon.wait_line("cannot look into a cgroup").unwrap();
    assert!(told.contains("theirs") && told.contains("CAP_DAC_READ_SEARCH"), "{told}");
    daemon.wait_line("cgroup=\"late\"").unwrap();
    assert_eq!([&ours, &theirs, &late].map(|it| connection(&host, it)), [ARMED, UNTOUCHED, ARMED]);
    let refused = host.status()["refused"].clone();
    assert_eq!((&refused[0]["path"], refused.as_array().map(Vec::len)), (&"theirs".into(), Some(1)));
    assert!(refused[0]["reason"].to_string().contains("Permission denied"), "{refused}");
    assert_eq!(host.status()["daemon"]["ready"], false);
    // So it goes on while it runs, with one that is attached already.
    let mark = daemon.mark();
    give_away(late.path());
    let _below = host.cgroup("late/below");
    daemon.signal(Signal::SIGHUP).unwrap();
    daemon.wait_line_from(mark, "cannot look into a cgroup").unwrap();
    let next = host.cgroup("next");
    daemon.wait_line("attached cgroup=\"next\"").unwrap();
    assert_eq!([&next, &late].map(|it| connection(&host, it)), [ARMED; 2]);
    // And so it ends.
    fs::set_permissions(theirs.path(), fs::Permissions::from_mode(0o755)).unwrap();
    daemon.signal(Signal::SIGHUP).unwrap();
    daemon.wait_line("attached cgroup=\"theirs\"").unwrap();
    assert_eq!(connection(&host, &theirs), ARMED);
}

fn a_policy_that_its_owner_lets_nobody_read_leaves_the_last_good_ones_in_force() {
    let host = Host::new("unread");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    let daemon = host.start();
    let theirs = host.directory().join("theirs.yaml");
    fs::write(&theirs, document("other", "app", "priority: 9, keepalive: {idle: 99s}")).unwrap();
    give_away(&theirs);

    fs::rename(&theirs, host.policies().join("theirs.yaml")).unwrap();

    daemon.wait_line("theirs.yaml: cannot be read: Permission denied").unwrap();
    assert_eq!(connection(&host, &app), ARMED);
    fs::remove_file(host.policies().join("theirs.yaml")).unwrap();
    let mark = daemon.mark();
    daemon.signal(Signal::SIGHUP).unwrap();
    daemon.wait_line_from(mark, "read the policies").unwrap();
}
