//! Selections that begin and end while connections are made.

use std::fs;

use xtask::lab::Process;

use super::{INNERS, OUTER, Values, fresh, wait_lines};
use crate::{
    peer::Options,
    support::{Host, Prober, UNTOUCHED, bpftool, objects},
};

/// An inner policy that is neither tighter nor looser than [`OUTER`]: where both were applied, it would show.
const INNER: Values = Values::new(90, 10, 8, 60);

pub(super) fn what_is_left_governs_when_a_selection_ends() {
    for (what, values) in INNERS {
        for (file, in_inner, in_outer) in
            [("outer.yaml", values.armed(), UNTOUCHED), ("inner.yaml", OUTER.armed(), OUTER.armed())]
        {
            let host = Host::new("ends");
            let (outer, inner) = (host.cgroup("slice"), host.cgroup("slice/service"));
            host.write_policies("outer.yaml", &OUTER.document("outer", "slice"));
            host.write_policies("inner.yaml", &values.document("inner", "slice/service"));
            let daemon = host.start();
            let mark = daemon.mark();

            fs::remove_file(host.policies().join(file)).unwrap();
            wait_lines(&daemon, mark, "detached", 1);

            assert_eq!(fresh(&host, &inner), [in_inner; 2], "without {file}, inner {what}");
            assert_eq!(fresh(&host, &outer), [in_outer; 2], "without {file}, inner {what}");
        }
    }
}

/// A change of the policies, and the last line that the daemon then writes.
struct Change {
    what: &'static str,
    policies: Vec<String>,
    done: &'static str,
}

fn play(host: &Host, daemon: &Process, change: &Change) {
    let mark = daemon.mark();
    host.write_policies("p.yaml", &change.policies.concat());
    wait_lines(daemon, mark, change.done, 1);
}

pub(super) fn connections_during_a_change_have_one_of_the_two_policies() {
    const ROUNDS: usize = 10;
    let outer = || OUTER.document_for_new("outer", "slice");
    let inner = || INNER.document_for_new("inner", "slice/service");
    let change = |what, policies, done| Change { what, policies, done };
    // Each begins where the one before ended; the last leads to the first.
    let changes = [
        change("the inner one begins", vec![outer(), inner()], "attached"),
        change("the outer one ends", vec![inner()], "detached"),
        change("the outer one begins", vec![outer(), inner()], "attached"),
        change("the inner one ends", vec![outer()], "detached"),
        change("the inner one takes over", vec![inner()], "detached"),
        change("the outer one takes over", vec![outer()], "detached"),
    ];
    let host = Host::new("during");
    let cgroup = host.cgroup("slice/service");
    host.write_policies("p.yaml", &outer());
    let daemon = host.start();
    let expected = [OUTER.armed(), INNER.armed()];
    for round in 0..ROUNDS {
        for change in &changes {
            let prober = Prober::start(host.peer(&cgroup));

            play(&host, &daemon, change);

            assert_seen(prober, &expected, &format!("round {round}, {}", change.what));
        }
    }
}

/// Ends the prober; asserts that each end of each connection had one of these sets of options.
fn assert_seen(prober: Prober, expected: &[Options], what: &str) {
    prober.await_more(2);
    let seen = prober.finish();
    let strangers: Vec<_> = seen.iter().filter(|options| !expected.contains(options)).collect();
    assert!(strangers.is_empty(), "{what}: {strangers:?}");
}

pub(super) fn two_programs_of_the_outer_cgroup_both_yield() {
    let host = Host::new("twice");
    let (outer, inner) = (host.cgroup("slice"), host.cgroup("slice/service"));
    let policies = [OUTER.document("outer", "slice"), INNER.document("inner", "slice/service")];
    host.write_policies("p.yaml", &policies.concat());
    let _daemon = host.start();
    let program = host.bpffs.path().join("keepalive/abi2/program");

    // As it is for a moment when a program takes the place of another; this second one stays.
    let (cgroup, program) = (outer.path().to_str().unwrap(), program.to_str().unwrap());
    bpftool(["cgroup", "attach", cgroup, "sock_ops", "pinned", program, "multi"]);

    assert_eq!(objects::attached(&outer).len(), 2);
    assert_eq!(fresh(&host, &inner), [INNER.armed(); 2]);
    assert_eq!(fresh(&host, &outer), [OUTER.armed(); 2]);
}

pub(super) fn the_inner_policy_governs_while_the_programs_are_replaced() {
    const ROUNDS: usize = 5;
    let host = Host::new("replaced");
    let cgroup = host.cgroup("slice/service");
    let policies = [OUTER.document("outer", "slice"), INNER.document("inner", "slice/service")];
    host.write_policies("p.yaml", &policies.concat());
    drop(host.start());
    let prober = Prober::start(host.peer(&cgroup));
    for _ in 0..ROUNDS {
        // The program that logs is another one than the program that does not: each takes over from the other.
        for flags in [&["--log-bpf"][..], &[]] {
            let mut command = host.command("run");
            command.args(flags);
            let daemon = host.start_with(command);
            daemon.wait_line("ready: all policies").unwrap();
            wait_lines(&daemon, 0, "replaced the program", 2);
        }
    }
    assert_seen(prober, &[INNER.armed()], "while the program was replaced");
}
