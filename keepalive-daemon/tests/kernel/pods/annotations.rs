//! What the annotations of a pod may change, and that nobody else is harmed by what they may not.

use xtask::lab::Stream;

use super::{
    UNTOUCHED, armed, of_cluster, of_namespace,
    support::{Node, PodSpec},
};
use crate::support::{document, options};

crate::tests![
    a_pod_opts_out_also_below_a_governed_cgroup,
    values_within_bounds_are_followed_and_others_are_reported,
    a_hostile_annotation_harms_no_other_pod,
];

fn a_pod_opts_out_also_below_a_governed_cgroup() {
    let node = Node::new("optout", "1.7");
    let top = document("node", &node.top_path(), "keepalive: {idle: 51s, interval: 7s, probes: 3}");
    let strict = of_cluster("strict", 32, "namespaces: [strict], podOverrides: {optOut: false}");
    node.host.write_policies("p.yaml", &(of_namespace("shop", "all", 31, "") + &top + &strict));
    let _daemon = node.start_daemon();
    let out = |namespace: &str| PodSpec::new(namespace, "out").annotation("keepalive.dev/opt-out", "true");

    let found = [PodSpec::new("shop", "in"), out("shop"), out("bare"), out("strict")]
        .map(|spec| node.run_governed(spec).1.first_connection());
    let (_, in_that_above) = node.run(PodSpec::new("bare", "in"));

    assert_eq!(found, [armed(31), UNTOUCHED, UNTOUCHED, armed(32)]);
    assert_eq!(in_that_above.first_connection(), armed(51));
}

fn values_within_bounds_are_followed_and_others_are_reported() {
    let node = Node::new("bounds", "1.7");
    let bounds = "userTimeout: auto, podOverrides: {idle: {min: 10s, max: 60s}, probes: {min: 2, max: 5}}";
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, bounds));
    let daemon = node.start_daemon();
    let asks = |name: &str, key: &str, value: &str| {
        PodSpec::new("shop", name).annotation(&format!("keepalive.dev/{key}"), value)
    };

    let found = [
        asks("both", "idle", "20s").annotation("keepalive.dev/probes", "5"),
        asks("far", "idle", "2h"),
        asks("interval", "interval", "9s"),
        asks("half", "idle", "20s").annotation("keepalive.dev/probes", "many"),
    ]
    .map(|spec| node.run_governed(spec).1.first_connection()[0]);

    // idle + interval x probes, with the pod's own values.
    let expected = [
        options(true, 20, 7, 5, 55_000),
        options(true, 31, 7, 3, 52_000),
        options(true, 31, 7, 3, 52_000),
        options(true, 20, 7, 3, 41_000),
    ];
    assert_eq!(found, expected);
    let status = node.ask_json(&["status"]);
    let reported = status["annotations"].as_array().unwrap().iter();
    let mut reported: Vec<_> =
        reported.map(|it| (it["pod"].as_str().unwrap(), it["annotation"].as_str().unwrap())).collect();
    reported.sort_unstable();
    let expected = [
        ("shop/far", "keepalive.dev/idle"),
        ("shop/half", "keepalive.dev/probes"),
        ("shop/interval", "keepalive.dev/interval"),
    ];
    assert_eq!(reported, expected);
    daemon.wait_line("an annotation is not followed").unwrap();
}

fn a_hostile_annotation_harms_no_other_pod() {
    let node = Node::new("hostile", "1.7");
    let bounds = "podOverrides: {idle: {min: 10s, max: 60s}}";
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, bounds));
    let daemon = node.start_daemon();
    let long = "9".repeat(100_000);
    let hostile = ["\u{1b}[2J20s", "-1s", "18446744073709551616s", "20s\u{202e}", "$(reboot)", "", &long];

    for (number, value) in hostile.iter().enumerate() {
        let spec = PodSpec::new("shop", &format!("bad-{number}"));
        let spec = spec
            .annotation("keepalive.dev/idle", value)
            .annotation("keepalive.dev/opt-out", value)
            .annotation(&format!("keepalive.dev/unknown-{number}"), value);
        let (_, container) = node.run_governed(spec);
        assert_eq!(container.first_connection(), armed(31), "{value:?}");
    }
    let (_, good) = node.run_governed(PodSpec::new("shop", "good").annotation("keepalive.dev/idle", "20s"));

    assert_eq!(good.first_connection(), armed(20));
    assert_eq!(node.ask(&["health", "--ready"]).status.code(), Some(0));
    let said = String::from_utf8(node.ask(&["status"]).stdout).unwrap()
        + &daemon.text(Stream::Stdout)
        + &daemon.text(Stream::Stderr);
    assert!(!said.contains('\u{1b}') && !said.contains(&long[..1000]), "printed as it came");
}
