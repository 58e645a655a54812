//! Killed while it sweeps open connections.

use std::time::Duration;

use super::{report::Loop, site::READY};
use crate::{
    peer::Options,
    support::{At, End, Ended, Host, document, eventually, options, run_until},
};

const CONNECTIONS: usize = 12;

/// What a daemon says when it is done.
const SWEPT: &str = "swept open connections";

/// Beyond what a change and its sweep take, for most of which the daemon waits for more files.
const SWEEP: Duration = Duration::from_millis(150);

/// What a policy asks for that is one of two.
const fn armed(second: bool) -> Options {
    if second { options(true, 90, 27, 8, 0) } else { options(true, 60, 13, 5, 0) }
}

/// Puts one of two policies in place.
fn write(host: &Host, mode: &str, second: bool) {
    let Options { idle_s, interval_s, probes, .. } = armed(second);
    let [idle, interval] = [idle_s, interval_s].map(Option::unwrap);
    let probes = probes.unwrap();
    let spec = format!("keepalive: {{idle: {idle}s, interval: {interval}s, probes: {probes}}}, mode: {mode}");
    host.write_policies("p.yaml", &document("p", "app", &spec));
}

pub(super) fn killed_at_any_step_of_a_sweep() {
    let mut kills = Loop::new("sweep", Vec::new());
    for mode in ["Tighten", "Enforce"] {
        let host = Host::new("crash-sweep");
        let app = host.cgroup("app");
        let mut peer = host.peer(&app);
        peer.pairs(CONNECTIONS);
        let mut second = false;
        write(&host, mode, second);
        let mut has = |second, after: &str| {
            let all = [(armed(second), 2 * CONNECTIONS)];
            let what = format!("all connections have {all:?} with {mode}, {after}");
            eventually(&what, || (peer.all_options() == all).then_some(()));
        };
        let daemon = host.start();
        has(second, "at first");
        drop(daemon);
        let mut sweep = |at, method| {
            second = !second;
            let change = || write(&host, mode, second);
            let mut command = host.command("run");
            command.env("KEEPALIVE_SWEEP_METHOD", method);
            let end = End { from: Some((READY, &change)), at, until: Some(SWEPT) };
            (run_until(command, &end), second)
        };
        let (Ended { steps, .. }, _) = sweep(At::Last, "descriptors");
        for step in kills.points.steps(steps) {
            let (at, method) = match kills.points.either() {
                true => (step, "descriptors"),
                false => (kills.points.moment(SWEEP), "iterator"),
            };
            let (ended, second) = sweep(at, method);
            let daemon = host.start();
            has(second, &kills.round(at, ended.at));
            drop(daemon);
            kills.killed(2);
        }
    }
    kills.finish();
}
