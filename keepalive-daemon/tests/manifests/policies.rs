//! The policies that are deployed, and those to start from.

use std::{fs, path::Path};

use keepalive_daemon::policy::{Limits, directory};
use serde_json::Value;
use tempfile::TempDir;

use crate::{deploy, objects::Objects};

/// The names of the policies in a directory.
///
/// # Panics
/// If the daemon would not take them.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let policies = directory::load(directory, &Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    policies.iter().map(|policy| policy.id.to_string()).collect()
}

/// The names of the policies in files of these names and texts.
pub(crate) fn names_of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    names(directory.path())
}

/// The specification of the one policy that an overlay deploys.
fn policy_of(overlay: &str) -> Value {
    let (_, objects) = Objects::of_all().into_iter().find(|(name, _)| *name == overlay).unwrap();
    let data = objects.policies.data.unwrap();
    let policies: Vec<Value> = data.values().map(|text| serde_saphyr::from_str(text).unwrap()).collect();
    let [policy] = &policies[..] else { panic!("not one policy: {policies:?}") };
    policy["spec"].clone()
}

#[test]
fn the_examples_are_policies_that_one_directory_can_hold() {
    let examples = names(&deploy().join("examples"));

    assert!(examples.len() >= 5, "{examples:?}");
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn the_daemon_takes_the_policies_of_every_overlay() {
    for (name, Objects { policies, .. }) in Objects::of_all() {
        let data = policies.data.unwrap_or_default();

        let names = names_of(data.iter().map(|(file, text)| (&**file, &**text)));
        assert_eq!(names.is_empty(), ["base", "cleanup"].contains(&name), "{name}: {names:?}");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn what_is_installed_first_changes_nothing() {
    for overlay in ["monitor", "crio", "least-privilege"] {
        let policy = policy_of(overlay);

        assert_eq!(policy["mode"], "Monitor", "{overlay}");
        assert_eq!(policy["namespaces"], serde_json::json!(["*"]), "{overlay}");
    }
}

#[test]
#[ignore = "needs kubectl: cargo xtask test runs it"]
fn enforcing_leaves_the_pods_of_the_cluster_alone() {
    let policy = policy_of("enforcing");

    assert_eq!(policy["mode"], "Tighten");
    assert_eq!(policy["excludedNamespaces"], serde_json::json!(["kube-system"]));
}
