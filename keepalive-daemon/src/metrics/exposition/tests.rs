#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, time::Duration};

use keepalive_ebpf::Counters;

use super::*;
use crate::{
    metrics::{
        Reconciles, Totals,
        plain::plain,
        snapshot::{OfCgroup, Runtime, Sweeping},
    },
    policy::{self, Limits, PolicySet},
    report::helped::{DeadPeerCounts, Help, Watch},
};

/// A snapshot with something of everything.
pub(in crate::metrics) fn full() -> Box<Snapshot> {
    let text = "
apiVersion: keepalive.dev/v1alpha1
kind: KeepalivePolicy
metadata: {name: checkout, namespace: payments}
spec: {keepalive: {idle: 30s}}
---
apiVersion: keepalive.dev/v1alpha1
kind: ClusterKeepalivePolicy
metadata: {name: hosts}
spec: {cgroups: ['system.slice/*'], mode: Enforce, direction: Outbound}
";
    let policies = policy::parse("p.yaml", text, &Limits::default()).unwrap();
    let mut totals = Totals::default();
    let counted = Counters {
        outbound: 5,
        inbound: 2,
        armed: 6,
        refused_keepalive: 1,
        rewritten_idle: 4,
        last_errno: 22,
        ..Counters::default()
    };
    totals.count(7, "payments/checkout", counted);
    let help = Help {
        dead_peers: Some(DeadPeerCounts { keepalive: 3, user_timeout: 0, reset: 1 }),
        kept_alive: 5,
        used_again: 2,
        longest_silence_seconds: 700,
    };
    let reconciles = Reconciles::default();
    reconciles.observe(Duration::from_millis(3));
    Box::new(Snapshot {
        tasks: vec![("read_policies", true), ("learn_pods", false)],
        policies: PolicySet::new(policies).unwrap(),
        reloaded: true,
        attached: [("payments/checkout".to_owned(), 2)].into(),
        refused: 1,
        attach_errors: vec![("other_program", 1), ("other", 0)],
        sums: totals.sums().clone(),
        existing: vec![("armed", 9)],
        sweeping: Some(Sweeping { works: false, unreachable: 1 }),
        maps: vec![("DESTINATIONS", 3, 4096)],
        reconciles: reconciles.histogram(),
        runtime: Some(Runtime { answers: true, pods: 4, unreachable: 1, annotations: 0 }),
        helped: Some((
            [("payments/checkout".to_owned(), help)].into(),
            Watch { is_on: true, finds_dead_peers: true, untold: 2, ..Watch::default() },
        )),
        cgroups: vec![OfCgroup { labels: vec![("cgroup", "a\"b\\c\n".to_owned())], counted }],
    })
}

fn families(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

#[test]
fn what_is_counted_is_told_of_each_policy_also_where_nothing_happened() {
    let text = encode(full()).unwrap();

    for line in [
        "keepalive_connections_total{policy=\"payments/checkout\",result=\"armed\"} 6",
        "keepalive_connections_total{policy=\"payments/checkout\",result=\"refused\"} 1",
        "keepalive_connections_total{policy=\"hosts\",result=\"armed\"} 0",
        "keepalive_established_connections_total{policy=\"payments/checkout\",direction=\"outbound\"} 5",
        "keepalive_setsockopt_errors_total{option=\"SO_KEEPALIVE\",errno=\"EINVAL\"} 1",
        "keepalive_rewritten_total{option=\"TCP_KEEPIDLE\"} 4",
        "keepalive_policies{state=\"governing\"} 1",
        "keepalive_policies{state=\"idle\"} 1",
        "keepalive_policy_info{policy=\"hosts\",policy_namespace=\"\",kind=\"ClusterKeepalivePolicy\",mode=\"Enforce\",\
         direction=\"Outbound\"} 1",
        "keepalive_attached_cgroups{policy=\"hosts\"} 0",
        "keepalive_ready 0",
        "keepalive_unfinished_tasks{task=\"learn_pods\"} 1",
        "keepalive_reconcile_duration_seconds_count 1",
        "keepalive_sweep_works 0",
        "keepalive_dead_peers_total{policy=\"payments/checkout\",found_by=\"keepalive\"} 3",
        "keepalive_dead_peers_total{policy=\"hosts\",found_by=\"reset\"} 0",
        "keepalive_kept_alive_total{policy=\"payments/checkout\"} 5",
        "keepalive_longest_silence_seconds{policy=\"payments/checkout\"} 700",
        "keepalive_events_lost_total 2",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn each_family_is_there_once_in_both_formats() {
    let openmetrics = encode(full()).unwrap();
    let plain = plain(&openmetrics);

    for text in [&openmetrics, &plain] {
        let families = families(text);
        assert_eq!(families.iter().collect::<BTreeSet<_>>().len(), families.len(), "{families:?}");
        assert!(families.len() > 20, "{families:?}");
    }
}

#[test]
fn what_names_a_cgroup_cannot_write_other_samples() {
    let text = encode(full()).unwrap();

    assert!(
        text.contains(r#"keepalive_cgroup_connections_total{cgroup="a\"b\\c\n",result="armed"} 6"#),
        "{text}"
    );
}

#[test]
fn what_is_not_there_has_no_family() {
    let mut snapshot = full();
    (snapshot.cgroups, snapshot.sweeping, snapshot.runtime) = (Vec::new(), None, None);
    snapshot.helped = None;
    let text = encode(snapshot).unwrap();

    for absent in ["cgroup_connections", "sweep_works", "runtime_up", "dead_peer", "kept_alive"] {
        assert!(!text.contains(absent), "{absent}");
    }
}

/// The series that a text of PromQL, or anything that has some in it, names.
fn series(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("keepalive_"))
}

/// All strings of a document under the keys that have PromQL.
fn queries(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str().filter(|_| ["expr", "query", "series"].contains(&key.as_str())) {
                    Some(text) => found.push(text.to_owned()),
                    None => queries(value, found),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn every_series_of_alerts_and_dashboard_is_served() {
    let text = encode(full()).unwrap();
    let served: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for file in ["rules.yaml", "rules.test.yaml", "dashboard.json"] {
        let path = format!("{}/../deploy/monitoring/{file}", env!("CARGO_MANIFEST_DIR"));
        let document: serde_json::Value =
            serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut found = Vec::new();
        queries(&document, &mut found);

        assert!(found.len() > 5, "{file}: {found:?}");
        for name in found.iter().flat_map(|text| series(text)) {
            assert!(served.contains(name), "{file}: {name}");
        }
    }
}
