//! Enforce through the daemon: the policy's values at establishment, and no later call of the application that
//! weakens them.

mod changes;
mod destinations;
mod levels;

use xtask::lab::{Cgroup, Process};

use self::{
    changes::{
        a_cgroup_that_loses_its_policy_lets_calls_pass, a_guard_removed_by_hand_is_put_back,
        a_killed_daemon_leaves_the_guard_and_the_next_adopts_it, another_mode_ends_the_guard,
        other_values_are_held_from_then_on,
    },
    destinations::{
        each_rule_holds_its_values_for_its_destinations, rules_out_of_use_hold_nothing_and_are_collected,
    },
    levels::{
        an_enforcing_policy_yields_to_one_below_that_does_not, the_deepest_of_two_enforcing_policies_holds,
    },
};
use crate::{
    peer::Options,
    support::{Host, Pair, Peer, UNTOUCHED, document, options, with_privileges},
};

crate::tests!(
    a_cgroup_that_loses_its_policy_lets_calls_pass,
    a_guard_removed_by_hand_is_put_back,
    a_killed_daemon_leaves_the_guard_and_the_next_adopts_it,
    an_enforcing_policy_yields_to_one_below_that_does_not,
    another_mode_ends_the_guard,
    calls_before_the_connection_pass_and_are_overridden,
    calls_on_ends_of_another_direction_pass,
    each_rule_holds_its_values_for_its_destinations,
    later_calls_that_weaken_the_values_are_rewritten_and_counted,
    mptcp_is_guarded_on_its_own_socket,
    other_modes_do_not_guard,
    other_values_are_held_from_then_on,
    rules_out_of_use_hold_nothing_and_are_collected,
    the_deepest_of_two_enforcing_policies_holds,
    two_capabilities_are_enough,
);

const VALUES: &str = "keepalive: {idle: 60s, interval: 15s, probes: 4}, userTimeout: 90s";
const HELD: Options = options(true, 60, 15, 4, 90_000);
/// Weaker in everything, but that keep-alive stays on.
const LOOSER: Options = options(true, 7200, 75, 9, 200_000);
const TIGHTER: Options = options(true, 20, 5, 2, 30_000);

/// A host with a cgroup that a policy of this mode selects.
fn host_of(label: &str, mode: &str) -> (Host, Cgroup) {
    let host = Host::new(label);
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", &format!("{VALUES}, mode: {mode}")));
    (host, app)
}

/// Sets options on both ends of a connection.
fn set_both(peer: &mut Peer, pair: Pair, asked: Options) -> [Options; 2] {
    [pair.client, pair.server].map(|end| {
        peer.set(end, asked);
        peer.options(end)
    })
}

fn off(peer: &mut Peer, pair: Pair) -> [Options; 2] {
    set_both(peer, pair, Options { keepalive: Some(false), ..Options::default() })
}

/// The daemon has put other policies in force.
fn wait_line(daemon: &Process, mark: usize, text: &str) {
    daemon.wait_line_from(mark, text).unwrap();
}

fn counter(host: &Host, name: &str) -> u64 {
    host.status()["cgroups"][0]["counters"][name].as_u64().unwrap_or(0)
}

fn later_calls_that_weaken_the_values_are_rewritten_and_counted() {
    let (host, app) = host_of("enforce", "Enforce");
    let _daemon = host.start_swept();
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    assert_eq!([pair.client, pair.server].map(|end| peer.options(end)), [HELD; 2]);

    assert_eq!(set_both(&mut peer, pair, LOOSER), [HELD; 2], "looser values");
    assert_eq!(off(&mut peer, pair), [HELD; 2], "keep-alive off");
    let none = Options { user_timeout_ms: Some(0), ..Options::default() };
    assert_eq!(set_both(&mut peer, pair, none), [HELD; 2], "no user timeout");
    assert_eq!(set_both(&mut peer, pair, TIGHTER), [TIGHTER; 2], "tighter values");
    assert_eq!(set_both(&mut peer, pair, LOOSER), [HELD; 2], "looser values after tighter ones");

    let names = ["keepalive", "idle", "interval", "probes", "user_timeout"];
    let counted = names.map(|name| counter(&host, &format!("rewritten_{name}")));
    assert_eq!(counted, [2, 4, 4, 4, 6]);
}

