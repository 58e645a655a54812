//! `apply --existing`.

use std::process::Output;

use serde_json::Value;

use super::{app, armed, both, govern, open_connections};
use crate::support::{Host, UNTOUCHED, daemon};

fn apply(host: &Host, arguments: &[&str]) -> Output {
    daemon()
        .args(["apply", "-o", "json", "--api-socket"])
        .arg(host.socket())
        .args(arguments)
        .output()
        .unwrap()
}

fn answer(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

pub(super) fn apply_changes_what_a_policy_leaves_alone_and_a_dry_run_nothing() {
    let (host, app) = app("apply");
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    govern(&host, 60, "applyToExisting: false");
    let daemon = host.start();

    let told = answer(&apply(&host, &["--existing", "--dry-run", "--policy", "p"]));

    assert_eq!(
        (&told["dryRun"], &told["totals"]["armed"], &told["cgroups"]),
        (&true.into(), &2.into(), &1.into())
    );
    let rows = told["sockets"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!((&row["cgroup"], &row["outcome"]), (&"app".into(), &"arm".into()));
        assert_eq!((&row["set"]["idleSeconds"], &row["before"]["keepalive"]), (&60.into(), &false.into()));
    }
    assert_eq!(both(&mut peer, pair), [UNTOUCHED; 2], "nothing is changed");

    let done = answer(&apply(&host, &["--existing", "--cgroup", "a*"]));

    assert_eq!((&done["dryRun"], &done["totals"]["armed"]), (&false.into(), &2.into()));
    assert_eq!(both(&mut peer, pair), [armed(60); 2]);
    let line = daemon.wait_line("swept open connections").unwrap();
    assert!(line.contains("asked for by `apply`"), "{line}");
    let open = open_connections(&host, "app");
    assert_eq!((&open["state"], &open["armed"]), (&"swept".into(), &2.into()));

    let again = answer(&apply(&host, &["--existing"]));
    assert_eq!((&again["totals"]["armed"], &again["totals"]["examined"]), (&0.into(), &2.into()));
}

pub(super) fn a_dry_run_of_what_only_counts_tells_what_would_be_set() {
    let (host, app) = app("apply-monitor");
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    govern(&host, 60, "mode: Monitor");
    let _daemon = host.start();

    let told = answer(&apply(&host, &["--existing", "--dry-run"]));

    let rows = told["sockets"].as_array().unwrap();
    assert_eq!(
        (rows.len(), &told["totals"]["armed"], &told["totals"]["monitored"]),
        (2, &0.into(), &2.into())
    );
    assert!(rows.iter().all(|row| row["set"]["idleSeconds"] == 60), "{told}");
    assert_eq!(both(&mut peer, pair), [UNTOUCHED; 2], "nothing is changed");
}

pub(super) fn apply_says_what_there_is_if_nothing_is_selected() {
    let (host, _app) = app("apply-none");
    govern(&host, 60, "");
    let _daemon = host.start();

    for arguments in [["--policy", "q"], ["--cgroup", "b*"], ["-n", "shop"], ["-p", "app"]] {
        let output = apply(&host, &[&["--existing"], &arguments[..]].concat());

        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("1 cgroup governed: app (policy p)"), "{message}");
    }
    let without = apply(&host, &[]);
    assert_eq!(without.status.code(), Some(2), "what it applies to is to be said");
}
