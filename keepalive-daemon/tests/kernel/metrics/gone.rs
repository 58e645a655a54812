//! Sums do not go back when what they are made of goes.

use xtask::lab::{Cgroup, Process};

use super::{Samples, host, start};
use crate::{
    peer::Options,
    support::{Host, Peer, armed_counter, document, eventually, options},
};

const ARMED: Options = options(true, 61, 13, 5, 0);

/// A governed cgroup, and in it a peer that has made so many connections to itself; each end, as the kernel shows, is
/// armed.
fn connect(host: &Host, daemon: &Process, cgroup: &str, pairs: usize) -> (Cgroup, Peer) {
    let group = host.cgroup(cgroup);
    daemon.wait_line(&format!("attached cgroup=\"{cgroup}\"")).unwrap();
    let mut peer = host.peer(&group);
    more(&mut peer, pairs);
    (group, peer)
}

fn more(peer: &mut Peer, pairs: usize) {
    for _ in 0..pairs {
        let pair = peer.pair();
        assert_eq!([pair.client, pair.server].map(|end| peer.options(end)), [ARMED; 2]);
    }
}

fn armed(host: &Host) -> f64 {
    Samples::of(host).armed("apps")
}

/// Waits until so many armed connections are told of, which never are more, nor fewer than `before`. The counters are
/// read every few seconds.
fn armed_becomes(host: &Host, before: f64, expected: f64) {
    eventually(&format!("{expected} are armed"), || {
        let armed = armed(host);
        assert!((before..=expected).contains(&armed), "{armed}, of {before} to {expected}");
        (armed >= expected).then_some(())
    });
}

fn remove(daemon: &Process, group: Cgroup, peer: Peer) {
    let mark = daemon.mark();
    drop(peer);
    group.remove().unwrap();
    daemon.wait_line_from(mark, "detached").unwrap();
}

pub(super) fn cgroups_that_go_stay_in_the_sums_of_their_policy() {
    let host = host("gone");
    let daemon = start(&host, &[]);
    let (one, its_peer) = connect(&host, &daemon, "app-1", 3);
    armed_becomes(&host, 0.0, 6.0);
    remove(&daemon, one, its_peer);
    armed_becomes(&host, 6.0, 6.0);
    let (_two, mut peer) = connect(&host, &daemon, "app-2", 2);
    armed_becomes(&host, 6.0, 10.0);

    // A policy lets go of a cgroup that stays: what it did until then counts, whenever that was.
    more(&mut peer, 4);
    let mark = daemon.mark();
    host.write_policies("p.yaml", &document("apps", "elsewhere", ""));
    daemon.wait_line_from(mark, "detached").unwrap();
    armed_becomes(&host, 10.0, 18.0);
    assert_eq!(Samples::of(&host).get("keepalive_attached_cgroups{policy=\"apps\"}"), 0.0);

    // And what it did under another policy is that one's, though the kernel counts on.
    let mark = daemon.mark();
    host.write_policies("p.yaml", &document("others", "app*", super::KEEPALIVE));
    daemon.wait_line_from(mark, "attached").unwrap();
    more(&mut peer, 1);
    eventually("they are told of", || (Samples::of(&host).armed("others") >= 2.0).then_some(()));
    assert_eq!(Samples::of(&host).armed("others"), 2.0);
    host.write_policies("p.yaml", &document("thirds", "app*", super::KEEPALIVE));
    daemon.wait_line_from(mark, "changed the policy").unwrap();
    more(&mut peer, 3);
    eventually("they are told of", || (Samples::of(&host).armed("thirds") >= 6.0).then_some(()));
    assert_eq!(Samples::of(&host).armed("others"), 2.0);
}

pub(super) fn what_a_cgroup_did_at_its_very_end_is_never_invented() {
    let host = host("end");
    let daemon = start(&host, &[]);
    let mut before = 0.0;
    for round in 1..=5 {
        // The kernel may remove it, and free what it counted, before the daemon looks.
        let (group, peer) = connect(&host, &daemon, &format!("app-{round}"), 10);
        remove(&daemon, group, peer);

        let armed = armed(&host);
        let happened = f64::from(round) * 20.0;
        assert!((before..=happened).contains(&armed), "{armed}, of {before} to {happened}");
        before = armed;
    }
}

pub(super) fn what_was_counted_before_a_restart_is_not_counted_again() {
    let host = host("again");
    let daemon = start(&host, &[]);
    let (_group, mut peer) = connect(&host, &daemon, "app-1", 3);
    armed_becomes(&host, 0.0, 6.0);
    daemon.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
    daemon.wait().unwrap();
    more(&mut peer, 2);

    let _daemon = start(&host, &[]);
    more(&mut peer, 1);

    armed_becomes(&host, 0.0, 2.0);
    assert_eq!(host.status()["cgroups"][0]["counters"][armed_counter()], 12, "the kernel counts on");
}
