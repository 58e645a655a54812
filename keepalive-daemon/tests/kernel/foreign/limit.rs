//! The kernel runs 64 programs on a cgroup.

use nix::sys::signal::Signal;
use xtask::lab::bpf::MOST_PROGRAMS;

use super::{ARMED, Connection, Site, connect};
use crate::support::{
    UNTOUCHED, eventually,
    foreign::{Attachment, Foreign, Way},
    objects,
};

pub(super) fn a_full_cgroup_is_reported_and_governed_once_there_is_room() {
    let Site { host, above: _, governed, below: _ } = &Site::new("full");
    let foreign = Foreign::load(1);
    let mut theirs: Vec<Attachment<'_>> =
        (0..MOST_PROGRAMS).map(|_| foreign.attach(governed, Way::Link).unwrap()).collect();

    let daemon = host.start_with(host.command("run"));

    let line = daemon.wait_line("cannot govern the cgroup").unwrap();
    assert!(line.contains("64 sock_ops programs already"), "{line}");
    assert_eq!(objects::attached(governed), [u64::from(foreign.id()); MOST_PROGRAMS]);
    assert_eq!(connect(host, governed), Connection { options: UNTOUCHED, replied: true });

    theirs.pop();
    // The kernel leaves what is attached by a link to a worker.
    let is_room = || (objects::attached(governed).len() < MOST_PROGRAMS).then_some(());
    eventually("one of theirs is gone", is_room);
    daemon.signal(Signal::SIGHUP).unwrap();

    daemon.wait_line("ready: all policies").unwrap();
    assert_eq!(connect(host, governed), Connection { options: ARMED, replied: true });
    assert_eq!(objects::attached(governed).len(), MOST_PROGRAMS);
}
