//! A fresh connection has the policy's options, whichever kind it is, on both ends.

mod fields;
mod handshake;
mod listener;
mod wire;

use std::time::Duration;

use xtask::lab::{SocketRow, sockets};

use self::{
    fields::{
        a_user_timeout_is_set_only_where_the_policy_names_one, only_the_ends_of_the_direction_are_armed,
    },
    handshake::{
        a_connection_of_fast_open_is_armed_by_its_direction, a_simultaneous_open_counts_as_inbound,
        a_socket_from_before_the_policy_is_armed_when_it_connects, both_subflows_of_mptcp_are_armed,
        what_syn_cookies_let_in_is_armed,
    },
    listener::{
        a_child_inherits_from_its_listener_first, a_listener_from_before_the_policy_has_armed_children,
    },
    wire::{a_peer_that_fell_silent_ends_the_connection, probes_are_sent_and_answered},
};
use crate::support::{Host, Pair, Peer, UNTOUCHED, document, options};

crate::tests!(
    a_child_inherits_from_its_listener_first,
    a_connection_of_fast_open_is_armed_by_its_direction,
    a_listener_from_before_the_policy_has_armed_children,
    a_peer_that_fell_silent_ends_the_connection,
    a_simultaneous_open_counts_as_inbound,
    a_socket_from_before_the_policy_is_armed_when_it_connects,
    a_user_timeout_is_set_only_where_the_policy_names_one,
    both_ends_of_every_kind_of_connection_are_armed,
    both_subflows_of_mptcp_are_armed,
    only_the_ends_of_the_direction_are_armed,
    outside_the_selected_cgroup_nothing_changes,
    probes_are_sent_and_answered,
    what_syn_cookies_let_in_is_armed,
);

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}, userTimeout: 99s";
/// What that makes of a socket that nobody touched.
const ARMED: crate::peer::Options = options(true, 61, 13, 5, 99_000);

/// Connects `client` to `server` from and to these addresses.
fn connect(client: &mut Peer, server: &mut Peer, listen: &str, connect: &str, mptcp: bool) -> Pair {
    let (listener, address) = server.listen(listen, mptcp);
    let to = format!("{connect}:{}", address.port()).parse().unwrap();
    let socket = client.open(to, mptcp);
    client.connect_with(socket, to);
    Pair { client: socket, server: server.accept(listener) }
}

/// What is left on each keep-alive timer in the host's network namespace.
fn keepalive_timers(host: &Host) -> Vec<Duration> {
    sockets(&host.netns).unwrap().iter().filter_map(SocketRow::keepalive).collect()
}

/// Asserts that as many keep-alive timers run, each begun not long ago with [`KEEPALIVE`]'s idle.
fn assert_timers(host: &Host, count: usize, what: &str) {
    let timers = keepalive_timers(host);
    assert_eq!(timers.len(), count, "{what}: {timers:?}");
    // A machine under load may take its time from the connection to here; 61 s are far from the default of 7200 s.
    assert!(timers.iter().all(|left| (31..=61).contains(&left.as_secs())), "{what}: {timers:?}");
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

        assert_eq!(client.options(pair.client), ARMED, "{kind}, outbound");
        assert_eq!(server.options(pair.server), ARMED, "{kind}, inbound");
        assert_timers(&host, 2, kind);
    }
}

fn outside_the_selected_cgroup_nothing_changes() {
    let host = Host::new("outside");
    let outside = host.cgroup("outside");
    let _inside = host.cgroup("inside");
    host.write_policies("p.yaml", &document("inside", "inside", KEEPALIVE));
    let _daemon = host.start();
    let mut peer = host.peer(&outside);

    let pair = peer.pair();

    assert_eq!(peer.options(pair.client), UNTOUCHED);
    assert_eq!(peer.options(pair.server), UNTOUCHED);
    assert_eq!(keepalive_timers(&host), Vec::<Duration>::new());
}
