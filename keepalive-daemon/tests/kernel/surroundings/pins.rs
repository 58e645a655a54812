//! A bpffs that is none, that only reads, or that holds what is not ours.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::Path,
    process::Command,
};

use nix::{
    mount::{MsFlags, mount},
    sys::signal::Signal,
};

use super::{PROGRAM, assert_free, host_with_app, refused, run_with};
use crate::support::{
    Host, NOBODY, UNTOUCHED, bpftool, document, objects, options, public_program, with_privileges,
};

/// Makes the bpffs of a host read-only, or writable again.
fn remount(host: &Host, flags: MsFlags) {
    let none: Option<&str> = None;
    mount(none, host.bpffs.path(), none, MsFlags::MS_REMOUNT | flags, none).unwrap();
}

/// Creates a map and pins it.
fn pin_map(at: &Path, kind: &str, key: usize, value: usize) -> u64 {
    let entries = if kind == "hash" { "1" } else { "0" };
    let (key, value) = (key.to_string(), value.to_string());
    let of = ["type", kind, "key", &key, "value", &value, "entries", entries, "name", "STRANGE"];
    bpftool(["map", "create", at.to_str().unwrap()].into_iter().chain(of));
    bpftool(["map", "show", "pinned", at.to_str().unwrap()])["id"].as_u64().unwrap()
}

pub(super) fn a_bpffs_that_is_none_is_refused() {
    let (host, app) = host_with_app("no-bpffs");
    let (root, socket) = (host.root.path().to_str().unwrap(), host.socket());
    let plain = host.directory().to_str().unwrap();
    let missing = format!("{plain}/missing");
    for (bpffs, says) in [(plain, "is not a bpffs"), (&missing, "cannot read the bpffs")] {
        let says = [bpffs, says, "mount -t bpf -o mode=0700 bpf", "--bpffs"];
        let flags = ["--cgroup-root", root, "--api-socket", socket.to_str().unwrap(), "--bpffs", bpffs];
        let verb = |verb| {
            let mut command = Command::new(PROGRAM);
            command.args([verb, "--bpffs", bpffs]);
            command
        };

        refused(bpffs, &mut run_with(&host, &flags), 1, &says);
        refused(bpffs, verb("status").args(["--api-socket", socket.to_str().unwrap()]), 1, &says);
        refused(bpffs, verb("cleanup").args(["--cgroup-root", root]), 1, &says);
        let probed = String::from_utf8(verb("probe").output().unwrap().stdout).unwrap();
        let row = probed.lines().find(|line| line.starts_with("bpffs ")).unwrap();
        assert!(row.contains("missing") && row.contains("mount -t bpf -o mode=0700 bpf"), "{row}");

        assert_free(&app, bpffs);
    }
}

pub(super) fn a_pin_directory_that_others_could_have_made_is_refused_and_left_alone() {
    let (host, app) = host_with_app("planted");
    let planted = host.bpffs.path().join("keepalive");
    let elsewhere = host.directory().join("elsewhere");
    fs::create_dir_all(elsewhere.join("precious")).unwrap();
    let plants: [(&str, &dyn Fn()); 3] = [
        ("a link to elsewhere", &|| symlink(&elsewhere, &planted).unwrap()),
        ("a directory that all may write to", &|| {
            fs::remove_file(&planted).unwrap();
            fs::create_dir_all(planted.join("precious")).unwrap();
            fs::set_permissions(&planted, fs::Permissions::from_mode(0o777)).unwrap();
        }),
        ("a directory of another user", &|| {
            fs::set_permissions(&planted, fs::Permissions::from_mode(0o755)).unwrap();
            chown(&planted, Some(65534), None).unwrap();
        }),
    ];
    for (what, plant) in plants {
        plant();
        for verb in ["run", "cleanup"] {
            refused(what, &mut host.command(verb), 1, &["was not made by this daemon", "remove it"]);
        }
        assert!(planted.join("precious").is_dir(), "{what}");
        assert_free(&app, what);
    }
}

pub(super) fn a_bpffs_that_only_reads_is_refused_and_tried_again() {
    let (host, app) = host_with_app("read-only");
    remount(&host, MsFlags::MS_RDONLY);
    refused("at the start", &mut host.command("run"), 1, &["is the bpffs writable?", "Read-only"]);
    assert_free(&app, "at the start");
    remount(&host, MsFlags::empty());
    host.write_policies("p.yaml", &document("all", "**", super::KEEPALIVE));
    let daemon = host.start();
    remount(&host, MsFlags::MS_RDONLY);

    let late = host.cgroup("late");

    let said = daemon.wait_line("cannot govern the cgroup").unwrap();
    for words in ["ERROR", "is the bpffs writable?", "Read-only", "late"] {
        assert!(said.contains(words), "{said}");
    }
    let status = host.run("status", &["-o", "json"]);
    assert_eq!(status.status.code(), Some(1));
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["refused"][0]["path"], "late");
    assert_free(&late, "late");
    let (mut before, mut after) = (host.peer(&app), host.peer(&late));
    let (kept, not_yet) = (before.pair(), after.pair());
    assert_eq!(before.options(kept.client), options(true, 61, 13, 5, 0));
    assert_eq!(after.options(not_yet.client), UNTOUCHED);

    remount(&host, MsFlags::empty());
    let mark = daemon.mark();
    daemon.signal(Signal::SIGHUP).unwrap();
    daemon.wait_line_from(mark, "attached").unwrap();
    let armed = after.pair();
    assert_eq!(after.options(armed.client), options(true, 61, 13, 5, 0));
    assert_eq!(host.run("status", &[]).status.code(), Some(0));
}

