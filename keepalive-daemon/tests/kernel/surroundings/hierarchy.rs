//! Hosts without cgroup2, and roots that are none.

use std::{fs, process::Command};

use xtask::lab::cgroup2_root;

use super::{PROGRAM, assert_free, host_with_app, refused, run_with};

/// A command in a mount namespace of its own, in which a shell script has changed the mounts.
fn after(script: &str, command: &Command) -> Command {
    let mut changed = Command::new("unshare");
    changed.args(["--mount", "sh", "-ec", &format!("{script}; exec \"$@\""), "sh"]);
    changed.arg(command.get_program()).args(command.get_args()).env_remove("RUST_LOG");
    changed
}

pub(super) fn a_host_without_cgroup2_is_refused() {
    let (host, app) = host_with_app("v1-only");
    let bpffs = host.bpffs.path().to_str().unwrap();
    let socket = host.socket();
    let root = cgroup2_root().unwrap();
    let run = run_with(&host, &["--bpffs", bpffs, "--api-socket", socket.to_str().unwrap()]);
    let mut exec = Command::new(PROGRAM);
    exec.args(["exec", "--bpffs", bpffs, "--", "true"]);
    let probe = host.command("probe");
    for script in
        // As on a host with version 1 only, and as in a container that hides what it mounted.
        [format!("umount {}", root.display()), format!("mount -t tmpfs none {}", root.display())]
    {
        refused(&script, &mut after(&script, &run), 1, &["no cgroup2", "version 1 only", "mount -t cgroup2"]);
        refused(&script, &mut after(&script, &exec), 125, &["no cgroup2"]);
        let probed = after(&script, &probe).output().unwrap();
        let table = String::from_utf8(probed.stdout).unwrap();
        assert_eq!(probed.status.code(), Some(1), "{script}: {table}");
        let row = table.lines().find(|line| line.starts_with("cgroup2 ")).unwrap();
        assert!(row.contains("missing") && row.contains("mount -t cgroup2"), "{script}: {row}");

        assert_free(&app, &script);
        assert!(!host.bpffs.path().join("keepalive").exists(), "{script}: nothing is pinned");
        assert!(!socket.exists(), "{script}: no socket is left");
    }
}

pub(super) fn a_cgroup_root_that_is_none_is_refused() {
    let (host, app) = host_with_app("no-root");
    let bpffs = host.bpffs.path().to_str().unwrap();
    let socket = host.socket();
    let version_1 = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let version_1 = version_1.lines().find(|line| line.contains(" - cgroup cgroup "));
    let version_1 = version_1.map(|line| line.split(' ').nth(4).unwrap().to_owned());
    let plain = host.directory().to_str().unwrap();
    let missing = format!("{plain}/missing");
    let file = format!("{}/cgroup.procs", app.path().display());
    let mut cases = vec![
        (plain, "is not in a cgroup2 hierarchy"),
        (&missing, "No such file or directory"),
        (&file, "is not a directory"),
    ];
    // A host that mounts cgroup2 alone has none of these.
    cases.extend(version_1.as_deref().map(|mount| (mount, "is not in a cgroup2 hierarchy")));
    for (root, says) in cases {
        let flags = ["--bpffs", bpffs, "--api-socket", socket.to_str().unwrap(), "--cgroup-root", root];

        refused(root, &mut run_with(&host, &flags), 1, &[root, says]);

        assert!(!host.bpffs.path().join("keepalive").exists(), "{root}: nothing is pinned");
    }
}
