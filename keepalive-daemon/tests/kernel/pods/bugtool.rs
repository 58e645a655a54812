//! What pods say of themselves is not for whoever reads a bug report.

use super::{
    of_namespace,
    support::{Node, PodSpec},
};
use crate::{
    bugtool::{SECRET, files_with, unpack},
    support::Host,
};

crate::tests![annotations_and_labels_of_others_are_not_in_a_bug_report];

fn annotations_and_labels_of_others_are_not_in_a_bug_report() {
    let node = Node::new("bugtool", "1.7");
    node.host.write_policies("p.yaml", &of_namespace("shop", "all", 31, ""));
    let _daemon = node.start_daemon();
    let spec =
        PodSpec::new("shop", "web").label("team", SECRET).annotation("vault.example.org/token", SECRET);
    let (_pod, _container) = node.run(spec.annotation("keepalive.dev/idle", "2h"));
    let archive = node.host.directory().join("a.tar.gz");

    let output = command(&node.host).arg("--output").arg(&archive).output().unwrap();

    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let files = unpack(&archive);
    let status = &files["status.json"];
    assert!(status.contains("shop/web") && status.contains("keepalive.dev/idle"), "{status}");
    assert_eq!(files_with(&files, SECRET), Vec::<&str>::new());
}

/// The daemon of a node is on the whole hierarchy.
fn command(host: &Host) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_keepalive-daemon"));
    command.arg("bugtool").arg("--bpffs").arg(host.bpffs.path()).arg("--api-socket").arg(host.socket());
    command
}
