#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::{collections::BTreeMap, net::SocketAddr};

use keepalive_ebpf::{Mode, Policy, Sweep, Timers};

use super::*;
use crate::kernel::sweep::diag::{TCP_CLOSE_WAIT, TCP_ESTABLISHED};

const TARGET: u64 = 42;

fn targets() -> Targets {
    let policy = Policy::new(Mode::Tighten, Direction::Both, Timers::NONE);
    let target = Target { sweep: Sweep::Apply, has_previous: 0, policy, previous: Policy::NOTHING };
    let targets = Targets::default();
    assert!(targets.begin(&BTreeMap::from([(TARGET, target)])).unwrap());
    targets
}

fn listed(cookie: u64, state: u8, port: u16, cgroup: Option<u64>) -> Listed {
    let local = SocketAddr::from(([127, 0, 0, 1], port));
    let remote = SocketAddr::from(([127, 0, 0, 1], 1));
    Listed { cookie, inode: 1, state, local, remote, cgroup, timer: None, times: None }
}

#[test]
fn what_has_the_port_of_a_listener_was_accepted() {
    let sockets = [
        listed(1, TCP_ESTABLISHED, 80, Some(TARGET)),
        listed(2, TCP_CLOSE_WAIT, 40_000, Some(TARGET)),
        listed(3, TCP_LISTEN, 80, Some(7)),
    ];
    let targets = targets();

    let open = of_targets(&sockets, &targets);

    let open: Vec<_> = open.iter().map(|it| (it.listed.cookie, it.direction)).collect();
    assert_eq!(open, [(1, Direction::Inbound), (2, Direction::Outbound)]);
}

#[test]
fn each_connection_of_a_target_counts_once_and_those_of_others_do_not() {
    let sockets = [
        listed(1, TCP_ESTABLISHED, 80, Some(TARGET)),
        listed(1, TCP_ESTABLISHED, 80, Some(TARGET)),
        listed(2, TCP_ESTABLISHED, 80, Some(7)),
        listed(3, TCP_ESTABLISHED, 80, None),
        listed(4, TCP_LISTEN, 80, Some(TARGET)),
    ];
    let targets = targets();

    let open = of_targets(&sockets, &targets);

    assert_eq!(open.iter().map(|it| it.listed.cookie).collect::<Vec<_>>(), [1]);
}
