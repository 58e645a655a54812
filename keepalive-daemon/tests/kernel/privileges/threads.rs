//! What the kernel says of the daemon's threads.

use std::{collections::BTreeMap, fs, process::Command};

use rustix::thread::CapabilitySet;
use xtask::lab::{Cgroup, Process};

use super::KEEPALIVE;
use crate::{
    confined::documented,
    support::{Host, PROGRAM, document, eventually, with_privileges},
};

crate::tests![
    nobody_of_the_same_user_looks_into_a_thread_without_capabilities,
    the_daemon_has_what_the_manifest_gives_and_each_thread_what_its_work_takes,
    the_daemon_of_root_gives_up_what_is_not_documented,
];

/// The fields of a thread's status file, by their names.
type Status = BTreeMap<String, String>;

/// The threads of the daemon that live as long as it does, by their names, once they are all at their work.
fn threads(daemon: &Process) -> BTreeMap<String, Status> {
    const LASTING: [&str; 6] = ["api", "helped", "keepalive-daemo", "metrics", "starter", "sweeper"];

    eventually("all threads have begun", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
        let statuses = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
        let threads: BTreeMap<_, _> =
            statuses.map(|text| fields(&text)).map(|it| (it["Name"].clone(), it)).collect();
        // A thread is there before it has given up anything.
        let has_settled = |name: &str| {
            threads.get(name).is_some_and(|status| capabilities(status, "CapPrm") == needs(name))
        };
        LASTING.into_iter().all(has_settled).then_some(threads)
    })
}

/// The capabilities that the work of a thread takes.
fn needs(thread: &str) -> CapabilitySet {
    match thread {
        "keepalive-daemo" => CapabilitySet::BPF.union(CapabilitySet::NET_ADMIN).union(CapabilitySet::PERFMON),
        "api" | "metrics" => CapabilitySet::empty(),
        _ => documented(),
    }
}

fn fields(status: &str) -> Status {
    let fields = status.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

fn capabilities(status: &Status, set: &str) -> CapabilitySet {
    CapabilitySet::from_bits_retain(u64::from_str_radix(&status[set], 16).unwrap())
}

fn host() -> (Host, Cgroup) {
    let host = Host::new("threads");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    (host, app)
}

/// Starts the daemon, with metrics at any port.
fn start(host: &Host, mut command: Command) -> Process {
    command.env("KEEPALIVE_METRICS", "127.0.0.1:0");
    let daemon = host.start_with(command);
    daemon.wait_line("ready: all policies").unwrap();
    daemon.wait_line("metrics and health are at").unwrap();
    daemon
}

fn assert_each_has_what_its_work_takes(threads: &BTreeMap<String, Status>) {
    let none = CapabilitySet::empty();
    for (name, status) in threads {
        let expected = needs(name);
        let sets = ["CapEff", "CapPrm", "CapInh", "CapAmb"].map(|set| capabilities(status, set));
        assert_eq!(sets, [expected, expected, none, none], "{name}");
        assert_eq!(status["NoNewPrivs"], "1", "{name}");
    }
}

fn the_daemon_has_what_the_manifest_gives_and_each_thread_what_its_work_takes() {
    let (host, _app) = host();

    let daemon = start(&host, host.command("run"));

    let threads = threads(&daemon);
    assert_each_has_what_its_work_takes(&threads);
    for (name, status) in &threads {
        assert_eq!(capabilities(status, "CapBnd"), documented(), "{name}");
        // 2: a filter decides on each call.
        assert_eq!(status["Seccomp"], "2", "{name}");
        assert_eq!(status["Uid"], "0\t0\t0\t0", "{name}");
    }
    let told = daemon.wait_line("gave up the capabilities").unwrap();
    assert!(
        told.contains("governing=\"CAP_NET_ADMIN CAP_PERFMON CAP_BPF\"") && told.contains("clients=\"none\""),
        "{told}"
    );
}

fn the_daemon_of_root_gives_up_what_is_not_documented() {
    let (host, _app) = host();

    let daemon = start(&host, host.free_command_of(PROGRAM.as_ref(), "run"));

    assert_each_has_what_its_work_takes(&threads(&daemon));
}

/// Whether a process of root without any capability may read what only those may that may trace the thread.
fn may_look(daemon: &Process, thread: &str) -> bool {
    let threads = threads(daemon);
    let id = &threads[thread]["Pid"];
    let mut command = Command::new("cat");
    command.arg(format!("/proc/{}/task/{id}/environ", daemon.pid()));
    with_privileges(&["--bounding-set=-all"], &command).output().unwrap().status.success()
}

fn nobody_of_the_same_user_looks_into_a_thread_without_capabilities() {
    let (host, _app) = host();
    let daemon = start(&host, host.command("run"));

    let looks = ["api", "metrics", "keepalive-daemo"].map(|thread| may_look(&daemon, thread));

    assert_eq!(looks, [false; 3], "by its memory it would have the capabilities of all");
}
