//! What a daemon leaves that is killed half-way, and what happens while nobody runs.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use xtask::lab::Cgroup;

use super::{ARMED, fresh, host_with_app};
use crate::support::{
    Host, document, eventually,
    foreign::{Foreign, Way},
    objects, options,
};

/// The directory of a cgroup's pins.
fn pins(host: &Host, cgroup: &str) -> PathBuf {
    let all = host.bpffs.path().join("keepalive/abi2/cgroups");
    let mut found = fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path());
    let named =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{cgroup}-"));
    found.find(named).unwrap()
}

/// Everything in a directory of pins is as a whole daemon leaves it.
fn assert_whole(host: &Host, app: &Cgroup, state: &str) {
    let mut names: Vec<_> =
        fs::read_dir(pins(host, "app")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    // The note of a sweep comes when that is done.
    names.retain(|name| name != "swept");
    assert_eq!(names, ["cgroup", "link", "policy"], "{state}");
    let layout = host.bpffs.path().join("keepalive/abi2");
    let mut names: Vec<_> = fs::read_dir(&layout).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["cgroups", "maps", "program"], "{state}");
    assert_eq!(fs::read_dir(layout.join("cgroups")).unwrap().count(), 1, "{state}");
    let links = objects::links(app);
    let (program, _) = objects::pinned_program(&layout.join("program"));
    assert_eq!(links.iter().map(|link| link.program).collect::<Vec<_>>(), [program], "{state}");
    assert_eq!(fresh(&mut host.peer(app)), ARMED, "{state}");
}

pub(super) fn half_made_pins_are_completed_at_the_next_start() {
    type Undo = fn(&Host, &Cgroup, &Path);
    // Each makes, of the pins of a whole daemon, those of one that was killed at this point.
    let states: &[(&str, Undo)] = &[
        ("the directory was made", |_, _, pins| {
            fs::remove_file(pins.join("link")).unwrap();
            fs::remove_file(pins.join("cgroup")).unwrap();
            fs::remove_file(pins.join("policy")).unwrap();
        }),
        ("the link was not pinned yet", |_, _, pins| fs::remove_file(pins.join("link")).unwrap()),
        ("a text was being replaced", |_, _, pins| symlink("app", pins.join("next_cgroup")).unwrap()),
        ("the policy's name was being replaced", |_, _, pins| {
            symlink("all", pins.join("next_policy")).unwrap();
        }),
        ("the policy's name was never written", |_, _, pins| fs::remove_file(pins.join("policy")).unwrap()),
        ("the policy was never written", |host, app, _| {
            let policies = host.bpffs.path().join("keepalive/abi2/maps/POLICY");
            let length = objects::storage(&policies, app).len();
            objects::write_storage(&policies, app, &vec![0; length]);
        }),
        ("the next link was pinned beside the link", |_, _, pins| {
            fs::hard_link(pins.join("link"), pins.join("next_link")).unwrap();
        }),
        ("the next program was pinned beside the program", |host, _, _| {
            let layout = host.bpffs.path().join("keepalive/abi2");
            fs::hard_link(layout.join("program"), layout.join("next")).unwrap();
        }),
        ("the program was not pinned yet", |host, _, _| {
            fs::remove_file(host.bpffs.path().join("keepalive/abi2/program")).unwrap();
        }),
        ("the holder is one that is gone", |host, _, _| {
            let holder = host.bpffs.path().join("keepalive/holder");
            let _ = fs::remove_file(&holder);
            symlink("pid 1 on elsewhere", holder).unwrap();
        }),
    ];
    let (host, app) = host_with_app("half-made");
    for (state, undo) in states {
        let daemon = host.start();
        daemon.signal(Signal::SIGKILL).unwrap();
        daemon.wait().unwrap();
        undo(&host, &app, &pins(&host, "app"));

        let next = host.start();

        assert_whole(&host, &app, state);
        drop(next);
    }
}

pub(super) fn killed_while_two_programs_ran_the_deepest_policy_stays_in_force() {
    let (host, app) = host_with_app("two-programs");
    let inner = host.cgroup("app/inner");
    let values = "keepalive: {idle: 300s, interval: 77s, probes: 7}";
    host.write_policies("inner.yaml", &document("inner", "app/inner", values));
    let daemon = host.start();
    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();
    // While a program takes the place of another, a cgroup has two.
    let layout = host.bpffs.path().join("keepalive/abi2");
    let program = Foreign::pinned(&layout.join("program"));
    let second = program.attach(&app, Way::Link).unwrap();
    assert_eq!(objects::links(&app).len(), 2);

    assert_eq!(fresh(&mut host.peer(&inner)), options(true, 300, 77, 7, 0));
    assert_eq!(fresh(&mut host.peer(&app)), ARMED);

    drop(second);
    let _next = host.start();

    assert_eq!(fresh(&mut host.peer(&inner)), options(true, 300, 77, 7, 0));
    assert_eq!(fresh(&mut host.peer(&app)), ARMED);
}

pub(super) fn pins_of_a_cgroup_that_went_while_nobody_ran_are_collected() {
    let (host, app) = host_with_app("went");
    let gone = host.cgroup("gone");
    host.write_policies("gone.yaml", &document("gone", "gone", ""));
    let daemon = host.start();
    let (kept, link) = (objects::links(&app), objects::links(&gone)[0]);
    let directory = pins(&host, "gone");
    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();
    gone.remove().unwrap();

    let next = host.start();

    next.wait_line("removed pins whose cgroup or link is gone").unwrap();
    assert!(!directory.exists());
    eventually("the link ends", || (!objects::exists("link", link.id)).then_some(()));
    assert_eq!(objects::links(&app), kept, "the others stay as they are");
}

pub(super) fn a_stale_control_socket_is_replaced() {
    let (host, _app) = host_with_app("stale");
    // What a killed daemon leaves: a name that nobody listens on.
    drop(UnixListener::bind(host.socket()).unwrap());

    let daemon = host.start();

    assert_eq!(host.status()["daemon"]["pid"], daemon.pid());
}
