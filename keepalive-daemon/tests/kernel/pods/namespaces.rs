//! Policies of namespaces: each container has, by its own `getsockopt`, what the policy of its namespace asks for.

use super::{
    UNTOUCHED, armed, of_cluster, of_namespace,
    support::{Container, Node, PodSpec},
};

crate::tests![
    each_pod_has_the_policy_of_its_namespace_with_containerd_1_6,
    each_pod_has_the_policy_of_its_namespace_with_containerd_1_7,
    each_pod_has_the_policy_of_its_namespace_with_containerd_2,
    labels_select_pods_and_priority_decides_between_policies,
    a_change_of_the_policies_reaches_running_pods,
    a_pod_that_was_there_first_is_governed_too,
];

fn each_pod_has_the_policy_of_its_namespace_with_containerd_1_6() {
    each_pod_has_the_policy_of_its_namespace("1.6");
}

fn each_pod_has_the_policy_of_its_namespace_with_containerd_1_7() {
    each_pod_has_the_policy_of_its_namespace("1.7");
}

fn each_pod_has_the_policy_of_its_namespace_with_containerd_2() {
    each_pod_has_the_policy_of_its_namespace("2");
}

pub(crate) fn each_pod_has_the_policy_of_its_namespace(line: &str) {
    let node = Node::new("namespaces", line);
    let policies = [of_namespace("shop", "all", 31, ""), of_namespace("pay", "all", 32, "")].concat()
        + &of_cluster("others", 33, "namespaces: [\"team-*\"], excludedNamespaces: [team-quiet]");
    node.host.write_policies("p.yaml", &policies);
    let _daemon = node.start_daemon();

    let connections = |(_, container): (_, Container)| [container.first_connection(), container.connection()];
    let spec = |namespace| PodSpec::new(namespace, "web-0");
    let governed = ["shop", "pay", "team-a"].map(|namespace| connections(node.run_governed(spec(namespace))));
    let others = ["team-quiet", "bare"].map(|namespace| connections(node.run(spec(namespace))));

    let ([shop, pay, team], [quiet, bare]) = (governed, others);
    assert_eq!(shop, [armed(31); 2]);
    assert_eq!(pay, [armed(32); 2]);
    assert_eq!(team, [armed(33); 2]);
    assert_eq!(quiet, [UNTOUCHED; 2]);
    assert_eq!(bare, [UNTOUCHED; 2]);
}

fn labels_select_pods_and_priority_decides_between_policies() {
    let node = Node::new("labels", "1.7");
    let policies = [
        of_namespace("shop", "all", 31, ""),
        of_namespace("shop", "web", 32, "priority: 1, podSelector: {matchLabels: {app: web}}"),
        of_namespace(
            "shop",
            "batch",
            33,
            "priority: 2, podSelector: {matchExpressions: [{key: tier, operator: In, values: [night, dawn]}]}",
        ),
        of_cluster("floor", 34, "namespaces: ['*']"),
    ];
    node.host.write_policies("p.yaml", &policies.concat());
    let _daemon = node.start_daemon();
    let pods = [
        (PodSpec::new("shop", "plain"), 31),
        (PodSpec::new("shop", "web").label("app", "web"), 32),
        (PodSpec::new("shop", "both").label("app", "web").label("tier", "night"), 33),
        (PodSpec::new("other", "plain").label("app", "web"), 34),
    ];

    let found = pods.map(|(spec, idle)| {
        let name = spec.full_name();
        let (_, container) = node.run_governed(spec);
        (name, container.first_connection(), armed(idle))
    });

    for (name, options, expected) in found {
        assert_eq!(options, expected, "{name}");
    }
}

fn a_change_of_the_policies_reaches_running_pods() {
    let node = Node::new("change", "1.7");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let daemon = node.start_daemon();
    let (_, shop) = node.run_governed(PodSpec::new("shop", "web-0"));
    let (_, pay) = node.run(PodSpec::new("pay", "web-0"));
    let before = [shop.connection(), pay.connection()];

    let mark = daemon.mark();
    node.host.write_policies("p.yaml", &of_namespace("pay", "all", 41, ""));
    daemon.wait_line_from(mark, "detached").unwrap();

    let after = [shop.connection(), pay.connection()];
    assert_eq!(before, [armed(31), UNTOUCHED]);
    assert_eq!(after, [UNTOUCHED, armed(41)]);
}

fn a_pod_that_was_there_first_is_governed_too() {
    let node = Node::new("there", "1.7");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let (_, container) = node.run(PodSpec::new("shop", "web-0"));
    let before = container.first_connection();

    let _daemon = node.start_daemon();

    assert_eq!((before, container.connection()), (UNTOUCHED, armed(31)));
}
