//! Programs attached without flags, or with `BPF_F_ALLOW_OVERRIDE`.

use std::io::ErrorKind;

use nix::sys::signal::Signal;
use xtask::lab::{Process, Stream};

use super::{ARMED, Connection, Site, connect};
use crate::support::{
    Host, UNTOUCHED, document,
    foreign::{Foreign, Way},
    objects,
};

/// Waits until the daemon has reported that it cannot govern `team/app`, and checks who is named.
fn assert_reported(host: &Host, daemon: &Process, program: u32) {
    let line = daemon.wait_line("cannot govern the cgroup").unwrap();
    assert!(line.contains("ERROR") && line.contains("team/app"), "{line}");
    assert!(line.contains(&format!("the sock_ops program {program} on ")), "{line}");
    let status = host.status();
    assert_eq!(status["refused"][0]["path"], "team/app", "{status}");
    let reason = status["refused"][0]["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("the sock_ops program {program} on ")), "{reason}");
    assert_eq!(host.run("status", &[]).status.code(), Some(1));
}

pub(super) fn one_in_the_way_is_reported_and_goes_on_alone() {
    for way in [Way::Alone, Way::Override] {
        for up in [false, true] {
            let case = format!("{way:?}, above: {up}");
            let Site { host, above, governed, below: _ } = &Site::new("exclusive");
            let other = host.cgroup("other");
            host.write_policies("other.yaml", &document("other", "other", ""));
            let theirs_on = if up { above } else { governed };
            let foreign = Foreign::load(1);
            let theirs = foreign.attach(theirs_on, way).unwrap();

            let daemon = host.start_with(host.command("run"));

            assert_reported(host, &daemon, foreign.id());
            let theirs_alone = Connection { options: UNTOUCHED, replied: true };
            assert_eq!(connect(host, governed), theirs_alone, "{case}");
            assert_eq!(objects::attached(theirs_on), [u64::from(foreign.id())], "{case}");
            assert_eq!(objects::links(governed), [], "{case}");
            assert_eq!(
                objects::links(&other).len(),
                1,
                "{case}: what is not in the way of anybody is governed"
            );

            drop(theirs);
            daemon.signal(Signal::SIGHUP).unwrap();

            daemon.wait_line("ready: all policies").unwrap();
            assert_eq!(connect(host, governed), Connection { options: ARMED, replied: false }, "{case}");
            assert_eq!(objects::links(governed).len(), 1, "{case}");
            assert_eq!(host.status()["refused"].as_array().unwrap().len(), 0, "{case}");
            assert_eq!(host.run("status", &[]).status.code(), Some(0), "{case}");
        }
    }
}

pub(super) fn one_below_runs_with_ours() {
    for way in [Way::Alone, Way::Override] {
        for ours_first in [false, true] {
            let Site { host, above: _, governed: _, below } = &Site::new("below");
            let foreign = Foreign::load(1);
            let daemon = ours_first.then(|| host.start());
            let _theirs = foreign.attach(below, way).unwrap();

            let _daemon = daemon.unwrap_or_else(|| host.start());

            let both = Connection { options: ARMED, replied: true };
            assert_eq!(connect(host, below), both, "{way:?}, ours first: {ours_first}");
        }
    }
}

pub(super) fn one_that_comes_to_our_cgroup_is_refused_by_the_kernel() {
    let Site { host, above: _, governed, below: _ } = &Site::new("late");
    let _daemon = host.start();
    let ours = objects::links(governed);
    let foreign = Foreign::load(1);
    for way in [Way::Alone, Way::Override] {
        let refused = foreign.attach(governed, way).err().map(|error| error.kind());

        assert_eq!(refused, Some(ErrorKind::PermissionDenied), "{way:?}");
        assert_eq!(objects::links(governed), ours, "{way:?}");
        assert_eq!(connect(host, governed).options, ARMED, "{way:?}");
    }
}

pub(super) fn one_above_that_came_after_ours_does_not_end_ours() {
    for way in [Way::Alone, Way::Override] {
        let Site { host, above, governed, below: _ } = &Site::new("above-late");
        let daemon = host.start();
        let ours = objects::links(governed);
        let foreign = Foreign::load(1);
        let _theirs = foreign.attach(above, way).unwrap();
        assert_eq!(connect(host, governed).options, ARMED, "{way:?}");
        assert_eq!(connect(host, above), Connection { options: UNTOUCHED, replied: true }, "{way:?}");
        daemon.signal(Signal::SIGTERM).unwrap();
        daemon.wait().unwrap();

        // Another program than the attached one, so that a second link is wanted where the kernel may refuse it.
        let mut command = host.command("run");
        command.arg("--log-bpf");
        let next = host.start_with(command);

        if way == Way::Alone {
            assert_reported(host, &next, foreign.id());
            assert_eq!(objects::links(governed), ours, "the link that is there stays");
        } else {
            next.wait_line("ready: all policies").unwrap();
            assert_eq!(next.text(Stream::Stderr).matches("replaced the program").count(), 1);
        }
        assert_eq!(connect(host, governed).options, ARMED, "{way:?}");
        assert_eq!(objects::attached(above), [u64::from(foreign.id())], "{way:?}");
    }
}
