//! Pods of a real containerd: found, given the policy of their namespace before they connect, followed until they
//! are gone.

mod annotations;
mod bugtool;
mod churn;
mod explain;
pub(crate) mod first;
pub(crate) mod inside;
pub(crate) mod namespaces;
mod packaged;
mod runtime;
pub(crate) mod shapes;
mod support;

use crate::support::options;

pub(crate) const TESTS: &[&[crate::Test]] = &[
    annotations::TESTS,
    bugtool::TESTS,
    churn::TESTS,
    explain::TESTS,
    first::TESTS,
    namespaces::TESTS,
    packaged::TESTS,
    runtime::TESTS,
    shapes::TESTS,
];

/// A `KeepalivePolicy`: more fields of the spec as YAML flow (`mode: Monitor, priority: 1`).
fn of_namespace(namespace: &str, name: &str, idle_s: u64, spec: &str) -> String {
    format!(
        "apiVersion: keepalive.dev/v1alpha1\nkind: KeepalivePolicy\n\
         metadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{keepalive: {{idle: {idle_s}s, interval: 7s, probes: 3}}, {spec}}}\n---\n"
    )
}

/// A `ClusterKeepalivePolicy`, likewise.
fn of_cluster(name: &str, idle_s: u64, spec: &str) -> String {
    format!(
        "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {{name: {name}}}\n\
         spec: {{keepalive: {{idle: {idle_s}s, interval: 7s, probes: 3}}, {spec}}}\n---\n"
    )
}

/// The options that such a policy asks for, on both ends.
const fn armed(idle_s: u64) -> [crate::peer::Options; 2] {
    let options = options(true, idle_s, 7, 3, 0);
    [options, options]
}

/// The options that nobody touched, on both ends.
const UNTOUCHED: [crate::peer::Options; 2] = [crate::support::UNTOUCHED, crate::support::UNTOUCHED];
