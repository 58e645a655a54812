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

/// Whether all connections have what a policy asks for, but for so many that have some of it, and some of the other's.
fn is_whole(all: &[(Options, usize)], second: bool, halves: usize) -> bool {
    let [one, other] = [armed(second), armed(!second)];
    let is_half = |it: &Options| {
        (it.idle_s == one.idle_s || it.idle_s == other.idle_s)
            && (it.interval_s == one.interval_s || it.interval_s == other.interval_s)
            && (it.probes == one.probes || it.probes == other.probes)
            && it.keepalive == Some(true)
    };
    let count = |are: &dyn Fn(&Options) -> bool| -> usize {
        all.iter().filter(|(options, _)| are(options)).map(|(_, count)| *count).sum()
    };
    let whole = count(&|it| *it == one);
    let half = count(&|it| *it != one && *it != other && is_half(it));
    whole + half == 2 * CONNECTIONS && half <= halves
}

pub(super) fn killed_at_any_step_of_a_sweep() {
    let mut kills = Loop::new("sweep", Vec::new());
    kills.points = kills.points.halved();
    for mode in ["Tighten", "Enforce"] {
        let host = Host::new("crash-sweep");
        let app = host.cgroup("app");
        let mut peer = host.peer(&app);
        peer.pairs(CONNECTIONS);
        let mut second = false;
        write(&host, mode, second);
        let mut has = |second, halves: usize, after: &str| {
            let what =
                format!("all connections, but for {halves}, have {:?} with {mode}, {after}", armed(second));
            eventually(&what, || is_whole(&peer.all_options(), second, halves).then_some(()));
        };
        let daemon = host.start();
        has(second, 0, "at first");
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
            // Or one that is half done would end with this daemon as it is.
            host.await_swept();
            // Descriptors have one option set at a time. What a kill leaves between two is taken for the
            // application's own.
            let halves = usize::from(mode == "Tighten" && ended.at == Some("setsockopt"));
            has(second, halves, &kills.round(at, ended.at));
            drop(daemon);
            kills.killed(2);
        }
    }
    kills.finish();
}
