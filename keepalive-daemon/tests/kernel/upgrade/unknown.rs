//! What lies among the pins that this version does not know.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;

use super::{OUTER, OUTER_ARMED};
use crate::support::{Host, Peer, document, eventually, objects, stop};

/// A host with a cgroup `app` that a policy selects, with the directory of all pins.
fn host_with_app(label: &str) -> (Host, xtask::lab::Cgroup, PathBuf) {
    let host = Host::new(label);
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("all", "app", OUTER));
    let top = host.bpffs.path().join("keepalive");
    (host, app, top)
}

/// Pins what a cgroup is governed by a second time.
fn pin_again(from: &Path, to: &Path) {
    fs::hard_link(from, to).unwrap();
}

fn assert_armed(peer: &mut Peer) {
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), OUTER_ARMED);
}

pub(super) fn what_a_later_version_left_is_taken_over_and_what_is_not_ours_left_alone() {
    let (host, app, top) = host_with_app("later");
    let later = host.start_with(host.next_command());
    later.wait_line("ready: all policies").unwrap();
    let link = objects::links(&app);
    stop(&later, Signal::SIGKILL);
    let pins = top.join(format!("abi3/cgroups/app-{}", app.id()));
    // As one might that is later still.
    pin_again(&pins.join("link"), &pins.join("second_link"));
    pin_again(&top.join("abi3/maps/POLICY"), &top.join("abi3/maps/LATER"));
    symlink("of its own", top.join("abi3/note")).unwrap();
    // And somebody else.
    fs::create_dir(top.join("foreign")).unwrap();
    pin_again(&top.join("abi3/maps/POLICY"), &top.join("foreign/map"));

    let daemon = host.start();

    let said = daemon.wait_line("removed the pins of another version, its work is taken over").unwrap();
    assert!(said.contains("keepalive/abi3"), "{said}");
    assert!(!top.join("abi3").exists());
    let (program, _) = objects::pinned_program(&top.join("abi2/program"));
    eventually("the link of before ends, however often it was pinned", || {
        let links = objects::links(&app);
        (links.len() == 1 && links != link && links[0].program == program).then_some(())
    });
    assert_armed(&mut host.peer(&app));
    assert!(top.join("foreign/map").exists(), "what is not ours is left alone");
    stop(&daemon, Signal::SIGKILL);

    let cleanup = host.run("cleanup", &[]);

    let said = String::from_utf8_lossy(&cleanup.stderr).into_owned();
    assert_eq!(cleanup.status.code(), Some(1), "{said}");
    assert!(said.contains("keepalive; what else is in it?"), "{said}");
    let left: Vec<_> = fs::read_dir(&top).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["foreign"]);
    assert_eq!(objects::attached(&app), [] as [u64; 0]);
}

pub(super) fn what_is_unknown_among_the_pins_is_left_alone_until_cleanup() {
    let (host, app, top) = host_with_app("unknown");
    let daemon = host.start();
    let links = objects::links(&app);
    stop(&daemon, Signal::SIGKILL);
    let layout = top.join("abi2");
    let pins = layout.join(format!("cgroups/app-{}", app.id()));
    let unknown = [pins.join("later"), layout.join("maps/LATER"), layout.join("later")];
    for path in &unknown {
        pin_again(&layout.join("maps/POLICY"), path);
    }
    // The note of a later version, of a policy with more fields.
    let swept = pins.join("swept");
    let _ = fs::remove_file(&swept);
    symlink("0".repeat(1000), &swept).unwrap();

    let daemon = host.start();

    assert_eq!(objects::links(&app), links, "the same link");
    assert!(unknown.iter().all(|path| path.exists()));
    assert_armed(&mut host.peer(&app));
    stop(&daemon, Signal::SIGTERM);
    assert_eq!(host.run("cleanup", &[]).status.code(), Some(0));
    assert!(!top.exists());
}
