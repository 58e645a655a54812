//! Ten thousand connections, each of which is read back.

use serde_json::Value;
use xtask::lab::{Netns, TEST_PREFIX};

use super::{armed, govern, start_with, swept, values};
use crate::support::{Host, Peer, UNTOUCHED, document, scaled};

/// Of each of four cgroups that are governed.
const PAIRS: usize = 2500;

pub(super) fn all_of_ten_thousand_by_the_iterator() {
    all_of_ten_thousand("iterator");
}

pub(super) fn all_of_ten_thousand_by_descriptors() {
    all_of_ten_thousand("descriptors");
}

/// Where nobody listens, the iterator of kernels before 6.17 that nobody mended leaves out bucket 0 of the table of
/// connections: of 6.1, in a machine, whose table is small. Since 6.2 a network namespace can have one of its own, with so
/// few buckets that all are in use.
pub(super) fn what_the_iterator_leaves_out() {
    const PAIRS: usize = 256;
    let host = Host::new("left-out");
    let app = host.cgroup("app");
    let above = Netns::create(TEST_PREFIX, "above").unwrap();
    let small = "echo 8 > /proc/sys/net/ipv4/tcp_child_ehash_entries";
    let _ = above.command("sh").args(["-c", small]).output().unwrap();
    let mut command = above.command("unshare");
    command.args(["--net", "sh", "-ec", "ip link set lo up; exec \"$0\" \"$@\""]);
    command.arg(std::env::current_exe().unwrap());
    let mut peer = Peer::spawn(command, &app);
    peer.pairs(PAIRS);
    govern(&host, 60, "");

    let _daemon = start_with(&host, &[("KEEPALIVE_SWEEP_METHOD", "iterator")]);

    assert_eq!(swept(&host, "app", 60)["armed"], 2 * PAIRS);
    assert_eq!(peer.all_options(), [(armed(60), 2 * PAIRS)]);
    let listed = host.run("sockets", &["--all", "--cgroup", "app", "-o", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["summary"]["connections"], 2 * PAIRS, "{listed}");
}

/// Two cgroups in one network namespace, two in namespaces of their own, and one that is not governed.
fn all_of_ten_thousand(method: &str) {
    let pairs = scaled(PAIRS);
    let host = Host::new("many");
    let cgroups = ["app", "beside", "second", "third", "ungoverned"].map(|path| host.cgroup(path));
    let [second, third] = ["second", "third"].map(|label| Netns::create(TEST_PREFIX, label).unwrap());
    let program = std::env::current_exe().unwrap();
    let [mut app, mut beside, mut ungoverned] = [0, 1, 4].map(|at| host.peer(&cgroups[at]));
    let mut second = Peer::spawn(second.command(&program), &cgroups[2]);
    let mut third = Peer::spawn(third.command(&program), &cgroups[3]);
    for peer in [&mut app, &mut beside, &mut second, &mut third] {
        peer.pairs(pairs);
    }
    ungoverned.pairs(10);
    govern(&host, 60, "");
    host.write_policies("q.yaml", &document("q", "{beside,second,third}", &values(90, "")));
    let variables = [("KEEPALIVE_SWEEP_METHOD", method), ("KEEPALIVE_SWEEP_RATE", "0")];

    let _daemon = start_with(&host, &variables);

    for (path, idle) in [("app", 60), ("beside", 90), ("second", 90), ("third", 90)] {
        assert_eq!(swept(&host, path, idle)["armed"], 2 * pairs, "{path}");
    }
    assert_eq!(app.all_options(), [(armed(60), 2 * pairs)]);
    for peer in [&mut beside, &mut second, &mut third] {
        assert_eq!(peer.all_options(), [(armed(90), 2 * pairs)]);
    }
    assert_eq!(ungoverned.all_options(), [(UNTOUCHED, 20)]);
}
