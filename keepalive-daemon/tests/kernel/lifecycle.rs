//! The daemon comes and goes, by its own will or not; the policies stay in force, and it finds its way back.

mod endings;
mod left_over;
mod log;
mod reboot;
mod remains;
mod repairs;
mod restarts;
mod rivals;

use std::{fs, path::Path};

use xtask::lab::{Cgroup, Process, Stream};

use self::{
    endings::{
        a_signal_ends_it_and_leaves_the_policies_in_force, detaching_on_exit_leaves_nothing_in_the_kernel,
    },
    left_over::{
        a_stale_control_socket_is_replaced, half_made_pins_are_completed_at_the_next_start,
        killed_while_two_programs_ran_the_deepest_policy_stays_in_force,
        pins_of_a_cgroup_that_went_while_nobody_ran_are_collected,
    },
    log::{a_quiet_daemon_replaces_the_program_that_logs, log_bpf_tells_of_each_connection},
    reboot::{an_empty_bpffs_is_a_cold_start, an_empty_bpffs_under_a_running_daemon_is_filled_again},
    remains::{
        a_cgroup_outside_of_the_cgroup_root_is_not_gone,
        a_directory_that_nobody_may_list_keeps_nothing_pinned,
        another_layout_is_freed_once_the_kernel_has_let_go_of_what_it_keeps_in_it,
        what_the_kernel_keeps_for_a_cgroup_that_is_gone_is_not_freed,
        where_a_part_of_the_hierarchy_is_seen_nothing_is_told_to_be_gone,
    },
    repairs::{
        a_link_detached_by_hand_is_attached_again_at_sighup, storage_written_by_hand_is_repaired_at_sighup,
        what_was_changed_by_hand_is_put_right_within_the_minute,
    },
    restarts::{
        a_killed_daemon_leaves_the_policies_in_force_and_the_next_adopts_them,
        policies_that_changed_while_nobody_ran_are_put_in_force,
    },
    rivals::{
        a_second_daemon_refuses_and_says_who_holds_the_pins,
        cleanup_refuses_while_a_daemon_runs_and_removes_everything_afterwards,
        of_two_versions_that_start_together_one_governs,
    },
};
use crate::{
    peer::Options,
    support::{Host, Peer, document, options},
};

crate::tests!(
    a_cgroup_outside_of_the_cgroup_root_is_not_gone,
    a_directory_that_nobody_may_list_keeps_nothing_pinned,
    a_killed_daemon_leaves_the_policies_in_force_and_the_next_adopts_them,
    a_link_detached_by_hand_is_attached_again_at_sighup,
    a_quiet_daemon_replaces_the_program_that_logs,
    a_second_daemon_refuses_and_says_who_holds_the_pins,
    a_signal_ends_it_and_leaves_the_policies_in_force,
    a_stale_control_socket_is_replaced,
    an_empty_bpffs_is_a_cold_start,
    an_empty_bpffs_under_a_running_daemon_is_filled_again,
    another_layout_is_freed_once_the_kernel_has_let_go_of_what_it_keeps_in_it,
    cleanup_refuses_while_a_daemon_runs_and_removes_everything_afterwards,
    detaching_on_exit_leaves_nothing_in_the_kernel,
    half_made_pins_are_completed_at_the_next_start,
    killed_while_two_programs_ran_the_deepest_policy_stays_in_force,
    log_bpf_tells_of_each_connection,
    of_two_versions_that_start_together_one_governs,
    pins_of_a_cgroup_that_went_while_nobody_ran_are_collected,
    policies_that_changed_while_nobody_ran_are_put_in_force,
    storage_written_by_hand_is_repaired_at_sighup,
    what_was_changed_by_hand_is_put_right_within_the_minute,
    what_the_kernel_keeps_for_a_cgroup_that_is_gone_is_not_freed,
    where_a_part_of_the_hierarchy_is_seen_nothing_is_told_to_be_gone,
);

const KEEPALIVE: &str = "keepalive: {idle: 61s, interval: 13s, probes: 5}";
const ARMED: Options = options(true, 61, 13, 5, 0);

/// A host with a cgroup `app` that a policy selects.
fn host_with_app(label: &str) -> (Host, Cgroup) {
    let host = Host::new(label);
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &document("all", "app", KEEPALIVE));
    (host, app)
}

/// What a fresh connection of a peer has, the same on both ends.
fn fresh(peer: &mut Peer) -> Options {
    let pair = peer.pair();
    let [client, server] = [pair.client, pair.server].map(|end| peer.options(end));
    assert_eq!(client, server, "the two ends of a connection");
    client
}

/// The lines of a daemon's log that contain `pattern`.
fn logged(daemon: &Process, pattern: &str) -> Vec<String> {
    let log = daemon.text(Stream::Stderr);
    log.lines().filter(|line| line.contains(pattern)).map(str::to_owned).collect()
}

/// All that is below a directory, by its path, with the targets of links.
fn entries(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let target = fs::read_link(&path).unwrap_or_default();
        found.push(format!("{} -> {}", path.display(), target.display()));
        if entry.file_type().unwrap().is_dir() {
            found.extend(entries(&path));
        }
    }
    found.sort();
    found
}
