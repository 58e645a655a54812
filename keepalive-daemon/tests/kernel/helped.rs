//! Whether it helped: peers that are found dead, and connections that are kept alive.

mod kept;
mod others;

use std::process::Command;

use serde_json::{Value, json};
use xtask::lab::{Netns, Process};

use self::{
    kept::{a_connection_is_kept_alive_through_a_nat_and_used_again, a_silence_without_probes_is_not_kept},
    others::{what_ends_otherwise_is_not_counted, where_a_privilege_is_missing_the_rest_goes_on},
};
use crate::support::{Host, NEAR as CABLE, Peer, document, eventually, far_end, options};

crate::tests!(
    a_connection_is_kept_alive_through_a_nat_and_used_again,
    a_peer_that_vanishes_is_found_dead,
    a_peer_that_was_started_anew_answers_with_a_reset,
    a_silence_without_probes_is_not_kept,
    what_ends_otherwise_is_not_counted,
    what_is_not_acknowledged_ends_with_the_user_timeout,
    where_a_privilege_is_missing_the_rest_goes_on,
);

const NEAR: &str = "10.81.1.1/24";
const FAR: &str = "10.81.1.2/24";
const FAR_ADDRESS: &str = "10.81.1.2:0";

/// The daemon, with the shortest silence that counts.
fn command(host: &Host) -> Command {
    let mut command = host.command("run");
    command.args(["--silent-after", "4s"]).env("RUST_LOG", "keepalive_daemon=trace");
    command
}

/// Starts the daemon, and waits until it would notice.
fn start(host: &Host) -> Process {
    let daemon = host.start_with(command(host));
    daemon.wait_line("ready: all policies").unwrap();
    daemon.wait_line("peers that are found dead are counted").unwrap();
    daemon
}

/// A policy for the cgroup `app`.
fn govern(host: &Host, probes: u32, more: &str) {
    let values = format!("keepalive: {{idle: 1s, interval: 1s, probes: {probes}}}{more}");
    host.write_policies("p.yaml", &document("p", "app", &values));
}

/// What `status` says that it was good for.
fn helped(host: &Host) -> Value {
    host.status()["cgroups"][0]["helped"].clone()
}

/// Waits until a peer was found dead, and tells how.
fn dead_peers(host: &Host, daemon: &Process) -> Value {
    daemon.wait_line("found a peer dead").unwrap();
    eventually("a dead peer is counted", || {
        let dead = helped(host)["deadPeers"].clone();
        dead.as_object().is_some_and(|dead| dead.values().any(|count| *count != 0)).then_some(dead)
    })
}

/// A connection from near to far, its ends, and the address of the far one.
fn connect(near: &mut Peer, far: &mut Peer) -> (usize, usize, String) {
    let (listener, address) = far.listen(FAR_ADDRESS, false);
    let client = near.connect(address);
    let server = far.accept(listener);
    (client, server, address.to_string())
}

/// Cuts the cable at the far end: nothing tells the near one.
fn cut(far: &Netns) {
    far.exec_ip(&["link", "set", "far0", "down"]).unwrap();
}

/// What the kernel tells an application whose peer was found dead: that it waited, or what its neighbour's silence was
/// taken for meanwhile.
#[track_caller]
fn assert_unreachable(received: Result<usize, i32>) {
    assert!(matches!(received, Err(libc::ETIMEDOUT | libc::EHOSTUNREACH)), "{received:?}");
}

fn a_peer_that_vanishes_is_found_dead() {
    let host = Host::new("dead");
    let app = host.cgroup("app");
    let mut near = host.peer(&app);
    let (netns, mut far) = far_end(&host, NEAR, FAR);
    govern(&host, 2, "");
    let daemon = start(&host);
    let (client, _, address) = connect(&mut near, &mut far);
    assert_eq!(near.options(client), options(true, 1, 1, 2, 0));

    cut(&netns);

    assert_unreachable(near.receive(client));
    assert_eq!(dead_peers(&host, &daemon), json!({"keepalive": 1, "userTimeout": 0, "reset": 0}));
    let line = daemon.wait_line("found a peer dead").unwrap();
    for said in
        ["cgroup=\"app\"", "policy=\"p\"", &format!("remote=\"{address}\""), "probes were not answered"]
    {
        assert!(line.contains(said), "{line}");
    }
    // The idle time and two intervals: the kernel gives up no sooner.
    let silent = line.split("silent_seconds=").nth(1).and_then(|rest| rest.split(' ').next());
    assert!(silent.and_then(|silent| silent.parse().ok()).is_some_and(|silent: u64| silent >= 3), "{line}");
}

fn what_is_not_acknowledged_ends_with_the_user_timeout() {
    let host = Host::new("timeout");
    let app = host.cgroup("app");
    let mut near = host.peer(&app);
    let (netns, mut far) = far_end(&host, NEAR, FAR);
    govern(&host, 2, ", userTimeout: 3s");
    let daemon = start(&host);
    let (client, _, _) = connect(&mut near, &mut far);
    assert_eq!(near.options(client), options(true, 1, 1, 2, 3000));

    cut(&netns);
    near.send(client);

    assert_unreachable(near.receive(client));
    assert_eq!(dead_peers(&host, &daemon), json!({"keepalive": 0, "userTimeout": 1, "reset": 0}));
    daemon.wait_line("data was not acknowledged for the user timeout").unwrap();
}

fn a_peer_that_was_started_anew_answers_with_a_reset() {
    let host = Host::new("reset");
    let app = host.cgroup("app");
    let mut near = host.peer(&app);
    let (netns, mut far) = far_end(&host, NEAR, FAR);
    // The other machine has the time of sixty probes to start.
    govern(&host, 60, "");
    let daemon = start(&host);
    let (client, _, _) = connect(&mut near, &mut far);

    // It dies without a word, and comes back without a memory.
    cut(&netns);
    drop((netns, far));
    // The kernel would take the namespace's end of the cable away, and with it this one, at leisure.
    host.netns.exec_ip(&["link", "delete", CABLE]).unwrap();
    let _anew = far_end(&host, NEAR, FAR);

    assert_eq!(near.receive(client), Err(libc::ECONNRESET));
    assert_eq!(dead_peers(&host, &daemon), json!({"keepalive": 0, "userTimeout": 0, "reset": 1}));
    daemon.wait_line("a probe was answered with a reset").unwrap();
}
