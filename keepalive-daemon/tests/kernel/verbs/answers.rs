//! What the daemon answers about policies and about itself.

use std::process::Output;

use serde_json::Value;

use super::stdout;
use crate::support::{Host, daemon, document, options};

const OUTER: &str = "priority: 100, keepalive: {idle: 61s, interval: 13s, probes: 5}";
const INNER: &str = "keepalive: {idle: 31s, interval: 13s, probes: 5}";

fn ask(host: &Host, words: &[&str]) -> Output {
    daemon().args(words).arg("--api-socket").arg(host.socket()).output().unwrap()
}

fn explain(host: &Host, cgroup: &str) -> Value {
    serde_json::from_slice(&ask(host, &["policy", "explain", "--cgroup", cgroup, "-o", "json"]).stdout)
        .unwrap()
}

pub(super) fn what_governs_a_cgroup_from_above_is_explained() {
    let host = Host::new("explain");
    let cgroups = ["a", "a/b", "a/b/c"].map(|path| host.cgroup(path));
    host.write_policies("p.yaml", &(document("outer", "a", OUTER) + &document("inner", "a/b", INNER)));
    let _daemon = host.start();
    let mut peer = host.peer(&cgroups[2]);
    let pair = peer.pair();

    let [inner, below] = ["a/b", "/a/b/c"].map(|path| explain(&host, path));

    assert_eq!(peer.options(pair.client), options(true, 31, 13, 5, 0));
    for (explained, outcome, why) in [
        (&inner, "governed by inner", "the only one that selects it"),
        (&below, "governed by inner, as part of a/b", "as part of a/b, which it selects"),
    ] {
        assert_eq!(explained["outcome"], outcome);
        assert_eq!(explained["values"]["idleSeconds"], 31, "{explained}");
        assert_eq!(explained["inForce"], explained["values"], "{explained}");
        let [outer, inner] = [0, 1].map(|at| &explained["considered"][at]);
        assert_eq!((&inner["verdict"], &inner["reason"]), (&"governs".into(), &why.into()));
        assert_eq!(outer["verdict"], "outranked");
        let reason = "selects a, and inner what is deeper, which wins whatever the priority";
        assert_eq!(outer["reason"], reason);
    }
}

pub(super) fn a_mistake_made_while_it_runs_ends_readiness_until_it_is_mended() {
    let host = Host::new("mistake");
    let _app = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", INNER));
    let daemon = host.start();
    let before = ask(&host, &["health", "--ready"]);

    host.write_policies("p.yaml", &document("app", "app", "mood: Grim"));
    daemon.wait_line("cannot use the policies").unwrap();
    let with_mistake = [&["health", "--ready"][..], &["health"], &["status"]].map(|words| ask(&host, words));
    let mark = daemon.mark();
    host.write_policies("p.yaml", &document("app", "app", INNER));
    daemon.wait_line_from(mark, "ready: all policies").unwrap();
    let mended = ask(&host, &["health", "--ready"]);

    assert_eq!((before.status.code(), mended.status.code()), (Some(0), Some(0)));
    assert_eq!(with_mistake.each_ref().map(|output| output.status.code()), [Some(1), Some(0), Some(1)]);
    assert!(
        stdout(&with_mistake[0]).contains("has yet to: read the policies"),
        "{}",
        stdout(&with_mistake[0])
    );
}
