//! What tests need of the kernel that not every supported one has. A test whose feature is absent here says so and is
//! ignored; that a feature is absent only where it is known to be, `features` tests.

use std::{collections::BTreeSet, process::Command, sync::OnceLock};

use keepalive_daemon::features::Feature;
use serde_json::Value;
use xtask::lab::{Cgroup, InCgroup as _, TEST_PREFIX};

/// How the names of tests begin, and a feature that they need.
const NEEDS: &[(&str, Feature)] = &[
    ("kernel::enforce::mptcp_is_guarded_on_its_own_socket", Feature::Mptcp),
    ("kernel::enforce::two_capabilities_are_enough", Feature::LeastPrivilege),
    ("kernel::features::what_lacks_its_capability_is_absent_and_nothing_else_is", Feature::LeastPrivilege),
    ("kernel::helped::where_a_privilege_is_missing_the_rest_goes_on", Feature::LeastPrivilege),
    ("kernel::modes::each_mode_respects_what_the_application_chose_before", Feature::ReadBack),
    ("kernel::nesting::an_inner_policy_that_does_nothing_still_keeps_the_outer_one_off", Feature::ReadBack),
    ("kernel::options::a_child_inherits_from_its_listener_first", Feature::ReadBack),
    ("kernel::options::both_subflows_of_mptcp_are_armed", Feature::Mptcp),
    ("kernel::others::each_mode_sets_what_it_leaves_to_nobody", Feature::ReadBack),
    ("kernel::privileges::missing::without_perfmon", Feature::LeastPrivilege),
    ("kernel::sockets::by_descriptors_where_the_program_may_not_be_loaded", Feature::LeastPrivilege),
    ("kernel::sockets::what_is_reached_by_another_process_is_not_missing", Feature::LeastPrivilege),
    ("kernel::sockets::with_few_privileges_what_can_be_had_is_told", Feature::LeastPrivilege),
    ("kernel::sweep::a_connection_that_nobody_accepted_yet", Feature::Sweep),
    ("kernel::sweep::all_of_ten_thousand_by_the_iterator", Feature::Sweep),
    ("kernel::sweep::what_the_iterator_leaves_out", Feature::Sweep),
    ("kernel::verbs::two_capabilities_suffice", Feature::LeastPrivilege),
    ("kernel::verbs::what_a_missing_capability_is_for_is_told", Feature::LeastPrivilege),
    ("kernel::verifier::what_is_told_is_of_the_programs_that_run", Feature::LeastPrivilege),
    ("kernel::walk::each_command_prints_what_the_document_shows", Feature::ReadBack),
];

/// The feature that a test needs and that this kernel lacks.
pub(crate) fn lacking(test: &str) -> Option<Feature> {
    let mut needed = NEEDS.iter().filter(|(prefix, _)| test.starts_with(prefix));
    needed.find_map(|(_, feature)| (!present().contains(feature)).then_some(*feature))
}

/// The features of this kernel.
pub(crate) fn present() -> &'static BTreeSet<Feature> {
    static PRESENT: OnceLock<BTreeSet<Feature>> = OnceLock::new();
    PRESENT.get_or_init(|| {
        let is_present = |feature: &Feature| of(probed(), *feature)["present"] == true;
        Feature::ALL.into_iter().filter(is_present).collect()
    })
}

/// What `probe` finds here, in a cgroup of its own; asked once for all tests.
pub(crate) fn probed() -> &'static Value {
    static PROBED: OnceLock<Value> = OnceLock::new();
    PROBED.get_or_init(|| {
        let cgroup = Cgroup::create(TEST_PREFIX, "probe").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_keepalive-daemon"));
        let output = command.args(["probe", "-o", "json"]).in_cgroup(&cgroup).output().unwrap();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    })
}

/// What a probe said of a feature.
pub(crate) fn of(probed: &Value, feature: Feature) -> &Value {
    let features = probed["features"].as_array().unwrap();
    let found = features.iter().find(|found| found["name"] == feature.name());
    found.unwrap_or_else(|| panic!("nothing on {}: {probed}", feature.name()))
}
