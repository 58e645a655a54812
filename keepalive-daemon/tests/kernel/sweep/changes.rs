//! What becomes of open connections when their policy changes.

use nix::sys::signal::Signal;

use super::{app, armed, both, govern, open_connections, swept};
use crate::{
    peer::Call,
    support::{UNTOUCHED, eventually, options},
};

pub(super) fn a_changed_policy_takes_its_own_values_back_and_no_others() {
    let (host, app) = app("changed");
    let mut peer = host.peer(&app);
    let [pair, chosen] = [peer.pair(), peer.pair()];
    let tight = options(true, 10, 5, 2, 0);
    peer.set(chosen.client, tight);
    govern(&host, 60, "userTimeout: 90s");
    let _daemon = host.start();
    swept(&host, "app", 60);
    assert_eq!(both(&mut peer, pair), [options(true, 60, 15, 4, 90_000); 2]);

    // Of connections established under a policy it is the same as of those swept for it.
    let new = peer.pair();
    for idle in [300, 20] {
        govern(&host, idle, "");
        swept(&host, "app", idle);

        assert_eq!(both(&mut peer, pair), [armed(idle); 2]);
        assert_eq!(both(&mut peer, new), [armed(idle); 2]);
        assert_eq!(peer.options(chosen.client), tight);
    }
}

pub(super) fn fill_missing_leaves_what_the_application_chose() {
    let (host, app) = app("fill");
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    let chosen = options(true, 7200, 75, 9, 0);
    peer.set(pair.server, chosen);
    govern(&host, 60, "mode: FillMissing");

    let _daemon = host.start();

    let open = swept(&host, "app", 60);
    assert_eq!(both(&mut peer, pair), [armed(60), chosen]);
    assert_eq!((&open["armed"], &open["keptChosen"]), (&1.into(), &1.into()));
}

pub(super) fn monitor_counts_and_changes_nothing() {
    let (host, app) = app("monitor");
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    let loose = options(true, 7200, 75, 9, 0);
    peer.set(pair.server, loose);
    govern(&host, 60, "mode: Monitor");

    let _daemon = host.start();

    let open = swept(&host, "app", 60);
    assert_eq!((&open["wouldArm"], &open["wouldTighten"], &open["armed"]), (&1.into(), &1.into(), &0.into()));
    assert_eq!(both(&mut peer, pair), [UNTOUCHED, loose]);
}

pub(super) fn a_policy_that_is_not_for_open_connections_leaves_them_alone() {
    let (host, app) = app("not-existing");
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    govern(&host, 60, "applyToExisting: false");

    let _daemon = host.start();

    assert_eq!(open_connections(&host, "app")["state"], "off");
    assert_eq!(both(&mut peer, pair), [UNTOUCHED; 2]);
    let new = peer.pair();
    assert_eq!(both(&mut peer, new), [armed(60); 2]);

    govern(&host, 90, "");
    swept(&host, "app", 90);
    assert_eq!(both(&mut peer, pair), [armed(90); 2]);
    assert_eq!(both(&mut peer, new), [armed(90); 2], "what they had was the policy's before");
}

pub(super) fn a_cgroup_that_is_no_longer_governed_keeps_its_values_and_says_so() {
    let (host, app) = app("left");
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    govern(&host, 60, "");
    let _daemon = host.start();
    swept(&host, "app", 60);
    peer.set(pair.server, options(true, 30, 15, 4, 0));

    std::fs::remove_file(host.policies().join("p.yaml")).unwrap();

    let left = eventually("what keeps its values is counted", || {
        let left = host.status()["noLongerGoverned"].as_array()?.first()?.clone();
        Some(left)
    });
    assert_eq!((&left["cgroup"], &left["policy"]), (&"app".into(), &"p".into()));
    assert_eq!((&left["connections"], &left["values"]["idleSeconds"]), (&1.into(), &60.into()));
    assert_eq!(both(&mut peer, pair), [armed(60), options(true, 30, 15, 4, 0)]);

    govern(&host, 90, "");
    swept(&host, "app", 90);
    assert_eq!(host.status()["noLongerGoverned"].as_array().map(Vec::len), Some(0), "it is governed again");
}

pub(super) fn what_passed_the_guard_is_put_right() {
    let (host, app) = app("recheck");
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    govern(&host, 60, "mode: Enforce");
    let daemon = host.start();
    swept(&host, "app", 60);
    let idle = Call::new((libc::SOL_TCP, libc::TCP_KEEPIDLE), 7200);
    peer.call(pair.client, Call { narrow: true, ..idle }).unwrap();
    assert_eq!(peer.options(pair.client), armed(7200), "system calls of 32 bits pass the guard");
    let mark = daemon.mark();

    daemon.signal(Signal::SIGHUP).unwrap();

    let line = daemon.wait_line_from(mark, "swept open connections").unwrap();
    assert!(line.contains("tightened=1") && line.contains("the policy enforces its values"), "{line}");
    assert_eq!(both(&mut peer, pair), [armed(60); 2]);
}
