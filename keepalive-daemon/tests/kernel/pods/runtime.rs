//! The runtime itself: away, back, missing, of another kind.

use std::{fs, os::unix::net::UnixListener};

use nix::sys::signal::Signal;

use super::{
    UNTOUCHED, armed, of_namespace,
    support::{Containerd, Node, PodSpec},
};
use crate::support::eventually;

crate::tests![
    while_the_runtime_is_away_nothing_attached_is_lost,
    a_daemon_that_starts_while_the_runtime_is_away_keeps_what_is_attached,
    a_runtime_that_hangs_holds_up_nothing_else,
    a_socket_that_is_not_there_is_named_with_its_flag,
    a_server_that_is_no_runtime_is_named_with_its_flag,
];

fn while_the_runtime_is_away_nothing_attached_is_lost() {
    let mut node = Node::new("away", "1.7");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let daemon = node.start_daemon();
    let (_, container) = node.run_governed(PodSpec::new("shop", "web-0"));
    container.first_connection();

    node.containerd.stop();
    daemon.wait_line("does not answer").unwrap();
    let (away, code) = (node.ask_json(&["status"]), node.ask(&["status"]).status.code());
    // A change of policy reaches the pods as they were last known.
    let mark = daemon.mark();
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 41, ""));
    daemon.wait_line_from(mark, "changed the policy").unwrap();
    let meanwhile = container.connection();
    node.start_containerd_again();
    let (_, next) = node.run_governed(PodSpec::new("shop", "web-1"));

    assert_eq!(meanwhile, armed(41));
    assert!(away["daemon"]["runtime"]["staleSince"].is_string(), "{away}");
    assert_eq!(away["daemon"]["ready"], true);
    assert_eq!(code, Some(1), "it may miss pods");
    assert_eq!(away["cgroups"][0]["pod"], "shop/web-0");
    assert_eq!(next.first_connection(), armed(41));
    eventually("the state is not stale", || {
        node.ask_json(&["status"])["daemon"]["runtime"]["staleSince"].is_null().then_some(())
    });
}

fn a_daemon_that_starts_while_the_runtime_is_away_keeps_what_is_attached() {
    let mut node = Node::new("kept", "1.7");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let daemon = node.start_daemon();
    let (pod, container) = node.run_governed(PodSpec::new("shop", "web-0"));
    container.first_connection();
    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();
    node.containerd.stop();

    let daemon = node.start_daemon_on(&node.containerd.socket());
    daemon.wait_line("does not answer").unwrap();
    let health = node.ask_json(&["health"]);
    let kept = (node.is_attached(&node.cgroup_path(&pod)), container.connection());
    node.start_containerd_again();
    daemon.wait_line("ready: all policies").unwrap();

    assert_eq!(health["ready"], false);
    assert_eq!(health["unfinished"][0], "learn the node's pods from the container runtime");
    assert_eq!(kept, (true, armed(31)));
    assert_eq!(container.connection(), armed(31));
}

fn a_runtime_that_hangs_holds_up_nothing_else() {
    let mut node = Node::new("hangs", "2");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let daemon = node.start_daemon();
    let (_, container) = node.run_governed(PodSpec::new("shop", "web-0"));
    container.first_connection();

    node.containerd.freeze();
    // Like that of a pod of which only the runtime could tell.
    let path = format!("{}/pod00000000-0000-4000-8000-00000000beef", node.top_path());
    node.make_cgroup(&path);
    let mark = daemon.mark();
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 41, ""));
    daemon.wait_line_from(mark, "changed the policy").unwrap();
    let meanwhile = (container.connection(), node.ask(&["health", "--ready"]).status.code());
    daemon.wait_line("does not answer").unwrap();
    node.containerd.thaw();

    daemon.wait_line("answers again").unwrap();
    let (_, next) = node.run_governed(PodSpec::new("shop", "web-1"));
    assert_eq!(meanwhile, (armed(41), Some(0)));
    assert_eq!(next.first_connection(), armed(41));
}

fn a_socket_that_is_not_there_is_named_with_its_flag() {
    let node = Node::new("nosocket", "1.7");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let socket = node.host.directory().join("nothing.sock");

    let daemon = node.start_daemon_on(&socket);

    let said = daemon.wait_line("does not answer").unwrap();
    assert!(said.contains("nothing.sock") && said.contains("--cri-socket"), "{said}");
    let (_, container) = node.run(PodSpec::new("shop", "web-0"));
    assert_eq!(container.first_connection(), UNTOUCHED);
    assert_eq!(node.ask(&["health"]).status.code(), Some(0));
    assert_eq!(node.ask(&["health", "--ready"]).status.code(), Some(1));
}

fn a_server_that_is_no_runtime_is_named_with_its_flag() {
    let node = Node::new("noruntime", "1.7");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    // As Docker brings one along.
    let of_docker = Containerd::start_without_cri("1.7");
    // Listens, and never says a word.
    let silent = node.host.directory().join("silent.sock");
    let _listener = UnixListener::bind(&silent).unwrap();
    let file = node.host.directory().join("file");
    fs::write(&file, "not a socket").unwrap();

    for socket in [&of_docker.socket(), &silent, &file] {
        let daemon = node.start_daemon_on(socket);
        let said = daemon.wait_line("does not answer").unwrap();
        assert!(said.contains(socket.to_str().unwrap()) && said.contains("--cri-socket"), "{said}");
        daemon.signal(Signal::SIGTERM).unwrap();
        assert!(daemon.wait().unwrap().success());
    }
}
