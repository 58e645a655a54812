//! What each verb prints, and how it ends, against what the kernel says.

mod answers;
mod privileges;
mod removal;
mod tools;

use std::process::Output;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use self::{
    answers::{
        a_mistake_made_while_it_runs_ends_readiness_until_it_is_mended,
        what_governs_a_cgroup_from_above_is_explained,
    },
    privileges::{
        probe_attaches_to_its_own_cgroup_where_it_may_make_none,
        probe_finds_everything_as_root_and_leaves_nothing, the_log_of_connections_needs_one_capability_more,
        two_capabilities_suffice, what_a_missing_capability_is_for_is_told,
        what_is_pinned_is_taken_over_with_the_capability_alone,
    },
    removal::{
        cleanup_refuses_while_a_daemon_runs, cleanup_removes_everything_and_a_second_one_nothing,
        cleanup_removes_what_a_killed_exec_left,
    },
    tools::{bpftool_prints_names_and_fields, the_pins_read_like_a_report},
};
use crate::{
    peer::Options,
    support::{Host, armed_counter, document, eventually, options},
};

crate::tests!(
    a_mistake_made_while_it_runs_ends_readiness_until_it_is_mended,
    what_governs_a_cgroup_from_above_is_explained,
    bpftool_prints_names_and_fields,
    cleanup_refuses_while_a_daemon_runs,
    cleanup_removes_everything_and_a_second_one_nothing,
    cleanup_removes_what_a_killed_exec_left,
    probe_attaches_to_its_own_cgroup_where_it_may_make_none,
    probe_finds_everything_as_root_and_leaves_nothing,
    status_fails_until_the_policies_are_in_force,
    status_is_the_same_from_the_daemon_and_from_the_pins,
    the_log_of_connections_needs_one_capability_more,
    the_pins_read_like_a_report,
    two_capabilities_suffice,
    what_a_missing_capability_is_for_is_told,
    what_is_pinned_is_taken_over_with_the_capability_alone,
);

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The options that a cgroup's entry of the status promises.
fn promised(cgroup: &Value) -> Options {
    let values = &cgroup["inForce"];
    let number = |field: &str| values[field].as_u64().unwrap_or(0);
    options(
        true,
        number("idleSeconds"),
        number("intervalSeconds"),
        u32::try_from(number("probes")).unwrap(),
        number("userTimeoutMilliseconds"),
    )
}

