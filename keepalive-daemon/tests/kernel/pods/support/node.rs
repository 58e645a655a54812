//! A node: a real containerd, the cgroup that stands for the kubelet's top, and what the daemon needs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use keepalive_daemon::cri::ContainerConfig;
use serde_json::Value;
use xtask::lab::{Process, cgroup2_root};

use super::{Containerd, Cri, Driver, PodSpec, image::USERLAND, pod::container_config};
use crate::{
    INSIDE,
    peer::Options,
    pods::inside,
    support::{Host, daemon, eventually, list},
};

/// A node with a runtime of its own.
pub(crate) struct Node {
    pub(crate) host: Host,
    pub(crate) containerd: Containerd,
    pub(crate) cri: Cri,
}

/// A pod that runs; it ends with its node at the latest.
pub(crate) struct Pod {
    pub(crate) spec: PodSpec,
    pub(crate) sandbox: String,
}

/// A container that runs; it ends with its pod.
pub(crate) struct Container {
    socket: PathBuf,
}

impl Container {
    /// The options of both ends of its first connection.
    pub(crate) fn first_connection(&self) -> [Options; 2] {
        inside::ask(&self.socket).first
    }

    /// The options that both ends of its first connection have at this moment.
    pub(crate) fn first_connection_now(&self) -> [Options; 2] {
        inside::ask(&self.socket).first_now
    }

    /// The options of both ends of a connection that it makes at this moment.
    pub(crate) fn connection(&self) -> [Options; 2] {
        inside::ask(&self.socket).now
    }
}

impl Node {
    /// A node with a containerd of this line, such as `1.7`.
    pub(crate) fn new(label: &str, line: &str) -> Self {
        let host = Host::new(label);
        let containerd = Containerd::start(line);
        containerd.import_images();
        let cri = Cri::new(&containerd.socket());
        Self { host, containerd, cri }
    }

    /// The daemon of this node, on the whole hierarchy as on a real one.
    pub(crate) fn daemon_command(&self, cri_socket: &Path) -> Command {
        let mut command = daemon();
        command.args(["run", "--min-idle", "1s", "--policies"]).arg(self.host.policies());
        command.arg("--bpffs").arg(self.host.bpffs.path()).arg("--api-socket").arg(self.host.socket());
        command.arg("--cgroup-root").arg(cgroup2_root().unwrap());
        command.arg("--cri-socket").arg(cri_socket).env_remove("RUST_LOG").env("KEEPALIVE_METRICS", "none");
        command
    }

    /// Starts the daemon and waits until everything is in force.
    pub(crate) fn start_daemon(&self) -> Process {
        let daemon = self.start_daemon_on(&self.containerd.socket());
        daemon.wait_line("ready: all policies").unwrap();
        daemon
    }

    /// Starts the daemon with another socket.
    pub(crate) fn start_daemon_on(&self, cri_socket: &Path) -> Process {
        let daemon = Process::spawn("the daemon", self.daemon_command(cri_socket)).unwrap();
        daemon.wait_line("started").unwrap();
        daemon
    }

    /// Runs a verb that asks the daemon.
    pub(crate) fn ask(&self, verb: &[&str]) -> Output {
        daemon().args(verb).arg("--api-socket").arg(self.host.socket()).output().unwrap()
    }

