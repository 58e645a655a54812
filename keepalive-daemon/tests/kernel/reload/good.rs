//! Changes that can be used.

use std::{fs, os::unix::fs::symlink};

use nix::sys::signal::Signal;

use super::{armed, fresh, governed, policy};
use crate::support::{Host, UNTOUCHED, document, objects};

pub(super) fn a_change_takes_effect_for_new_connections() {
    let (host, app, daemon) = governed("good");
    let mut peer = host.peer(&app);
    let before = peer.pair();
    let link = objects::links(&app);
    let mark = daemon.mark();

    let spec = "keepalive: {idle: 200s, interval: 13s, probes: 5}, applyToExisting: false";
    host.write_policies("p.yaml", &document("p", "app", spec));

    let line = daemon.wait_line_from(mark, "changed the policy").unwrap();
    assert!(line.contains("INFO") && line.contains("cgroup=\"app\"") && line.contains("why="), "{line}");
    assert_eq!(fresh(&host, &app), armed(200));
    assert_eq!(peer.options(before.client), armed(100), "an open connection keeps what it has");
    assert_eq!(objects::links(&app), link, "the link stays");
    assert_eq!(host.status()["cgroups"][0]["inForce"]["idleSeconds"], 200);
}

pub(super) fn a_removed_file_detaches_and_clears_the_storage() {
    let (host, app, daemon) = governed("removed");
    let kept = host.cgroup("kept");
    host.write_policies("kept.yaml", &document("kept", "kept", ""));
    daemon.wait_line("cgroup=\"kept\"").unwrap();
    let policies = host.bpffs.path().join("keepalive/abi2/maps/POLICY");
    let in_force = objects::storage(&policies, &app);
    assert!(in_force.iter().any(|byte| *byte != 0));
    let mark = daemon.mark();

    fs::remove_file(host.policies().join("p.yaml")).unwrap();

    daemon.wait_line_from(mark, "detached cgroup=\"app\"").unwrap();
    assert_eq!(objects::links(&app), []);
    assert_eq!(objects::attached(&app), [] as [u64; 0]);
    assert_eq!(objects::storage(&policies, &app), vec![0; in_force.len()], "it outlives the link");
    assert_eq!(fresh(&host, &app), UNTOUCHED);
    assert_eq!(objects::links(&kept).len(), 1);
}

pub(super) fn where_there_are_no_pods_a_cgroup_that_is_named_like_one_is_none() {
    let host = Host::new("like-pod");
    let cgroup = host.cgroup("pod0f3c1f8e-6a9d-4d3a-9d8e-2b1c3d4e5f60");
    host.write_policies("p.yaml", &policy(100).replace("app", "pod*"));
    let daemon = host.start();
    assert_eq!(fresh(&host, &cgroup), armed(100));

    let mark = daemon.mark();
    host.write_policies("p.yaml", &policy(200).replace("app", "pod*"));
    daemon.wait_line_from(mark, "changed the policy").unwrap();
    let changed = fresh(&host, &cgroup);
    fs::remove_file(host.policies().join("p.yaml")).unwrap();
    daemon.wait_line_from(mark, "detached").unwrap();

    assert_eq!((changed, objects::links(&cgroup)), (armed(200), vec![]));
}

pub(super) fn a_glob_that_matches_nothing_is_warned_of() {
    let (host, app, daemon) = governed("unmatched");
    let mark = daemon.mark();

    host.write_policies("nothing.yaml", &document("typo", "apps/*", ""));

    let line = daemon.wait_line_from(mark, "no cgroup matches").unwrap();
    assert!(line.contains("WARN") && line.contains("typo") && line.contains("apps/*"), "{line}");
    assert!(line.contains("nothing.yaml:"), "{line}");
    let status = host.status();
    let summaries = status["daemon"]["policies"].as_array().unwrap();
    let typo = summaries.iter().find(|policy| policy["name"] == "typo").unwrap();
    assert_eq!(typo["unmatched"], serde_json::json!(["apps/*"]));
    assert_eq!(fresh(&host, &app), armed(100), "the others are in force");
}

pub(super) fn sighup_reads_what_no_event_tells_of() {
    let host = Host::new("sighup");
    let app = host.cgroup("app");
    // The file is a link to one outside of the directory, which nobody watches.
    let outside = host.directory().join("outside.yaml");
    fs::write(&outside, policy(100)).unwrap();
    symlink(&outside, host.policies().join("p.yaml")).unwrap();
    let daemon = host.start();
    fs::write(&outside, policy(300)).unwrap();
    assert_eq!(fresh(&host, &app), armed(100));

    daemon.signal(Signal::SIGHUP).unwrap();

    daemon.wait_line("changed the policy").unwrap();
    assert_eq!(fresh(&host, &app), armed(300));
}
