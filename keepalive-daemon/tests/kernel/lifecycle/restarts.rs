//! What a killed daemon leaves, and what the next one makes of it.

use nix::sys::signal::Signal;

use super::{ARMED, fresh, host_with_app, logged};
use crate::support::{UNTOUCHED, document, objects, options};

pub(super) fn a_killed_daemon_leaves_the_policies_in_force_and_the_next_adopts_them() {
    let (host, app) = host_with_app("adopt");
    let program = host.bpffs.path().join("keepalive/abi2/program");
    let daemon = host.start();
    let (links, pinned) = (objects::links(&app), objects::pinned_program(&program));
    assert_eq!(links.len(), 1);
    let mut peer = host.peer(&app);

    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();

    assert_eq!(fresh(&mut peer), ARMED, "with nobody running");
    assert_eq!(objects::links(&app), links);

    let next = host.start();

    assert_eq!(objects::links(&app), links, "the same link on the same program");
    assert_eq!(objects::pinned_program(&program), pinned);
    // The policy map is what tells the programs of this host from those of others.
    assert_eq!(objects::programs_of(pinned.1[0]), [pinned.0], "no second copy of the program is kept");
    assert_eq!(logged(&next, "adopted what an earlier run left attached").len(), 1);
    assert_eq!(logged(&next, " attached cgroup=").len() + logged(&next, "replaced the program").len(), 0);
    assert_eq!(fresh(&mut peer), ARMED);
}

pub(super) fn policies_that_changed_while_nobody_ran_are_put_in_force() {
    let (host, app) = host_with_app("changed-meanwhile");
    let [leaving, coming] = ["leaving", "coming"].map(|name| host.cgroup(name));
    host.write_policies("leaving.yaml", &document("leaving", "leaving", ""));
    let daemon = host.start();
    let link = objects::links(&app);
    assert_eq!(objects::links(&leaving).len(), 1);
    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();
    host.write_policies(
        "p.yaml",
        &document("other", "app", "keepalive: {idle: 99s, interval: 9s, probes: 3}"),
    );
    host.write_policies("leaving.yaml", &document("coming", "coming", ""));

    let _next = host.start();

    assert_eq!(objects::links(&app), link, "a link stays when only its policy changes");
    assert_eq!(fresh(&mut host.peer(&app)), options(true, 99, 9, 3, 0));
    assert_eq!(objects::links(&leaving), []);
    assert_eq!(fresh(&mut host.peer(&leaving)), UNTOUCHED);
    assert_eq!(objects::links(&coming).len(), 1);
    assert_eq!(fresh(&mut host.peer(&coming)), options(true, 60, 15, 4, 0));
    assert_eq!(host.status()["cgroups"][0]["policy"], "other");
}
