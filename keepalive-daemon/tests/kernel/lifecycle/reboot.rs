//! A bpffs that is new and empty, as after a reboot: with it go all links.

use std::fs;

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::Signal,
};

use super::{ARMED, fresh, host_with_app};
use crate::support::{Host, eventually, objects};

/// Mounts another bpffs in the place of a host's.
fn mount_anew(host: &Host) {
    let path = host.bpffs.path();
    // A mount namespace that another test made has a copy of the mount, which keeps what is pinned.
    fs::remove_dir_all(path.join("keepalive")).unwrap();
    umount2(path, MntFlags::MNT_DETACH).unwrap();
    mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), Some("mode=0700")).unwrap();
}

pub(super) fn an_empty_bpffs_is_a_cold_start() {
    for cgroups_stay in [true, false] {
        let (host, mut app) = host_with_app("reboot");
        let daemon = host.start();
        let before = objects::links(&app)[0];
        daemon.signal(Signal::SIGKILL).unwrap();
        daemon.wait().unwrap();
        mount_anew(&host);
        if !cgroups_stay {
            app.remove().unwrap();
            app = host.cgroup("app");
        }

        let next = host.start();

        let (program, _) = objects::pinned_program(&host.bpffs.path().join("keepalive/abi2/program"));
        eventually("the link of before ends", || (!objects::exists("link", before.id)).then_some(()));
        let programs: Vec<_> = objects::links(&app).iter().map(|link| link.program).collect();
        assert_eq!(programs, [program], "the cgroups stay: {cgroups_stay}");
        assert_eq!(fresh(&mut host.peer(&app)), ARMED, "the cgroups stay: {cgroups_stay}");
        next.check().unwrap();
    }
}

pub(super) fn an_empty_bpffs_under_a_running_daemon_is_filled_again() {
    let (host, app) = host_with_app("emptied");
    let daemon = host.start();
    let before = objects::links(&app)[0];
    mount_anew(&host);
    eventually("the link of before ends", || (!objects::exists("link", before.id)).then_some(()));
    let mark = daemon.mark();

    daemon.signal(Signal::SIGHUP).unwrap();

    daemon.wait_line_from(mark, " attached cgroup=").unwrap();
    let links = objects::links(&app);
    assert_eq!(links.len(), 1);
    assert_eq!(fresh(&mut host.peer(&app)), ARMED);
    // It holds those pins, too.
    let second = host.start_with(host.command("run"));
    assert_eq!(second.wait_output().unwrap().code(), Some(1));
    second.wait_line(&format!("are held by pid {} on ", daemon.pid())).unwrap();
    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();

    let _next = host.start();

    // What it takes over is what was pinned anew: maps and program, too.
    let (program, _) = objects::pinned_program(&host.bpffs.path().join("keepalive/abi2/program"));
    assert_eq!(links[0].program, program);
    assert_eq!(objects::links(&app), links);
    assert_eq!(fresh(&mut host.peer(&app)), ARMED);
}
