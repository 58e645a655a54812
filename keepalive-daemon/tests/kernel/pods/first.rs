//! No gap at the start of a pod: the first connection of its first container is covered.

use super::{
    armed, of_namespace,
    support::{Node, PodSpec},
};

crate::tests![
    the_first_connection_of_every_pod_is_covered_with_containerd_1_6,
    the_first_connection_of_every_pod_is_covered_with_containerd_2,
];

/// How many pods are started, one after another.
const PODS: usize = 50;

fn the_first_connection_of_every_pod_is_covered_with_containerd_1_6() {
    the_first_connection_of_every_pod_is_covered("1.6");
}

fn the_first_connection_of_every_pod_is_covered_with_containerd_2() {
    the_first_connection_of_every_pod_is_covered("2");
}

fn the_first_connection_of_every_pod_is_covered(line: &str) {
    let node = Node::new("first", line);
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let _daemon = node.start_daemon();

    let uncovered: Vec<_> = (0..PODS)
        .filter_map(|number| {
            let (pod, container) = node.run(PodSpec::new("shop", &format!("web-{number}")));
            let options = container.first_connection();
            node.cri.remove_pod_sandbox(&pod.sandbox);
            (options != armed(31)).then_some((number, options))
        })
        .collect();

    assert!(uncovered.is_empty(), "{} of {PODS}: {uncovered:?}", uncovered.len());
}
