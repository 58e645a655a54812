//! A host of its own for each test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use xtask::lab::{Bpffs, Cgroup, Netns, Process, TEST_PREFIX, scratch};

use super::{PROGRAM, Peer, eventually};
use crate::confined::{Unlisted, confined};

/// A cgroup subtree that the daemon takes for the whole hierarchy, a bpffs, a network namespace, a policy
/// directory and a control socket; all of it is gone when it is dropped.
pub(crate) struct Host {
    pub(crate) root: Cgroup,
    pub(crate) bpffs: Bpffs,
    pub(crate) netns: Netns,
    directory: TempDir,
}

impl Host {
    pub(crate) fn new(label: &str) -> Self {
        let directory = scratch(TEST_PREFIX, label).unwrap();
        fs::create_dir(directory.path().join("policies")).unwrap();
        Self {
            root: Cgroup::create(TEST_PREFIX, label).unwrap(),
            bpffs: Bpffs::mount(TEST_PREFIX).unwrap(),
            netns: Netns::create(TEST_PREFIX, label).unwrap(),
            directory,
        }
    }

    /// A scratch directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn policies(&self) -> PathBuf {
        self.directory.path().join("policies")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("keepalive.sock")
    }

    /// A cgroup below the root.
    #[must_use = "it is removed with this"]
    pub(crate) fn cgroup(&self, path: &str) -> Cgroup {
        self.root.child(path).unwrap()
    }

    /// Puts a policy file in place, in one step.
    pub(crate) fn write_policies(&self, file: &str, text: &str) {
        let hidden = self.policies().join(format!(".{file}.next"));
        fs::write(&hidden, text).unwrap();
        fs::rename(&hidden, self.policies().join(file)).unwrap();
    }

    /// The daemon's program with a verb and the flags that point it at this host, and no more than the documents give
    /// it.
    pub(crate) fn command(&self, verb: &str) -> Command {
        self.command_of(Path::new(PROGRAM), verb)
    }

    /// As [`Self::command`], of another build of the program.
    pub(crate) fn command_of(&self, program: &Path, verb: &str) -> Command {
        // It starts bpftool, where there is one.
        let unlisted = if verb == "bugtool" { Unlisted::IsDone } else { Unlisted::Kills };
        self.arguments(confined(program, unlisted), verb)
    }

    /// As [`Self::command_of`], with all that whoever starts it has.
    pub(crate) fn free_command_of(&self, program: &Path, verb: &str) -> Command {
        self.arguments(Command::new(program), verb)
    }

    fn arguments(&self, mut command: Command, verb: &str) -> Command {
        command.arg(verb).env_remove("RUST_LOG");
        if verb == "sockets" {
            command.arg("--api-socket").arg(self.socket());
            return command;
        }
        command.arg("--bpffs").arg(self.bpffs.path());
        match verb {
            "run" => {
                command.arg("--policies").arg(self.policies()).args(["--min-idle", "1s"]);
                command.arg("--cgroup-root").arg(self.root.path()).arg("--api-socket").arg(self.socket());
                command.env("KEEPALIVE_CRI_SOCKET", "none").env("KEEPALIVE_SWEEP_DELAY", "0s");
                // All daemons of the tests would have the same port.
                command.env("KEEPALIVE_METRICS", "none");
            }
            "status" | "top" => {
                command.arg("--api-socket").arg(self.socket());
            }
            "bugtool" => {
                command.arg("--api-socket").arg(self.socket()).arg("--cgroup-root").arg(self.root.path());
                command.args(["--metrics", "none"]);
            }
            "cleanup" => {
                command.arg("--cgroup-root").arg(self.root.path());
            }
            _ => {}
        }
        command
    }

    /// The daemon of the layout that comes after this one.
    pub(crate) fn next_command(&self) -> Command {
        let program = std::env::var_os("KEEPALIVE_NEXT_DAEMON").unwrap_or_else(|| {
            panic!("KEEPALIVE_NEXT_DAEMON names no daemon built with the feature next-abi; `cargo xtask test` does")
        });
        self.command_of(Path::new(&program), "run")
    }

    /// Starts the daemon and waits until everything is in force.
    pub(crate) fn start(&self) -> Process {
        let daemon = self.start_with(self.command("run"));
        daemon.wait_line("ready: all policies").unwrap();
        daemon
    }

    /// Starts the daemon by a command of the caller's.
    pub(crate) fn start_with(&self, command: Command) -> Process {
        Process::spawn("the daemon", command).unwrap()
    }

    /// Runs a verb to its end.
    pub(crate) fn run(&self, verb: &str, arguments: &[&str]) -> Output {
        self.command(verb).args(arguments).output().unwrap()
    }

    /// The status as JSON, from the daemon or, if none runs, from the pins.
    pub(crate) fn status(&self) -> serde_json::Value {
        let output = self.run("status", &["-o", "json"]);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// As [`Self::start`], and waits for the first sweep, for whom is to have the last word on a connection.
    pub(crate) fn start_swept(&self) -> Process {
        let daemon = self.start();
        self.await_swept();
        daemon
    }

    /// Waits until the daemon has swept what is open in its cgroups, and noted that.
    pub(crate) fn await_swept(&self) {
        eventually("what is open is swept", || {
            let status = self.status();
            let cgroups = status["cgroups"].as_array().unwrap();
            let are_swept = cgroups.iter().all(|cgroup| cgroup["openConnections"]["state"] == "swept");
            (are_swept && !cgroups.is_empty()).then_some(())
        });
    }

    /// A process in a cgroup, in this host's network namespace.
    pub(crate) fn peer(&self, cgroup: &Cgroup) -> Peer {
        Peer::spawn(self.netns.command(std::env::current_exe().unwrap()), cgroup)
    }
}

/// Has a daemon end by a signal, and waits until it has.
pub(crate) fn stop(daemon: &Process, signal: Signal) {
    daemon.signal(signal).unwrap();
    daemon.wait().unwrap();
}

/// A policy document: a name, a glob, and more fields of the spec as YAML flow (`mode: Monitor, priority: 1`).
pub(crate) fn document(name: &str, glob: &str, spec: &str) -> String {
    format!(
        "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {{name: {name}}}\n\
         spec: {{cgroups: [\"{glob}\"], {spec}}}\n---\n"
    )
}
