//! A policy for some destinations arms the connections to and from those, and no others.

use std::net::{IpAddr, SocketAddr};

use crate::{
    peer::Options,
    support::{Host, Pair, Peer, UNTOUCHED, armed_counter, document, options},
};

crate::tests!(
    a_policy_for_one_port_arms_only_its_connections_from_either_end,
    the_longest_prefix_wins_then_the_narrower_ports_and_each_rule_has_its_values,
    what_changes_of_the_rules_holds_for_the_next_connection,
);

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";

const fn armed(idle_s: u64) -> Options {
    options(true, idle_s, 13, 5, 0)
}

/// Every kind of connection there is over the loopback: where one listens, and where one connects to.
const KINDS: [(&str, &str, &str); 4] = [
    ("IPv4", "127.0.0.1", "127.0.0.1"),
    ("IPv6", "::1", "::1"),
    ("v4-mapped at the client", "127.0.0.1", "::ffff:127.0.0.1"),
    ("v4-mapped at the server", "::", "127.0.0.1"),
];

/// Connects from `from_port` (any if 0) to `port`.
fn connect(peers: &mut [Peer; 2], (listen, to): (&str, &str), from_port: u16, port: u16) -> Pair {
    let [client, server] = peers;
    let at = |address: &str, port| SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
    let listener = server.open(at(listen, port), false);
    server.listen_with(listener, at(listen, port));
    let socket = client.open(at(to, port), false);
    if from_port != 0 {
        client.bind(socket, at(to, from_port));
    }
    client.connect_with(socket, at(to, port));
    let pair = Pair { client: socket, server: server.accept(listener) };
    server.close(listener);
    pair
}

fn a_policy_for_one_port_arms_only_its_connections_from_either_end() {
    let host = Host::new("one-port");
    let group = host.cgroup("app");
    let rules = "destinations: [{ports: [5432]}]";
    host.write_policies("p.yaml", &document("database", "app", &format!("{KEEPALIVE}, {rules}")));
    let daemon = host.start();
    let mut peers = [host.peer(&group), host.peer(&group)];
    for (nth, (kind, listen, to)) in KINDS.into_iter().enumerate() {
        let other = 6001 + u16::try_from(nth).unwrap();

        // The remote end of the one that connects is the port; of the one that accepts, where that came from.
        let to_port = connect(&mut peers, (listen, to), 0, 5432);
        let from_port = connect(&mut peers, (listen, to), 5432, other);
        let neither = connect(&mut peers, (listen, to), 0, other + 100);

        let [client, server] = &mut peers;
        let mut ends = |pair: Pair| [client.options(pair.client), server.options(pair.server)];
        assert_eq!(ends(to_port), [armed(61), UNTOUCHED], "{kind}: to the port");
        assert_eq!(ends(from_port), [UNTOUCHED, armed(61)], "{kind}: from the port");
        assert_eq!(ends(neither), [UNTOUCHED; 2], "{kind}");
        for pair in [to_port, from_port, neither] {
            let [client, server] = &mut peers;
            // The one that accepted first, so that the port of the other is free again at once.
            server.close(pair.server);
            client.close(pair.client);
        }
    }
    let counters = host.status()["cgroups"][0]["counters"].clone();
    assert_eq!((&counters[armed_counter()], &counters["kept_destination"]), (&8.into(), &16.into()));
    drop(daemon);
}

fn the_longest_prefix_wins_then_the_narrower_ports_and_each_rule_has_its_values() {
    let host = Host::new("rules");
    let group = host.cgroup("app");
    let rules = "destinations: [
        {ports: [7000], keepalive: {idle: 10s}},
        {cidr: 127.0.0.0/8, keepalive: {idle: 20s}},
        {cidr: 127.0.0.0/8, ports: ['7000-7009'], keepalive: {idle: 30s}},
        {cidr: 127.0.0.0/8, ports: [7005], keepalive: {idle: 40s}, userTimeout: 95s},
        {cidr: 127.9.0.0/16},
        {cidr: '::ffff:127.9.9.0/120', keepalive: {idle: 50s}},
        {cidr: 127.9.9.0/24, keepalive: {idle: 55s}}]";
    host.write_policies(
        "p.yaml",
        &document("p", "app", &format!("{KEEPALIVE}, direction: Outbound, {rules}")),
    );
    // To a sweep, which goes by who listens, both ends would be outbound.
    let _daemon = host.start_swept();
    let mut peers = [host.peer(&group), host.peer(&group)];
    for (to, port, expected) in [
        ("127.0.0.1", 7000, armed(30)),
        ("127.0.0.1", 7005, options(true, 40, 13, 5, 95_000)),
        ("127.0.0.1", 7010, armed(20)),
        ("127.9.0.1", 7005, armed(61)),
        ("127.9.9.1", 7005, armed(50)),
        ("::ffff:127.9.9.1", 7006, armed(50)),
        ("::1", 7000, armed(10)),
        ("::1", 7001, UNTOUCHED),
    ] {
        let listen = if to.starts_with("127") || to.contains("ffff") { "0.0.0.0" } else { "::" };

        let pair = connect(&mut peers, (listen, to), 0, port);

        assert_eq!(peers[0].options(pair.client), expected, "{to} {port}");
        assert_eq!(peers[1].options(pair.server), UNTOUCHED, "{to} {port}: the policy is for outbound ones");
    }
}

fn what_changes_of_the_rules_holds_for_the_next_connection() {
    let host = Host::new("changed-rules");
    let group = host.cgroup("app");
    let policy = |port: u16, idle: u64| {
        let rule = format!("destinations: [{{ports: [{port}], keepalive: {{idle: {idle}s}}}}]");
        document("p", "app", &format!("{KEEPALIVE}, applyToExisting: false, {rule}"))
    };
    host.write_policies("p.yaml", &policy(7100, 10));
    let daemon = host.start();
    let mut peers = [host.peer(&group), host.peer(&group)];
    for (port, idle) in [(7100, 20), (7101, 20), (7101, 21)] {
        let mark = daemon.mark();
        host.write_policies("p.yaml", &policy(port, idle));
        daemon.wait_line_from(mark, "changed the policy").unwrap();

        for (to, expected) in [(port, armed(idle)), (7102, UNTOUCHED)] {
            let pair = connect(&mut peers, ("127.0.0.1", "127.0.0.1"), 0, to);
            assert_eq!(peers[0].options(pair.client), expected, "{to}, after {port} {idle}");
            peers[1].close(pair.server);
            peers[0].close(pair.client);
        }
    }
}
