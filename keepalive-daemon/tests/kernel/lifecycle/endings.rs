//! How the daemon ends when it is told to.

use nix::sys::signal::Signal;

use super::{ARMED, entries, fresh, host_with_app};
use crate::support::{UNTOUCHED, eventually, objects};

pub(super) fn a_signal_ends_it_and_leaves_the_policies_in_force() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (host, app) = host_with_app("signal");
        let daemon = host.start();
        let links = objects::links(&app);

        daemon.signal(signal).unwrap();

        assert_eq!(daemon.wait_output().unwrap().code(), Some(0), "{signal}");
        daemon.wait_line("leaving the policies in force").unwrap();
        assert_eq!(objects::links(&app), links, "{signal}");
        assert_eq!(links.len(), 1, "{signal}");
        assert_eq!(fresh(&mut host.peer(&app)), ARMED, "{signal}");
        assert!(!host.socket().exists(), "{signal}: the control socket is removed");
    }
}

pub(super) fn detaching_on_exit_leaves_nothing_in_the_kernel() {
    let (host, app) = host_with_app("detach");
    let fresh_bpffs = entries(host.bpffs.path());
    let mut command = host.command("run");
    command.arg("--detach-on-exit");
    let daemon = host.start_with(command);
    daemon.wait_line("ready: all policies").unwrap();
    let link = objects::links(&app)[0];
    let (program, maps) = objects::pinned_program(&host.bpffs.path().join("keepalive/abi2/program"));
    let names: Vec<String> = maps.iter().map(|map| objects::map_name(*map)).collect();
    assert!(["POLICY", "COUNTERS", "CLAIMS"].iter().all(|name| names.iter().any(|n| n == name)), "{names:?}");
    let mut peer = host.peer(&app);
    let armed = peer.pair();
    assert_eq!(peer.options(armed.client), ARMED);

    daemon.signal(Signal::SIGTERM).unwrap();

    assert_eq!(daemon.wait_output().unwrap().code(), Some(0));
    assert_eq!(objects::attached(&app), [] as [u64; 0]);
    eventually("the link ends", || (!objects::exists("link", link.id)).then_some(()));
    assert_eq!(entries(host.bpffs.path()), fresh_bpffs, "the bpffs is as it was mounted");
    assert_eq!(fresh(&mut peer), UNTOUCHED);
    assert_eq!(peer.options(armed.client), ARMED, "what was armed stays so");
    // The kernel frees a program, and with it its maps, after a grace period that nothing tells the end of.
    eventually("the program and its maps are freed", || {
        let left = objects::exists("prog", program) || maps.iter().any(|map| objects::exists("map", *map));
        (!left).then_some(())
    });
}