pub(super) fn foreign_maps_in_the_place_of_ours_are_refused() {
    for (name, kind, key, value) in [
        ("POLICY", "hash", 4, 4),
        ("POLICY", "cgroup_storage", 16, 8),
        ("POLICY", "cgroup_storage", 16, 4096),
        ("COUNTERS", "cgroup_storage", 16, 144),
        ("CLAIMS", "hash", 4, 4),
    ] {
        let (host, app) = host_with_app("foreign-map");
        let maps = host.bpffs.path().join("keepalive/abi2/maps");
        fs::create_dir_all(&maps).unwrap();
        let id = pin_map(&maps.join(name), kind, key, value);
        let what = format!("a {kind} of {value} bytes as {name}");
        let says = [name, "is not the map this version pins there", "keepalive-daemon cleanup"];

        refused(&what, &mut host.command("run"), 1, &says);
        refused(&what, &mut host.command("status"), 1, &says);
        let mut exec = Command::new(PROGRAM);
        exec.args(["exec", "--bpffs"]).arg(host.bpffs.path()).args(["--", "true"]);
        if name == "CLAIMS" {
            refused(&what, &mut exec, 125, &says);
        }

        assert_free(&app, &what);
        assert_eq!(fs::read_dir(&maps).unwrap().count(), 1, "{what}: nothing is pinned beside it");
        assert!(objects::exists("map", id), "{what}: it is left alone");
        assert_eq!(host.run("cleanup", &[]).status.code(), Some(0), "{what}");
        let _daemon = host.start();
        let mut peer = host.peer(&app);
        let pair = peer.pair();
        assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0), "{what}: after the cure");
    }
}

pub(super) fn something_else_in_the_place_of_a_link_is_refused() {
    let (host, app) = host_with_app("foreign-link");
    drop(host.start());
    let pins = host.bpffs.path().join(format!("keepalive/abi2/cgroups/app-{}", app.id()));
    fs::remove_file(pins.join("link")).unwrap();
    let id = pin_map(&pins.join("link"), "hash", 4, 4);
    let says = ["is not a link but Map", "keepalive-daemon cleanup"];

    refused("run", &mut host.command("run"), 1, &says);
    refused("status", &mut host.command("status"), 1, &says);

    assert!(objects::exists("map", id), "it is left alone");
    assert_eq!(host.run("cleanup", &[]).status.code(), Some(0));
    assert!(!host.bpffs.path().join("keepalive").exists());
}

pub(super) fn something_else_in_the_place_of_the_program_is_replaced() {
    let (host, app) = host_with_app("foreign-program");
    let layout = host.bpffs.path().join("keepalive/abi2");
    fs::create_dir_all(&layout).unwrap();
    pin_map(&layout.join("program"), "hash", 4, 4);

    let _daemon = host.start();

    let (program, _) = objects::pinned_program(&layout.join("program"));
    assert_eq!(objects::attached(&app), [program]);
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0));
}

pub(super) fn litter_among_the_pins_is_collected() {
    let (host, app) = host_with_app("litter");
    let cgroups = host.bpffs.path().join("keepalive/abi2/cgroups");
    for directory in ["empty", "half-1/deep", "texts"] {
        fs::create_dir_all(cgroups.join(directory)).unwrap();
    }
    symlink("gone.slice", cgroups.join("texts/cgroup")).unwrap();
    pin_map(&cgroups.join("half-1/strange"), "hash", 4, 4);

    let daemon = host.start();

    daemon.wait_line("removed pins whose cgroup or link is gone").unwrap();
    let names: Vec<_> = fs::read_dir(&cgroups).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [format!("app-{}", app.id()).as_str()]);
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0));
}

pub(super) fn who_may_not_look_is_told_so() {
    let (host, app) = host_with_app("nobody");
    let daemon = host.start();
    daemon.signal(Signal::SIGTERM).unwrap();
    daemon.wait().unwrap();
    let program = public_program(host.directory());
    for verb in ["status", "cleanup", "run"] {
        let command = host.free_command_of(&program, verb);

        let said = refused(verb, &mut with_privileges(&NOBODY, &command), 1, &["Permission denied"]);

        assert!(said.contains(host.bpffs.path().to_str().unwrap()), "{verb}: {said}");
    }
    assert_eq!(objects::links(&app).len(), 1, "what is in force stays");
    // The pins of others may be unreadable, too, where the bpffs itself is not.
    fs::set_permissions(host.bpffs.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let command = host.free_command_of(&program, "status");
    refused("status", &mut with_privileges(&NOBODY, &command), 1, &["Permission denied", "run as the user"]);
}
