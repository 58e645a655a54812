//! A cable from the host's namespace to another one.

use xtask::lab::{End, Netns, Process, TEST_PREFIX, veth};

use super::{Host, Peer};

/// The end of the cable in the host's namespace.
pub(crate) const NEAR: &str = "near0";

/// A namespace at the other end of a cable, with a peer in it that no policy covers.
pub(crate) fn far_end(host: &Host, near: &str, far: &str) -> (Netns, Peer) {
    let netns = Netns::create(TEST_PREFIX, "far").unwrap();
    veth(
        End { netns: &host.netns, interface: NEAR, address: near },
        End { netns: &netns, interface: "far0", address: far },
    )
    .unwrap();
    let mut command = netns.command(std::env::current_exe().unwrap());
    command.arg(crate::PEER);
    let peer = Peer::new(Process::spawn("the peer at the far end", command).unwrap());
    (netns, peer)
}
