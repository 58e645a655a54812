//! Listeners that have keep-alive themselves: their children begin with what they have.

use xtask::lab::sockets;

use super::{ARMED, KEEPALIVE};
use crate::{
    peer::Options,
    support::{Host, document, options},
};

pub(super) fn a_child_inherits_from_its_listener_first() {
    let looser = options(true, 333, 75, 9, 0);
    let tighter = options(true, 33, 75, 9, 0);
    let cases = [
        ("Monitor", [(tighter, tighter), (looser, looser)]),
        ("FillMissing", [(tighter, tighter), (looser, looser)]),
        ("Tighten", [(tighter, options(true, 33, 13, 5, 99_000)), (looser, ARMED)]),
    ];
    let host = Host::new("listener");
    let cgroups = cases.map(|(mode, _)| host.cgroup(mode));
    let policies = cases
        .map(|(mode, _)| document(&mode.to_lowercase(), mode, &format!("{KEEPALIVE}, mode: {mode}")))
        .concat();
    host.write_policies("p.yaml", &policies);
    let _daemon = host.start();
    for ((mode, cases), cgroup) in cases.into_iter().zip(&cgroups) {
        for (of_listener, expected) in cases {
            let mut peer = host.peer(cgroup);
            let any = "127.0.0.1:0".parse().unwrap();
            let listener = peer.open(any, false);
            let values = Options { user_timeout_ms: None, ..of_listener };
            peer.set(listener, values);
            let address = peer.listen_with(listener, any);

            peer.connect(address);
            let child = peer.accept(listener);

            assert_eq!(peer.options(listener), of_listener, "{mode}: the listener itself");
            assert_eq!(peer.options(child), expected, "{mode}");
            let rows = sockets(&host.netns).unwrap();
            let row = rows.iter().find(|row| row.local == address).unwrap();
            let left = row.keepalive().unwrap().as_secs();
            let idle = expected.idle_s.unwrap();
            assert!((idle / 2..=idle).contains(&left), "{mode}: {left} s left of {idle} s");
        }
    }
}

pub(super) fn a_listener_from_before_the_policy_has_armed_children() {
    let host = Host::new("earlylistener");
    let cgroup = host.cgroup("app");
    let daemon = host.start();
    let mut peer = host.peer(&cgroup);
    let (listener, address) = peer.listen("127.0.0.1:0", false);
    // In the queue of the listener before there is a policy: established, though nobody accepted it.
    let early = peer.connect(address);

    let spec = format!("{KEEPALIVE}, applyToExisting: false");
    host.write_policies("p.yaml", &document("all", "app", &spec));
    daemon.wait_line("attached").unwrap();
    let late = peer.connect(address);
    let children = [peer.accept(listener), peer.accept(listener)];

    let untouched = crate::support::UNTOUCHED;
    assert_eq!([early, children[0]].map(|end| peer.options(end)), [untouched, untouched]);
    assert_eq!([late, children[1]].map(|end| peer.options(end)), [ARMED, ARMED]);
}
