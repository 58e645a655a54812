//! A real Prometheus, which scrapes a real daemon.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use xtask::{lab::Process, setup};

use super::{SERVED, host, start};
use crate::support::{Host, armed_counter, document, eventually, get, options};

/// Where it answers, in the namespace of the test.
const ANSWERS: &str = "127.0.0.1:9090";

/// How many connections each of the two cgroups makes to itself.
const PAIRS: [usize; 2] = [7, 5];

pub(super) fn a_prometheus_has_the_numbers_that_the_sockets_show() {
    let tools = tools();
    let host = host("prometheus");
    host.write_policies(
        "q.yaml",
        &document(
            "clients",
            "other",
            "direction: Outbound, keepalive: {idle: 62s, interval: 13s, probes: 5}",
        ),
    );
    let daemon = start(&host, &["--metrics-labels", "cgroup"]);
    let _prometheus = serve(&host, &tools);
    let [app, other] = ["app-1", "other"].map(|name| host.cgroup(name));
    daemon.wait_line("attached cgroup=\"app-1\"").unwrap();
    daemon.wait_line("attached cgroup=\"other\"").unwrap();
    let mut peers = [host.peer(&app), host.peer(&other)];

    // What the kernel says of each end.
    let mut armed = [0_u32; 2];
    for ((peer, pairs), (armed, idle)) in peers.iter_mut().zip(PAIRS).zip(armed.iter_mut().zip([61, 62])) {
        for _ in 0..pairs {
            let pair = peer.pair();
            for end in [pair.client, pair.server] {
                *armed += u32::from(peer.options(end) == options(true, idle, 13, 5, 0));
            }
        }
    }
    assert_eq!(armed, [14, 5], "only one end of a connection goes out");

    let count = |result: &str, policy| {
        format!("keepalive_connections_total{{result=\"{result}\",policy=\"{policy}\"}}")
    };
    let result = armed_counter();
    let of_cgroup = format!("keepalive_cgroup_connections_total{{cgroup=\"app-1\",result=\"{result}\"}}");
    for (query, expected) in [
        (count(result, "apps"), armed[0]),
        (count(result, "clients"), armed[1]),
        (count("kept_direction", "clients"), 5),
        ("sum(keepalive_connections_total)".to_owned(), 24),
        ("sum(keepalive_established_connections_total)".to_owned(), 24),
        ("keepalive_established_connections_total{policy=\"clients\",direction=\"inbound\"}".to_owned(), 5),
        (of_cgroup, 14),
        ("sum(keepalive_attached_cgroups)".to_owned(), 2),
        ("keepalive_ready".to_owned(), 1),
        ("keepalive_dead_peer_watch_works".to_owned(), 1),
        ("sum(keepalive_dead_peers_total)".to_owned(), 0),
        ("up".to_owned(), 1),
    ] {
        eventually(&format!("{query} is {expected}"), || {
            (query_of(&host, &query) == Some(f64::from(expected))).then_some(())
        });
    }
    let info = asked(&host, "/api/v1/query?query=keepalive_policy_info");
    assert_eq!(info["data"]["result"].as_array().unwrap().len(), 2, "{info}");
    assert_types(&host);
    assert_alerts_are_quiet(&host);
    check_metrics(&host, &tools.promtool);
}

/// The programs of Prometheus.
fn tools() -> setup::Prometheus {
    let told = std::env::var("KEEPALIVE_PROMETHEUS").expect("`cargo xtask test` sets KEEPALIVE_PROMETHEUS");
    serde_json::from_str(&told).unwrap()
}

/// Starts a Prometheus that scrapes the daemon each second and has the alerts.
fn serve(host: &Host, tools: &setup::Prometheus) -> Process {
    let directory = host.directory();
    let rules =
        fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/monitoring/rules.yaml")).unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{rules:?}]\nscrape_configs:\n  - \
         job_name: keepalive-daemon\n    static_configs: [{{targets: ['{SERVED}']}}]\n"
    );
    let path = directory.join("prometheus.yml");
    fs::write(&path, config).unwrap();
    let mut command = host.netns.command(&tools.server);
    command.arg(format!("--config.file={}", path.display()));
    command.arg(format!("--storage.tsdb.path={}", directory.join("tsdb").display()));
    command.arg(format!("--web.listen-address={ANSWERS}"));
    let prometheus = Process::spawn("Prometheus", command).unwrap();
    prometheus.wait_line("Server is ready to receive web requests").unwrap();
    prometheus
}

fn asked(host: &Host, path: &str) -> Value {
    let (code, text) = get(&host.netns, ANSWERS.parse::<SocketAddr>().unwrap(), path).unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!((code, &answer["status"]), (200, &Value::from("success")), "{answer}");
    answer
}

/// What a query comes to, if there is one value.
fn query_of(host: &Host, query: &str) -> Option<f64> {
    let answer =
        asked(host, &format!("/api/v1/query?{}", serde_urlencoded::to_string([("query", query)]).unwrap()));
    let [found] = &answer["data"]["result"].as_array().unwrap()[..] else { return None };
    found["value"][1].as_str().unwrap().parse().ok()
}

/// It negotiated OpenMetrics, where a counter's family has no suffix and an info is one.
fn assert_types(host: &Host) {
    let metadata = asked(host, "/api/v1/targets/metadata?limit=1000");
    let kind = |name: &str| {
        let mut found = metadata["data"].as_array().unwrap().iter().filter(|it| it["metric"] == name);
        found.next().map(|it| it["type"].as_str().unwrap().to_owned())
    };
    for (name, expected) in [
        ("keepalive_connections", "counter"),
        ("keepalive_build", "info"),
        ("keepalive_ready", "gauge"),
        ("keepalive_reconcile_duration_seconds", "histogram"),
    ] {
        assert_eq!(kind(name).as_deref(), Some(expected), "{name}: {metadata}");
    }
}

/// All alerts were evaluated, and where all is well none fires.
fn assert_alerts_are_quiet(host: &Host) {
    let rules = eventually("all rules were evaluated", || {
        let answer = asked(host, "/api/v1/rules");
        let rules = answer["data"]["groups"][0]["rules"].as_array().unwrap().clone();
        rules.iter().all(|rule| rule["health"] == "ok").then_some(rules)
    });
    assert!(rules.len() > 5, "{rules:?}");
    for rule in rules {
        assert_ne!(rule["state"], "firing", "{rule}");
    }
}

/// promtool reads what those get who know no OpenMetrics.
fn check_metrics(host: &Host, promtool: &Path) {
    let (_, text) = get(&host.netns, SERVED, "/metrics").unwrap();
    let path = host.directory().join("metrics");
    fs::write(&path, text).unwrap();
    let mut check = Command::new(promtool);
    check.args(["check", "metrics"]).stdin(Stdio::from(fs::File::open(&path).unwrap()));
    let output = check.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
