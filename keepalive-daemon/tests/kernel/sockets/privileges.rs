//! Lists made with fewer rights than root has.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::MetadataExt as _,
    process::Command,
};

use xtask::lab::Process;

use super::{KEEPALIVE, rows, sockets, told};
use crate::support::{Host, Peer, document, inside, with_privileges};

/// Starts the daemon with no more than these capabilities, in the host's network namespace. The other two are for what
/// confines it, and gone then: it lifts the limit that maps count against before Linux 5.11.
fn start_with(host: &Host, capabilities: &str) -> Process {
    let bounding = format!("--bounding-set=-all,+setpcap,+sys_resource,{capabilities}");
    let reduced = with_privileges(&[&bounding], &host.command("run"));
    let daemon = host.start_with(inside(&host.netns, &reduced));
    daemon.wait_line("ready: all policies").unwrap();
    daemon
}

pub(super) fn with_few_privileges_what_can_be_had_is_told() {
    let host = Host::new("few");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("p", "app", KEEPALIVE));
    let _daemon = start_with(&host, "+bpf,+net_admin");
    // What is to be had in this process' namespace, of which all that is there has more rights than the daemon.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _hidden = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client).keepalive, Some(true));

    let listing = sockets(&host, &[]);

    assert_eq!(rows(&listing).len(), 2, "{listing}");
    for row in rows(&listing) {
        // The timer tells that it is on, and nothing more.
        assert_eq!(
            (&row["options"], &row["verdict"]),
            (&serde_json::json!({"keepalive": true}), &"unknown".into())
        );
        assert!(row["timer"]["expiresMilliseconds"].as_u64() > Some(500_000), "{row}");
        assert!(row["lastDataSentMilliseconds"].is_u64(), "{row}");
    }
    let summary = &listing["summary"];
    assert_eq!((&summary["namespaces"], &summary["unknown"]), (&1.into(), &2.into()));
    let missing = summary["missing"].to_string();
    for said in
        ["the options of 2 connections", "CAP_PERFMON", "CAP_SYS_PTRACE", "the processes of 2 connections"]
    {
        assert!(missing.contains(said), "{said} is not in {missing}");
    }
    assert!(summary["unreachable"].to_string().contains("CAP_SYS_PTRACE"), "{summary}");
}

pub(super) fn what_is_reached_by_another_process_is_not_missing() {
    let host = Host::new("hidden");
    host.write_policies("p.yaml", &document("p", "app", KEEPALIVE));
    // In the namespace of the first process, into which it may not look.
    let bounding = "--bounding-set=-all,+setpcap,+sys_resource,+bpf,+net_admin";
    let daemon = host.start_with(with_privileges(&[bounding], &host.command("run")));
    daemon.wait_line("ready: all policies").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _open = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let [first, own] = ["1", "self"].map(|pid| fs::metadata(format!("/proc/{pid}/net/dev")).unwrap().ino());
    assert_eq!(first, own, "these tests run in the namespace of the first process");

    let listing = sockets(&host, &["--all"]);

    // Other tests have namespaces of their own, with connections, and these are missing.
    let unreachable = listing["summary"]["unreachable"].to_string();
    assert!(!unreachable.contains("/proc/1/ns/net"), "{unreachable}");
    let port = listener.local_addr().unwrap().to_string();
    assert!(rows(&listing).iter().any(|row| row["local"] == port.as_str()), "{listing}");
}

pub(super) fn by_descriptors_where_the_program_may_not_be_loaded() {
    let host = Host::new("borrowed");
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("p", "app", KEEPALIVE));
    let _daemon = start_with(&host, "+bpf,+net_admin,+sys_ptrace");
    // Whom it may look into has no more rights than it has.
    let program = std::env::current_exe().unwrap();
    let peer = with_privileges(&["--bounding-set=-all"], &Command::new(program));
    let mut peer = Peer::spawn(inside(&host.netns, &peer), &app);
    let pair = peer.pair();

    let listing = sockets(&host, &[]);

    assert_eq!(listing["summary"]["method"], "descriptors");
    assert_eq!(rows(&listing).len(), 2, "{listing}");
    for row in rows(&listing) {
        assert_eq!((told(row), &row["verdict"]), (peer.options(pair.client), &"policy".into()), "{row}");
        assert!(row["process"]["pid"].is_u64(), "{row}");
    }
}
