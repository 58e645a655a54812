//! What a daemon does about open connections that an earlier one began, or finished, with.

use nix::sys::signal::Signal;

use super::{app, armed, both, govern, open_connections, start_with, swept, values};
use crate::support::{UNTOUCHED, document, eventually, options};

pub(super) fn a_restart_does_not_sweep_again() {
    let (host, app) = app("again");
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    govern(&host, 60, "");
    let daemon = host.start();
    swept(&host, "app", 60);
    let looser = options(true, 500, 15, 4, 0);
    peer.set(pair.client, looser);
    daemon.signal(Signal::SIGTERM).unwrap();
    daemon.wait().unwrap();

    let _next = host.start();

    let open = open_connections(&host, "app");
    assert_eq!((&open["state"], open.get("examined")), (&"swept".into(), None), "by the one before");
    // A sweep of another cgroup is one that would have come after it.
    let _other = host.cgroup("other");
    host.write_policies("other.yaml", &document("other", "other", ""));
    swept(&host, "other", 60);
    assert_eq!(both(&mut peer, pair), [looser, armed(60)]);
}

pub(super) fn a_killed_daemon_resumes() {
    const PAIRS: usize = 40;

    let (host, app) = app("killed");
    let mut peer = host.peer(&app);
    peer.pairs(PAIRS);
    govern(&host, 60, "");
    let count =
        |all: Vec<_>| all.iter().filter(|(it, _)| *it == armed(60)).map(|(_, count)| *count).sum::<usize>();
    // One a second: there are some that it does not come to.
    let daemon = start_with(&host, &[("KEEPALIVE_SWEEP_RATE", "1")]);
    let begun =
        eventually("the sweep has begun", || Some(count(peer.all_options())).filter(|count| *count > 0));
    eventually("it is told of", || (open_connections(&host, "app")["state"] == "running").then_some(()));
    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();
    assert!(begun < 2 * PAIRS, "all {begun} are armed already");

    let _next = host.start();

    swept(&host, "app", 60);
    assert_eq!(peer.all_options(), [(armed(60), 2 * PAIRS)]);
}

pub(super) fn a_policy_that_is_taken_back_before_its_sweep_is_over_leaves_nothing() {
    const PAIRS: usize = 20;

    for is_killed in [false, true] {
        let (host, app) = app("taken-back");
        let mut peer = host.peer(&app);
        peer.pairs(PAIRS);
        govern(&host, 60, "");
        let first = host.start();
        swept(&host, "app", 60);
        drop(first);
        let daemon = start_with(&host, &[("KEEPALIVE_SWEEP_RATE", "1")]);
        govern(&host, 90, "");
        eventually("some have the values of the next policy", || {
            peer.all_options().iter().any(|(options, _)| *options == armed(90)).then_some(())
        });

        let _next = if is_killed {
            drop(daemon);
            govern(&host, 60, "");
            host.start()
        } else {
            govern(&host, 60, "");
            daemon
        };

        eventually(&format!("all have the values of the first again, killed: {is_killed}"), || {
            (peer.all_options() == [(armed(60), 2 * PAIRS)]).then_some(())
        });
    }
}

pub(super) fn what_an_inner_policy_left_is_swept_for_the_outer_one_also_after_a_restart() {
    for is_killed in [true, false] {
        let (host, app) = app("left");
        let inner = host.cgroup("app/inner");
        let mut peer = host.peer(&inner);
        let pair = peer.pair();
        govern(&host, 60, "");
        host.write_policies("inner.yaml", &document("inner", "app/inner", &values(90, "mode: Monitor")));
        // So late that it is another daemon that sweeps.
        let daemon = start_with(&host, &[("KEEPALIVE_SWEEP_DELAY", "1h")]);
        swept(&host, "app", 60);
        swept(&host, "app/inner", 90);
        assert_eq!(both(&mut peer, pair), [UNTOUCHED; 2]);

        std::fs::remove_file(host.policies().join("inner.yaml")).unwrap();
        daemon.wait_line("detached").unwrap();
        daemon.signal(if is_killed { Signal::SIGKILL } else { Signal::SIGTERM }).unwrap();
        daemon.wait().unwrap();
        assert_eq!(both(&mut peer, pair), [UNTOUCHED; 2], "swept too soon for this to be a test");
        let _next = host.start();

        eventually(
            &format!("what the inner policy left has the outer one's values, killed: {is_killed}"),
            || (both(&mut peer, pair) == [armed(60); 2]).then_some(()),
        );
        swept(&host, "app", 60);
        drop(app);
    }
}

pub(super) fn what_the_outer_policy_gave_is_known_of_the_inner_one_also_after_a_restart() {
    for is_killed in [true, false] {
        let (host, app) = app("given");
        let inner = host.cgroup("app/inner");
        let mut peer = host.peer(&inner);
        let pair = peer.pair();
        govern(&host, 60, "");
        // So late that it is another daemon that sweeps.
        let daemon = start_with(&host, &[("KEEPALIVE_SWEEP_DELAY", "1h")]);
        swept(&host, "app", 60);
        assert_eq!(both(&mut peer, pair), [armed(60); 2]);

        host.write_policies("inner.yaml", &document("inner", "app/inner", &values(90, "")));
        daemon.wait_line("attached cgroup=\"app/inner\"").unwrap();
        daemon.signal(if is_killed { Signal::SIGKILL } else { Signal::SIGTERM }).unwrap();
        daemon.wait().unwrap();
        assert_eq!(both(&mut peer, pair), [armed(60); 2], "swept too soon for this to be a test");
        let _next = host.start();

        // Taken for the application's own, the tighter values would stay.
        eventually(&format!("the inner policy's values are there, killed: {is_killed}"), || {
            (both(&mut peer, pair) == [armed(90); 2]).then_some(())
        });
        swept(&host, "app/inner", 90);
        drop(app);
    }
}

pub(super) fn what_an_inner_policy_gave_itself_is_known_also_after_a_restart() {
    let (host, app) = app("own");
    let inner = host.cgroup("app/inner");
    govern(&host, 60, "");
    let write = |idle, more| {
        host.write_policies("inner.yaml", &document("inner", "app/inner", &values(idle, more)));
    };
    write(90, "applyToExisting: false");
    let daemon = start_with(&host, &[("KEEPALIVE_SWEEP_DELAY", "1h")]);
    let mut peer = host.peer(&inner);
    let pair = peer.pair();
    assert_eq!(both(&mut peer, pair), [armed(90); 2]);

    write(120, "");
    daemon.wait_line("changed the policy").unwrap();
    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();
    assert_eq!(both(&mut peer, pair), [armed(90); 2], "swept too soon for this to be a test");
    let _next = host.start();

    eventually("the inner policy's next values are there", || {
        (both(&mut peer, pair) == [armed(120); 2]).then_some(())
    });
    drop(app);
}
