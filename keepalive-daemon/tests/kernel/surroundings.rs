//! Bad input and bad surroundings: each is refused with a message that says what to do, and changes nothing.

mod hierarchy;
mod pins;
mod start;

use std::process::{Command, Output};

use xtask::lab::Cgroup;

use self::{
    hierarchy::{a_cgroup_root_that_is_none_is_refused, a_host_without_cgroup2_is_refused},
    pins::{
        a_bpffs_that_is_none_is_refused, a_bpffs_that_only_reads_is_refused_and_tried_again,
        a_pin_directory_that_others_could_have_made_is_refused_and_left_alone,
        foreign_maps_in_the_place_of_ours_are_refused, litter_among_the_pins_is_collected,
        something_else_in_the_place_of_a_link_is_refused,
        something_else_in_the_place_of_the_program_is_replaced, who_may_not_look_is_told_so,
    },
    start::{
        a_control_socket_that_cannot_be_is_refused, a_missing_policy_directory_is_waited_for,
        an_answer_that_is_no_status_is_refused, too_few_open_files_are_refused,
    },
};
use crate::support::{Host, PROGRAM, daemon, document, objects};

crate::tests!(
    a_bpffs_that_is_none_is_refused,
    a_bpffs_that_only_reads_is_refused_and_tried_again,
    a_pin_directory_that_others_could_have_made_is_refused_and_left_alone,
    a_cgroup_root_that_is_none_is_refused,
    a_control_socket_that_cannot_be_is_refused,
    a_host_without_cgroup2_is_refused,
    a_missing_policy_directory_is_waited_for,
    an_answer_that_is_no_status_is_refused,
    foreign_maps_in_the_place_of_ours_are_refused,
    litter_among_the_pins_is_collected,
    something_else_in_the_place_of_a_link_is_refused,
    something_else_in_the_place_of_the_program_is_replaced,
    too_few_open_files_are_refused,
    who_may_not_look_is_told_so,
);

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";

/// A host with a cgroup `app` that a policy selects.
fn host_with_app(label: &str) -> (Host, Cgroup) {
    let host = Host::new(label);
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("app", "app", KEEPALIVE));
    (host, app)
}

/// The daemon with flags of the test's own beside its policies.
fn run_with(host: &Host, flags: &[&str]) -> Command {
    let mut command = daemon();
    command
        .args(["run", "--cri-socket", "none", "--metrics", "none", "--policies"])
        .arg(host.policies())
        .args(flags)
        .env_remove("RUST_LOG");
    command
}

/// Runs a command that is refused; returns its message, which it says in a line or two and without a panic.
fn refused(what: &str, command: &mut Command, code: i32, says: &[&str]) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{what}: {said}");
    for words in says {
        assert!(said.contains(words), "{what}: {words:?} is not in: {said}");
    }
    assert!(!said.contains("panicked") && said.lines().count() <= 3, "{what}: {said}");
    said
}

/// Nothing is attached to a cgroup.
fn assert_free(cgroup: &Cgroup, what: &str) {
    assert_eq!(objects::attached(cgroup), [] as [u64; 0], "{what}");
}
