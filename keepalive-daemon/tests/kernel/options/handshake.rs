//! Connections that come about in another way than by SYN, SYN-ACK, ACK of two sockets.

use std::fs;

use xtask::lab::Netns;

use super::{ARMED, KEEPALIVE, assert_timers, connect, keepalive_timers};
use crate::{
    peer::Options,
    support::{Host, UNTOUCHED, document},
};

/// A counter of a network namespace's TCP, from its start, by group and name as in `/proc/net/netstat`.
fn counter(netns: &Netns, group: &str, name: &str) -> u64 {
    let table = netns.run(|| fs::read_to_string("/proc/thread-self/net/netstat")).unwrap().unwrap();
    let mut lines = table.lines().filter_map(|line| line.strip_prefix(group)?.strip_prefix(": "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut counters = names.split(' ').zip(values.split(' '));
    let (_, value) = counters.find(|(found, _)| *found == name).unwrap();
    value.parse().unwrap()
}

/// A host with one cgroup that a policy selects.
fn host(label: &str, spec: &str) -> Host {
    let host = Host::new(label);
    host.write_policies("p.yaml", &document("all", "app", spec));
    host
}

pub(super) fn both_subflows_of_mptcp_are_armed() {
    for (kind, listen, to) in [("IPv4", "127.0.0.1:0", "127.0.0.1"), ("IPv6", "[::1]:0", "[::1]")] {
        let host = host("mptcp", KEEPALIVE);
        let cgroup = host.cgroup("app");
        let _daemon = host.start();
        let (mut client, mut server) = (host.peer(&cgroup), host.peer(&cgroup));

        let pair = connect(&mut client, &mut server, listen, to, true);

        assert_eq!(counter(&host.netns, "MPTcpExt", "MPCapableSYNRX"), 1, "{kind}: it is MPTCP");
        assert_timers(&host, 2, kind);
        // The MPTCP socket has options of its own and does not tell those of its subflow.
        let of_mptcp = Options { user_timeout_ms: None, ..UNTOUCHED };
        assert_eq!(client.options(pair.client), of_mptcp, "{kind}, outbound");
        assert_eq!(server.options(pair.server), of_mptcp, "{kind}, inbound");
    }
}

pub(super) fn what_syn_cookies_let_in_is_armed() {
    let host = host("cookies", KEEPALIVE);
    let cgroup = host.cgroup("app");
    // 2: cookies for everyone, not only when the queue is full.
    host.netns.sysctl("net.ipv4.tcp_syncookies", "2").unwrap();
    let _daemon = host.start();
    for (nth, listen, to) in [(1, "127.0.0.1:0", "127.0.0.1"), (2, "[::1]:0", "[::1]")] {
        let (mut client, mut server) = (host.peer(&cgroup), host.peer(&cgroup));

        let pair = connect(&mut client, &mut server, listen, to, false);

        assert_eq!(counter(&host.netns, "TcpExt", "SyncookiesRecv"), nth, "{to}: the cookie came back");
        assert_eq!(client.options(pair.client), ARMED, "{to}, outbound");
        assert_eq!(server.options(pair.server), ARMED, "{to}, inbound");
        assert_timers(&host, 2, to);
    }
}

pub(super) fn a_connection_of_fast_open_is_armed_by_its_direction() {
    for (direction, outbound, inbound) in
        [("Both", ARMED, ARMED), ("Outbound", ARMED, UNTOUCHED), ("Inbound", UNTOUCHED, ARMED)]
    {
        let host = host("fastopen", &format!("{KEEPALIVE}, direction: {direction}"));
        let cgroup = host.cgroup("app");
        // Client and server (1, 2), each without a cookie (4, 0x200), for every listener (0x400).
        host.netns.sysctl("net.ipv4.tcp_fastopen", "1543").unwrap();
        let _daemon = host.start();
        let mut peer = host.peer(&cgroup);
        let (listener, address) = peer.listen("127.0.0.1:0", false);
        let client = peer.open(address, false);

        peer.connect_with_data(client, address);
        let server = peer.accept(listener);

        assert_eq!(peer.receive(server), Ok("early".len()));
        assert_eq!(counter(&host.netns, "TcpExt", "TCPFastOpenPassive"), 1, "the data came with the SYN");
        assert_eq!(peer.options(client), outbound, "{direction}: outbound");
        assert_eq!(peer.options(server), inbound, "{direction}: inbound");
    }
}

pub(super) fn a_simultaneous_open_counts_as_inbound() {
    for (direction, expected) in [("Both", ARMED), ("Inbound", ARMED), ("Outbound", UNTOUCHED)] {
        let host = host("simultaneous", &format!("{KEEPALIVE}, direction: {direction}"));
        let cgroup = host.cgroup("app");
        // To a sweep, which goes by who listens, it would be outbound.
        let _daemon = host.start_swept();
        let mut peer = host.peer(&cgroup);
        let socket = peer.open("127.0.0.1:0".parse().unwrap(), false);
        let own = peer.bind(socket, "127.0.0.1:0".parse().unwrap());

        // A socket that connects to itself gets its own SYN: both ends open at once, and are the same.
        peer.connect_with(socket, own);

        assert_eq!(peer.options(socket), expected, "{direction}");
        assert_eq!(keepalive_timers(&host).len(), usize::from(expected == ARMED), "{direction}");
        assert_eq!(host.status()["cgroups"][0]["counters"]["inbound"], 1, "{direction}");
    }
}

pub(super) fn a_socket_from_before_the_policy_is_armed_when_it_connects() {
    let host = Host::new("before");
    let cgroup = host.cgroup("app");
    let daemon = host.start();
    let mut peer = host.peer(&cgroup);
    let early = peer.pair();
    let (listener, address) = peer.listen("127.0.0.1:0", false);
    let client = peer.open(address, false);

    let spec = format!("{KEEPALIVE}, applyToExisting: false");
    host.write_policies("p.yaml", &document("all", "app", &spec));
    daemon.wait_line("attached").unwrap();
    peer.connect_with(client, address);
    let server = peer.accept(listener);

    assert_eq!(peer.options(client), ARMED, "outbound");
    assert_eq!(peer.options(server), ARMED, "inbound");
    assert_eq!(peer.options(early.client), UNTOUCHED, "established before the policy");
    assert_timers(&host, 2, "the later connection");
}
