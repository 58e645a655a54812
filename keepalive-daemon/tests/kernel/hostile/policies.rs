//! What may lie among the policies.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::Path,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use xtask::lab::Stream;

use super::{ARMED, fresh, host_with_app};
use crate::support::{eventually, objects};

crate::tests!(whatever_lies_among_the_policies_ends_nothing);

/// What it is, what makes it, and what is said of it.
type Case<'a> = (&'a str, &'a dyn Fn(&Path), &'a str);

fn whatever_lies_among_the_policies_ends_nothing() {
    let (host, app) = host_with_app("odd-files");
    let daemon = host.start();
    let links = objects::links(&app);
    let directory = host.directory().to_owned();
    mkfifo(&directory.join("fifo"), Mode::S_IRWXU).unwrap();
    let odd = host.policies().join("odd.yaml");
    let many = |at: &Path| {
        for number in 0..10_000 {
            File::create(at.with_file_name(format!("many-{number}.yaml"))).unwrap();
        }
    };
    let cases: [Case<'_>; 10] = [
        ("a link to nowhere", &|at| symlink("nowhere", at).unwrap(), "what a link on it points to"),
        ("a link to itself", &|at| symlink("odd.yaml", at).unwrap(), "cannot be read"),
        ("a link to a FIFO", &|at| symlink("../fifo", at).unwrap(), "is a FIFO, not a regular file"),
        ("a FIFO", &|at| mkfifo(at, Mode::S_IRWXU).unwrap(), "is a FIFO, not a regular file"),
        ("a link to what never ends", &|at| symlink("/dev/zero", at).unwrap(), "is a device"),
        ("a link to a directory", &|at| symlink("/proc", at).unwrap(), "is a directory"),
        ("a link to itself in memory", &|at| symlink("/proc/self/mem", at).unwrap(), "cannot be read"),
        (
            "a gigabyte of nothing",
            &|at| File::create(at).unwrap().set_len(1 << 30).unwrap(),
            "is larger than 1048576 bytes",
        ),
        ("no text", &|at| fs::write(at, b"\x1b[31m\xff").unwrap(), "is not UTF-8"),
        ("ten thousand files", &many, "10001 policy files"),
    ];
    for (what, place, says) in cases {
        let mark = daemon.mark();

        place(&odd);

        daemon.wait_line_from(mark, "the last good ones stay in force").unwrap();
        let told = eventually(&format!("{what} is named"), || {
            let told = host.status()["daemon"]["policyError"].as_str()?.to_owned();
            told.contains(says).then_some(told)
        });
        assert!(!told.contains('\u{1b}'), "{what}: {told:?}");
        assert_eq!((objects::links(&app), fresh(&host, &app)), (links.clone(), [ARMED; 2]), "{what}");
        for entry in fs::read_dir(host.policies()).unwrap().map(|entry| entry.unwrap().path()) {
            if !entry.ends_with("p.yaml") {
                fs::remove_file(entry).unwrap();
            }
        }
        eventually(&format!("{what} is gone"), || {
            host.status()["daemon"]["policyError"].is_null().then_some(())
        });
    }
    assert_eq!((objects::links(&app), fresh(&host, &app)), (links, [ARMED; 2]));
    assert!(!daemon.text(Stream::Stderr).contains('\u{1b}'));
}
