//! Pods that come and go.

use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use nix::sys::signal::Signal;
use xtask::lab::Process;

use super::{
    armed, of_namespace,
    support::{Node, PodSpec},
};
use crate::support::{eventually, eventually_is, list, objects, scaled};

crate::tests![
    two_hundred_pods_leave_nothing_behind,
    a_pod_made_anew_under_the_same_name_is_governed_anew,
    the_daemon_is_restarted_in_the_middle,
    the_daemon_is_killed_and_started_while_pods_come_and_go,
];

const PODS: usize = 200;
/// How many are made at a time, as a busy kubelet does.
const AT_ONCE: usize = 4;

/// What the daemon holds in the kernel and in its process.
#[derive(Debug)]
struct Held {
    links: BTreeSet<u64>,
    pins: Vec<String>,
    /// Of the storage of cgroups.
    entries: [usize; 2],
    files: usize,
    tasks: usize,
}

impl Held {
    fn by(node: &Node, daemon: &Process) -> Self {
        let of_process = |what: &str| fs::read_dir(format!("/proc/{}/{what}", daemon.pid())).unwrap().count();
        let cgroups = node.host.bpffs.path().join("keepalive/abi2/cgroups");
        let pins = fs::read_dir(&cgroups).into_iter().flatten();
        let mut pins: Vec<_> = pins.map(|pin| pin.unwrap().file_name().into_string().unwrap()).collect();
        pins.sort();
        let maps = node.host.bpffs.path().join("keepalive/abi2/maps");
        let entries = ["POLICY", "COUNTERS"].map(|map| objects::entries(&maps.join(map)));
        Self { links: links_of(node), pins, entries, files: of_process("fd"), tasks: of_process("task") }
    }

    /// Whether it is no more: what the daemon did while it was looked at first may have needed a descriptor or a thread.
    fn is_within(&self, most: &Self) -> bool {
        let Self { links, pins, entries, files, tasks } = self;
        (links, pins, entries) == (&most.links, &most.pins, &most.entries)
            && *files <= most.files
            && *tasks <= most.tasks
    }
}

/// The links that run this node's program.
fn links_of(node: &Node) -> BTreeSet<u64> {
    let program = node.host.bpffs.path().join("keepalive/abi2/program");
    let (program, _) = objects::pinned_program(&program);
    let links = list("link");
    let ours = links.iter().filter(|link| link["prog_id"].as_u64() == Some(program));
    ours.map(|link| link["id"].as_u64().unwrap()).collect()
}

fn two_hundred_pods_leave_nothing_behind() {
    let node = Node::new("churn", "2");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let daemon = node.start_daemon();
    // What a first pod leaves (programs that are loaded when something is governed, a connection to the runtime) is not
    // what this is about.
    let first = node.run_pod(PodSpec::new("shop", "first"));
    eventually("all is loaded", || {
        let status = node.ask_json(&["status"]);
        let is_swept = status["cgroups"][0]["openConnections"]["state"] == "swept";
        (is_swept && status["daemon"]["helping"]["findsDeadPeers"] == true).then_some(())
    });
    node.remove(first);
    let before = eventually("the first pod is forgotten", || {
        let held = Held::by(&node, &daemon);
        (held.links.is_empty() && held.entries == [0; 2]).then_some(held)
    });

    thread::scope(|scope| {
        for lane in 0..AT_ONCE {
            let node = &node;
            scope.spawn(move || {
                for number in 0..scaled(PODS) / AT_ONCE {
                    come_and_go(node, &format!("web-{lane}-{number}"));
                }
            });
        }
    });

    let what = format!("the daemon holds no more than before: {before:?}");
    eventually_is(&what, || Held::by(&node, &daemon), |held| held.is_within(&before));
}

/// A pod without a container: its sandbox is enough to be governed.
fn come_and_go(node: &Node, name: &str) {
    let pod = node.run_pod(PodSpec::new("shop", name));
    let path = node.cgroup_path(&pod);
    eventually("the pod is governed", || node.is_attached(&path).then_some(()));
    node.remove(pod);
}

fn a_pod_made_anew_under_the_same_name_is_governed_anew() {
    let node = Node::new("anew", "1.7");
    node.host.write_policies(
        "p.yaml",
        &(of_namespace("shop", "all", 31, "")
            + &of_namespace("shop", "web", 32, "priority: 1, podSelector: {matchLabels: {app: web}}")),
    );
    let _daemon = node.start_daemon();
    let (first, container) = node.run_governed(PodSpec::new("shop", "web-0"));
    let before = container.first_connection();
    node.remove(first);

    let (second, container) = node.run_governed(PodSpec::new("shop", "web-0").label("app", "web"));

    let explained = node.ask_json(&["policy", "explain", "shop/web-0"]);
    assert_eq!((before, container.first_connection()), (armed(31), armed(32)));
    assert_eq!(explained["pod"]["uid"], second.spec.uid);
}

fn the_daemon_is_restarted_in_the_middle() {
    let node = Node::new("restart", "1.7");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let daemon = node.start_daemon();
    let (stays, staying) = node.run_governed(PodSpec::new("shop", "stays"));
    let (goes, _) = node.run_governed(PodSpec::new("shop", "goes"));
    let links = links_of(&node);
    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();
    let (goes_path, stays_path) = (node.cgroup_path(&goes), node.cgroup_path(&stays));
    node.remove(goes);
    let (_, comes) = node.run(PodSpec::new("shop", "comes"));
    let without_daemon = [staying.connection(), comes.connection()];

    let _daemon = node.start_daemon();

    assert_eq!(without_daemon, [armed(31), super::UNTOUCHED]);
    assert_eq!([staying.connection(), comes.connection()], [armed(31); 2]);
    assert_eq!(links_of(&node).intersection(&links).count(), 1, "the link of what stayed is kept");
    assert!(node.is_attached(&stays_path) && !node.is_attached(&goes_path));
}

fn the_daemon_is_killed_and_started_while_pods_come_and_go() {
    const KILLS: usize = 5;
    let node = Node::new("kills", "2");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let mut daemon = node.start_daemon();
    let (stays, staying) = node.run_governed(PodSpec::new("shop", "stays"));
    let link = links_of(&node);
    let is_over = AtomicBool::new(false);

    let seen = thread::scope(|scope| {
        for lane in 0..2 {
            let (node, is_over) = (&node, &is_over);
            scope.spawn(move || {
                for number in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    // Governed by whichever daemon is there next.
                    come_and_go(node, &format!("web-{lane}-{number}"));
                }
            });
        }
        let seen: Vec<_> = (0..KILLS)
            .map(|_| {
                daemon.signal(Signal::SIGKILL).unwrap();
                daemon.wait().unwrap();
                let without = staying.connection();
                daemon = node.start_daemon();
                [without, staying.connection()]
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        seen
    });

    assert_eq!(seen, [[armed(31); 2]; KILLS]);
    eventually("what stayed is all that is attached", || (links_of(&node) == link).then_some(()));
    assert!(node.is_attached(&node.cgroup_path(&stays)));
}