fn calls_before_the_connection_pass_and_are_overridden() {
    let (host, app) = host_of("before", "Enforce");
    let _daemon = host.start();
    for asked in [LOOSER, TIGHTER, Options { keepalive: Some(false), ..LOOSER }] {
        let mut peer = host.peer(&app);
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = peer.open(any, false);
        peer.set(listener, asked);
        let address = peer.listen_with(listener, any);
        peer.set(listener, asked);
        assert_eq!(peer.options(listener), asked, "a listener");
        let client = peer.open(address, false);
        peer.set(client, asked);
        assert_eq!(peer.options(client), asked, "before it connects");

        peer.connect_with(client, address);
        let server = peer.accept(listener);

        let pair = Pair { client, server };
        assert_eq!([client, server].map(|end| peer.options(end)), [HELD; 2], "{asked:?}");
        assert_eq!(set_both(&mut peer, pair, LOOSER), [HELD; 2], "{asked:?}");
    }
}

fn other_modes_do_not_guard() {
    for (mode, established) in [
        ("Monitor", UNTOUCHED),
        ("FillMissing", HELD),
        // Only at establishment: what the application sets later stands.
        ("Tighten", HELD),
    ] {
        let (host, app) = host_of("unguarded", mode);
        let _daemon = host.start_swept();
        let mut peer = host.peer(&app);
        let pair = peer.pair();

        assert_eq!([pair.client, pair.server].map(|end| peer.options(end)), [established; 2], "{mode}");
        assert_eq!(set_both(&mut peer, pair, LOOSER), [LOOSER; 2], "{mode}");
        let program = host.bpffs.path().join("keepalive/abi2/guard_program");
        assert!(!program.exists(), "{mode} loads no guard");
    }
}

fn calls_on_ends_of_another_direction_pass() {
    let (host, app) = host_of("direction", "Enforce, direction: Inbound");
    // To a sweep, which goes by who listens, both ends would be outbound.
    let _daemon = host.start_swept();
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    assert_eq!([pair.client, pair.server].map(|end| peer.options(end)), [UNTOUCHED, HELD]);

    assert_eq!(set_both(&mut peer, pair, LOOSER), [LOOSER, HELD]);
}

fn mptcp_is_guarded_on_its_own_socket() {
    let (host, app) = host_of("mptcp", "Enforce");
    let _daemon = host.start();
    let mut peer = host.peer(&app);
    let (listener, address) = peer.listen("127.0.0.1:0", true);
    let client = peer.open(address, true);
    let asked = Options { user_timeout_ms: None, ..LOOSER };
    peer.set(client, asked);
    assert_eq!(peer.options(client).idle_s, Some(7200), "before it connects");
    peer.connect_with(client, address);
    let server = peer.accept(listener);

    for end in [client, server] {
        peer.set(end, asked);
        peer.set(end, Options { keepalive: Some(false), ..Options::default() });
        assert_eq!(peer.options(end), Options { user_timeout_ms: None, ..HELD });
    }
}

fn two_capabilities_are_enough() {
    let (host, app) = host_of("two-capabilities", "Enforce");
    let run = with_privileges(&["--bounding-set=-all,+bpf,+net_admin"], &host.command("run"));
    let daemon = host.start_with(run);
    daemon.wait_line("ready: all policies").unwrap();
    let mut peer = host.peer(&app);
    let pair = peer.pair();

    assert_eq!(set_both(&mut peer, pair, LOOSER), [HELD; 2]);
}
