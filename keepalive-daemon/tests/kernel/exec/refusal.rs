//! What `exec` says when it cannot do its job: the command is not run then.

use std::process::Command;

use xtask::lab::{Cgroup, InCgroup as _};

use super::{exec, exec_of, transient};
use crate::support::{Host, NOBODY, public_program, with_privileges};

/// What the commands of these tests would leave.
const RAN: &str = "ran";

/// Runs a command line that fails; returns what it said.
fn fail(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{command:?} ran its command");
    said
}

/// `exec` of a command that says it ran, with the privileges that `setpriv` leaves.
fn exec_with(host: &Host, cgroup: &Cgroup, privileges: &[&str]) -> Command {
    let mut command = exec_of(&public_program(host.directory()), host, cgroup, &[]);
    let mut reduced = with_privileges(privileges, command.args(["echo", RAN]));
    reduced.in_cgroup(cgroup);
    reduced
}

pub(super) fn values_out_of_range_run_nothing() {
    let host = Host::new("range");
    let cgroup = host.cgroup("app");
    for (flags, code, names) in [
        (&["--idle", "0s"][..], 125, &["idle", "0s", "1s"][..]),
        (&["--idle", "32768s"], 125, &["idle", "32767s"]),
        (&["--interval", "10h"], 125, &["interval", "32767s"]),
        (&["--probes", "0"], 125, &["probes", "127"]),
        (&["--probes", "128"], 125, &["probes", "127"]),
        (&["--probes", "four"], 2, &["--probes", "four"]),
        (&["--idle", "soon"], 2, &["--idle", "soon"]),
        (&["--user-timeout", "never"], 2, &["--user-timeout", "never"]),
        (&["--mode", "Enforce"], 2, &["--mode", "Monitor, FillMissing, Tighten"]),
    ] {
        let said = fail(exec(&host, &cgroup, flags).args(["echo", RAN]), code);

        for name in names {
            assert!(said.contains(name), "{flags:?}: {name:?} is not in: {said}");
        }
        assert_eq!(transient(&cgroup), Vec::<std::path::PathBuf>::new(), "{flags:?}");
    }
    let said = fail(exec(&host, &cgroup, &[]).env("KEEPIDLE", "x").args(["echo", RAN]), 2);
    assert!(said.contains("'x'") && said.contains("--idle"), "{said}");
}

pub(super) fn without_capabilities_nothing_runs() {
    let host = Host::new("powerless");
    let cgroup = host.cgroup("app");
    for (missing, says) in [("bpf", "CAP_BPF"), ("net_admin", "CAP_NET_ADMIN")] {
        // CAP_SYS_ADMIN would stand in for either.
        let bounding = format!("--bounding-set=-{missing},-sys_admin");

        let said = fail(&mut exec_with(&host, &cgroup, &[&bounding]), 125);

        assert!(said.contains(says) && said.contains("keepalive-daemon probe"), "without {missing}: {said}");
        assert_eq!(transient(&cgroup), Vec::<std::path::PathBuf>::new(), "without {missing}");
    }
}

pub(super) fn without_a_right_to_make_cgroups_nothing_runs() {
    let host = Host::new("undelegated");
    let cgroup = host.cgroup("app");
    let capabilities =
        ["--inh-caps=-all,+bpf,+net_admin,+perfmon", "--ambient-caps=-all,+bpf,+net_admin,+perfmon"];
    let privileges = [&NOBODY[..], &capabilities].concat();

    let said = fail(&mut exec_with(&host, &cgroup, &privileges), 125);

    assert!(
        said.contains("cannot create the cgroup") && said.contains("where cgroups are delegated"),
        "{said}"
    );
    assert_eq!(transient(&cgroup), Vec::<std::path::PathBuf>::new());
}
