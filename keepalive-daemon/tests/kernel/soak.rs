//! That the daemon stays as it is, as far as a short time shows; `cargo xtask soak` takes a long one.

use std::{fs, path::Path, time::Duration};

use crate::support::{Host, document, eventually};

crate::tests!(
    all_threads_share_one_arena,
    nothing_is_unarmed_while_all_around_changes_and_the_daemon_is_killed,
);

fn nothing_is_unarmed_while_all_around_changes_and_the_daemon_is_killed() {
    let daemon = Path::new(env!("CARGO_BIN_EXE_keepalive-daemon"));

    let report = xtask::soak::briefly(daemon, Duration::from_secs(9), Duration::from_secs(3)).unwrap();

    assert!(report.contains("unarmed 0\n"), "{report}");
    let kills = report.split("kills ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    assert!(kills.parse::<u32>().unwrap() >= 1, "{report}");
}

fn all_threads_share_one_arena() {
    let host = Host::new("arena");
    let group = host.cgroup("app");
    host.write_policies("p.yaml", &document("p", "app", "mode: Tighten"));
    let daemon = host.start();
    let mut peer = host.peer(&group);
    peer.pair();

    // A thread that lists, one that answers, and one that sweeps.
    let listed = host.run("sockets", &["-o", "json"]);
    assert!(listed.status.success(), "{listed:?}");
    eventually("a thread sweeps", || {
        let open = host.status()["cgroups"][0]["openConnections"].clone();
        open.is_object().then_some(())
    });

    let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
    let arenas: Vec<_> = maps.lines().filter(|line| is_arena(line)).collect();
    assert!(arenas.is_empty(), "{arenas:#?}");
}

/// Whether it is what glibc reserves for an arena that a thread begins: 64 MiB, of which it may use the first pages.
fn is_arena(mapping: &str) -> bool {
    const RESERVED: u64 = 64 << 20;
    let mut fields = mapping.split_whitespace();
    let (begin, end) = fields.next().unwrap().split_once('-').unwrap();
    let [begin, end] = [begin, end].map(|address| u64::from_str_radix(address, 16).unwrap());
    let is_closed = fields.next() == Some("---p");
    is_closed && end % RESERVED == 0 && (RESERVED / 2..RESERVED).contains(&(end - begin))
}
