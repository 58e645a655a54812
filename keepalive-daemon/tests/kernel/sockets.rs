//! Connections, one by one, as `sockets` and the control socket list them.

mod many;
mod patience;
mod privileges;

use std::process::Output;

use serde_json::Value;

use self::{
    many::ten_thousand_in_four_namespaces_agree_with_ss,
    patience::{
        one_list_at_a_time_and_who_does_not_read_keeps_nobody_for_ever, watch_goes_on_until_nobody_reads,
    },
    privileges::{
        by_descriptors_where_the_program_may_not_be_loaded,
        what_is_reached_by_another_process_is_not_missing, with_few_privileges_what_can_be_had_is_told,
    },
};
use crate::{
    peer::Options,
    support::{Host, document, eventually},
};

crate::tests!(
    by_descriptors_where_the_program_may_not_be_loaded,
    each_connection_says_what_came_of_it_and_why,
    one_list_at_a_time_and_who_does_not_read_keeps_nobody_for_ever,
    ten_thousand_in_four_namespaces_agree_with_ss,
    watch_goes_on_until_nobody_reads,
    what_is_not_there_is_named,
    what_is_reached_by_another_process_is_not_missing,
    with_few_privileges_what_can_be_had_is_told,
);

/// What `sockets` says as JSON.
fn sockets(host: &Host, arguments: &[&str]) -> Value {
    let output = host.run("sockets", &[arguments, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)))
}

fn rows(listing: &Value) -> &Vec<Value> {
    listing["sockets"].as_array().unwrap()
}

/// The rows of a cgroup, each as its verdict and why.
fn verdicts(listing: &Value, cgroup: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = rows(listing).iter().filter(|row| row["cgroup"] == cgroup);
    let mut verdicts: Vec<_> = of.map(|row| (text(&row["verdict"]), text(&row["why"]))).collect();
    verdicts.sort();
    verdicts
}

