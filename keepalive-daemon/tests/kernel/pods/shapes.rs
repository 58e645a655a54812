//! The places where a kubelet puts pods.

use super::{
    armed, of_namespace,
    support::{Node, PodSpec, Qos},
};

crate::tests![pods_of_every_class_and_kind_are_found, a_pod_that_no_policy_can_reach_is_reported];

pub(crate) fn pods_of_every_class_and_kind_are_found() {
    let node = Node::new("shapes", "1.7");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let _daemon = node.start_daemon();
    let specs = [
        PodSpec::new("shop", "guaranteed").qos(Qos::Guaranteed),
        PodSpec::new("shop", "burstable").qos(Qos::Burstable),
        PodSpec::new("shop", "best-effort").qos(Qos::BestEffort),
        PodSpec::new("shop", "static-node-1").of_static_pod(),
        PodSpec::new("shop", "host-network").host_network(),
    ];

    let found = specs.map(|spec| {
        let name = spec.full_name();
        let (pod, container) = node.run_governed(spec);
        let shown = node.ask_json(&["policy", "explain", &name]);
        (name, container.first_connection(), shown["cgroup"].clone(), node.cgroup_path(&pod))
    });

    for (name, options, shown, path) in found {
        assert_eq!(options, armed(31), "{name}");
        assert_eq!(shown, path, "{name}");
    }
}

fn a_pod_that_no_policy_can_reach_is_reported() {
    let node = Node::new("unreachable", "1.7");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let daemon = node.start_daemon();
    let first = node.run_pod(PodSpec::new("shop", "first"));

    let second = node.run_pod_in_cgroup_of(&first, PodSpec::new("shop", "second"));

    let said = daemon.wait_line("no policy can reach the pod").unwrap();
    let status = node.ask_json(&["status"]);
    let explained = node.ask_json(&["policy", "explain", "shop/second"]);
    assert!(said.contains("shop/"), "{said}");
    let reported: Vec<_> = status["unreachable"].as_array().unwrap().iter().map(|it| &it["pod"]).collect();
    assert_eq!(reported, ["shop/first", "shop/second"], "a policy for one would be one for both");
    assert_eq!(explained["unreachable"], status["unreachable"][1]["reason"]);
    assert_eq!(explained["pod"]["sandbox"], second.sandbox);
    assert!(!node.is_attached(&node.cgroup_path(&first)));
}
