//! The unit and its settings.

use std::{collections::BTreeSet, path::Path};

use clap::ArgAction;
use serde_json::Value;

use crate::{
    command_line::{Call, option_of_run, variables_of_run},
    text,
};

const UNIT: &str = "systemd/keepalive-daemon.service";
const SETTINGS: &str = "systemd/keepalive-daemon.env";

/// The values of a key of the unit, in their order.
fn values(key: &str) -> Vec<String> {
    let unit = text(UNIT);
    let values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

fn value(key: &str) -> String {
    let [value] = &values(key)[..] else { panic!("not one {key}=") };
    value.clone()
}

fn call() -> Call {
    let start = value("ExecStart");
    let mut words = start.split(' ').map(str::to_owned);
    assert_eq!(
        words.next().as_deref(),
        Some("/usr/local/bin/keepalive-daemon"),
        "as the documents install it"
    );
    Call::parse(&words.collect::<Vec<_>>(), &[])
}

#[test]
fn the_unit_starts_the_daemon_with_a_socket_in_its_runtime_directory() {
    let socket = call().path("api-socket");

    let runtime = Path::new("/run").join(value("RuntimeDirectory"));
    assert_eq!(socket.parent(), Some(runtime.as_path()));
    assert_eq!(value("Type"), "notify");
}

#[test]
fn the_unit_grants_the_capabilities_of_the_manifests() {
    let base: Value = serde_saphyr::from_str(&text("kubernetes/base/daemon-set.yaml")).unwrap();

    let added = &base["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"]["add"];
    let added = added.as_array().unwrap().iter().map(|name| format!("CAP_{}", name.as_str().unwrap()));
    let bounding = value("CapabilityBoundingSet");
    assert_eq!(bounding.split(' ').map(str::to_owned).collect::<BTreeSet<_>>(), added.collect());
}

#[test]
fn the_unit_allows_the_calls_of_the_seccomp_profile() {
    let profile: Value = serde_json::from_str(&text("seccomp/keepalive-daemon.json")).unwrap();

    let rules = profile["syscalls"].as_array().unwrap();
    let names = rules.iter().flat_map(|rule| rule["names"].as_array().unwrap());
    let names: BTreeSet<_> = names.map(|it| it.as_str().unwrap()).collect();
    let filters = values("SystemCallFilter").join(" ");
    assert_eq!(filters.split(' ').collect::<BTreeSet<_>>(), names);
    // What the profile does not let clone make, the unit lets nobody make, but for namespaces of the network: systemd
    // does not tell entering them from making them. clone3 is not there for either.
    assert_eq!(value("RestrictNamespaces"), "net");
    assert_eq!((&profile["defaultErrnoRet"], &*value("SystemCallErrorNumber")), (&1.into(), "EPERM"));
}

#[test]
fn the_unit_leaves_the_pins_writable() {
    let bpffs = call().path("bpffs");

    assert!(bpffs.starts_with("/sys"), "{}", bpffs.display());
    assert_eq!(values("ProtectKernelTunables"), [""; 0], "it makes all of /sys read-only");
}

#[test]
fn the_settings_are_variables_of_the_daemon_with_their_defaults() {
    let mut listed = BTreeSet::new();
    for line in text(SETTINGS).lines() {
        let Some((name, shown)) = line.trim_start_matches('#').split_once('=') else { continue };
        if name != "RUST_LOG" {
            let option = option_of_run(name).unwrap_or_else(|| panic!("`run` reads no {name}"));
            let default = option.get_default_values().first().map_or("", |it| it.to_str().unwrap());
            let default = if matches!(option.get_action(), ArgAction::SetTrue) { "false" } else { default };
            assert_eq!(default, shown, "{name}");
            listed.insert(name.to_owned());
        }
        assert!(line.starts_with('#'), "{line}: the defaults apply until somebody changes them");
    }
    assert_eq!(listed, variables_of_run(), "all that there are");
}

#[test]
fn the_unit_reads_the_settings_from_where_the_file_says() {
    let file = value("EnvironmentFile");

    let path = file.strip_prefix('-').unwrap_or_else(|| panic!("{file} is not optional"));
    assert!(text(SETTINGS).contains(path), "{path}");
}
