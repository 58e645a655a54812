//! Many changes in a row.

use super::{fresh, governed};
use crate::{
    peer::Options,
    support::{Prober, document, options},
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
        let spec = format!("{keepalive}, userTimeout: {user_timeout}s");
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
    assert_eq!(fresh(&host, &app), values(CHANGES - 1).1);
}
