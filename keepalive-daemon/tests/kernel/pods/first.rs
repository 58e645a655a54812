//! No gap at the start of a pod: the first connection of its first container is covered.

use super::{
    armed, of_namespace,
    support::{Node, PodSpec},
};
use crate::{
    peer::Options,
    support::{eventually, scaled},
};

crate::tests![
    the_first_connection_of_every_pod_is_covered_with_containerd_1_6,
    the_first_connection_of_every_pod_is_covered_with_containerd_2,
];

/// How many pods are started, one after another.
pub(super) const PODS: usize = 50;

fn the_first_connection_of_every_pod_is_covered_with_containerd_1_6() {
    the_first_connection_of_every_pod_is_covered("1.6", scaled(PODS));
}

fn the_first_connection_of_every_pod_is_covered_with_containerd_2() {
    the_first_connection_of_every_pod_is_covered("2", scaled(PODS));
}

pub(crate) fn the_first_connection_of_every_pod_is_covered(line: &str, pods: usize) {
    let node = Node::new("first", line);
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let _daemon = node.start_daemon();

    let uncovered = uncovered(&node, pods);

    assert!(uncovered.is_empty(), "{} of {pods}: {uncovered:?}", uncovered.len());
}

/// The same where processors are too slow for it, as emulated ones are: a first connection that came too early is swept.
pub(crate) fn the_first_connection_of_every_pod_comes_to_be_covered(line: &str, pods: usize) {
    let node = Node::new("first", line);
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let _daemon = node.start_daemon();

    for number in 0..pods {
        let (pod, container) = node.run(PodSpec::new("shop", &format!("web-{number}")));
        eventually("the first connection is covered", || {
            (container.first_connection_now() == armed(31)).then_some(())
        });
        assert_eq!(container.connection(), armed(31));
        node.remove(pod);
    }
}

/// Starts so many pods of namespace `shop`, whose policy asks for 31 s; returns those whose first connection had anything else.
pub(super) fn uncovered(node: &Node, pods: usize) -> Vec<(usize, [Options; 2])> {
    (0..pods)
        .filter_map(|number| {
            let spec = PodSpec::new("shop", &format!("web-{number}"));
            // Without a network to set up, a sandbox is there in half the time.
            let spec = if number % 2 == 0 { spec } else { spec.host_network() };
            let (pod, container) = node.run(spec);
            let options = container.first_connection();
            node.remove(pod);
            (options != armed(31)).then_some((number, options))
        })
        .collect()
}
