//! A daemon that does not get the processor, or is late.

use std::{fs, process::Command, thread};

use nix::sys::signal::Signal;
use xtask::lab::Stream;

use super::{ARMED, await_governed, await_no_trouble, fresh, host_with_app};
use crate::support::{document, eventually, objects};

crate::tests!(
    a_thousand_processes_that_come_and_go_hinder_nothing,
    what_a_stopped_daemon_missed_it_makes_up_for
);

fn what_a_stopped_daemon_missed_it_makes_up_for() {
    let (host, app) = host_with_app("stopped");
    let daemon = host.start();
    let links = objects::links(&app);
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let queue: usize = queue.trim().parse().unwrap();

    daemon.signal(Signal::SIGSTOP).unwrap();

    assert_eq!(fresh(&host, &app), [ARMED; 2]);
    // More than the kernel remembers: what is made last it tells nobody of.
    let path = host.root.path().join("app-brief");
    for _ in 0..=queue / 2 {
        fs::create_dir(&path).unwrap();
        fs::remove_dir(&path).unwrap();
    }
    let late = host.cgroup("app-late");
    host.write_policies("q.yaml", &document("q", "other", super::KEEPALIVE));
    let other = host.cgroup("other");
    assert_eq!(fresh(&host, &app), [ARMED; 2]);

    daemon.signal(Signal::SIGCONT).unwrap();

    daemon.wait_line("the kernel dropped inotify events").unwrap();
    await_governed(&host, &daemon, &late);
    await_governed(&host, &daemon, &other);
    assert_eq!(objects::links(&app), links);
    await_no_trouble(&host);
    let said = daemon.text(Stream::Stderr);
    assert!(!said.contains(" ERROR "), "{said}");
}

fn a_thousand_processes_that_come_and_go_hinder_nothing() {
    const EACH: usize = 250;
    let (host, app) = host_with_app("forks");
    let mut peer = host.peer(&app);
    let before = peer.pair();
    let daemon = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    assert!(Command::new("true").status().unwrap().success());
                }
            });
        }
        let daemon = host.start();
        await_governed(&host, &daemon, &host.cgroup("app-late"));
        daemon
    });
    eventually("what was open before is swept", || (peer.options(before.client) == ARMED).then_some(()));
    assert_eq!(fresh(&host, &app), [ARMED; 2]);
    daemon.check().unwrap();
}
