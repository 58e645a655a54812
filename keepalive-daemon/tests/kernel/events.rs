//! What was done and what came of it, as `events` tells it.

use std::process::Command;

use serde_json::Value;
use xtask::lab::Process;

use crate::{
    peer::Options,
    support::{
        Host, UNTOUCHED, daemon, document,
        foreign::{Foreign, Way},
        options,
    },
};

crate::tests!(
    a_cgroup_that_cannot_be_governed_is_told_with_the_reason,
    what_enforce_rewrites_is_told_by_option,
    what_is_done_and_what_comes_of_it_is_told,
);

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";
const ARMED: Options = options(true, 61, 13, 5, 0);

fn events(host: &Host, arguments: &[&str]) -> Command {
    let mut command = daemon();
    command.arg("events").args(arguments).arg("--api-socket").arg(host.socket());
    command
}

/// The events of a host that are held, as JSON.
pub(crate) fn held(host: &Host, arguments: &[&str]) -> Vec<Value> {
    let output = events(host, &[arguments, &["-o", "json"]].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let listing: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(listing["missed"], 0, "{listing}");
    listing["events"].as_array().unwrap().clone()
}

/// Waits for an event of a kind, of those that `follower` prints.
fn wait(follower: &Process, kind: &str) -> Value {
    let line = follower.wait_line(&format!("\"kind\":\"{kind}\"")).unwrap();
    serde_json::from_str(&line).unwrap()
}

fn follow(host: &Host) -> Process {
    Process::spawn("events", events(host, &["--follow", "-o", "json"])).unwrap()
}

fn what_is_done_and_what_comes_of_it_is_told() {
    let host = Host::new("events");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("p", "app", KEEPALIVE));
    let daemon = host.start();
    let follower = follow(&host);
    let attached = wait(&follower, "attached");
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    assert_eq!([pair.client, pair.server].map(|end| peer.options(end)), [ARMED; 2]);

    let applied = wait(&follower, "applied");
    host.write_policies("p.yaml", &document("p", "app", "keepalive: {idle: 31s}"));
    let changed = wait(&follower, "policyChanged");
    let swept = wait(&follower, "swept");
    let again = peer.options(pair.client);
    host.write_policies("p.yaml", "mood: grim\n");
    let refused = wait(&follower, "policiesRefused");
    host.write_policies("p.yaml", &document("q", "other", KEEPALIVE));
    let detached = wait(&follower, "detached");

    for event in [&attached, &applied, &changed, &swept, &detached] {
        assert_eq!((&event["cgroup"], &event["policy"]), (&"app".into(), &"p".into()), "{event}");
    }
    assert_eq!(attached["why"], "the daemon started");
    assert_eq!(applied["counts"], serde_json::json!({"connections": 2, "armed": 2}));
    assert_eq!(changed["why"], "the policies changed");
    assert_eq!((again.idle_s, &swept["counts"]["armed"]), (Some(31), &2.into()));
    assert!(refused["reason"].as_str().is_some_and(|reason| reason.contains("p.yaml")), "{refused}");
    // All of it is held, in its order and without a gap, and can be asked for from anywhere on.
    let all = held(&host, &[]);
    let numbers: Vec<u64> = all.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let times: Vec<&str> = all.iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted() && times[0].ends_with('Z'), "{times:?}");
    let since = changed["sequence"].to_string();
    let next = all.iter().find(|event| event["sequence"].as_u64() > changed["sequence"].as_u64());
    assert_eq!(held(&host, &["--since", &since]).first(), next);
    let table = String::from_utf8(events(&host, &[]).output().unwrap().stdout).unwrap();
    assert!(table.starts_with("NUMBER") && table.contains("2 connections, 2 armed"), "{table}");
    // The log and the journal say the same.
    for line in ["attached cgroup=\"app\"", "changed the policy cgroup=\"app\"", "detached cgroup=\"app\""] {
        daemon.wait_line(line).unwrap();
    }
}

fn a_cgroup_that_cannot_be_governed_is_told_with_the_reason() {
    let host = Host::new("events-refused");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("p", "app", KEEPALIVE));
    let foreign = Foreign::load(1);
    let _theirs = foreign.attach(&app, Way::Alone).unwrap();
    let daemon = host.start_with(host.command("run"));
    daemon.wait_line("cannot govern the cgroup").unwrap();

    let refused = wait(&follow(&host), "cannotGovern");

    assert_eq!(refused["cgroup"], "app");
    assert_eq!(refused["reason"], host.status()["refused"][0]["reason"]);
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), UNTOUCHED);
}

fn what_enforce_rewrites_is_told_by_option() {
    let host = Host::new("events-rewritten");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("p", "app", &format!("{KEEPALIVE}, mode: Enforce")));
    let _daemon = host.start();
    let mut peer = host.peer(&app);
    let pair = peer.pair();

    peer.set(pair.client, Options { idle_s: Some(7200), ..Options::default() });

    assert_eq!(peer.options(pair.client), ARMED);
    let rewritten = wait(&follow(&host), "rewritten");
    assert_eq!((&rewritten["cgroup"], &rewritten["option"]), (&"app".into(), &"TCP_KEEPIDLE".into()));
    assert_eq!(rewritten["counts"]["rewritten"], 1);
}
