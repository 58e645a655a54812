//! The story this project starts from, end to end: a NAT that forgets silent connections, a server that answers
//! later than that, and clients that did not ask for keep-alive.

use std::{ffi::OsString, time::Duration};

use xtask::lab::{
    TEST_PREFIX,
    capture::Kind,
    story::{ClientKind, Ending, Story, Timing},
};

use crate::support::{Host, PROGRAM, UNTOUCHED, connections_of, daemon, document, options};

crate::tests!(
    the_answer_arrives_behind_exec,
    the_answer_arrives_under_a_policy,
    without_a_policy_the_clients_hang
);

/// What the NAT forgets a connection after; keep-alive at half of it holds the connection.
const NAT_TIMEOUT: Duration = Duration::from_secs(4);
const IDLE_S: u64 = 2;

/// The programs of the story; none of them asks for keep-alive.
const CLIENTS: [ClientKind; 4] =
    [ClientKind::Jvm, ClientKind::Python, ClientKind::Static, ClientKind::Curl { keepalive: None }];

fn stage() -> Story {
    Story::new(TEST_PREFIX, Timing::around(NAT_TIMEOUT)).unwrap().0
}

/// Lets all clients wait at once, each behind `launcher`, on connections that have what they should; then they
/// end as expected.
fn play(story: &Story, launcher: &[OsString], keepalive: bool, expected: &Ending) {
    let requests = CLIENTS.map(|kind| {
        let request = story.start_through(kind, launcher).unwrap();
        request.wait_asked().unwrap();
        let armed = options(true, IDLE_S, 1, 4, 0);
        let has = connections_of(request.process().pid());
        assert_eq!(has, [if keepalive { armed } else { UNTOUCHED }], "{kind:?}");
        request
    });
    for request in &requests {
        let outcome = request.wait().unwrap();
        assert_eq!(outcome.ending, *expected, "{:?}", request.kind());
        assert!(outcome.server_answered, "{:?}: the server did its part", request.kind());
        assert!(outcome.waited > NAT_TIMEOUT, "{:?}: the NAT had no time to forget", request.kind());
    }
    story.check().unwrap();
}

/// The probes that were on the wire.
fn probes(story: &Story) -> usize {
    let segments = story.capture().segments().unwrap();
    segments.iter().filter(|segment| segment.kind == Kind::KeepAliveProbe).count()
}

fn without_a_policy_the_clients_hang() {
    let story = stage();

    play(&story, &[], false, &Ending::TimedOut);

    assert_eq!(probes(&story), 0);
}

fn the_answer_arrives_under_a_policy() {
    let story = stage();
    let host = Host::new("story");
    let policy = format!("keepalive: {{idle: {IDLE_S}s, interval: 1s, probes: 4}}");
    let clients = story.cgroup().relative().to_str().unwrap();
    host.write_policies("p.yaml", &document("clients", clients, &policy));
    // The clients' cgroup is none of the host's: the daemon finds the root of the hierarchy by itself.
    let mut run = daemon();
    run.args(["run", "--min-idle", "1s", "--cri-socket", "none", "--metrics", "none", "--policies"])
        .arg(host.policies());
    run.arg("--bpffs").arg(host.bpffs.path()).arg("--api-socket").arg(host.socket());
    let daemon = host.start_with(run);
    daemon.wait_line("ready: all policies").unwrap();

    play(&story, &[], true, &Ending::Answered);

    assert!(probes(&story) >= CLIENTS.len(), "each connection was probed");
}

fn the_answer_arrives_behind_exec() {
    let story = stage();
    let host = Host::new("story");
    let idle = format!("{IDLE_S}s");
    let mut launcher: Vec<OsString> =
        [PROGRAM, "exec", "--idle", &idle, "--interval", "1s"].map(Into::into).into();
    launcher.extend(["--bpffs".into(), host.bpffs.path().into(), "--".into()]);

    play(&story, &launcher, true, &Ending::Answered);

    assert!(probes(&story) >= CLIENTS.len(), "each connection was probed");
}
