//! Metrics and health: what a real Prometheus makes of them, and that they say what the kernel's sockets show.

mod gone;
mod health;
mod prometheus;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    process::Command,
};

use xtask::lab::Process;

use self::{
    gone::{
        cgroups_that_go_stay_in_the_sums_of_their_policy,
        what_a_cgroup_did_at_its_very_end_is_never_invented,
        what_was_counted_before_a_restart_is_not_counted_again,
    },
    health::{
        a_cgroup_that_refuses_is_counted_with_its_reason, a_port_that_is_taken_holds_nothing_up,
        an_order_is_refused, health_and_readiness_say_what_is_missing, many_who_ask_hold_nothing_up,
    },
    prometheus::a_prometheus_has_the_numbers_that_the_sockets_show,
};
use crate::support::{Host, armed_counter, document, get};

crate::tests!(
    a_cgroup_that_refuses_is_counted_with_its_reason,
    a_port_that_is_taken_holds_nothing_up,
    a_prometheus_has_the_numbers_that_the_sockets_show,
    an_order_is_refused,
    cgroups_that_go_stay_in_the_sums_of_their_policy,
    health_and_readiness_say_what_is_missing,
    many_who_ask_hold_nothing_up,
    what_a_cgroup_did_at_its_very_end_is_never_invented,
    what_was_counted_before_a_restart_is_not_counted_again,
);

/// Where the daemon of a test serves: in the host's own network namespace, so that no other has it.
const SERVED: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9798);

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";

/// A host with a policy `apps` for each cgroup `app…`.
fn host(label: &str) -> Host {
    let host = Host::new(label);
    host.write_policies("p.yaml", &document("apps", "app*", KEEPALIVE));
    host
}

/// The daemon's command, in the host's network namespace and with metrics.
fn command(host: &Host, arguments: &[&str]) -> Command {
    let run = host.command("run");
    let mut command = host.netns.command(run.get_program());
    command.args(run.get_args()).args(arguments);
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("KEEPALIVE_METRICS", SERVED.to_string());
    command
}

/// Starts the daemon and waits until everything is in force and metrics are served.
fn start(host: &Host, arguments: &[&str]) -> Process {
    let daemon = host.start_with(command(host, arguments));
    daemon.wait_line("metrics and health are at").unwrap();
    daemon.wait_line("ready: all policies").unwrap();
    daemon
}

/// What is served, as series and values; what one scrape serves, others within a second are served too.
struct Samples(BTreeMap<String, f64>);

impl Samples {
    fn of(host: &Host) -> Self {
        let (code, text) = get(&host.netns, SERVED, "/metrics").unwrap();
        assert_eq!(code, 200, "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        });
        Self(samples.collect())
    }

    fn get(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    /// Armed connections of a policy; none of one that nobody knows yet.
    fn armed(&self, policy: &str) -> f64 {
        let result = armed_counter();
        let series = format!("keepalive_connections_total{{policy=\"{policy}\",result=\"{result}\"}}");
        self.0.get(&series).copied().unwrap_or_default()
    }
}
