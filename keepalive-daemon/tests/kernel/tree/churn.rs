//! Many cgroups, and cgroups that live shortly.

use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use nix::sys::signal::Signal;
use xtask::lab::{Process, Stream};

use super::{ARMED, Holdings, KEEPALIVE, fresh, start, wait_lines};
use crate::support::{Host, document, eventually, objects, scaled, stop};

pub(super) fn a_cgroup_made_anew_two_hundred_times_is_armed() {
    let times = scaled(200);
    let host = churned("anew");
    host.write_policies("p.yaml", &document("all", "*", KEEPALIVE));
    let daemon = start(&host, "first");
    let before = Holdings::of(&host, &daemon);
    let path = host.root.path().join("app");
    for _ in 1..times {
        fs::create_dir(&path).unwrap();
        fs::remove_dir(&path).unwrap();
    }

    let cgroup = host.cgroup("app");

    // The log names the path only, which the others had too.
    eventually("the last cgroup of the name is attached", || {
        (objects::links(&cgroup).len() == 1).then_some(())
    });
    eventually("the policy is in force", || (fresh(&host, &cgroup) == [ARMED; 2]).then_some(()));
    let Holdings { descriptors, watches, .. } = before;
    let one_more =
        Holdings { descriptors, watches: watches + 1, linked: BTreeSet::from([cgroup.id()]), pins: 1 };
    one_more.await_again(&host, &daemon);
    cgroup.remove().unwrap();
    before.await_again(&host, &daemon);
    assert!(!daemon.text(Stream::Stderr).contains(" ERROR "), "{}", daemon.text(Stream::Stderr));
    finish(&host, &daemon);
}

pub(super) fn a_thousand_cgroups_come_and_go_without_a_trace() {
    let count = scaled(1000);
    let host = churned("thousand");
    host.write_policies("p.yaml", &document("all", "*/*", KEEPALIVE));
    let parent = host.cgroup("pods");
    let daemon = start(&host, "pods/first");
    let before = Holdings::of(&host, &daemon);
    for round in 0..2 {
        let mark = daemon.mark();

        let cgroups: Vec<_> =
            (0..count).map(|index| parent.child(&format!("pod-{index}")).unwrap()).collect();
        wait_lines(&daemon, mark, "attached", count);

        let held = Holdings::of(&host, &daemon);
        assert_eq!(held.linked, cgroups.iter().map(xtask::lab::Cgroup::id).collect(), "round {round}");
        assert_eq!((held.pins, held.watches), (count, before.watches + count), "round {round}");
        // A sweep, which goes on meanwhile, holds some of its own.
        eventually("the daemon holds no more descriptors than before", || {
            (Holdings::of(&host, &daemon).descriptors == before.descriptors).then_some(())
        });
        for cgroup in [&cgroups[0], &cgroups[count / 2], &cgroups[count - 1]] {
            assert_eq!(fresh(&host, cgroup), [ARMED; 2], "round {round}");
        }
        drop(cgroups);
        wait_lines(&daemon, mark, "detached", count);
        before.await_again(&host, &daemon);
    }
    assert!(!daemon.text(Stream::Stderr).contains(" ERROR "), "{}", daemon.text(Stream::Stderr));
    finish(&host, &daemon);
}

pub(super) fn cgroups_that_vanish_while_they_are_attached_leave_nothing() {
    const STORMS: usize = 4;
    let host = churned("storm");
    host.write_policies("p.yaml", &document("all", "**", KEEPALIVE));
    let daemon = start(&host, "first");
    let before = Holdings::of(&host, &daemon);
    let root = host.root.path();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for storm in 0..STORMS {
            let (over, path) = (&over, root.join(format!("storm-{storm}")));
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    fs::create_dir_all(path.join("a/b")).unwrap();
                    for directory in ["a/b", "a", ""] {
                        fs::remove_dir(path.join(directory)).unwrap();
                    }
                }
            });
        }
        let steady = host.cgroup("steady");
        // A failure must end the storm too, so that the test comes to an end.
        let caught = daemon.wait_for("storm of attached cgroups, and the steady one", |lines, _| {
            let attached = |name| lines.iter().filter(move |line| line.text.contains(name));
            let some = attached("attached cgroup=\"storm-").count() >= 50;
            (some && attached("attached cgroup=\"steady\"").count() > 0).then_some(())
        });
        let meanwhile = fresh(&host, &steady);
        over.store(true, Ordering::Relaxed);
        caught.unwrap();
        assert_eq!(meanwhile, [ARMED; 2], "in the middle of the storm");
    });

    // Events come in order: once this one is attached, all before it were followed.
    let last = host.cgroup("last");
    daemon.wait_line("attached cgroup=\"last\"").unwrap();

    assert_eq!(fresh(&host, &last), [ARMED; 2]);
    last.remove().unwrap();
    before.await_again(&host, &daemon);
    let log = daemon.text(Stream::Stderr);
    let complaints = log.lines().filter(|line| line.contains(" ERROR ") || line.contains(" WARN "));
    // What the kernel could not queue is read from the tree itself, and said.
    // Where the tests run in a container, there are processes outside that it may not look at.
    let expected = [
        "no cgroup matches",
        "the kernel dropped inotify events",
        "cannot sweep the open connections of a network namespace",
    ];
    let complaints: Vec<&str> =
        complaints.filter(|line| !expected.iter().any(|expected| line.contains(expected))).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    finish(&host, &daemon);
}

/// A host whose cgroups are removed while they are attached to: the kernel may keep something for one of them that it would
/// not survive freeing. Its bpffs stays, unless [`finish`] says otherwise.
fn churned(label: &str) -> Host {
    let host = Host::new(label);
    host.bpffs.keep().unwrap();
    host
}

/// Ends the daemon, and has `cleanup` say that all can be freed. It leaves the maps that cannot.
fn finish(host: &Host, daemon: &Process) {
    stop(daemon, Signal::SIGTERM);
    // What is still in use, and not kept for good, is let go of by the second.
    let [first, second] = [(), ()].map(|()| host.run("cleanup", &[]));
    if first.status.success() || second.status.success() {
        host.bpffs.release().unwrap();
        return;
    }
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("cgroups that are gone"), "{said}");
}
