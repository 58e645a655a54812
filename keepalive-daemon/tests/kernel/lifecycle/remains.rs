//! What the kernel keeps for a cgroup that is gone.

use std::fs;

use nix::sys::signal::Signal;

use super::{entries, host_with_app};
use crate::support::eventually;

pub(super) fn what_the_kernel_keeps_for_a_cgroup_that_is_gone_is_not_freed() {
    let (host, app) = host_with_app("remains");
    let empty = entries(host.bpffs.path());
    let daemon = host.start();
    let mut peer = host.peer(&app);
    peer.pair();
    // A socket keeps what its cgroup has of programs, wherever its process is and whether or not the cgroup is there.
    let refuge = host.cgroup("refuge");
    fs::write(refuge.path().join("cgroup.procs"), peer.process().pid().to_string()).unwrap();
    app.remove().unwrap();
    daemon.wait_line("the cgroup is gone").unwrap();
    daemon.signal(Signal::SIGTERM).unwrap();
    daemon.wait().unwrap();

    let refused = host.run("cleanup", &[]);

    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("cgroups that are gone (1)"), "{said}");
    for map in ["POLICY", "COUNTERS"] {
        assert!(host.bpffs.path().join("keepalive/abi2/maps").join(map).exists(), "{map}");
    }
    drop(peer);
    eventually("it is freed once the kernel has let go of the cgroup", || {
        host.run("cleanup", &[]).status.success().then_some(())
    });
    assert_eq!(entries(host.bpffs.path()), empty);
}
