//! How `exec` ends, and what is left behind then.

use std::{fs, os::unix::process::ExitStatusExt as _};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use xtask::lab::{Cgroup, Process};

use super::{exec, start_peer, start_script, transient};
use crate::support::{Host, Peer, eventually, options};

/// Waits until `exec` has cleaned up below a cgroup.
fn wait_clean(cgroup: &Cgroup) {
    eventually("the cgroup that exec made is removed", || transient(cgroup).is_empty().then_some(()));
    eventually("nothing that exec started is left", || cgroup.procs().unwrap().is_empty().then_some(()));
}

pub(super) fn the_end_of_the_command_is_that_of_exec() {
    let host = Host::new("end");
    let cgroup = host.cgroup("app");
    let not_executable = host.directory().join("not-executable");
    fs::write(&not_executable, "#!/bin/sh\n").unwrap();
    let not_executable = not_executable.to_str().unwrap();
    for (command, code, signal) in [
        (&["true"][..], Some(0), None),
        (&["sh", "-c", "exit 7"], Some(7), None),
        (&["sh", "-c", "kill -TERM $$"], None, Some(Signal::SIGTERM)),
        (&["sh", "-c", "kill -KILL $$"], None, Some(Signal::SIGKILL)),
        (&[not_executable], Some(126), None),
        (&["keepalive-test-no-such-command"], Some(127), None),
    ] {
        let mut exec = exec(&host, &cgroup, &[]);
        exec.args(command);
        let process = Process::spawn("a command under exec", exec).unwrap();

        let status = process.wait_output().unwrap();

        assert_eq!((status.code(), status.signal()), (code, signal.map(|s| s as i32)), "{command:?}");
        let said = process.text(xtask::lab::Stream::Stderr);
        if matches!(code, Some(126 | 127)) {
            assert!(said.contains(&format!("cannot run {}", command[0])), "{said}");
        } else {
            assert_eq!(said, "", "{command:?}");
        }
        wait_clean(&cgroup);
    }
}

pub(super) fn a_killed_command_leaves_nothing() {
    let host = Host::new("killed");
    let cgroup = host.cgroup("app");
    let mut peer = start_peer(exec(&host, &cgroup, &[]));
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 60, 15, 4, 0));
    let [made] = transient(&cgroup).try_into().unwrap();
    let members = fs::read_to_string(made.join("cgroup.procs")).unwrap();
    // The command has taken the place of `exec`: it is the very process that was started.
    assert_eq!(members, format!("{}\n", peer.process().pid()));

    peer.process().signal(Signal::SIGKILL).unwrap();

    assert_eq!(peer.process().wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
    wait_clean(&cgroup);
}

pub(super) fn a_grandchild_is_armed_as_long_as_it_lives_and_the_cgroup_goes_with_it() {
    let host = Host::new("grandchild");
    let cgroup = host.cgroup("app");
    let program = std::env::current_exe().unwrap();
    // A shell gives a background command an empty input; the peer needs the one of the test.
    let script = format!("exec 3<&0; \"$0\" {} <&3 & exit 7", crate::PEER);
    let process = start_script(&host, &cgroup, &script, &[program.as_os_str()]);
    assert_eq!(process.wait().unwrap().code(), Some(7));
    let mut grandchild = Peer::new(process);

    let pair = grandchild.pair();

    assert_eq!(grandchild.options(pair.client), options(true, 60, 15, 4, 0));
    assert_eq!(transient(&cgroup).len(), 1);
    // Its input ends with this, and it with its input.
    drop(grandchild);
    wait_clean(&cgroup);
}

pub(super) fn an_interrupt_at_the_terminal_reaches_the_command_alone() {
    let host = Host::new("interrupt");
    let cgroup = host.cgroup("app");
    // Not in a call that waits: a shell that is caught just before it, is not woken.
    let script = "trap 'echo caught; exit 5' INT; echo ready; while :; do :; done";
    let process = start_script(&host, &cgroup, script, &[]);
    process.wait_line("ready").unwrap();

    // What a terminal does at Ctrl-C: it signals the whole foreground group.
    killpg(Pid::from_raw(process.pid().cast_signed()), Signal::SIGINT).unwrap();

    process.wait_line("caught").unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(5));
    // Whoever cleans up was not in that group.
    wait_clean(&cgroup);
}