/// The options that a row tells, in the form that getsockopt's are in.
fn told(row: &Value) -> Options {
    let options = &row["options"];
    Options {
        keepalive: options["keepalive"].as_bool(),
        idle_s: options["idleSeconds"].as_u64(),
        interval_s: options["intervalSeconds"].as_u64(),
        probes: options["probes"].as_u64().map(|probes| u32::try_from(probes).unwrap()),
        user_timeout_ms: options["userTimeoutMilliseconds"].as_u64(),
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until no sweep is to come that could change what a connection has.
fn settle(host: &Host) {
    eventually("all that is open is swept", || {
        let status = host.status();
        let cgroups = status["cgroups"].as_array().unwrap();
        let is_settled =
            |cgroup: &Value| ["swept", "off"].contains(&cgroup["openConnections"]["state"].as_str().unwrap());
        cgroups.iter().all(is_settled).then_some(())
    });
}

const KEEPALIVE: &str = "keepalive: {idle: 600s, interval: 15s, probes: 4}";

fn each_connection_says_what_came_of_it_and_why() {
    let host = Host::new("verdicts");
    let [app, before, inbound, free] = ["app", "before", "inbound", "free"].map(|path| host.cgroup(path));
    let mut old = host.peer(&before);
    let old_pair = old.pair();
    host.write_policies("p.yaml", &document("p", "app", KEEPALIVE));
    let alone = format!("{KEEPALIVE}, applyToExisting: false");
    host.write_policies("q.yaml", &document("q", "before", &alone));
    host.write_policies("r.yaml", &document("r", "inbound", &format!("{KEEPALIVE}, direction: Inbound")));
    let _daemon = host.start();
    settle(&host);
    let [mut app, mut inbound, mut free] = [&app, &inbound, &free].map(|group| host.peer(group));
    let pair = app.pair();
    let looser = Options { keepalive: Some(true), idle_s: Some(7200), ..Options::default() };
    app.set(pair.client, looser);
    // A listener tells which end was accepted.
    let (listener, address) = inbound.listen("127.0.0.1:0", false);
    let client = inbound.connect(address);
    let server = inbound.accept(listener);
    let _ = free.pair();

    let governed = sockets(&host, &[]);
    let all = sockets(&host, &["--all"]);
    let unarmed = sockets(&host, &["--unarmed"]);
    let named = sockets(&host, &["--cgroup", "free"]);
    let by_policy = sockets(&host, &["--policy", "q"]);

    let [(first, looser), (second, has)] = &verdicts(&governed, "app")[..] else { panic!("{governed}") };
    assert_eq!([first.as_str(), second.as_str()], ["application", "policy"]);
    assert!(looser.starts_with("looser than the policy's") && has.contains("has the policy's values"));
    for (verdict, why) in verdicts(&governed, "before") {
        assert!(verdict == "off" && why.contains("leaves open connections alone"), "{verdict}: {why}");
    }
    let of_inbound = verdicts(&governed, "inbound");
    assert!(
        of_inbound[0].0 == "off" && of_inbound[0].1.contains("inbound connections only"),
        "{of_inbound:?}"
    );
    assert_eq!((of_inbound.len(), of_inbound[1].0.as_str()), (2, "policy"));
    let directions = rows(&governed).iter().filter(|row| row["cgroup"] == "inbound");
    let mut directions: Vec<_> = directions.map(|row| row["direction"].as_str().unwrap()).collect();
    directions.sort_unstable();
    assert_eq!(directions, ["Inbound", "Outbound"]);
    assert!(verdicts(&governed, "free").is_empty());
    for listing in [&all, &named] {
        let free = verdicts(listing, "free");
        assert!(
            free.len() == 2 && free[0] == ("off".to_owned(), "no policy governs it".to_owned()),
            "{free:?}"
        );
    }
    assert!(rows(&all).len() > rows(&governed).len());
    assert!(rows(&named).len() == 2 && rows(&by_policy).len() == 2);
    assert_eq!((rows(&unarmed).len(), &unarmed["summary"]["off"]), (3, &3.into()));
    // What is told is what getsockopt says, and who holds them the process that was started.
    let pid = u64::from(app.process().pid());
    let mut of_app: Vec<Options> = Vec::new();
    for row in rows(&governed).iter().filter(|row| row["cgroup"] == "app") {
        assert_eq!((row["process"]["pid"].as_u64(), row["state"].as_str()), (Some(pid), Some("ESTAB")));
        assert_eq!(row["timer"]["kind"], "keepalive");
        of_app.push(told(row));
    }
    for end in [pair.client, pair.server] {
        assert!(of_app.contains(&app.options(end)), "{of_app:?}");
    }
    assert_eq!(old.options(old_pair.client).keepalive, Some(false));
    assert_eq!([client, server].map(|end| inbound.options(end).keepalive), [Some(false), Some(true)]);
    let table = String::from_utf8(host.run("sockets", &[]).stdout).unwrap();
    for said in ["KEEP-ALIVE", "600s/15s/4"] {
        assert!(table.contains(said), "{said} is not in:\n{table}");
    }
    // Of ten minutes, what a slow machine has left.
    assert!((5..10).any(|minutes| table.contains(&format!("keepalive {minutes}m"))), "{table}");
}

fn what_is_not_there_is_named() {
    let host = Host::new("absent");
    let _app = host.cgroup("app");
    host.write_policies("p.yaml", &document("p", "app", KEEPALIVE));
    let _daemon = host.start();

    for (arguments, says) in [
        (["--pod", "web-0"], "no cgroup of this node is of pod web-0"),
        (["--cgroup", "nothing/*"], "cgroup nothing/*"),
        (["--cgroup", "a//b"], "empty path component"),
    ] {
        let output = host.run("sockets", &arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
    let nothing = sockets(&host, &[]);
    assert!(rows(&nothing).is_empty() && nothing["summary"]["namespaces"].as_u64() > Some(0));
}