    /// As [`Self::ask`], as JSON.
    pub(crate) fn ask_json(&self, verb: &[&str]) -> Value {
        let output = self.ask(&[verb, &["-o", "json"]].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Starts containerd again after it was stopped.
    pub(crate) fn start_containerd_again(&mut self) {
        self.containerd.start_again();
        // What was connected to the one before may take a call to notice its end.
        self.cri = Cri::new(&self.containerd.socket());
    }

    /// Makes a sandbox, as the kubelet does first.
    pub(crate) fn run_pod(&self, spec: PodSpec) -> Pod {
        let sandbox = self.cri.run_pod_sandbox(spec.sandbox_config(self.driver(), &self.top()));
        Pod { spec, sandbox }
    }

    /// A sandbox in the cgroup of another pod.
    pub(crate) fn run_pod_in_cgroup_of(&self, other: &Pod, spec: PodSpec) -> Pod {
        let mut config = spec.sandbox_config(self.driver(), &self.top());
        config.linux = other.spec.sandbox_config(self.driver(), &self.top()).linux;
        Pod { sandbox: self.cri.run_pod_sandbox(config), spec }
    }

    /// A pod with one container that connects to itself as its first action and stays.
    pub(crate) fn run(&self, spec: PodSpec) -> (Pod, Container) {
        let pod = self.run_pod(spec);
        let container = self.run_in(&pod);
        (pod, container)
    }

    /// The same with a container that starts when the pod is governed, however slow the processors are: how soon that is
    /// has tests of its own, in `pods::first`.
    pub(crate) fn run_governed(&self, spec: PodSpec) -> (Pod, Container) {
        let pod = self.run_pod(spec);
        let path = self.cgroup_path(&pod);
        eventually("the pod is governed", || self.is_attached(&path).then_some(()));
        let container = self.run_in(&pod);
        (pod, container)
    }

    /// The same with a container that starts when the daemon knows the pod, whatever it makes of it.
    pub(crate) fn run_known(&self, spec: PodSpec) -> (Pod, Container) {
        let pod = self.run_pod(spec);
        let name = pod.spec.full_name();
        eventually("the daemon knows the pod", || {
            self.ask(&["policy", "explain", &name]).status.success().then_some(())
        });
        let container = self.run_in(&pod);
        (pod, container)
    }

    fn run_in(&self, pod: &Pod) -> Container {
        let directory = self.containerd.directory();
        let socket = directory.join(&pod.spec.uid);
        let program = std::env::current_exe().unwrap();
        let command = [program.to_str().unwrap(), INSIDE, socket.to_str().unwrap()];
        let config =
            container_config(&pod.spec, USERLAND, &command, &Containerd::userland_mounts(), &directory);
        self.start_container(pod, config);
        Container { socket }
    }

    /// Starts a container of the caller's in a pod; returns its id.
    pub(crate) fn start_container(&self, pod: &Pod, config: ContainerConfig) -> String {
        let sandbox_config = pod.spec.sandbox_config(self.driver(), &self.top());
        self.cri.start_container(&pod.sandbox, sandbox_config, config)
    }

    /// Ends a pod, and removes its cgroup as the kubelet does at last.
    pub(crate) fn remove(&self, pod: Pod) {
        self.cri.remove_pod_sandbox(&pod.sandbox);
        let path = cgroup2_root().unwrap().join(self.cgroup_path(&pod));
        eventually("the pod's cgroup is empty", || match fs::remove_dir(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => None,
            _ => Some(()),
        });
    }

    /// Makes a cgroup of no pod below that of all pods.
    pub(crate) fn make_cgroup(&self, path: &str) {
        fs::create_dir(cgroup2_root().unwrap().join(path)).unwrap();
    }

    /// Whether a program is attached, by a link, to the cgroup at a path below the root.
    pub(crate) fn is_attached(&self, path: &str) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let Ok(metadata) = fs::metadata(cgroup2_root().unwrap().join(path)) else { return false };
        list("link").iter().any(|link| link["cgroup_id"] == metadata.ino())
    }

    /// The path of a pod's cgroup below the root.
    pub(crate) fn cgroup_path(&self, pod: &Pod) -> String {
        pod.spec.cgroup_path(self.driver(), &self.top())
    }

    /// The path of the cgroup that has those of all pods, below the root.
    pub(crate) fn top_path(&self) -> String {
        match self.driver() {
            Driver::Cgroupfs => self.top(),
            Driver::Systemd => format!("{}.slice", self.top()),
        }
    }

    fn driver(&self) -> Driver {
        self.containerd.cgroups().0
    }

    fn top(&self) -> String {
        self.containerd.cgroups().1
    }
}
