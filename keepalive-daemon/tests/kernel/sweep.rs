//! Connections that are open already when their policy comes, changes or goes.

mod changes;
mod many;
mod places;
mod restarts;
mod verb;

use keepalive_daemon::features::Feature;
use serde_json::Value;
use xtask::lab::{Cgroup, Process};

use self::{
    changes::{
        a_cgroup_that_is_no_longer_governed_keeps_its_values_and_says_so,
        a_changed_policy_takes_its_own_values_back_and_no_others,
        a_policy_that_is_not_for_open_connections_leaves_them_alone,
        fill_missing_leaves_what_the_application_chose, monitor_counts_and_changes_nothing,
        what_passed_the_guard_is_put_right,
    },
    many::{
        all_of_ten_thousand_by_descriptors, all_of_ten_thousand_by_the_iterator, what_the_iterator_leaves_out,
    },
    places::{
        a_cgroup_governed_inside_has_its_own_policy_and_gives_it_back, a_connection_that_nobody_accepted_yet,
        connections_of_all_network_namespaces,
    },
    restarts::{
        a_killed_daemon_resumes, a_policy_that_is_taken_back_before_its_sweep_is_over_leaves_nothing,
        a_restart_does_not_sweep_again, what_an_inner_policy_gave_itself_is_known_also_after_a_restart,
        what_an_inner_policy_left_is_swept_for_the_outer_one_also_after_a_restart,
        what_the_outer_policy_gave_is_known_of_the_inner_one_also_after_a_restart,
    },
    verb::{
        a_dry_run_of_what_only_counts_tells_what_would_be_set,
        apply_changes_what_a_policy_leaves_alone_and_a_dry_run_nothing,
        apply_says_what_there_is_if_nothing_is_selected,
    },
};
use crate::{
    needs,
    peer::Options,
    support::{Host, Pair, Peer, UNTOUCHED, document, eventually, options},
};

crate::tests!(
    a_changed_policy_takes_its_own_values_back_and_no_others,
    a_cgroup_governed_inside_has_its_own_policy_and_gives_it_back,
    a_cgroup_that_is_no_longer_governed_keeps_its_values_and_says_so,
    a_connection_that_nobody_accepted_yet,
    a_killed_daemon_resumes,
    a_policy_that_is_not_for_open_connections_leaves_them_alone,
    a_policy_that_is_taken_back_before_its_sweep_is_over_leaves_nothing,
    a_restart_does_not_sweep_again,
    all_of_ten_thousand_by_descriptors,
    all_of_ten_thousand_by_the_iterator,
    a_dry_run_of_what_only_counts_tells_what_would_be_set,
    apply_changes_what_a_policy_leaves_alone_and_a_dry_run_nothing,
    apply_says_what_there_is_if_nothing_is_selected,
    connections_of_all_network_namespaces,
    connections_opened_before_the_policy_get_it,
    fill_missing_leaves_what_the_application_chose,
    monitor_counts_and_changes_nothing,
    what_an_inner_policy_gave_itself_is_known_also_after_a_restart,
    what_an_inner_policy_left_is_swept_for_the_outer_one_also_after_a_restart,
    what_the_outer_policy_gave_is_known_of_the_inner_one_also_after_a_restart,
    what_passed_the_guard_is_put_right,
    what_the_iterator_leaves_out,
);

/// The fields of a policy with these values.
fn values(idle: u64, more: &str) -> String {
    format!("keepalive: {{idle: {idle}s, interval: 15s, probes: 4}}, {more}")
}

/// What that makes of a socket that nobody touched.
const fn armed(idle: u64) -> Options {
    options(true, idle, 15, 4, 0)
}

/// A policy for the cgroup `app`.
fn govern(host: &Host, idle: u64, more: &str) {
    host.write_policies("p.yaml", &document("p", "app", &values(idle, more)));
}

/// What both ends of a connection have.
fn both(peer: &mut Peer, pair: Pair) -> [Options; 2] {
    [pair.client, pair.server].map(|end| peer.options(end))
}

/// What `status` says of the open connections of a cgroup.
fn open_connections(host: &Host, path: &str) -> Value {
    let status = host.status();
    let cgroups = status["cgroups"].as_array().unwrap();
    cgroups
        .iter()
        .find(|cgroup| cgroup["path"] == path)
        .map_or(Value::Null, |it| it["openConnections"].clone())
}

/// Waits until the open connections of a cgroup are swept for the policy with this idle time, and tells what became
/// of them.
fn swept(host: &Host, path: &str, idle: u64) -> Value {
    eventually(&format!("{path} is swept"), || {
        let status = host.status();
        let cgroups = status["cgroups"].as_array().unwrap();
        let cgroup = cgroups.iter().find(|cgroup| cgroup["path"] == path)?;
        let is_done =
            cgroup["inForce"]["idleSeconds"] == idle && cgroup["openConnections"]["state"] == "swept";
        is_done.then(|| cgroup["openConnections"].clone())
    })
}

fn start_with(host: &Host, variables: &[(&str, &str)]) -> Process {
    let mut command = host.command("run");
    command.envs(variables.iter().copied());
    let daemon = host.start_with(command);
    daemon.wait_line("ready: all policies").unwrap();
    daemon
}

fn app(label: &str) -> (Host, Cgroup) {
    let host = Host::new(label);
    let app = host.cgroup("app");
    (host, app)
}

fn connections_opened_before_the_policy_get_it() {
    for (method, needed) in [("iterator", Feature::Sweep), ("descriptors", Feature::Borrow)] {
        if !needs::present().contains(&needed) {
            continue;
        }
        let (host, app) = app("before");
        let mut peer = host.peer(&app);
        let pair = peer.pair();
        assert_eq!(both(&mut peer, pair), [UNTOUCHED; 2]);
        govern(&host, 60, "");

        let daemon = start_with(&host, &[("KEEPALIVE_SWEEP_METHOD", method)]);

        let line = daemon.wait_line("swept open connections").unwrap();
        for said in
            ["cgroup=\"app\"", "policy=\"p\"", "armed=2", "refused=0", "examined=2", "the daemon started"]
        {
            assert!(line.contains(said), "{line}");
        }
        assert!(line.contains(&format!("method=\"{method}\"")), "{line}");
        assert_eq!(both(&mut peer, pair), [armed(60); 2]);
        let open = swept(&host, "app", 60);
        assert_eq!((&open["armed"], &open["examined"]), (&2.into(), &2.into()));
        assert_eq!(host.status()["daemon"]["sweeping"]["method"], method);
    }
}
