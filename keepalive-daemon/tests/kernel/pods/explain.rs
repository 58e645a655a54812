//! `policy list` and `policy explain`, with what the kernel says beside them.

use serde_json::Value;

use super::{
    armed, of_cluster, of_namespace,
    support::{Node, PodSpec},
};
use crate::support::document;

crate::tests![
    explain_says_which_policy_won_and_why,
    the_list_shows_what_each_policy_governs,
    two_policies_of_equal_rank_are_warned_of_once,
    a_pod_that_a_policy_above_governs_has_the_values_of_that,
    a_pod_that_is_not_here_is_not_found,
];

fn verdicts(explained: &Value) -> Vec<(&str, &str)> {
    let considered = explained["considered"].as_array().unwrap().iter();
    considered.map(|it| (it["policy"].as_str().unwrap(), it["verdict"].as_str().unwrap())).collect()
}

fn explain_says_which_policy_won_and_why() {
    let node = Node::new("explain", "1.7");
    let policies = [
        of_namespace("shop", "web", 31, "priority: 5, podSelector: {matchLabels: {app: web}}"),
        of_namespace("shop", "all", 32, ""),
        of_namespace("pay", "all", 33, ""),
        of_cluster("floor", 34, "namespaces: ['*']"),
    ];
    node.host.write_policies("p.yaml", &policies.concat());
    let _daemon = node.start_daemon();
    let (pod, container) = node.run_governed(PodSpec::new("shop", "web-0").label("app", "web"));
    let truth = container.first_connection();

    let explained = node.ask_json(&["policy", "explain", "shop/web-0"]);
    let by_cgroup = node.ask_json(&["policy", "explain", "--cgroup", &node.cgroup_path(&pod)]);
    let text = String::from_utf8(node.ask(&["policy", "explain", "shop/web-0"]).stdout).unwrap();

    assert_eq!(truth, armed(31));
    let expected = [
        ("shop/web", "governs"),
        ("pay/all", "does not select"),
        ("shop/all", "outranked"),
        ("floor", "outranked"),
    ];
    assert_eq!(verdicts(&explained), expected);
    assert_eq!(explained["values"]["idleSeconds"], 31);
    assert_eq!(explained["inForce"], explained["values"]);
    assert_eq!(explained["outcome"], "governed by shop/web");
    assert_eq!(explained["pod"]["uid"], pod.spec.uid);
    assert_eq!(by_cgroup, explained);
    for words in ["governed by shop/web", "Tighten Both 31s/7s/3", "in force  yes", "namespace is"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

fn the_list_shows_what_each_policy_governs() {
    let node = Node::new("list", "1.7");
    let policies = [
        of_namespace("shop", "all", 31, ""),
        of_namespace("nowhere", "all", 32, ""),
        of_cluster("floor", 33, "namespaces: ['*'], podSelector: {matchLabels: {app: web}}"),
    ];
    node.host.write_policies("p.yaml", &policies.concat());
    let _daemon = node.start_daemon();
    let specs = [
        PodSpec::new("shop", "a").label("app", "web"),
        PodSpec::new("shop", "b").annotation("keepalive.dev/opt-out", "true"),
        PodSpec::new("other", "c").label("app", "web"),
    ];
    for spec in specs {
        node.run_known(spec);
    }

    let list = node.ask_json(&["policy", "list"]);
    let table = String::from_utf8(node.ask(&["policy", "list"]).stdout).unwrap();

    let rows = list.as_array().unwrap().iter();
    let numbers = rows.map(|row| {
        let of = |field: &str| row[field].as_u64().unwrap();
        (row["name"].as_str().unwrap(), of("pods"), of("optedOut"), of("outranked"))
    });
    let expected = [("nowhere/all", 0, 0, 0), ("shop/all", 1, 1, 0), ("floor", 1, 0, 1)];
    assert_eq!(numbers.collect::<Vec<_>>(), expected);
    assert!(table.starts_with("POLICY") && table.contains("nowhere/all"), "{table}");
}

fn two_policies_of_equal_rank_are_warned_of_once() {
    let node = Node::new("tie", "1.7");
    let policies = of_namespace("shop", "b", 32, "") + &of_namespace("shop", "a", 31, "");
    node.host.write_policies("p.yaml", &policies);
    let daemon = node.start_daemon();

    for _ in 0..3 {
        let (pod, container) = node.run_governed(PodSpec::new("shop", "web-0"));
        assert_eq!(container.first_connection(), armed(31));
        let mark = daemon.mark();
        node.remove(pod);
        daemon.wait_line_from(mark, "detached").unwrap();
    }
    node.run_known(PodSpec::new("shop", "web-0"));

    let log = daemon.text(xtask::lab::Stream::Stderr) + &daemon.text(xtask::lab::Stream::Stdout);
    assert_eq!(log.matches("two policies of equal rank").count(), 1, "{log}");
    let explained = node.ask_json(&["policy", "explain", "shop/web-0"]);
    assert!(explained["considered"][0]["reason"].as_str().unwrap().contains("name"), "{explained}");
}

fn a_pod_that_is_not_here_is_not_found() {
    let node = Node::new("absent", "1.7");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let _daemon = node.start_daemon();

    let output = node.ask(&["policy", "explain", "shop/nobody"]);

    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("no pod shop/nobody runs on this node"), "{said}");
}

fn a_pod_that_a_policy_above_governs_has_the_values_of_that() {
    let node = Node::new("above", "1.7");
    let spec = "keepalive: {idle: 51s, interval: 7s, probes: 3}, \
                podOverrides: {optOut: false, idle: {min: 10s, max: 60s}}";
    let policies = of_namespace("shop", "all", 31, "") + &document("node", &node.top_path(), spec);
    node.host.write_policies("p.yaml", &policies);
    let _daemon = node.start_daemon();
    let asks = PodSpec::new("bare", "asks").annotation("keepalive.dev/idle", "20s");
    let out = PodSpec::new("shop", "out").annotation("keepalive.dev/opt-out", "true");
    let truth = [asks, out].map(|spec| node.run_known(spec).1.first_connection());

    let [asks, out] = ["bare/asks", "shop/out"].map(|pod| node.ask_json(&["policy", "explain", pod]));

    assert_eq!(truth, [armed(51); 2]);
    for explained in [&asks, &out] {
        assert_eq!(explained["values"]["idleSeconds"], 51, "{explained}");
        assert_eq!(explained["inForce"], explained["values"]);
    }
    let above = node.top_path();
    assert_eq!(asks["outcome"], format!("governed by node, as part of {above}"));
    assert_eq!(asks["followed"].as_array().unwrap().len(), 0, "{asks}");
    assert_eq!(asks["notFollowed"][0]["annotation"], "keepalive.dev/idle");
    let outcome = out["outcome"].as_str().unwrap();
    assert!(
        outcome.starts_with("opted out of shop/all") && outcome.contains("node lets no pod"),
        "{outcome}"
    );
}
