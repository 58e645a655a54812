//! The policy directory changes under a running daemon.

mod bad;
mod directory;
mod good;
mod storm;

use xtask::lab::{Cgroup, Process, Stream};

use self::{
    bad::{
        a_bad_directory_at_the_start_leaves_the_pins_in_force, a_half_written_file_is_never_applied,
        a_mistake_leaves_the_last_good_policies_and_says_where_it_is,
        a_writer_that_does_not_close_is_reported_and_waited_for, duplicate_names_across_files_are_refused,
        what_an_editor_keeps_open_beside_the_policies_holds_nothing_up,
    },
    directory::{
        a_config_map_is_read_as_one_snapshot_at_each_swap, a_directory_moved_away_and_made_anew_is_followed,
    },
    good::{
        a_change_takes_effect_for_new_connections, a_glob_that_matches_nothing_is_warned_of,
        a_removed_file_detaches_and_clears_the_storage, sighup_reads_what_no_event_tells_of,
        where_there_are_no_pods_a_cgroup_that_is_named_like_one_is_none,
    },
    storm::{
        many_changes_in_a_row_show_only_values_that_some_file_had,
        whoever_makes_cgroups_without_a_pause_does_not_hold_up_a_change,
    },
};
use crate::{
    peer::Options,
    support::{Host, document, options},
};

crate::tests!(
    a_bad_directory_at_the_start_leaves_the_pins_in_force,
    a_change_takes_effect_for_new_connections,
    a_config_map_is_read_as_one_snapshot_at_each_swap,
    a_directory_moved_away_and_made_anew_is_followed,
    a_glob_that_matches_nothing_is_warned_of,
    a_half_written_file_is_never_applied,
    a_mistake_leaves_the_last_good_policies_and_says_where_it_is,
    a_removed_file_detaches_and_clears_the_storage,
    a_writer_that_does_not_close_is_reported_and_waited_for,
    duplicate_names_across_files_are_refused,
    many_changes_in_a_row_show_only_values_that_some_file_had,
    sighup_reads_what_no_event_tells_of,
    what_an_editor_keeps_open_beside_the_policies_holds_nothing_up,
    where_there_are_no_pods_a_cgroup_that_is_named_like_one_is_none,
    whoever_makes_cgroups_without_a_pause_does_not_hold_up_a_change,
);

/// A policy for the cgroup `app`, told from others by its idle time.
fn policy(idle_s: u64) -> String {
    document("p", "app", &format!("keepalive: {{idle: {idle_s}s, interval: 13s, probes: 5}}"))
}

/// What [`policy`] makes of a connection.
const fn armed(idle_s: u64) -> Options {
    options(true, idle_s, 13, 5, 0)
}

/// A host with a cgroup `app`, governed by a running daemon with an idle time of 100 s.
fn governed(label: &str) -> (Host, Cgroup, Process) {
    let host = Host::new(label);
    let app = host.cgroup("app");
    host.write_policies("p.yaml", &policy(100));
    let daemon = host.start();
    (host, app, daemon)
}

/// What a fresh connection in a cgroup has, the same on both ends.
fn fresh(host: &Host, cgroup: &Cgroup) -> Options {
    let mut peer = host.peer(cgroup);
    let pair = peer.pair();
    let [client, server] = [pair.client, pair.server].map(|end| peer.options(end));
    assert_eq!(client, server, "the two ends of a connection");
    client
}

/// How many lines of a daemon's log contain `pattern`.
fn count(daemon: &Process, pattern: &str) -> usize {
    daemon.text(Stream::Stderr).matches(pattern).count()
}
