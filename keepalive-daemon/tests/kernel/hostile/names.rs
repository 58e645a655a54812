//! Cgroups with names that are no text, below one that is governed.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

use serde_json::Value;

use super::{ARMED, host_with_app};
use crate::support::{Peer, UNTOUCHED, eventually};

crate::tests!(what_is_governed_below_a_cgroup_without_a_text_for_a_name_is_swept_and_listed);

fn what_is_governed_below_a_cgroup_without_a_text_for_a_name_is_swept_and_listed() {
    let (host, app) = host_with_app("bytes-below");
    // One name is the other's as it is shown.
    let names: [&[u8]; 2] = [b"caf\xe9", br"caf\xE9"];
    let mut peers = names.map(|name| {
        let path = app.path().join(OsStr::from_bytes(name)).join("inner");
        fs::create_dir_all(&path).unwrap();
        let mut command = host.netns.command(std::env::current_exe().unwrap());
        command.arg(crate::PEER);
        let process = xtask::lab::Process::spawn("a peer", command).unwrap();
        fs::write(path.join("cgroup.procs"), process.pid().to_string()).unwrap();
        Peer::new(process)
    });
    let before = [0, 1].map(|at| peers[at].pair());
    assert_eq!(peers[0].options(before[0].client), UNTOUCHED);

    let daemon = host.start();

    for (peer, before) in peers.iter_mut().zip(before) {
        eventually("what was open before is swept", || (peer.options(before.client) == ARMED).then_some(()));
        let after = peer.pair();
        assert_eq!(peer.options(after.client), ARMED);
    }
    let listing = host.command("sockets").args(["--all", "-o", "json"]).output().unwrap();
    let listing: Value = serde_json::from_slice(&listing.stdout).unwrap();
    let rows = listing["sockets"].as_array().unwrap().iter();
    let ours: Vec<&Value> =
        { rows }.filter(|row| row["cgroup"].as_str().is_some_and(|it| it.starts_with("app/"))).collect();
    assert_eq!(ours.len(), 2 * 2 * 2, "{listing}");
    for row in ours {
        assert_eq!((&row["cgroup"], &row["policy"]), (&r"app/caf\xE9/inner".into(), &"p".into()), "{row}");
    }
    assert_eq!(host.status()["cgroups"].as_array().unwrap().len(), 1, "nothing is attached to them");
    daemon.check().unwrap();
}
