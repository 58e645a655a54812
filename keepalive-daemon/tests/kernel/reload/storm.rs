//! Many changes in a row.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::{armed, fresh, governed, policy};
use crate::{
    peer::Options,
    support::{Prober, document, eventually_is, options},
};

pub(super) fn many_changes_in_a_row_show_only_values_that_some_file_had() {
    const CHANGES: u32 = 200;
    /// After so many the daemon is waited for, so that it applies many and not only the last.
    const BURST: u32 = 5;
    let (host, app, daemon) = governed("storm");
    let prober = Prober::start(host.peer(&app));
    // No two have a value in common: a mix of two would show.
    let values = |change: u32| {
        let [idle, interval, probes] = [1000 + change, 200 + change, 1 + change % 100];
        let keepalive = format!("keepalive: {{idle: {idle}s, interval: {interval}s, probes: {probes}}}");
        let user_timeout = 100 + change;
        let spec = format!("{keepalive}, userTimeout: {user_timeout}s, applyToExisting: false");
        (spec, options(true, idle.into(), interval.into(), probes, u64::from(user_timeout) * 1000))
    };
    for change in 0..CHANGES {
        let mark = daemon.mark();
        host.write_policies("p.yaml", &document("p", "app", &values(change).0));
        if change % BURST == BURST - 1 {
            daemon.wait_line_from(mark, "changed the policy").unwrap();
        }
    }

    prober.await_more(1);

    let known: Vec<Options> =
        (0..CHANGES).map(|change| values(change).1).chain([options(true, 100, 13, 5, 0)]).collect();
    let seen = prober.finish();
    assert!(seen.iter().all(|options| known.contains(options)), "{seen:?}");
    assert!(seen.len() > 10, "the changes were seen while they happened: {seen:?}");
    eventually_is("the last holds", || fresh(&host, &app), |options| *options == values(CHANGES - 1).1);
}

pub(super) fn whoever_makes_cgroups_without_a_pause_does_not_hold_up_a_change() {
    let (host, app, daemon) = governed("restless");
    let mark = daemon.mark();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let restless = host.root.path().join("restless");
            while !stop.load(Ordering::Relaxed) {
                fs::create_dir(&restless).unwrap();
                fs::remove_dir(&restless).unwrap();
            }
        });

        host.write_policies("p.yaml", &policy(200));
        let changed = daemon.wait_line_from(mark, "changed the policy");

        stop.store(true, Ordering::Relaxed);
        changed.unwrap();
    });
    assert_eq!(fresh(&host, &app), armed(200));
}
