//! What needs a machine of its own (`cargo xtask vm`): systemd as the first process, cgroup2 and nothing beside it.
//! Elsewhere these tests are not listed.

mod clock;
mod service;

use std::fs;

use crate::pods::{first, namespaces, shapes};

crate::tests![
    pods_in_slices_have_the_policy_of_their_namespace_with_containerd_1_6,
    pods_in_slices_have_the_policy_of_their_namespace_with_containerd_2,
    pods_of_every_class_and_kind_are_found_in_slices,
    the_first_connection_of_every_pod_in_a_slice_comes_to_be_covered,
];

/// The tests that this machine may run: none, if it is anybody's.
pub(crate) fn tests() -> Vec<crate::Test> {
    let is_ours = std::env::var_os("KEEPALIVE_IN_MACHINE").is_some();
    let has_systemd = fs::read_to_string("/proc/1/comm").is_ok_and(|name| name.trim_end() == "systemd");
    if is_ours && has_systemd { [TESTS, clock::TESTS, service::TESTS].concat() } else { Vec::new() }
}

fn pods_in_slices_have_the_policy_of_their_namespace_with_containerd_1_6() {
    namespaces::each_pod_has_the_policy_of_its_namespace("1.6");
}

fn pods_in_slices_have_the_policy_of_their_namespace_with_containerd_2() {
    namespaces::each_pod_has_the_policy_of_its_namespace("2");
}

fn pods_of_every_class_and_kind_are_found_in_slices() {
    shapes::pods_of_every_class_and_kind_are_found();
}

fn the_first_connection_of_every_pod_in_a_slice_comes_to_be_covered() {
    // Emulated, a pod takes seconds; `pods::first` has the numbers.
    first::the_first_connection_of_every_pod_comes_to_be_covered("1.7", 8);
}
