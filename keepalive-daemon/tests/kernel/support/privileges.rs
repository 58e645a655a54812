//! Commands with fewer rights than root.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use xtask::lab::Netns;

/// The flags that make `setpriv` an ordinary user of nobody's files.
pub(crate) const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// The same command line behind `setpriv` with these flags, in the same environment. Nothing else that the
/// command was told, such as a cgroup, is taken over.
pub(crate) fn with_privileges(flags: &[&str], command: &Command) -> Command {
    let mut reduced = Command::new("setpriv");
    reduced.args(flags).arg(command.get_program()).args(command.get_args());
    with_environment(command, reduced)
}

/// The same command line with so low a limit of locked memory that no map is made where maps are charged to it.
pub(crate) fn with_little_memory(command: &Command) -> Command {
    let mut limited = Command::new("prlimit");
    limited.arg("--memlock=4096:4096").arg(command.get_program()).args(command.get_args());
    with_environment(command, limited)
}

/// Copies the program to where every user may run it: a checkout often lies in a home directory.
pub(crate) fn public_program(directory: &Path) -> PathBuf {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.join("keepalive-daemon");
    // By another process: while this one writes a program, a child that another test starts has it open too, and what is
    // written to cannot be run.
    let mut command = Command::new("cp");
    command.arg(env!("CARGO_BIN_EXE_keepalive-daemon")).arg(&copy);
    assert!(command.status().unwrap().success());
    copy
}

/// The same command line in a network namespace, in the same environment.
pub(crate) fn inside(netns: &Netns, command: &Command) -> Command {
    let mut inside = netns.command(command.get_program());
    inside.args(command.get_args());
    with_environment(command, inside)
}

/// Gives a command what another was told of its environment.
fn with_environment(from: &Command, mut to: Command) -> Command {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
    to
}
