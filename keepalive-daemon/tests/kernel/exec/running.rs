//! `exec --pid`: the connections that running processes have open.

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use serde_json::Value;
use xtask::lab::{InCgroup as _, Netns, Process, TEST_PREFIX, sockets};

use super::{PROGRAM, VARIABLES};
use crate::{
    peer::Options,
    support::{Host, NOBODY, UNTOUCHED, connections_of, options, public_program, with_privileges},
};

/// A program of three processes, one below the other, with connections among them: the eldest holds both ends of one,
/// the youngest the near end of another. The middle one has what the eldest has, by inheritance. Each of them prints its
/// number.
const FAMILY: &str = "
import os, socket, sys, time
listener = socket.create_server(('127.0.0.1', 0))
near = socket.create_connection(listener.getsockname())
far, _ = listener.accept()
print(os.getpid(), flush=True)
if os.fork() == 0:
    print(os.getpid(), flush=True)
    listening = listener.getsockname()
    if os.fork() == 0:
        for inherited in (near, far, listener):
            inherited.close()
        near = socket.create_connection(listening)
        print(os.getpid(), flush=True)
    time.sleep(600)
sys.stdin.read()
";

/// `exec --pid`, in the network namespace of the tests and not in that of the processes.
fn exec(pid: u32, flags: &[&str]) -> Command {
    exec_of(Path::new(PROGRAM), pid, flags)
}

