//! Hostile surroundings: what others do on the node, by mistake or on purpose. After each the same holds: what is governed
//! stays so, which a fresh connection shows; somebody is told what is wrong and what to do; and it ends when its cause
//! does, without anybody touching the daemon.

mod bpffs;
mod delegated;
mod limits;
mod lock;
mod names;
mod policies;
mod runtime;
mod stopped;
mod tree;

use serde_json::Value;
use xtask::lab::{Cgroup, Process};

use crate::{
    Test,
    peer::Options,
    support::{Host, document, eventually, options},
};

/// All tests of this group.
pub(crate) const ALL: [&[Test]; 9] = [
    bpffs::TESTS,
    delegated::TESTS,
    limits::TESTS,
    lock::TESTS,
    names::TESTS,
    policies::TESTS,
    runtime::TESTS,
    stopped::TESTS,
    tree::TESTS,
];

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";
/// What that makes of a socket that nobody touched.
const ARMED: Options = options(true, 61, 13, 5, 0);

/// A host with a governed cgroup `app`, and a policy for whatever is named `app` and more.
fn host_with_app(label: &str) -> (Host, Cgroup) {
    let host = Host::new(label);
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("p", "app*", KEEPALIVE));
    (host, app)
}

/// Both ends of a fresh connection inside a cgroup.
fn fresh(host: &Host, cgroup: &Cgroup) -> [Options; 2] {
    let mut peer = host.peer(cgroup);
    let pair = peer.pair();
    [pair.client, pair.server].map(|end| peer.options(end))
}

/// Waits until a cgroup that was made while something was wrong is governed.
fn await_governed(host: &Host, daemon: &Process, cgroup: &Cgroup) {
    let path = cgroup.path().strip_prefix(host.root.path()).unwrap().to_str().unwrap();
    daemon.wait_line(&format!("attached cgroup=\"{path}\"")).unwrap();
    assert_eq!(fresh(host, cgroup), [ARMED; 2], "{path}");
}

/// What `status` says is wrong.
fn troubles(host: &Host) -> String {
    host.status()["daemon"]["troubles"].to_string()
}

/// Waits until `status` says that nothing is.
fn await_no_trouble(host: &Host) {
    eventually("there is no trouble any more", || {
        let daemon = host.status()["daemon"].clone();
        let is_well = daemon["ready"] == true && daemon["troubles"].as_array().is_some_and(Vec::is_empty);
        is_well.then_some(())
    });
}

/// Whether `status` says that a task is not done.
fn is_unfinished(host: &Host, task: &str) -> bool {
    let status = host.status();
    status["daemon"]["unfinished"]
        .as_array()
        .is_some_and(|tasks| tasks.iter().filter_map(Value::as_str).any(|told| told.contains(task)))
}
