//! Killed while it sweeps open connections.

use std::time::Duration;

use super::{
    report::Loop,
    site::{READY, pinned},
};
use crate::{
    peer::Options,
    support::{At, End, Ended, Host, Prober, document, eventually, objects, options, run_until},
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

/// What a connection may have that somebody makes meanwhile: it may be looked at while one option after the other is set.
fn either() -> Vec<Options> {
    let all = (0..8).map(|bits| {
        let of = |bit: u8| armed(bits & bit != 0);
        Options { interval_s: of(2).interval_s, probes: of(4).probes, ..of(1) }
    });
    all.collect()
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
    for (mode, what) in [("Tighten", "sweep"), ("Enforce", "sweep that enforces")] {
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
        let in_kernel = || (pinned(&host), objects::links(&app).len());
        let should = in_kernel();
        drop(daemon);
        let mut kills = Loop::new(what, vec![(Prober::start(host.peer(&app)), either())]);
        kills.points = kills.points.halved();
        let mut sweep = |at, method| {
            second = !second;
            let change = || write(&host, mode, second);
            let mut command = host.command("run");
            command.env("KEEPALIVE_SWEEP_METHOD", method);
            let end = End { from: Some((READY, &change)), at, until: Some(SWEPT) };
            let ended = run_until(command, &end);
            assert_eq!(ended.code, None, "it ended by itself:\n{}", ended.said);
            (ended, second)
        };
        let (Ended { steps, .. }, _) = sweep(At::Last, "descriptors");
        for step in kills.points.steps(steps) {
            let (at, method) = match kills.points.either() {
                true => (step, "descriptors"),
                false => (kills.points.moment(SWEEP), "iterator"),
            };
            let (ended, second) = sweep(at, method);
            kills.killed(&ended);
            let daemon = host.start();
            // Or one that is half done would end with this daemon as it is.
            host.await_swept();
            // Descriptors have one option set at a time. What a kill leaves between two is taken for the
            // application's own.
            let halves = usize::from(mode == "Tighten" && ended.at == Some("setsockopt"));
            let after = kills.round(at, ended.at);
            has(second, halves, &after);
            // Links of a killed daemon that were not pinned end in a worker of the kernel's.
            eventually(&format!("{should:?} and nothing else, {after}"), || {
                (in_kernel() == should).then_some(())
            });
            drop(daemon);
            kills.killed_at_rest();
        }
        kills.finish();
    }
}
