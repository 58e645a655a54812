//! The helper process that `exec` leaves behind.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use xtask::lab::{InCgroup as _, Process, cgroup2_root};

use super::{PROGRAM, exec, start_peer, transient};
use crate::support::{Host, eventually, options};

pub(super) fn what_asks_a_whole_unit_to_end_does_not_end_the_helper() {
    let host = Host::new("unit");
    let cgroup = host.cgroup("app");
    let mut peer = start_peer(exec(&host, &cgroup, &[]));
    // It answers, so it runs, in a cgroup of its own: what is left in the caller's is the helper.
    peer.pair();
    let [helper] = cgroup.procs().unwrap().try_into().unwrap();
    for asking in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(Pid::from_raw(i32::try_from(helper).unwrap()), asking).unwrap();
    }

    let pair = peer.pair();

    assert_eq!(peer.options(pair.client), options(true, 60, 15, 4, 0));
    assert_eq!(cgroup.procs().unwrap(), [helper]);
}

pub(super) fn cgroups_that_the_command_made_go_with_its_own() {
    let host = Host::new("inner");
    let cgroup = host.cgroup("app");
    let own = format!("{}/$(sed -n 's/^0:://p' /proc/self/cgroup)", cgroup2_root().unwrap().display());
    let mut exec = exec(&host, &cgroup, &[]);
    exec.args(["sh", "-c", &format!("mkdir -p {own}/made/deep")]);

    let status = Process::spawn("a command that makes cgroups", exec).unwrap().wait().unwrap();

    assert!(status.success(), "{status}");
    eventually("the cgroup that exec made is removed", || transient(&cgroup).is_empty().then_some(()));
}

pub(super) fn a_caller_that_does_not_care_for_its_children_is_served_too() {
    let host = Host::new("ignored");
    let cgroup = host.cgroup("app");
    let mut shell = host.netns.command("sh");
    shell.args(["-c", "trap '' CHLD; exec \"$@\"", "sh", PROGRAM, "exec", "--bpffs"]);
    shell.arg(host.bpffs.path()).args(["--", "sh", "-c", "exit 7"]).in_cgroup(&cgroup);

    let status = Process::spawn("exec with SIGCHLD ignored", shell).unwrap().wait().unwrap();

    assert_eq!(status.code(), Some(7));
    eventually("the cgroup that exec made is removed", || transient(&cgroup).is_empty().then_some(()));
}
