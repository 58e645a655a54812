//! What each mode makes of a socket whose application chose options of its own, before the connection and after
//! it.

use std::{array, collections::BTreeMap};

use xtask::lab::{Cgroup, sockets};

use crate::{
    peer::Options,
    support::{Host, Pair, Peer, UNTOUCHED, armed_counter, document, options},
};

crate::tests!(
    each_mode_respects_what_the_application_chose_before,
    in_every_mode_the_application_has_the_last_word,
    what_is_counted_for_each_direction_is_what_the_sockets_have,
);

const MODES: [&str; 3] = ["Monitor", "FillMissing", "Tighten"];
const KEEPALIVE: &str = "keepalive: {idle: 60s, interval: 15s, probes: 4}, userTimeout: 90s";
/// What that makes of a socket that nobody touched.
const ARMED: Options = options(true, 60, 15, 4, 90_000);

const NOTHING: Options =
    Options { keepalive: None, idle_s: None, interval_s: None, probes: None, user_timeout_ms: None };

/// What an application asks for, and what becomes of it in each of [`MODES`]: the options and the counter.
struct Case {
    what: &'static str,
    asked: Options,
    expected: [(Options, &'static str); 3],
}

const CASES: &[Case] = &[
    Case {
        what: "nothing",
        asked: NOTHING,
        expected: [(UNTOUCHED, "would_arm"), (ARMED, "armed"), (ARMED, "armed")],
    },
    Case {
        what: "keep-alive with the kernel's values",
        asked: Options { keepalive: Some(true), ..NOTHING },
        expected: [
            (options(true, 7200, 75, 9, 0), "would_tighten"),
            (options(true, 7200, 75, 9, 0), "kept_chosen"),
            (ARMED, "tightened"),
        ],
    },
    Case {
        what: "keep-alive with looser values",
        asked: options(true, 300, 30, 8, 100_000),
        expected: [
            (options(true, 300, 30, 8, 100_000), "would_tighten"),
            (options(true, 300, 30, 8, 100_000), "kept_chosen"),
            (ARMED, "tightened"),
        ],
    },
    Case {
        what: "keep-alive with tighter values",
        asked: options(true, 20, 5, 2, 30_000),
        expected: [
            (options(true, 20, 5, 2, 30_000), "kept_tighter"),
            (options(true, 20, 5, 2, 30_000), "kept_chosen"),
            (options(true, 20, 5, 2, 30_000), "kept_tighter"),
        ],
    },
    Case {
        what: "keep-alive with the policy's values",
        asked: ARMED,
        expected: [(ARMED, "kept_tighter"), (ARMED, "kept_chosen"), (ARMED, "kept_tighter")],
    },
    Case {
        what: "keep-alive with some values looser and some tighter",
        asked: options(true, 300, 5, 8, 30_000),
        expected: [
            (options(true, 300, 5, 8, 30_000), "would_tighten"),
            (options(true, 300, 5, 8, 30_000), "kept_chosen"),
            (options(true, 60, 5, 4, 30_000), "tightened"),
        ],
    },
    Case {
        what: "keep-alive that gives up sooner, and no user timeout",
        asked: Options { user_timeout_ms: None, ..options(true, 20, 5, 2, 0) },
        expected: [
            (options(true, 20, 5, 2, 0), "kept_tighter"),
            (options(true, 20, 5, 2, 0), "kept_chosen"),
            (options(true, 20, 5, 2, 0), "kept_tighter"),
        ],
    },
    Case {
        what: "keep-alive with tighter values that gives up later, and no user timeout",
        asked: Options { user_timeout_ms: None, ..options(true, 50, 15, 4, 0) },
        expected: [
            (options(true, 50, 15, 4, 0), "would_tighten"),
            (options(true, 50, 15, 4, 0), "kept_chosen"),
            (options(true, 50, 15, 4, 90_000), "tightened"),
        ],
    },
    Case {
        what: "a tighter user timeout alone",
        asked: Options { user_timeout_ms: Some(30_000), ..NOTHING },
        expected: [
            (options(false, 7200, 75, 9, 30_000), "would_arm"),
            (options(true, 60, 15, 4, 30_000), "armed"),
            (options(true, 60, 15, 4, 30_000), "armed"),
        ],
    },
    Case {
        what: "a looser user timeout alone",
        asked: Options { user_timeout_ms: Some(200_000), ..NOTHING },
        expected: [
            (options(false, 7200, 75, 9, 200_000), "would_arm"),
            (options(true, 60, 15, 4, 200_000), "armed"),
            (ARMED, "armed"),
        ],
    },
    Case {
        what: "values without keep-alive",
        asked: Options { user_timeout_ms: None, ..options(false, 20, 5, 2, 0) },
        expected: [(options(false, 20, 5, 2, 0), "would_arm"), (ARMED, "armed"), (ARMED, "armed")],
    },
];

/// A host with a cgroup for each mode, governed by a policy of that mode. What becomes of connections that are open
/// already is `sweep`'s, and would come, on a slow machine, while these tests look.
fn host_of_modes(label: &str) -> (Host, [Cgroup; 3]) {
    let host = Host::new(label);
    let cgroups = MODES.map(|mode| host.cgroup(mode));
    let policies = MODES.map(|mode| {
        document(&mode.to_lowercase(), mode, &format!("{KEEPALIVE}, mode: {mode}, applyToExisting: false"))
    });
    host.write_policies("p.yaml", &policies.concat());
    (host, cgroups)
}

/// Connects a peer to itself, with options set on the client's socket and on the listener before.
fn pair_asking_for(peer: &mut Peer, asked: Options) -> Pair {
    let any = "127.0.0.1:0".parse().unwrap();
    let listener = peer.open(any, false);
    peer.set(listener, asked);
    let address = peer.listen_with(listener, any);
    let client = peer.open(address, false);
    peer.set(client, asked);
    peer.connect_with(client, address);
    Pair { client, server: peer.accept(listener) }
}

/// The counters of a cgroup as `status` tells them; those that are not there are zero.
fn counters(host: &Host, cgroup: &Cgroup) -> BTreeMap<String, u64> {
    let status = host.status();
    let cgroups = status["cgroups"].as_array().unwrap();
    let found = cgroups.iter().find(|found| found["id"] == cgroup.id()).unwrap();
    serde_json::from_value(found["counters"].clone()).unwrap()
}

/// What was counted between two looks.
fn counted(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let more = after.iter().map(|(name, count)| (name.clone(), count - before.get(name).unwrap_or(&0)));
    more.filter(|(_, count)| *count > 0).collect()
}

fn named(counters: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counters.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn each_mode_respects_what_the_application_chose_before() {
    let (host, cgroups) = host_of_modes("before");
    let _daemon = host.start();
    for (index, (mode, cgroup)) in MODES.into_iter().zip(&cgroups).enumerate() {
        for Case { what, asked, expected } in CASES {
            let (expected, counter) = expected[index];
            let before = counters(&host, cgroup);
            let mut peer = host.peer(cgroup);

            let pair = pair_asking_for(&mut peer, *asked);

            assert_eq!(peer.options(pair.client), expected, "{mode}, {what}: outbound");
            assert_eq!(peer.options(pair.server), expected, "{mode}, {what}: inbound");
            let rows = sockets(&host.netns).unwrap();
            let timers = rows.iter().filter(|row| row.keepalive().is_some()).count();
            let armed_ends = if expected.keepalive == Some(true) { 2 } else { 0 };
            assert_eq!(timers, armed_ends, "{mode}, {what}: {rows:?}");
            let counted = counted(&before, &counters(&host, cgroup));
            assert_eq!(counted, named(&[("outbound", 1), ("inbound", 1), (counter, 2)]), "{mode}, {what}");
        }
    }
}

fn in_every_mode_the_application_has_the_last_word() {
    let looser = options(true, 300, 30, 8, 200_000);
    let tighter = options(true, 20, 5, 2, 30_000);
    let off = Options { keepalive: Some(false), ..NOTHING };
    let (host, cgroups) = host_of_modes("after");
    let daemon = host.start();
    let mut connections = Vec::new();
    for (mode, cgroup) in MODES.into_iter().zip(&cgroups) {
        let established = if mode == "Monitor" { UNTOUCHED } else { ARMED };
        let switched_off = Options { keepalive: Some(false), ..established };
        for (asked, expected) in [(looser, looser), (tighter, tighter), (off, switched_off)] {
            let mut peer = host.peer(cgroup);
            let pair = peer.pair();

            peer.set(pair.client, asked);
            peer.set(pair.server, asked);

            assert_eq!(peer.options(pair.client), expected, "{mode}, outbound");
            assert_eq!(peer.options(pair.server), expected, "{mode}, inbound");
            connections.push((mode, peer, pair, expected));
        }
    }
    let mark = daemon.mark();
    let later = "keepalive: {idle: 10s, interval: 3s, probes: 2}, applyToExisting: false";
    host.write_policies("p.yaml", &document("all", "*", later));
    let changes = daemon.wait_for("change of the policy for each cgroup", |lines, _| {
        let changed = lines[mark..].iter().filter(|line| line.text.contains("changed the policy"));
        (changed.count() == MODES.len()).then_some(())
    });
    changes.unwrap();
    for (mode, mut peer, pair, expected) in connections {
        assert_eq!(peer.options(pair.client), expected, "{mode}, outbound, after the policy changed");
        assert_eq!(peer.options(pair.server), expected, "{mode}, inbound, after the policy changed");
    }
}

fn what_is_counted_for_each_direction_is_what_the_sockets_have() {
    let host = Host::new("counted");
    let (client, server) = (host.cgroup("client"), host.cgroup("server"));
    let policies = [
        document("client", "client", KEEPALIVE),
        document("server", "server", &format!("{KEEPALIVE}, direction: Outbound")),
    ];
    host.write_policies("p.yaml", &policies.concat());
    let _daemon = host.start();
    let (mut connecting, mut accepting) = (host.peer(&client), host.peer(&server));
    let (listener, address) = accepting.listen("127.0.0.1:0", false);
    let connections =
        array::from_fn::<_, 5, _>(|_| (connecting.connect(address), accepting.accept(listener)));
    // The other way round: the peer of the server connects, that of the client accepts.
    let (listener, address) = connecting.listen("127.0.0.1:0", false);
    let reverse = array::from_fn::<_, 2, _>(|_| (accepting.connect(address), connecting.accept(listener)));

    let of_client = connections.map(|(outbound, _)| connecting.options(outbound));
    let of_server = connections.map(|(_, inbound)| accepting.options(inbound));
    let reverse_of_server = reverse.map(|(outbound, _)| accepting.options(outbound));
    let reverse_of_client = reverse.map(|(_, inbound)| connecting.options(inbound));

    assert_eq!((of_client, reverse_of_client), ([ARMED; 5], [ARMED; 2]));
    assert_eq!((of_server, reverse_of_server), ([UNTOUCHED; 5], [ARMED; 2]));
    let armed = armed_counter();
    assert_eq!(counters(&host, &client), named(&[("outbound", 5), ("inbound", 2), (armed, 7)]));
    let of_server = named(&[("outbound", 2), ("inbound", 5), (armed, 2), ("kept_direction", 5)]);
    assert_eq!(counters(&host, &server), of_server);
}
