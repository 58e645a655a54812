//! `sock_ops` programs of other tools: they keep their replies, and where both cannot be, theirs stays.

mod bpftune;
mod exclusive;
mod limit;
mod random;
mod sharing;
mod twins;
mod workload;

use xtask::lab::Cgroup;

use self::{
    bpftune::bpftunes_own_program_does_the_same_with_and_without_a_policy,
    exclusive::{
        one_above_that_came_after_ours_does_not_end_ours, one_below_runs_with_ours,
        one_in_the_way_is_reported_and_goes_on_alone, one_that_comes_to_our_cgroup_is_refused_by_the_kernel,
    },
    limit::a_full_cgroup_is_reported_and_governed_once_there_is_room,
    random::whatever_comes_and_goes_others_and_applications_see_the_same,
    sharing::{
        a_program_that_shares_keeps_its_replies_and_ours_runs_too,
        a_verdict_that_refuses_its_own_replies_does_so_beside_ours,
    },
    twins::all_that_others_do_and_see_is_the_same_with_and_without_a_policy,
};
use crate::{
    peer::Options,
    support::{Host, Peer, document, foreign, options},
};

crate::tests!(
    a_full_cgroup_is_reported_and_governed_once_there_is_room,
    a_program_that_shares_keeps_its_replies_and_ours_runs_too,
    a_verdict_that_refuses_its_own_replies_does_so_beside_ours,
    bpftunes_own_program_does_the_same_with_and_without_a_policy,
    all_that_others_do_and_see_is_the_same_with_and_without_a_policy,
    one_above_that_came_after_ours_does_not_end_ours,
    one_below_runs_with_ours,
    one_in_the_way_is_reported_and_goes_on_alone,
    one_that_comes_to_our_cgroup_is_refused_by_the_kernel,
    whatever_comes_and_goes_others_and_applications_see_the_same,
);

const ARMED: Options = options(true, 61, 13, 5, 0);

/// A host with three cgroups in a row, of which a policy selects the middle one.
struct Site {
    host: Host,
    above: Cgroup,
    governed: Cgroup,
    below: Cgroup,
}

impl Site {
    fn new(label: &str) -> Self {
        let host = Host::new(label);
        // Small segments, so that the window a foreign program asks for is smaller than the kernel's own.
        host.netns.exec_ip(&["link", "set", "lo", "mtu", "1500"]).unwrap();
        host.write_policies(
            "p.yaml",
            &document("team", "team/app", "keepalive: {idle: 61s, interval: 13s, probes: 5}"),
        );
        let [above, governed, below] = ["team", "team/app", "team/app/worker"].map(|path| host.cgroup(path));
        Self { host, above, governed, below }
    }
}

/// What a fresh connection within a cgroup is like.
#[derive(Debug, PartialEq, Eq)]
struct Connection {
    options: Options,
    /// Whether both replies of the foreign program took effect.
    replied: bool,
}

/// Makes a connection in a cgroup and looks at both ends.
fn connect(host: &Host, cgroup: &Cgroup) -> Connection {
    let mut peer: Peer = host.peer(cgroup);
    let pair = peer.pair();
    let [client, server] = [pair.client, pair.server].map(|end| peer.options(end));
    assert_eq!(client, server, "the two ends of a connection");
    let details = host.netns.command("ss").args(["-tnoiHO", "state", "established"]).output().unwrap();
    let details = String::from_utf8(details.stdout).unwrap();
    let [one, two] = details.lines().collect::<Vec<_>>().try_into().unwrap();
    let replies = [one, two].map(|row: &str| (row.contains(" ecn "), has_small_window(row)));
    assert!(
        replies.iter().all(|reply| *reply == (replies[0].0, replies[0].0)),
        "half of the replies: {details}"
    );
    Connection { options: client, replied: replies[0].0 }
}

fn has_small_window(row: &str) -> bool {
    /// The largest segment over Ethernet's 1500 bytes.
    const SEGMENT: u64 = 1460;
    let window = row.split(' ').find_map(|field| field.strip_prefix("rcv_ssthresh:")).unwrap();
    window.parse::<u64>().unwrap() <= foreign::WINDOW_SEGMENTS * SEGMENT
}
