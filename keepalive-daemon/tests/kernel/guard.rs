//! The guard at the level of single calls: what passes, what is rewritten, and that nothing answers otherwise than
//! without it. It covers the ground of the kernel's selftests `sockopt`, `sockopt_multi` and `sockopt_inherit`.

mod foreign;
mod table;

use xtask::lab::{Cgroup, Process};

use self::{
    foreign::{
        a_guard_that_cannot_be_attached_is_reported_and_the_rest_holds,
        programs_above_have_the_last_word_and_programs_below_the_first,
    },
    table::{
        a_32_bit_call_passes, each_call_answers_as_without_a_guard,
        what_is_accepted_is_guarded_and_its_listener_is_not,
    },
};
use crate::support::{Host, Pair, Peer, document};

crate::tests!(
    a_32_bit_call_passes,
    a_guard_that_cannot_be_attached_is_reported_and_the_rest_holds,
    each_call_answers_as_without_a_guard,
    programs_above_have_the_last_word_and_programs_below_the_first,
    what_is_accepted_is_guarded_and_its_listener_is_not,
);

const KEEPALIVE: (i32, i32) = (libc::SOL_SOCKET, libc::SO_KEEPALIVE);
const IDLE: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE);
const INTERVAL: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL);
const PROBES: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_KEEPCNT);
const USER_TIMEOUT: (i32, i32) = (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT);

const ENFORCED: &str = "keepalive: {idle: 60s, interval: 15s, probes: 4}, userTimeout: 90s, mode: Enforce";

/// A host with three cgroups in a row, of which a policy that enforces selects the middle one.
struct Site {
    host: Host,
    above: Cgroup,
    governed: Cgroup,
    below: Cgroup,
}

impl Site {
    fn new(label: &str) -> Self {
        let host = Host::new(label);
        host.write_policies("p.yaml", &document("team", "team/app", ENFORCED));
        let [above, governed, below] = ["team", "team/app", "team/app/worker"].map(|path| host.cgroup(path));
        Self { host, above, governed, below }
    }

    /// Starts the daemon, and waits for its sweep: a connection made meanwhile may be put back to the policy's values
    /// after a call that made one tighter.
    fn start(&self) -> Process {
        self.host.start_swept()
    }

    /// A process in a cgroup, and a connection of it with itself.
    fn connected(&self, cgroup: &Cgroup) -> (Peer, Pair) {
        let mut peer = self.host.peer(cgroup);
        let pair = peer.pair();
        (peer, pair)
    }
}
