//! The DaemonSet of the base and of every overlay, and what belongs to it.

mod privileges;
mod volumes;

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::Probe, apimachinery::pkg::util::intstr::IntOrString};
use serde_json::json;

use crate::{objects::Objects, render::base_with};

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn every_overlay_holds_objects_of_kubernetes_in_one_namespace() {
    let all = Objects::of_all();

    assert!(all.len() > 5, "the base and its overlays");
    for (name, Objects { namespace, service_account, quota, policies, daemon_set }) in all {
        let found = [&service_account.metadata, &quota.metadata, &policies.metadata, &daemon_set.metadata];
        for metadata in found {
            assert_eq!(metadata.namespace, namespace.metadata.name, "{name}: {:?}", metadata.name);
        }
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_arguments_and_variables_are_those_of_the_program() {
    for (name, objects) in Objects::of_all() {
        let call = objects.call();

        let detaches = call.value("detach-on-exit").as_deref() == Some("true");
        assert_eq!(detaches, name == "cleanup", "{name}");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_selector_selects_the_pods_and_stays_the_same_between_versions() {
    for (name, Objects { daemon_set, .. }) in Objects::of_all() {
        let spec = daemon_set.spec.unwrap();

        let selector = spec.selector.match_labels.unwrap();
        let labels = spec.template.metadata.unwrap().labels.unwrap();
        assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)), "{name}: {labels:?}");
        assert!(!selector.contains_key("app.kubernetes.io/version"), "{name}: a selector cannot be changed");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn image_and_labels_tell_the_version_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    for (name, objects) in Objects::of_all() {
        let image = objects.container().image.as_deref();
        let labels = objects.daemon_set.metadata.labels.as_ref().unwrap();

        assert_eq!(image, Some(&*format!("localhost/keepalive-daemon:{version}")), "{name}");
        assert_eq!(labels["app.kubernetes.io/version"], version, "{name}");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_pods_are_critical_wherever_they_are_and_the_quota_admits_them() {
    for (name, objects) in Objects::of_all() {
        let pod = objects.pod();
        let class = pod.priority_class_name.clone().unwrap();
        let tolerations = pod.tolerations.as_ref().unwrap();
        let admitted =
            &objects.quota.spec.as_ref().unwrap().scope_selector.as_ref().unwrap().match_expressions;

        assert_eq!(class, "system-node-critical", "{name}");
        assert_eq!(admitted.as_ref().unwrap()[0].values, Some(vec![class]), "{name}");
        assert!(tolerations.iter().any(|t| t.key.is_none() && t.effect.is_none()), "{name}: any taint");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn probes_ask_the_port_of_the_metrics_and_only_readiness_asks_for_the_work() {
    for (name, objects) in Objects::of_all() {
        let container = objects.container();
        let alive = [&container.startup_probe, &container.liveness_probe].map(|probe| path(probe.as_ref()));
        let ready = path(container.readiness_probe.as_ref());
        let port = &container.ports.as_ref().unwrap()[0];

        assert_eq!(alive, ["/healthz"; 2], "{name}: no restart cures a mistake in a policy");
        assert_eq!(ready, "/readyz", "{name}");
        assert_eq!(port.name.as_deref(), Some("metrics"), "{name}");
        assert_eq!(objects.call().value("metrics"), Some(format!(":{}", port.container_port)), "{name}");
    }
}

/// The path that a probe asks the port of the metrics for.
fn path(probe: Option<&Probe>) -> &str {
    let get = probe.unwrap().http_get.as_ref().unwrap();
    assert_eq!(get.port, IntOrString::String("metrics".to_owned()));
    get.path.as_deref().unwrap()
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn a_prometheus_finds_the_daemon_by_annotations_or_by_the_pod_monitor_and_not_by_both() {
    for (name, objects) in Objects::of_all() {
        let annotations = annotations(&objects);
        let port = objects.container().ports.as_ref().unwrap()[0].container_port.to_string();

        assert_eq!(annotations.get("prometheus.io/scrape").map(String::as_str), Some("true"), "{name}");
        assert_eq!(annotations.get("prometheus.io/port"), Some(&port), "{name}");
    }
    let mut documents = base_with(&["monitoring"]);
    let at = documents.iter().position(|document| document["kind"] == "PodMonitor").unwrap();
    let monitor = documents.remove(at);
    let objects = Objects::from(&documents[..]);

    assert!(annotations(&objects).keys().all(|key| !key.starts_with("prometheus.io/")));
    let labels = objects.daemon_set.spec.as_ref().unwrap().template.metadata.as_ref().unwrap();
    let selected = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    let labels = labels.labels.as_ref().unwrap();
    assert!(selected.iter().all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str()));
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!((&endpoint["port"], &endpoint["path"]), (&json!("metrics"), &json!("/metrics")));
    assert_eq!(monitor["metadata"]["namespace"], json!(objects.namespace.metadata.name));
}

fn annotations(objects: &Objects) -> BTreeMap<String, String> {
    let template = &objects.daemon_set.spec.as_ref().unwrap().template;
    template.metadata.as_ref().unwrap().annotations.clone().unwrap_or_default()
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn never_are_two_daemons_on_a_node() {
    for (name, Objects { daemon_set, .. }) in Objects::of_all() {
        let rolling = daemon_set.spec.unwrap().update_strategy.unwrap().rolling_update.unwrap();

        let surge = serde_json::to_value(rolling.max_surge).unwrap();
        assert_eq!(surge, 0, "{name}: the second could not lock the pins");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn components_combine_in_any_order() {
    let one = base_with(&["crio", "least-privilege", "memlock", "cleanup"]);
    let other = base_with(&["cleanup", "memlock", "least-privilege", "crio"]);

    let (one, other) = (Objects::from(&one[..]), Objects::from(&other[..]));
    assert_eq!(one.capabilities(), ["BPF", "NET_ADMIN", "PERFMON", "SYS_RESOURCE"]);
    assert_eq!(other.capabilities(), one.capabilities());
    for objects in [one, other] {
        assert_eq!(objects.call().value("detach-on-exit").as_deref(), Some("true"));
        assert!(
            objects.container().volume_mounts.as_ref().unwrap().iter().any(|m| m.mount_path == "/run/crio")
        );
    }
}
