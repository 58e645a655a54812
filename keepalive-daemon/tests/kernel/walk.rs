//! The walk that `deploy/README.md` takes whoever is at a node with bpftool and ss alone: its commands, as they stand
//! there, print what it says they do.

mod lines;
mod steps;

use std::{net::SocketAddr, process::Command};

use crate::{
    peer::Options,
    support::{Host, Peer, document, eventually, far_end, objects},
};
use lines::{Names, mismatch};
use steps::{Step, steps};

crate::tests!(each_command_prints_what_the_document_shows);

/// The part of the document.
const HEADING: &str = "## At night: bpftool and ss alone";

/// The numbers that the document has for what has others on every node.
const PROCESS: &str = "4711";
const DAEMON: &str = "4712";
const CGROUP: &str = "1070";
const PROGRAM: &str = "157";

fn each_command_prints_what_the_document_shows() {
    let host = Host::new("walk");
    let (_far, mut far_peer) = far_end(&host, "10.20.0.7/24", "10.20.0.9/24");
    let nginx = host.cgroup("system.slice/nginx.service");
    let services = "keepalive: {idle: 60s, interval: 15s, probes: 4}";
    host.write_policies("host-services.yaml", &document("host-services", "system.slice/*.service", services));
    let daemon = host.start();
    // What is open at that moment is armed again.
    eventually("what was open is swept", || {
        (host.status()["cgroups"][0]["openConnections"]["state"] == "swept").then_some(())
    });
    let mut peer = host.peer(&nginx);
    connect(&mut peer, &mut far_peer, "10.20.0.7:41001", "10.20.0.9:5432");
    let other = connect(&mut peer, &mut far_peer, "10.20.0.7:41002", "10.20.0.9:6379");
    peer.set(other, Options { keepalive: Some(false), ..Options::default() });
    let pins = host.bpffs.path().join("keepalive/abi2");
    let names = Names::new(&[
        (host.root.path().to_str().unwrap(), "/sys/fs/cgroup"),
        (&format!("0::/{}", host.root.path().file_name().unwrap().to_str().unwrap()), "0::"),
        (host.bpffs.path().to_str().unwrap(), "/sys/fs/bpf"),
        (&nginx.id().to_string(), CGROUP),
        (&peer.process().pid().to_string(), PROCESS),
        (&daemon.pid().to_string(), DAEMON),
        (&objects::pinned_program(&pins.join("program")).0.to_string(), PROGRAM),
    ]);

    let steps = steps(include_str!("../../../deploy/README.md"), HEADING);

    assert!(steps.len() >= 10, "{steps:?}");
    for Step { command, shown } in &steps {
        // bpftool gives up in the middle of a list when an object of another test goes away meanwhile.
        let mut last = String::new();
        let matched = (0..10).any(|_| {
            last = names.as_documented(&run(&names.as_here(command)));
            mismatch(shown, &last).is_none()
        });
        assert!(matched, "{command}\n\nprints\n\n{last}\n\nwhich lacks {:?}", mismatch(shown, &last));
    }
}

/// Connects from one address to another; returns the socket of the end that connected.
fn connect(peer: &mut Peer, far: &mut Peer, from: &str, to: &str) -> usize {
    let (listener, to) = far.listen(to, false);
    let from: SocketAddr = from.parse().unwrap();
    let socket = peer.open(from, false);
    peer.bind(socket, from);
    peer.connect_with(socket, to);
    far.accept(listener);
    socket
}

/// What a shell prints for a command, complaints included.
fn run(command: &str) -> String {
    let output = Command::new("bash").args(["-c", &format!("{{ {command}\n}} 2>&1")]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
