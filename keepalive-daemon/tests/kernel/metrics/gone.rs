//! Sums do not go back when what they are made of goes.

use super::{Samples, host, start};
use crate::support::{Host, document, eventually, options};

const ARMED: crate::peer::Options = options(true, 61, 13, 5, 0);

/// Connections that a peer in a cgroup makes to itself; each has two ends that the kernel shows as armed.
fn connect(host: &Host, cgroup: &str, pairs: usize) -> (xtask::lab::Cgroup, crate::support::Peer) {
    let group = host.cgroup(cgroup);
    let mut peer = host.peer(&group);
    eventually("the cgroup is governed", || {
        let pair = peer.pair();
        (peer.options(pair.client) == ARMED).then_some(())
    });
    for _ in 1..pairs {
        let pair = peer.pair();
        assert_eq!([pair.client, pair.server].map(|end| peer.options(end)), [ARMED; 2]);
    }
    (group, peer)
}

fn armed(host: &Host) -> f64 {
    Samples::of(host).armed("apps")
}

/// Scrapes until the armed connections are so many; what is served may be a second old.
fn armed_becomes(host: &Host, expected: f64) {
    eventually(&format!("{expected} are armed"), || {
        let armed = armed(host);
        assert!(armed <= expected, "{armed} is more than there were");
        (armed >= expected).then_some(())
    });
}

pub(super) fn cgroups_that_go_stay_in_the_sums_of_their_policy() {
    let host = host("gone");
    let daemon = start(&host, &[]);
    let mut total = 0.0;
    for name in ["app-1", "app-2"] {
        let (group, peer) = connect(&host, name, 3);
        // Not all of the connections until it was governed were.
        let counted = eventually("it is looked at", || {
            let armed = armed(&host);
            (armed >= total + 6.0).then_some(armed)
        });
        let mark = daemon.mark();
        drop(peer);
        group.remove().unwrap();
        daemon.wait_line_from(mark, "detached").unwrap();
        total = counted;
        armed_becomes(&host, total);
    }
    // A policy lets go of a cgroup that stays: what it did at last counts, too.
    let (_group, mut peer) = connect(&host, "app-3", 1);
    eventually("it is looked at", || (armed(&host) >= total + 1.0).then_some(()));
    let before = armed(&host);
    let pairs = 4;
    for _ in 0..pairs {
        peer.pair();
    }
    let mark = daemon.mark();
    host.write_policies("p.yaml", &document("apps", "elsewhere", ""));
    daemon.wait_line_from(mark, "detached").unwrap();

    armed_becomes(&host, before + f64::from(pairs) * 2.0);
    assert_eq!(Samples::of(&host).get("keepalive_attached_cgroups{policy=\"apps\"}"), 0.0);
}

pub(super) fn what_a_cgroup_did_at_its_very_end_is_never_invented() {
    let host = host("end");
    let daemon = start(&host, &[]);
    let mut happened = 0.0;
    let mut before = 0.0;
    for round in 0..5 {
        let name = format!("app-{round}");
        let group = host.cgroup(&name);
        daemon.wait_line(&format!("attached cgroup=\"{name}\"")).unwrap();
        let mut peer = host.peer(&group);
        for _ in 0..10 {
            let pair = peer.pair();
            let ends = [pair.client, pair.server].map(|end| peer.options(end));
            assert_eq!(ends, [ARMED; 2]);
            happened += 2.0;
        }
        // Nobody scraped meanwhile, and the kernel removes it before the daemon hears of that.
        let mark = daemon.mark();
        drop(peer);
        group.remove().unwrap();
        daemon.wait_line_from(mark, "detached").unwrap();
        let armed = armed(&host);
        assert!((before..=happened).contains(&armed), "{armed}, of {before} to {happened}");
        before = armed;
    }
    println!("{before} of {happened} counted");
}
