//! The options that the command's sockets get.

use std::{ffi::OsString, time::Duration};

use xtask::lab::{
    InCgroup as _, TEST_PREFIX,
    story::{ClientKind, Story, Timing},
};

use super::{PROGRAM, exec, start_peer};
use crate::{
    peer::Options,
    support::{Host, UNTOUCHED, connections_of, document, options},
};

pub(super) fn flags_and_variables_become_options() {
    struct Case {
        flags: &'static [&'static str],
        variables: &'static [(&'static str, &'static str)],
        expected: Options,
    }
    const CASES: &[Case] = &[
        Case { flags: &[], variables: &[], expected: options(true, 60, 15, 4, 0) },
        Case {
            flags: &["--idle", "61s", "--interval", "13s", "--probes", "5", "--user-timeout", "99s"],
            variables: &[],
            expected: options(true, 61, 13, 5, 99_000),
        },
        Case {
            flags: &["--idle", "2m", "--interval", "30", "--user-timeout", "auto"],
            variables: &[],
            expected: options(true, 120, 30, 4, 240_000),
        },
        Case {
            flags: &[],
            variables: &[("KEEPIDLE", "62"), ("KEEPINTVL", "14"), ("KEEPCNT", "6")],
            expected: options(true, 62, 14, 6, 0),
        },
        Case {
            flags: &["--idle", "63s", "--probes", "7"],
            variables: &[("KEEPIDLE", "62"), ("KEEPINTVL", "14"), ("KEEPCNT", "6")],
            expected: options(true, 63, 14, 7, 0),
        },
        Case { flags: &["--mode", "Monitor"], variables: &[], expected: UNTOUCHED },
    ];
    let host = Host::new("values");
    let cgroup = host.cgroup("app");
    for Case { flags, variables, expected } in CASES {
        let mut command = exec(&host, &cgroup, flags);
        command.envs(variables.iter().copied());
        let mut peer = start_peer(command);

        let pair = peer.pair();

        assert_eq!(peer.options(pair.client), *expected, "outbound, {flags:?}, {variables:?}");
        assert_eq!(peer.options(pair.server), *expected, "inbound, {flags:?}, {variables:?}");
    }
}

pub(super) fn it_wins_over_the_policy_of_its_cgroup() {
    // With `**` the daemon also attaches to the cgroup that `exec` makes, next to it or before it.
    for (glob, policy_idle) in [("app", 30), ("app", 300), ("app/**", 30), ("**", 30), ("**", 300)] {
        let host = Host::new("governed");
        let cgroup = host.cgroup("app");
        let policy = format!("keepalive: {{idle: {policy_idle}s, interval: 11s, probes: 3}}");
        host.write_policies("p.yaml", &document("daemon", glob, &policy));
        let _daemon = host.start();

        let mut peer = start_peer(exec(&host, &cgroup, &["--idle", "99s"]));
        let pair = peer.pair();

        let expected = options(true, 99, 15, 4, 0);
        assert_eq!(peer.options(pair.client), expected, "outbound, below {glob:?} with {policy_idle} s");
        assert_eq!(peer.options(pair.server), expected, "inbound, below {glob:?} with {policy_idle} s");
    }
}

pub(super) fn it_needs_no_bpffs() {
    let host = Host::new("no-bpffs");
    let cgroup = host.cgroup("app");
    let mut command = host.netns.command(PROGRAM);
    command.args(["exec", "--idle", "61s", "--bpffs"]).arg(host.directory().join("missing")).arg("--");
    command.in_cgroup(&cgroup);

    let mut peer = start_peer(command);
    let pair = peer.pair();

    assert_eq!(peer.options(pair.client), options(true, 61, 15, 4, 0));
}

pub(super) fn real_programs_of_every_kind_are_armed() {
    let host = Host::new("programs");
    // Nobody waits for the answers: what is looked at is the connection that waits for them.
    let timing = Timing {
        nat_timeout: Duration::from_secs(600),
        answer_after: Duration::from_secs(600),
        read_timeout: Duration::from_secs(600),
    };
    let (story, _) = Story::new(TEST_PREFIX, timing).unwrap();
    let bpffs = host.bpffs.path().as_os_str();
    let mut launcher: Vec<OsString> =
        [PROGRAM, "exec", "--idle", "60s", "--interval", "60s"].map(Into::into).into();
    launcher.extend(["--bpffs".into(), bpffs.to_owned(), "--".into()]);
    let kinds = [
        ClientKind::Jvm,
        ClientKind::Python,
        ClientKind::Static,
        ClientKind::Curl { keepalive: None },
        ClientKind::Curl { keepalive: Some(60) },
    ];

    let requests = kinds.map(|kind| story.start_through(kind, &launcher).unwrap());

    for request in &requests {
        request.wait_asked().unwrap();
        let pid = request.process().pid();
        assert_eq!(connections_of(pid), [options(true, 60, 60, 4, 0)], "{:?}", request.kind());
        let timer = request.socket().unwrap().unwrap().keepalive();
        let timer = timer.unwrap_or_else(|| panic!("{:?}: no keep-alive timer", request.kind()));
        assert!((1..=60).contains(&timer.as_secs()), "{:?}: {timer:?}", request.kind());
    }
}
