//! What the fields of a policy beside the keep-alive values make of a connection.

use super::connect;
use crate::{
    peer::Options,
    support::{Host, UNTOUCHED, document, options},
};

pub(super) fn only_the_ends_of_the_direction_are_armed() {
    const ARMED: Options = options(true, 60, 15, 4, 0);
    let host = Host::new("direction");
    let cases = [("Both", ARMED, ARMED), ("Outbound", ARMED, UNTOUCHED), ("Inbound", UNTOUCHED, ARMED)];
    let cgroups = cases.map(|(direction, ..)| host.cgroup(direction));
    let policies = cases.map(|(direction, ..)| {
        document(&direction.to_lowercase(), direction, &format!("direction: {direction}"))
    });
    host.write_policies("p.yaml", &policies.concat());
    let _daemon = host.start();
    for ((direction, outbound, inbound), cgroup) in cases.into_iter().zip(&cgroups) {
        for (listen, to) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]")] {
            let (mut client, mut server) = (host.peer(cgroup), host.peer(cgroup));

            let pair = connect(&mut client, &mut server, listen, to, false);

            assert_eq!(client.options(pair.client), outbound, "{direction}, outbound to {to}");
            assert_eq!(server.options(pair.server), inbound, "{direction}, inbound at {to}");
        }
    }
}

pub(super) fn a_user_timeout_is_set_only_where_the_policy_names_one() {
    let host = Host::new("usertimeout");
    let cases = [
        ("absent", "", 0),
        // idle + interval × probes
        ("auto", "userTimeout: auto", 120_000),
        ("seconds", "userTimeout: 90s", 90_000),
        ("milliseconds", "userTimeout: 1500ms", 1500),
    ];
    let cgroups = cases.map(|(name, ..)| host.cgroup(name));
    let policies = cases.map(|(name, spec, _)| document(name, name, spec));
    host.write_policies("p.yaml", &policies.concat());
    let _daemon = host.start();
    for ((name, _, milliseconds), cgroup) in cases.into_iter().zip(&cgroups) {
        let mut peer = host.peer(cgroup);

        let pair = peer.pair();

        let expected = options(true, 60, 15, 4, milliseconds);
        assert_eq!(peer.options(pair.client), expected, "{name}, outbound");
        assert_eq!(peer.options(pair.server), expected, "{name}, inbound");
    }
}
