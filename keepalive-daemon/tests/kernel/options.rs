//! A fresh connection has the policy's options, whichever kind it is, on both ends.

use xtask::lab::sockets;

use crate::support::{Host, Pair, Peer, UNTOUCHED, document, options};

crate::tests!(both_ends_of_every_kind_of_connection_are_armed, outside_the_selected_cgroup_nothing_changes,);

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}, userTimeout: 99s";

/// Connects `client` to `server` from and to these addresses.
fn connect(client: &mut Peer, server: &mut Peer, listen: &str, connect: &str, mptcp: bool) -> Pair {
    let (listener, address) = server.listen(listen, mptcp);
    let to = format!("{connect}:{}", address.port()).parse().unwrap();
    let socket = client.open(to, mptcp);
    client.connect_with(socket, to);
    Pair { client: socket, server: server.accept(listener) }
}

fn both_ends_of_every_kind_of_connection_are_armed() {
    for (kind, listen, to) in [
        ("IPv4", "127.0.0.1:0", "127.0.0.1"),
        ("IPv6", "[::1]:0", "[::1]"),
        ("v4-mapped at the client", "127.0.0.1:0", "[::ffff:127.0.0.1]"),
        ("v4-mapped at the server", "[::]:0", "127.0.0.1"),
    ] {
        let host = Host::new("kinds");
        let (client, server) = (host.cgroup("client"), host.cgroup("server"));
        host.write_policies("p.yaml", &document("all", "*", KEEPALIVE));
        let _daemon = host.start();
        let (mut client, mut server) = (host.peer(&client), host.peer(&server));

        let pair = connect(&mut client, &mut server, listen, to, false);

        let armed = options(true, 61, 13, 5, 99_000);
        assert_eq!(client.options(pair.client), armed, "{kind}, outbound");
        assert_eq!(server.options(pair.server), armed, "{kind}, inbound");
        let timers: Vec<_> = sockets(&host.netns).unwrap().iter().filter_map(|row| row.keepalive()).collect();
        assert_eq!(timers.len(), 2, "{kind}: one keep-alive timer an end");
        assert!(timers.iter().all(|left| (55..=61).contains(&left.as_secs())), "{kind}: {timers:?}");
    }
}

fn outside_the_selected_cgroup_nothing_changes() {
    let host = Host::new("outside");
    let outside = host.cgroup("outside");
    host.cgroup("inside");
    host.write_policies("p.yaml", &document("inside", "inside", KEEPALIVE));
    let _daemon = host.start();
    let mut peer = host.peer(&outside);

    let pair = peer.pair();

    assert_eq!(peer.options(pair.client), UNTOUCHED);
    assert_eq!(peer.options(pair.server), UNTOUCHED);
    assert_eq!(sockets(&host.netns).unwrap().iter().filter_map(|row| row.keepalive()).count(), 0);
}
