//! A bpffs that only reads, and one that is taken away.

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::Signal,
};
use xtask::lab::{Process, Stream, bpf::MOST_PROGRAMS};

use super::{ARMED, await_governed, await_no_trouble, fresh, host_with_app, is_unfinished, troubles};
use crate::support::{
    Host, eventually,
    foreign::{Foreign, Way},
    objects,
};

crate::tests!(
    a_bpffs_that_comes_to_read_only_ends_nothing,
    a_bpffs_that_is_unmounted_ends_nothing,
    a_bpffs_that_is_uncovered_again_is_taken_up,
    what_is_refused_anew_in_another_bpffs_stays_governed,
);

fn mount_bpffs(host: &Host, more: MsFlags) {
    let of = (!more.contains(MsFlags::MS_REMOUNT)).then_some("bpf");
    let options = of.map(|_| "mode=0700");
    mount(of, host.bpffs.path(), of, more, options).unwrap();
}

/// Waits until `status` says why a cgroup is not governed.
fn await_refused(host: &Host, path: &str) -> String {
    eventually(&format!("{path} is refused"), || {
        let refused = host.status()["refused"].clone();
        let of_it = refused.as_array()?.iter().find(|refused| refused["path"] == path)?;
        Some(of_it["reason"].to_string())
    })
}

fn a_bpffs_that_comes_to_read_only_ends_nothing() {
    let (host, app) = host_with_app("bpffs-reads");
    let daemon = host.start();
    let links = objects::links(&app);

    mount_bpffs(&host, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
    let late = host.cgroup("app-late");

    let reason = await_refused(&host, "app-late");
    assert!(reason.contains("is the bpffs writable?"), "{reason}");
    daemon.signal(Signal::SIGHUP).unwrap();
    eventually("the trouble is named", || troubles(&host).contains("is the bpffs writable?").then_some(()));
    assert_eq!((objects::links(&app), fresh(&host, &app)), (links.clone(), [ARMED; 2]));
    mount_bpffs(&host, MsFlags::MS_REMOUNT);
    // Whatever happens next is an occasion to try again.
    let _other = host.cgroup("other");
    await_governed(&host, &daemon, &late);
    daemon.signal(Signal::SIGHUP).unwrap();
    await_no_trouble(&host);
    assert_eq!(objects::links(&app), links);
}

fn a_bpffs_that_is_unmounted_ends_nothing() {
    let (host, app) = host_with_app("bpffs-gone");
    let daemon = host.start();
    let links = objects::links(&app);

    umount2(host.bpffs.path(), MntFlags::MNT_DETACH).unwrap();
    daemon.signal(Signal::SIGHUP).unwrap();

    let told = daemon.wait_line("was unmounted, or something else mounted over it").unwrap();
    assert!(told.contains(" ERROR ") && told.contains("mount a bpffs there"), "{told}");
    eventually("it is not ready", || is_unfinished(&host, "read back what is attached").then_some(()));
    assert_eq!((objects::links(&app), fresh(&host, &app)), (links.clone(), [ARMED; 2]));
    let late = host.cgroup("app-late");
    let reason = await_refused(&host, "app-late");
    assert!(reason.contains("was unmounted"), "{reason}");
    // A policy that changes is in force all the same: what the program reads is held by the daemon.
    let policy = "keepalive: {idle: 62s, interval: 13s, probes: 5}";
    host.write_policies("p.yaml", &crate::support::document("p", "app*", policy));
    eventually("the change is in force", || (fresh(&host, &app)[0].idle_s == Some(62)).then_some(()));

    mount_bpffs(&host, MsFlags::empty());
    let mark = daemon.mark();
    daemon.signal(Signal::SIGHUP).unwrap();
    daemon.wait_line_from(mark, "attached cgroup=\"app-late\"").unwrap();
    await_no_trouble(&host);
    for cgroup in [&app, &late] {
        assert_eq!(fresh(&host, cgroup)[0].idle_s, Some(62));
    }
    // With the next look ends what was pinned before.
    daemon.signal(Signal::SIGHUP).unwrap();
    for cgroup in [&app, &late] {
        eventually("one link, another", || {
            let now = objects::links(cgroup);
            (now.len() == 1 && now != links).then_some(())
        });
        assert_eq!(fresh(&host, cgroup)[0].idle_s, Some(62));
    }

    daemon.signal(Signal::SIGTERM).unwrap();
    assert!(daemon.wait_output().unwrap().success(), "{}", daemon.text(Stream::Stderr));
    let again = host.start();
    for cgroup in [&app, &late] {
        assert_eq!(fresh(&host, cgroup)[0].idle_s, Some(62));
        assert_eq!(objects::links(cgroup).len(), 1);
    }
    again.check().unwrap();
}

/// Has the daemon read everything from scratch, and waits until it has.
fn resync(host: &Host, daemon: &Process) {
    let mark = daemon.mark();
    daemon.signal(Signal::SIGHUP).unwrap();
    daemon.wait_line_from(mark, "read the policies").unwrap();
    // It answers once it is done.
    let _ = host.status();
}

fn what_is_refused_anew_in_another_bpffs_stays_governed() {
    let (host, app) = host_with_app("bpffs-refused");
    let daemon = host.start();
    let links = objects::links(&app);
    let foreign = Foreign::load(1);
    let others: Vec<_> = (1..MOST_PROGRAMS).map(|_| foreign.attach(&app, Way::Link).unwrap()).collect();

    umount2(host.bpffs.path(), MntFlags::MNT_DETACH).unwrap();
    mount_bpffs(&host, MsFlags::empty());
    resync(&host, &daemon);

    await_refused(&host, "app");
    // However often it is looked at.
    for _ in 0..2 {
        resync(&host, &daemon);
        assert!(objects::links(&app).contains(&links[0]));
        assert_eq!(fresh(&host, &app), [ARMED; 2]);
    }
    // Nor is it when the link can be made, and not kept.
    mount_bpffs(&host, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
    drop(others);
    resync(&host, &daemon);
    let reason = await_refused(&host, "app");
    assert!(reason.contains("is the bpffs writable?"), "{reason}");
    assert_eq!(fresh(&host, &app), [ARMED; 2]);
    mount_bpffs(&host, MsFlags::MS_REMOUNT);
    resync(&host, &daemon);
    await_no_trouble(&host);
    resync(&host, &daemon);
    eventually("one link, another", || {
        let now = objects::links(&app);
        (now.len() == 1 && now != links).then_some(())
    });
    assert_eq!(fresh(&host, &app), [ARMED; 2]);
}

fn a_bpffs_that_is_uncovered_again_is_taken_up() {
    let (host, app) = host_with_app("bpffs-uncovered");
    let daemon = host.start();
    let mark = daemon.mark();
    mount_bpffs(&host, MsFlags::empty());
    daemon.signal(Signal::SIGHUP).unwrap();
    daemon.wait_line_from(mark, "attached cgroup=\"app\"").unwrap();

    umount2(host.bpffs.path(), MntFlags::MNT_DETACH).unwrap();
    resync(&host, &daemon);

    await_no_trouble(&host);
    assert_eq!(fresh(&host, &app), [ARMED; 2]);
    let late = host.cgroup("app-late");
    await_governed(&host, &daemon, &late);
    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();
    let again = host.start();
    for cgroup in [&app, &late] {
        assert_eq!(fresh(&host, cgroup), [ARMED; 2]);
    }
    again.check().unwrap();
}
