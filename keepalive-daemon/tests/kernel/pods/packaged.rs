//! The image, as a container of the same runtime, with no more than the manifests give it.

use std::net::SocketAddr;

use super::{
    UNTOUCHED, armed,
    first::{PODS, covers_first_connections},
    of_cluster, of_namespace,
    support::{Container, DaemonSetPod, Node, PodSpec, import_daemon},
};
use crate::{
    peer::Options,
    support::{eventually, get, scaled},
};

crate::tests![
    the_image_does_all_that_it_can_under_its_own_seccomp_profile,
    the_image_governs_pods_with_the_rights_of_the_enforcing_overlay,
    the_image_governs_pods_with_the_rights_of_the_least_privilege_overlay,
];

fn the_image_governs_pods_with_the_rights_of_the_enforcing_overlay() {
    governs_pods(&DaemonSetPod::of_overlay("enforcing"), "1.7", armed(31));
}

fn the_image_governs_pods_with_the_rights_of_the_least_privilege_overlay() {
    governs_pods(&DaemonSetPod::of_overlay("least-privilege"), "2", UNTOUCHED);
}

/// `early` is what a connection has afterwards that was open before the daemon started.
fn governs_pods(daemon_set: &DaemonSetPod, line: &str, early: [Options; 2]) {
    let node = Node::new("packaged", line);
    let image = import_daemon(&node.containerd);
    let bounds = "podOverrides: {idle: {min: 10s, max: 60s}}";
    let policies =
        of_namespace("shop", "all", 31, bounds) + &of_cluster("team", 33, "namespaces: ['team-*']");
    node.host.write_policies("p.yaml", &policies);
    let (_, before) = node.run(PodSpec::new("shop", "early-0"));
    assert_eq!(before.first_connection(), UNTOUCHED);
    let daemon = start(&node, daemon_set, &image);

    let connections = |(_, container): (_, Container)| [container.first_connection(), container.connection()];
    let governed = [
        PodSpec::new("shop", "web-0"),
        PodSpec::new("shop", "web-1").annotation("keepalive.dev/idle", "20s"),
        PodSpec::new("team-a", "web-0").host_network(),
    ]
    .map(|spec| connections(node.run_governed(spec)));
    let others = [
        PodSpec::new("shop", "web-2").annotation("keepalive.dev/opt-out", "true"),
        PodSpec::new("bare", "web-0"),
    ]
    .map(|spec| connections(node.run(spec)));
    eventually("what was open before has what its rights allow", || {
        (before.first_connection_now() == early).then_some(())
    });
    covers_first_connections(&node, scaled(PODS), early);
    let explained = node.cri.exec(&daemon, &["keepalive-daemon", "policy", "explain", "team-a/web-0"]);
    let probe = node.cri.exec(&daemon, &["keepalive-daemon", "status"]);

    assert_eq!(governed, [armed(31), armed(20), armed(33)].map(|options| [options; 2]));
    assert_eq!(others, [[UNTOUCHED; 2]; 2]);
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.contains("governed by team"), "{explained}");
    assert_eq!(probe.exit_code, 0, "{}", String::from_utf8_lossy(&probe.stderr));
}

/// Starts the daemon, and waits until the kubelet would take it for ready.
fn start(node: &Node, daemon_set: &DaemonSetPod, image: &str) -> String {
    let pod = node.run_pod(daemon_set.spec());
    let daemon = node.start_container(&pod, daemon_set.config(&pod.spec, node, image));
    let (port, path) = daemon_set.readiness();
    let address = SocketAddr::new(node.cri.address(&pod.sandbox), port);
    eventually("the readiness probe succeeds", || {
        get(node.containerd.netns(), address, &path).is_ok_and(|(code, _)| code == 200).then_some(())
    });
    daemon
}

fn the_image_does_all_that_it_can_under_its_own_seccomp_profile() {
    let node = Node::new("profile", "2");
    let image = import_daemon(&node.containerd);
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, "podOverrides: {}"));
    let (_, before) = node.run(PodSpec::new("shop", "early-0"));
    assert_eq!(before.first_connection(), UNTOUCHED);

    let daemon = start(&node, &DaemonSetPod::of_overlay_with("enforcing", "seccomp"), &image);

    eventually("what was open before is armed", || {
        (before.first_connection_now() == armed(31)).then_some(())
    });
    let (_, later) = node.run_governed(PodSpec::new("shop", "web-0"));
    assert_eq!(later.first_connection(), armed(31));
    for verb in [
        &["status"][..],
        &["sockets", "--all"],
        &["events"],
        &["policy", "list"],
        &["policy", "explain", "shop/web-0"],
        &["apply", "--existing", "--dry-run", "-n", "shop"],
        &["check"],
        &["probe"],
        &["health", "--ready"],
        &["bugtool", "--output", "/run/keepalive/bugtool.tar.gz"],
    ] {
        let answer = node.cri.exec(&daemon, &[&["keepalive-daemon"], verb].concat());
        let said = String::from_utf8_lossy(&answer.stderr);
        // `check` ends so where something is not fine.
        assert!(answer.exit_code == 0 || verb == ["check"] && answer.exit_code == 3, "{verb:?}: {said}");
    }
}
