//! The guard comes, stays and goes with the policy.

use nix::sys::signal::Signal;
use xtask::lab::Cgroup;

use super::{HELD, LOOSER, VALUES, host_of, off, set_both, wait_line};
use crate::support::{Host, document, objects, options};

fn guard_links(app: &Cgroup) -> Vec<objects::Link> {
    objects::links_at(app, "cgroup_setsockopt")
}

pub(super) fn a_killed_daemon_leaves_the_guard_and_the_next_adopts_it() {
    let (host, app) = host_of("adopt-guard", "Enforce");
    let program = host.bpffs.path().join("keepalive/abi2/guard_program");
    let daemon = host.start();
    let (links, pinned) = (objects::links(&app), objects::pinned_program(&program));
    assert_eq!((links.len(), guard_links(&app).len()), (2, 1));
    let mut peer = host.peer(&app);
    let pair = peer.pair();

    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();

    assert_eq!(set_both(&mut peer, pair, LOOSER), [HELD; 2], "with nobody running");
    let next = host.start();
    assert_eq!(objects::links(&app), links, "the same links");
    assert_eq!(objects::pinned_program(&program), pinned, "the same program");
    let told = next.wait_for("the lines so far", |lines, _| Some(lines.to_vec())).unwrap();
    assert!(!told.iter().any(|line| line.text.contains("guards what applications")));
    assert_eq!(set_both(&mut peer, pair, LOOSER), [HELD; 2], "afterwards");
}

pub(super) fn another_mode_ends_the_guard() {
    let (host, app) = host_of("leaves", "Enforce");
    let daemon = host.start();
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    assert_eq!(set_both(&mut peer, pair, LOOSER), [HELD; 2]);
    let mark = daemon.mark();

    host.write_policies("p.yaml", &document("app", "app", &format!("{VALUES}, mode: Tighten")));
    wait_line(&daemon, mark, "no longer guards what applications set later");

    assert_eq!(guard_links(&app), []);
    assert_eq!(objects::links(&app).len(), 1);
    host.await_swept();
    assert_eq!(set_both(&mut peer, pair, LOOSER), [LOOSER; 2]);

    let mark = daemon.mark();
    host.write_policies("p.yaml", &document("app", "app", &format!("{VALUES}, mode: Enforce")));
    wait_line(&daemon, mark, " guards what applications set later");

    assert_eq!(guard_links(&app).len(), 1);
    let pair = peer.pair();
    assert_eq!(set_both(&mut peer, pair, LOOSER), [HELD; 2]);
}

pub(super) fn a_cgroup_that_loses_its_policy_lets_calls_pass() {
    let (host, app) = host_of("loses", "Enforce");
    let daemon = host.start();
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    let mark = daemon.mark();

    host.write_policies("p.yaml", &document("app", "elsewhere", ""));
    wait_line(&daemon, mark, " detached cgroup=");

    assert_eq!(objects::links(&app), []);
    assert_eq!(off(&mut peer, pair), [options(false, 60, 15, 4, 90_000); 2]);
    assert_eq!(set_both(&mut peer, pair, LOOSER), [LOOSER; 2]);
}

pub(super) fn other_values_are_held_from_then_on() {
    let (host, app) = host_of("other-values", "Enforce");
    let daemon = host.start();
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    let mark = daemon.mark();

    let other = "keepalive: {idle: 30s, interval: 9s, probes: 3}, mode: Enforce";
    host.write_policies("p.yaml", &document("app", "app", other));
    wait_line(&daemon, mark, "changed the policy");

    // What the policy says nothing of any more is the application's.
    assert_eq!(set_both(&mut peer, pair, LOOSER), [options(true, 30, 9, 3, 200_000); 2]);
}

pub(super) fn a_guard_removed_by_hand_is_put_back() {
    let (host, app) = host_of("by-hand", "Enforce");
    let daemon = host.start_swept();
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    let by_hand = guard_links(&app)[0];
    let hang_up = || {
        let mark = daemon.mark();
        daemon.signal(Signal::SIGHUP).unwrap();
        wait_line(&daemon, mark, " guards what applications set later");
    };

    objects::detach_link(by_hand.id);
    assert_eq!(set_both(&mut peer, pair, LOOSER), [LOOSER; 2], "nothing guards");
    hang_up();
    assert_eq!(set_both(&mut peer, pair, LOOSER), [HELD; 2]);
    assert_eq!(guard_links(&app).len(), 1);

    std::fs::remove_file(&guard_pins(&host)[0]).unwrap();
    hang_up();
    assert_eq!(set_both(&mut peer, pair, LOOSER), [HELD; 2]);
    assert_eq!(guard_pins(&host).len(), 1);
}

/// The pins of the guards of all cgroups.
fn guard_pins(host: &Host) -> Vec<std::path::PathBuf> {
    let cgroups = std::fs::read_dir(host.bpffs.path().join("keepalive/abi2/cgroups")).unwrap();
    cgroups.map(|entry| entry.unwrap().path().join("guard")).filter(|pin| pin.exists()).collect()
}