fn exec_of(program: &Path, pid: u32, flags: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["exec", "--pid", &pid.to_string()]).args(flags);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// Runs it to its end; returns the sockets that it listed.
fn apply(pid: u32, flags: &[&str]) -> Vec<Value> {
    let output = exec(pid, flags).args(["-o", "json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let listing: Value = serde_json::from_slice(&output.stdout).unwrap();
    listing["sockets"].as_array().unwrap().clone()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn outcomes(sockets: &[Value]) -> Vec<&str> {
    let mut outcomes: Vec<&str> = sockets.iter().map(|socket| socket["outcome"].as_str().unwrap()).collect();
    outcomes.sort_unstable();
    outcomes
}

pub(super) fn open_connections_get_the_values_once() {
    let host = Host::new("running");
    let cgroup = host.cgroup("app");
    let mut peer = host.peer(&cgroup);
    let mut other = host.peer(&cgroup);
    let (tight, plain, of_other) = (peer.pair(), peer.pair(), other.pair());
    let (listener, address) = peer.listen("127.0.0.1:0", false);
    peer.set(tight.client, options(true, 30, 75, 9, 0));

    let listed = apply(peer.process().pid(), &["--user-timeout", "auto"]);

    assert_eq!(outcomes(&listed), ["arm", "arm", "arm", "tighten"]);
    assert_eq!(peer.options(tight.client), options(true, 30, 15, 4, 120_000));
    for socket in [tight.server, plain.client, plain.server] {
        assert_eq!(peer.options(socket), options(true, 60, 15, 4, 120_000));
    }
    for timer in sockets(&host.netns).unwrap() {
        let is_its_own = timer.pids == [peer.process().pid()];
        let armed = timer.keepalive().is_some_and(|left| left <= Duration::from_secs(60));
        assert_eq!(armed, is_its_own, "{timer:?}");
    }
    // What is not a connection, not its own, or not there yet, is as it was.
    let later = peer.connect(address);
    for socket in [listener, later] {
        assert_eq!(peer.options(socket), UNTOUCHED);
    }
    assert_eq!(other.options(of_other.client), UNTOUCHED);
    // Once more finds only the new one to do.
    let again = apply(peer.process().pid(), &["--user-timeout", "auto"]);
    assert_eq!(outcomes(&again), ["arm", "keepTighter", "keepTighter", "keepTighter", "keepTighter"]);
}

pub(super) fn the_list_says_what_each_had_and_what_was_set() {
    let host = Host::new("listed");
    let cgroup = host.cgroup("app");
    let mut peer = host.peer(&cgroup);
    let pid = peer.process().pid();
    let pair = peer.pair();
    peer.set(pair.client, options(true, 300, 10, 3, 30_000));

    let listed = apply(pid, &["--idle", "90s"]);
    let table = exec(pid, &["--idle", "50s"]).output().unwrap();

    let tightened = listed.iter().find(|socket| socket["outcome"] == "tighten").unwrap();
    let had = serde_json::json!({
        "keepalive": true, "idleSeconds": 300, "intervalSeconds": 10, "probes": 3,
        "userTimeoutMilliseconds": 30_000
    });
    assert_eq!(tightened["before"], had);
    assert_eq!(tightened["set"], serde_json::json!({"idleSeconds": 90}));
    assert_eq!(tightened["pid"], pid);
    let ends = sockets(&host.netns).unwrap();
    let [local, remote] = ["local", "remote"].map(|end| tightened[end].as_str().unwrap().parse().unwrap());
    assert!(ends.iter().any(|row| (row.local, row.peer) == (local, remote)), "{ends:?}");
    let table = String::from_utf8(table.stdout).unwrap();
    let row = table.lines().find(|line| line.contains("90s/10s/3 ut 30s")).unwrap();
    assert!(row.starts_with(&format!("{pid} ")) && row.contains("50s/-/-"), "{table}");
}

pub(super) fn what_may_not_be_changed_stays_and_is_told() {
    for (flags, armed, chosen, expected) in [
        (&["--dry-run"][..], UNTOUCHED, options(true, 300, 75, 9, 0), ["arm", "tighten"]),
        (&["--mode", "Monitor"], UNTOUCHED, options(true, 300, 75, 9, 0), ["arm", "tighten"]),
        (
            &["--mode", "FillMissing"],
            options(true, 60, 15, 4, 0),
            options(true, 300, 75, 9, 0),
            ["arm", "keepChosen"],
        ),
    ] {
        let host = Host::new("kept");
        let cgroup = host.cgroup("app");
        let mut peer = host.peer(&cgroup);
        let pair = peer.pair();
        peer.set(pair.client, options(true, 300, 75, 9, 0));

        let listed = apply(peer.process().pid(), flags);

        assert_eq!(outcomes(&listed), expected, "{flags:?}");
        assert_eq!(peer.options(pair.client), chosen, "{flags:?}");
        assert_eq!(peer.options(pair.server), armed, "{flags:?}");
    }
}

pub(super) fn descendants_are_served_in_whatever_namespaces_they_are() {
    let host = Host::new("family");
    let elsewhere = Netns::create(TEST_PREFIX, "elsewhere").unwrap();
    let cgroup = host.cgroup("app");
    let mut command = host.netns.command("sh");
    // The eldest of all has no connection, and its child has them in another namespace.
    command.args(["-c", "ip netns exec \"$0\" python3 -c \"$1\"; exit"]).arg(elsewhere.name()).arg(FAMILY);
    command.in_cgroup(&cgroup);
    let family = Process::spawn("a family", command).unwrap();
    let youngest = family
        .wait_for("three numbers", |lines, _| {
            let pids: Vec<u32> = lines.iter().filter_map(|line| line.text.trim().parse().ok()).collect();
            <[u32; 3]>::try_from(pids).ok()
        })
        .unwrap();

    let listed = apply(family.pid(), &[]);

    let [eldest, _, youngest] = youngest;
    let mut pids: Vec<u64> = listed.iter().map(|socket| socket["pid"].as_u64().unwrap()).collect();
    pids.sort_unstable();
    let mut expected = [eldest, eldest, youngest].map(u64::from);
    expected.sort_unstable();
    assert_eq!(pids, expected, "what several hold is listed once: {listed:?}");
    let armed: Options = options(true, 60, 15, 4, 0);
    assert_eq!(connections_of(eldest), [armed; 2]);
    assert_eq!(connections_of(youngest), [armed]);
}

pub(super) fn without_a_process_or_a_right_it_fails_and_says_what_to_do() {
    let host = Host::new("failing");
    let cgroup = host.cgroup("app");
    let mut peer = host.peer(&cgroup);
    let pid = peer.process().pid();
    let pair = peer.pair();
    let public = public_program(host.directory());
    // Beyond the largest that the kernel gives.
    let absent = 1 << 23;
    let powerless = with_privileges(&["--bounding-set=-sys_ptrace"], &exec(pid, &[]));
    let nobody = with_privileges(&NOBODY, &exec_of(&public, pid, &[]));
    for (mut command, code, says) in [
        (exec(absent, &[]), 1, &["no process", "ss -tnp"][..]),
        (powerless, 1, &["CAP_SYS_PTRACE"]),
        (nobody, 1, &["CAP_SYS_PTRACE"]),
        (exec(pid, &["--idle", "0s"]), 1, &["idle", "32767s"]),
        (exec(pid, &["--", "true"]), 2, &["--pid", "COMMAND"]),
        (exec(0, &[]), 2, &["--pid"]),
    ] {
        let output = command.output().unwrap();

        assert_eq!(output.status.code(), Some(code), "{command:?}: {}", said(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{command:?}");
        for words in says {
            assert!(said(&output).contains(words), "{command:?}: {}", said(&output));
        }
        assert_eq!(peer.options(pair.client), UNTOUCHED, "{command:?}");
    }
}
