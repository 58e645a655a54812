//! Which values are held depends on the remote end.

use nix::sys::signal::Signal;

use super::{LOOSER, set_both, wait_line};
use crate::{
    peer::Options,
    support::{Host, Pair, Peer, UNTOUCHED, document, eventually, objects, options},
};

const RULES: &str = "keepalive: {idle: 60s, interval: 15s, probes: 4}, mode: Enforce, destinations: [\
    {cidr: 127.0.0.0/8, ports: [7001], keepalive: {idle: 30s}}, {cidr: '::1', keepalive: {idle: 40s}}]";

const fn armed(idle: u64) -> Options {
    options(true, idle, 15, 4, 0)
}

/// What is left of [`LOOSER`] where these values are held, which say nothing of a user timeout.
const fn held(idle: u64) -> Options {
    options(true, idle, 15, 4, 200_000)
}

/// Connects a peer to itself, to `to`, where `listen` listens.
fn connect(peer: &mut Peer, listen: &str, to: &str) -> Pair {
    let (listener, _) = peer.listen(listen, false);
    let client = peer.connect(to.parse().unwrap());
    let server = peer.accept(listener);
    peer.close(listener);
    Pair { client, server }
}

pub(super) fn each_rule_holds_its_values_for_its_destinations() {
    let host = Host::new("held-rules");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", RULES));
    let _daemon = host.start();
    // What each end has once it is established, and after it asked for looser values.
    let passes = (UNTOUCHED, LOOSER);
    for (listen, to, client, server) in [
        ("127.0.0.1:7001", "127.0.0.1:7001", (armed(30), held(30)), passes),
        ("[::ffff:127.0.0.2]:7001", "[::ffff:127.0.0.2]:7001", (armed(30), held(30)), passes),
        ("127.0.0.3:7002", "127.0.0.3:7002", passes, passes),
        ("[::1]:7001", "[::1]:7001", (armed(40), held(40)), (armed(40), held(40))),
        ("[::1]:7003", "[::1]:7003", (armed(40), held(40)), (armed(40), held(40))),
    ] {
        let mut peer = host.peer(&app);
        let pair = connect(&mut peer, listen, to);

        let established = [pair.client, pair.server].map(|end| peer.options(end));
        assert_eq!(established, [client.0, server.0], "{to}: established");
        assert_eq!(set_both(&mut peer, pair, LOOSER), [client.1, server.1], "{to}: later");
    }
}

pub(super) fn rules_out_of_use_hold_nothing_and_are_collected() {
    let host = Host::new("collected-rules");
    let app = host.cgroup("app");
    let other = host.cgroup("other");
    host.write_policies("p.yaml", &document("app", "app", RULES));
    host.write_policies("q.yaml", &document("other", "other", RULES));
    let map = host.bpffs.path().join("keepalive/abi2/maps/DESTINATIONS");
    let daemon = host.start();
    assert_eq!(objects::entries(&map), 1, "two cgroups with the same rules share them");
    let [mut peer, mut beside] = [&app, &other].map(|cgroup| host.peer(cgroup));
    let pair = connect(&mut peer, "[::1]:7004", "[::1]:7004");
    let pair_beside = connect(&mut beside, "[::1]:7005", "[::1]:7005");
    let mark = daemon.mark();

    host.write_policies("p.yaml", &document("app", "app", &RULES.replace("'::1'", "'::2'")));
    wait_line(&daemon, mark, "changed the policy");

    assert_eq!(set_both(&mut peer, pair, LOOSER), [LOOSER; 2], "no rule is for its destination any more");
    assert_eq!(set_both(&mut beside, pair_beside, LOOSER), [held(40); 2]);
    assert_eq!(objects::entries(&map), 2);

    let mark = daemon.mark();
    host.write_policies("q.yaml", &document("other", "other", &RULES.replace("'::1'", "'::2'")));
    wait_line(&daemon, mark, "changed the policy");
    eventually("the rules are collected once the open connections were swept for the new ones", || {
        let mark = daemon.mark();
        daemon.signal(Signal::SIGHUP).unwrap();
        daemon.wait_line_from(mark, "read the policies").unwrap();
        // Answered in turn, so after the signal is dealt with.
        host.status();
        (objects::entries(&map) == 1).then_some(())
    });
}
