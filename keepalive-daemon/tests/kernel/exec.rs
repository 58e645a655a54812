//! `exec`: the sockets of the command, what the command finds around it, and what is left behind.

mod ending;
mod helper;
mod refusal;
mod running;
mod values;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use xtask::lab::{Cgroup, InCgroup as _, Process, Stream};

use self::{
    ending::{
        a_grandchild_is_armed_as_long_as_it_lives_and_the_cgroup_goes_with_it,
        a_killed_command_leaves_nothing, an_interrupt_at_the_terminal_reaches_the_command_alone,
        the_end_of_the_command_is_that_of_exec,
    },
    helper::{
        a_caller_that_does_not_care_for_its_children_is_served_too,
        cgroups_that_the_command_made_go_with_its_own, what_asks_a_whole_unit_to_end_does_not_end_the_helper,
    },
    refusal::{
        values_out_of_range_run_nothing, without_a_right_to_make_cgroups_nothing_runs,
        without_capabilities_nothing_runs,
    },
    running::{
        descendants_are_served_in_whatever_namespaces_they_are, open_connections_get_the_values_once,
        the_list_says_what_each_had_and_what_was_set, what_may_not_be_changed_stays_and_is_told,
        without_a_process_or_a_right_it_fails_and_says_what_to_do,
    },
    values::{
        flags_and_variables_become_options, it_needs_no_bpffs, it_wins_over_the_policy_of_its_cgroup,
        real_programs_of_every_kind_are_armed,
    },
};
use crate::support::{Host, Peer};

crate::tests!(
    a_caller_that_does_not_care_for_its_children_is_served_too,
    a_grandchild_is_armed_as_long_as_it_lives_and_the_cgroup_goes_with_it,
    a_killed_command_leaves_nothing,
    an_interrupt_at_the_terminal_reaches_the_command_alone,
    cgroups_that_the_command_made_go_with_its_own,
    descendants_are_served_in_whatever_namespaces_they_are,
    flags_and_variables_become_options,
    it_needs_no_bpffs,
    it_wins_over_the_policy_of_its_cgroup,
    open_connections_get_the_values_once,
    real_programs_of_every_kind_are_armed,
    the_command_finds_everything_as_without_exec,
    the_end_of_the_command_is_that_of_exec,
    the_list_says_what_each_had_and_what_was_set,
    values_out_of_range_run_nothing,
    what_asks_a_whole_unit_to_end_does_not_end_the_helper,
    what_may_not_be_changed_stays_and_is_told,
    without_a_process_or_a_right_it_fails_and_says_what_to_do,
    without_a_right_to_make_cgroups_nothing_runs,
    without_capabilities_nothing_runs,
);

const PROGRAM: &str = env!("CARGO_BIN_EXE_keepalive-daemon");

/// What libkeepalive reads.
const VARIABLES: [&str; 3] = ["KEEPIDLE", "KEEPINTVL", "KEEPCNT"];

/// `exec` in a cgroup and in the host's network namespace, without a command yet.
fn exec(host: &Host, cgroup: &Cgroup, flags: &[&str]) -> Command {
    exec_of(Path::new(PROGRAM), host, cgroup, flags)
}

/// As [`exec`], of another copy of the program.
fn exec_of(program: &Path, host: &Host, cgroup: &Cgroup, flags: &[&str]) -> Command {
    let mut command = host.netns.command(program);
    command.arg("exec").arg("--bpffs").arg(host.bpffs.path()).args(flags).arg("--").in_cgroup(cgroup);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// Starts `exec` with a shell script as its command.
fn start_script(host: &Host, cgroup: &Cgroup, script: &str, arguments: &[&OsStr]) -> Process {
    let mut command = exec(host, cgroup, &[]);
    command.args(["sh", "-c", script]).args(arguments);
    Process::spawn("a script under exec", command).unwrap()
}

/// Starts `exec` with a peer as its command.
fn start_peer(mut exec: Command) -> Peer {
    exec.arg(std::env::current_exe().unwrap()).arg(crate::PEER);
    Peer::new(Process::spawn("a peer under exec", exec).unwrap())
}

/// The cgroups that `exec` made below one.
fn transient(cgroup: &Cgroup) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cgroup.path()).unwrap().map(Result::unwrap);
    entries.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.path()).collect()
}

fn the_command_finds_everything_as_without_exec() {
    let host = Host::new("around");
    let cgroup = host.cgroup("app");
    // Everything a process inherits, and its children, of which it must have none that it did not start.
    const SCRIPT: &str = "
        env | sort; cat /proc/$$/limits; umask; pwd; id; ls /proc/$$/fd; tr '\\0' ' ' < /proc/$$/cmdline; echo
        # Without a child: while a shell starts one, it blocks all signals.
        while read -r field value; do
            case $field in SigBlk:|SigIgn:|SigCgt:|Cap*|NoNewPrivs:) echo \"$field $value\";; esac
        done < /proc/$$/status
        read -r own_id own_name own_state parent own_group own_session rest < /proc/$$/stat
        echo group leader: $((own_group == $$)), same session: $((own_session == $1)), parent: $parent
        read -r children < /proc/$$/task/$$/children
        echo \"children: $children\"";
    let session = nix::unistd::getsid(None).unwrap().to_string();
    let run = |mut command: Command| {
        command.args(["-c", SCRIPT, "sh", &session]).current_dir("/usr").env("KEEPALIVE_TEST", "a b\nc");
        let process = Process::spawn("a shell", command).unwrap();
        assert_eq!(process.wait_output().unwrap().code(), Some(0));
        process.text(Stream::Stdout)
    };
    let mut plain = host.netns.command("sh");
    plain.in_cgroup(&cgroup);
    for variable in VARIABLES {
        plain.env_remove(variable);
    }

    let plain = run(plain);
    let mut under_exec = exec(&host, &cgroup, &[]);
    under_exec.arg("sh");
    let under_exec = run(under_exec);

    assert!(plain.contains("KEEPALIVE_TEST=a b") && plain.contains("Max locked memory"), "{plain}");
    assert!(plain.contains("\nSigBlk: ") && plain.contains("\nCapEff: "), "{plain}");
    assert!(plain.ends_with("\nchildren: "), "{plain}");
    assert_eq!(under_exec, plain);
}
