//! What somebody changed behind the daemon's back.

use nix::sys::signal::Signal;
use xtask::lab::Process;

use super::{ARMED, KEEPALIVE, fresh, host_with_app};
use crate::support::{Host, UNTOUCHED, document, objects};

pub(super) fn a_link_detached_by_hand_is_attached_again_at_sighup() {
    let (host, app) = host_with_app("detached");
    let daemon = host.start();
    let mut peer = host.peer(&app);
    let by_hand = objects::links(&app)[0];
    objects::detach_link(by_hand.id);
    assert_eq!(fresh(&mut peer), UNTOUCHED, "nothing is attached");
    let mark = daemon.mark();

    hang_up(&host, &daemon);

    let links = objects::links(&app);
    daemon.wait_line_from(mark, " attached cgroup=").unwrap();
    assert_eq!((links.len(), links[0].program), (1, by_hand.program));
    assert_ne!(links[0].id, by_hand.id);
    assert_eq!(fresh(&mut peer), ARMED);
}

pub(super) fn storage_written_by_hand_is_repaired_at_sighup() {
    let (host, app) = host_with_app("clobbered");
    let policies = host.bpffs.path().join("keepalive/abi2/maps/POLICY");
    let daemon = host.start();
    let mut peer = host.peer(&app);
    let good = objects::storage(&policies, &app);
    let mut other_idle = good.clone();
    other_idle[8..12].copy_from_slice(&17_u32.to_ne_bytes());
    for (what, bytes) in [
        ("zeroes, as before a policy is written", vec![0; good.len()]),
        ("another policy", other_idle),
        (
            "what is no policy, but for the mode",
            [&3_u32.to_ne_bytes()[..], &vec![0xff; good.len() - 4]].concat(),
        ),
    ] {
        objects::write_storage(&policies, &app, &bytes);

        hang_up(&host, &daemon);

        assert_eq!(objects::storage(&policies, &app), good, "{what}");
        assert_eq!(fresh(&mut peer), ARMED, "{what}");
    }
}

pub(super) fn what_was_changed_by_hand_is_put_right_within_the_minute() {
    const CHANGED: &str = " attached cgroup=";
    let (host, app) = host_with_app("minute");
    let policies = host.bpffs.path().join("keepalive/abi2/maps/POLICY");
    let other = host.cgroup("app-other");
    host.write_policies("p.yaml", &document("all", "{app,app-other}", KEEPALIVE));
    let daemon = host.start();
    let good = objects::storage(&policies, &other);
    let mark = daemon.mark();
    objects::write_storage(&policies, &other, &vec![0; good.len()]);
    objects::detach_link(objects::links(&app)[0].id);

    // The daemon's minute is as long as anything is waited for elsewhere.
    let told = daemon.wait_line_from(mark, CHANGED).or_else(|_| daemon.wait_line_from(mark, CHANGED));

    assert!(told.unwrap().contains(" INFO "));
    host.status();
    assert_eq!(objects::storage(&policies, &other), good);
    for cgroup in [&app, &other] {
        assert_eq!(fresh(&mut host.peer(cgroup)), ARMED);
    }
}

/// Sends SIGHUP, and returns once all that comes of it is done: what the daemon does on its own once a minute must
/// not be taken for it.
fn hang_up(host: &Host, daemon: &Process) {
    let mark = daemon.mark();
    daemon.signal(Signal::SIGHUP).unwrap();
    daemon.wait_line_from(mark, "read the policies").unwrap();
    // Answered in turn, so after the signal is dealt with.
    host.status();
}
