//! What the kernel keeps for a cgroup that is gone.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use nix::sys::signal::Signal;
use xtask::lab::{Cgroup, Process, Stream};

use super::{entries, host_with_app};
use crate::{
    confined::{Unlisted, confined},
    support::{Host, PROGRAM, Peer, eventually, stop, with_privileges},
};

/// Removes a cgroup of which a socket is left, whose process is in another, and ends the daemon. A socket keeps what its
/// cgroup has of programs, whether or not that is there.
fn leave_a_socket(host: &Host, app: Cgroup, daemon: &Process) -> (Peer, Cgroup) {
    let mut peer = host.peer(&app);
    peer.pair();
    let refuge = host.cgroup("refuge");
    fs::write(refuge.path().join("cgroup.procs"), peer.process().pid().to_string()).unwrap();
    app.remove().unwrap();
    daemon.wait_line("the cgroup is gone").unwrap();
    stop(daemon, Signal::SIGTERM);
    (peer, refuge)
}

fn maps(host: &Host, layout: &str) -> [PathBuf; 2] {
    ["POLICY", "COUNTERS"].map(|map| host.bpffs.path().join("keepalive").join(layout).join("maps").join(map))
}

pub(super) fn what_the_kernel_keeps_for_a_cgroup_that_is_gone_is_not_freed() {
    let (host, app) = host_with_app("remains");
    let empty = entries(host.bpffs.path());
    let daemon = host.start();
    let (peer, _refuge) = leave_a_socket(&host, app, &daemon);

    let refused = host.run("cleanup", &[]);

    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("cgroups that are gone (1)"), "{said}");
    for map in maps(&host, "abi2") {
        assert!(map.exists(), "{}", map.display());
    }
    // A daemon goes on with them.
    stop(&host.start(), Signal::SIGTERM);
    drop(peer);
    eventually("it is freed once the kernel has let go of the cgroup", || {
        host.run("cleanup", &[]).status.success().then_some(())
    });
    assert_eq!(entries(host.bpffs.path()), empty);
}

pub(super) fn a_cgroup_outside_of_the_cgroup_root_is_not_gone() {
    let (host, app) = host_with_app("outside");
    let empty = entries(host.bpffs.path());
    stop(&host.start(), Signal::SIGTERM);

    let mut narrow = confined(Path::new(PROGRAM), Unlisted::Kills);
    narrow.arg("cleanup").arg("--bpffs").arg(host.bpffs.path());
    let cleaned = narrow.arg("--cgroup-root").arg(host.cgroup("other").path()).output().unwrap();

    assert!(cleaned.status.success(), "{}", String::from_utf8_lossy(&cleaned.stderr));
    assert!(app.path().exists());
    assert_eq!(entries(host.bpffs.path()), empty);
}

pub(super) fn where_a_part_of_the_hierarchy_is_seen_nothing_is_told_to_be_gone() {
    let (host, _app) = host_with_app("part");
    let empty = entries(host.bpffs.path());
    stop(&host.start(), Signal::SIGTERM);
    let part = host.directory().join("part");
    fs::create_dir(&part).unwrap();
    let script = "mount --bind \"$1\" \"$2\" && exec \"$3\" cleanup --bpffs \"$4\" --cgroup-root \"$2\"";
    let mut partial = Command::new("unshare");
    let other = host.cgroup("other");
    partial.args(["--mount", "sh", "-c", script, "sh"]).arg(other.path()).arg(&part);

    let refused = partial.arg(PROGRAM).arg(host.bpffs.path()).output().unwrap();

    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("a part of the cgroup2 hierarchy") && !said.contains("gone"), "{said}");
    assert!(host.run("cleanup", &[]).status.success());
    assert_eq!(entries(host.bpffs.path()), empty);
}

pub(super) fn a_directory_that_nobody_may_list_keeps_nothing_pinned() {
    let (host, _app) = host_with_app("closed");
    let empty = entries(host.bpffs.path());
    let closed = host.cgroup("closed");
    chown(closed.path(), Some(1000), None).unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut run = host.command("run");
    run.arg("--detach-on-exit");
    let daemon = host.start_with(with_privileges(&["--bounding-set=-all,+bpf,+net_admin,+perfmon"], &run));
    daemon.wait_line("ready: all policies").unwrap();

    daemon.signal(Signal::SIGTERM).unwrap();

    assert!(daemon.wait().unwrap().success(), "{}", daemon.text(Stream::Stderr));
    assert_eq!(entries(host.bpffs.path()), empty);
}

pub(super) fn another_layout_is_freed_once_the_kernel_has_let_go_of_what_it_keeps_in_it() {
    let (host, app) = host_with_app("layouts");
    let daemon = host.start_with(host.next_command());
    daemon.wait_line("ready: all policies").unwrap();
    let (peer, _refuge) = leave_a_socket(&host, app, &daemon);

    let daemon = host.start();
    daemon.wait_line("detached what another version left").unwrap();
    for map in maps(&host, "abi3") {
        assert!(map.exists(), "{}", map.display());
    }
    let mark = daemon.mark();
    drop(peer);

    eventually("it is freed at a resync", || {
        daemon.signal(Signal::SIGHUP).unwrap();
        maps(&host, "abi3").iter().all(|map| !map.exists()).then_some(())
    });
    daemon.wait_line_from(mark, "removed the pins of another version").unwrap();
}
