//! `cleanup`.

use serde_json::{Value, json};
use xtask::lab::Cgroup;

use super::{stderr, stdout};
use crate::support::{Host, UNTOUCHED, document, objects, options};

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";

/// How many programs the kernel has attached to a cgroup itself.
fn attached(cgroup: &Cgroup) -> usize {
    objects::attached(cgroup).len()
}

pub(super) fn cleanup_removes_everything_and_a_second_one_nothing() {
    let host = Host::new("cleanup");
    let (first, second) = (host.cgroup("first"), host.cgroup("second"));
    host.write_policies("p.yaml", &document("all", "*", KEEPALIVE));
    drop(host.start());
    let mut peer = host.peer(&first);
    let before = peer.pair();
    assert_eq!((attached(&first), attached(&second)), (1, 1));

    let removed = host.run("cleanup", &["-o", "json"]);
    let again = host.run("cleanup", &[]);

    assert_eq!((removed.status.code(), again.status.code()), (Some(0), Some(0)));
    assert_eq!((attached(&first), attached(&second)), (0, 0));
    assert!(!host.bpffs.path().join("keepalive").exists());
    let after = peer.pair();
    assert_eq!(peer.options(after.client), UNTOUCHED, "a connection made afterwards");
    assert_eq!(peer.options(before.client), options(true, 61, 13, 5, 0), "a connection that was armed");
    let pins = host.bpffs.path().join("keepalive").display().to_string();
    let removed: Value = serde_json::from_slice(&removed.stdout).unwrap();
    let expected = json!([
        {"what": "attachment", "path": format!("{pins}/abi2/cgroups/first-{}", first.id())},
        {"what": "attachment", "path": format!("{pins}/abi2/cgroups/second-{}", second.id())},
        {"what": "pin directory", "path": format!("{pins}/abi2")},
        {"what": "pin directory", "path": pins},
    ]);
    assert_eq!(removed["removed"], expected);
    assert_eq!(stdout(&again), "nothing to remove\n");
}

pub(super) fn cleanup_refuses_while_a_daemon_runs() {
    let host = Host::new("cleanup-busy");
    let cgroup = host.cgroup("app");
    host.write_policies("p.yaml", &document("all", "*", KEEPALIVE));
    let daemon = host.start();

    let refused = host.run("cleanup", &[]);

    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains(&format!("held by pid {}", daemon.pid())) && said.contains("stop it"), "{said}");
    assert_eq!(attached(&cgroup), 1);
    let mut peer = host.peer(&cgroup);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0));
}

pub(super) fn cleanup_removes_what_a_killed_exec_left() {
    let host = Host::new("cleanup-exec");
    // As they are left when `exec` and the process that cleans up behind it are both killed.
    let (left, used) = (host.cgroup("app/keepalive-transient-1"), host.cgroup("app/keepalive-transient-2"));
    let (foreign, _peer) = (host.cgroup("app/transient"), host.peer(&used));

    let output = host.run("cleanup", &["-o", "json"]);

    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let removed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(removed["removed"], json!([{"what": "cgroup", "path": left.path()}]));
    assert!(!left.path().exists());
    assert!(used.path().exists(), "a command still runs in it");
    assert!(foreign.path().exists(), "not of exec's making");
}
