//! Options other than keep-alive: set on the same way, in the same modes.

use std::fs;

use keepalive_daemon::features::Feature;

use crate::{
    needs,
    peer::Others,
    support::{Host, Pair, Peer, document},
};

crate::tests!(
    each_mode_sets_what_it_leaves_to_nobody,
    every_option_is_set_on_both_families,
    what_is_of_the_handshake_is_there_before_it,
);

const OPTIONS: &str = "notSentLowat: 16384, congestion: reno, synCount: 3, priority: 5, mark: 77, tos: 16";
/// What not every kernel lets programs set.
const MORE: &str = "noDelay: true, maxSegment: 1200";

/// A policy with all options that this kernel lets programs set, and whether those are all there are.
fn policy() -> (String, bool) {
    let all = needs::present().contains(&Feature::AnyOption);
    let options = if all { format!("{OPTIONS}, {MORE}") } else { OPTIONS.to_owned() };
    (document("p", "app", &format!("options: {{{options}}}")), all)
}

/// Connects over the loopback; what the sockets are told before, they are told by `before`.
fn connect(peer: &mut Peer, at: &str, before: Option<&Others>) -> Pair {
    let (listener, address) = peer.listen(at, false);
    let client = peer.open(address, false);
    if let Some(before) = before {
        peer.set_others(client, before.clone());
    }
    peer.connect_with(client, address);
    Pair { client, server: peer.accept(listener) }
}

/// The name of the algorithm that nobody chose.
fn default_congestion() -> String {
    fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap().trim().to_owned()
}

fn every_option_is_set_on_both_families() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        let host = Host::new("others");
        let group = host.cgroup("app");
        let (policy, all) = policy();
        host.write_policies("p.yaml", &policy);
        let _daemon = host.start();
        let mut peer = host.peer(&group);

        let pair = connect(&mut peer, at, None);

        let is_v6 = at.starts_with('[');
        for (end, socket) in [("outbound", pair.client), ("inbound", pair.server)] {
            let found = peer.others(socket);
            assert_eq!(found.no_delay, Some(i32::from(all)), "{at} {end}");
            assert_eq!(found.not_sent_lowat, Some(16_384), "{at} {end}");
            assert_eq!(found.congestion.as_deref(), Some("reno"), "{at} {end}");
            assert_eq!((found.priority, found.mark), (Some(5), Some(77)), "{at} {end}");
            let traffic_class = if is_v6 { found.traffic_class } else { found.tos };
            assert_eq!(traffic_class, Some(16), "{at} {end}");
        }
        assert_eq!(peer.others(pair.client).syn_count, Some(3), "{at}");
        // The segment size of an established connection: what both ends have agreed on.
        let sizes = [pair.client, pair.server].map(|socket| peer.others(socket).max_segment.unwrap());
        assert_eq!(sizes.iter().all(|size| *size <= 1200), all, "{at}: {sizes:?}");
        let counters = host.status()["cgroups"][0]["counters"].clone();
        assert!(counters.get("refused_option").is_none(), "{counters}");
    }
}

fn each_mode_sets_what_it_leaves_to_nobody() {
    let default = default_congestion();
    let other = if default == "reno" { "cubic" } else { "reno" };
    let wanted = format!(
        "options: {{noDelay: true, notSentLowat: 16384, congestion: {other}, priority: 5, mark: 77, tos: 16}}"
    );
    let chosen = Others {
        not_sent_lowat: Some(32_768),
        priority: Some(2),
        mark: Some(4),
        tos: Some(8),
        ..Others::default()
    };
    for (mode, untouched, not_sent_lowat, priority) in [
        ("Monitor", Some(0), 32_768, 2),
        ("FillMissing", Some(5), 32_768, 2),
        ("Tighten", Some(5), 16_384, 2),
        ("Enforce", Some(5), 16_384, 5),
    ] {
        let host = Host::new("other-modes");
        let group = host.cgroup("app");
        host.write_policies("p.yaml", &document("p", "app", &format!("mode: {mode}, {wanted}")));
        let _daemon = host.start();
        let mut peer = host.peer(&group);

        let nobody = connect(&mut peer, "127.0.0.1:0", None);
        let chose = connect(&mut peer, "127.0.0.1:0", Some(&chosen));

        let nobody = peer.others(nobody.client);
        assert_eq!(nobody.priority, untouched, "{mode}");
        let congestion = if mode == "Monitor" { &*default } else { other };
        assert_eq!(nobody.congestion.as_deref(), Some(congestion), "{mode}");
        let chose = peer.others(chose.client);
        assert_eq!((chose.not_sent_lowat, chose.priority), (Some(not_sent_lowat), Some(priority)), "{mode}");
        let counters = host.status()["cgroups"][0]["counters"].clone();
        let told = counters["would_set_options"].as_u64().unwrap_or_default();
        assert_eq!(told > 0, mode == "Monitor", "{mode}: {counters}");
    }
}

fn what_is_of_the_handshake_is_there_before_it() {
    let host = Host::new("handshake");
    let group = host.cgroup("app");
    host.write_policies("p.yaml", &policy().0);
    let _daemon = host.start();
    let mut peer = host.peer(&group);
    let (listener, address) = peer.listen("127.0.0.1:0", false);
    // Nobody listens there: the connection is refused, and was only ever attempted.
    peer.close(listener);
    let socket = peer.open(address, false);

    let refused = peer.try_connect(socket, address);

    assert!(refused.is_err(), "{refused:?}");
    let found = peer.others(socket);
    assert_eq!(found.syn_count, Some(3));
    assert_eq!((found.mark, found.priority), (Some(77), Some(5)));
    assert_ne!(found.no_delay, Some(1), "this is of established connections");
}