fn status_is_the_same_from_the_daemon_and_from_the_pins() {
    let host = Host::new("status");
    let (app, inner) = (host.cgroup("app"), host.cgroup("app/inner"));
    let all = document("outer", "app", "keepalive: {idle: 61s, interval: 13s, probes: 5}, userTimeout: 99s")
        + &document("inner", "app/inner", "keepalive: {idle: 30s, interval: 10s, probes: 3}")
        + &document("idle", "nobody", "mode: Monitor");
    host.write_policies("p.yaml", &all);
    let daemon = host.start();
    let found: Vec<Options> = [&app, &inner]
        .map(|cgroup| {
            let mut peer = host.peer(cgroup);
            let pair = peer.pair();
            peer.options(pair.client)
        })
        .into();

    eventually("what was open is swept, and dead peers are noticed", || {
        let status = host.status();
        let cgroups = status["cgroups"].as_array()?;
        let are_swept = cgroups.iter().all(|cgroup| cgroup["openConnections"]["state"] == "swept");
        (are_swept && status["daemon"]["helping"]["findsDeadPeers"] == true).then_some(())
    });
    let asked = host.run("status", &["-o", "json"]);
    let table = stdout(&host.run("status", &[]));
    let yaml: Value = serde_saphyr::from_str(&stdout(&host.run("status", &["-o", "yaml"]))).unwrap();
    daemon.signal(Signal::SIGKILL).unwrap();
    daemon.wait().unwrap();
    let inspected = host.run("status", &["-o", "json"]);
    let table_of_pins = stdout(&host.run("status", &[]));

    let status: Value = serde_json::from_slice(&asked.stdout).unwrap();
    let cgroups = status["cgroups"].as_array().unwrap();
    let paths: Vec<&str> = cgroups.iter().map(|cgroup| cgroup["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["app", "app/inner"]);
    // The truth first: what is promised is what getsockopt said.
    assert_eq!(cgroups.iter().map(promised).collect::<Vec<_>>(), found);
    assert_eq!(
        cgroups[0]["counters"],
        json!({"outbound": 1, "inbound": 1, (armed_counter()): 2, "yielded": 2})
    );
    assert_eq!(cgroups[1]["counters"], json!({"outbound": 1, "inbound": 1, (armed_counter()): 2}));
    assert_eq!(cgroups[1]["inForce"]["nested"], true);
    assert_eq!(status["daemon"]["pid"], daemon.pid());
    assert_eq!(status["daemon"]["ready"], true);
    assert_eq!(status["daemon"]["policies"][1]["cgroups"], 1);
    assert_eq!(status["daemon"]["policies"][1]["line"], 8);
    assert_eq!(yaml, status);
    assert_eq!(asked.status.code(), Some(0));
    let row = table.lines().find(|line| line.starts_with("app ")).unwrap();
    for cell in ["outer", "Tighten", "Both", "61s/13s/5 ut 1m 39s"] {
        assert!(row.contains(cell), "{row}");
    }
    assert!(table.contains("ready") && table.contains("no cgroup matches \"nobody\""), "{table}");

    let from_pins: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    let mut cgroups = status["cgroups"].clone();
    for cgroup in cgroups.as_array_mut().unwrap() {
        // What a sweep found, and what it was good for, is known to the daemon that saw it.
        cgroup["openConnections"] = json!({"state": "swept"});
        cgroup.as_object_mut().unwrap().remove("helped").unwrap();
    }
    let nothing_else = json!({
        "cgroups": cgroups, "refused": [], "unreachable": [], "annotations": [], "noLongerGoverned": [],
    });
    assert_eq!(from_pins, nothing_else);
    assert_eq!(inspected.status.code(), Some(0));
    assert!(table_of_pins.starts_with("no daemon answers"), "{table_of_pins}");
    let (row, _helped) = row.trim_end().rsplit_once("   ").unwrap();
    assert!(table_of_pins.contains(row), "{table_of_pins}");
}

fn status_fails_until_the_policies_are_in_force() {
    let host = Host::new("unready");
    let app = host.cgroup("app");
    host.write_policies("bad.yaml", &document("bad", "app", "mood: Grim"));
    let daemon = host.start_with(host.command("run"));
    daemon.wait_line("cannot use the policies").unwrap();

    let unready = host.run("status", &["-o", "json"]);
    let table = host.run("status", &[]);
    let mark = daemon.mark();
    host.write_policies(
        "bad.yaml",
        &document("good", "app", "keepalive: {idle: 61s, interval: 13s, probes: 5}"),
    );
    daemon.wait_line_from(mark, "ready").unwrap();
    let ready = host.run("status", &["-o", "json"]);

    let status: Value = serde_json::from_slice(&unready.stdout).unwrap();
    assert_eq!((unready.status.code(), table.status.code()), (Some(1), Some(1)));
    assert_eq!(status["daemon"]["ready"], false);
    assert_eq!(status["daemon"]["unfinished"][0], "read the policies");
    assert!(status["daemon"]["policyError"].as_str().unwrap().contains("mood"), "{status}");
    assert!(stdout(&table).contains("not ready, has yet to: read the policies"), "{}", stdout(&table));
    assert_eq!(ready.status.code(), Some(0), "{}", stdout(&ready));
    let mut peer = host.peer(&app);
    let pair = peer.pair();
    assert_eq!(peer.options(pair.client), options(true, 61, 13, 5, 0));
}
