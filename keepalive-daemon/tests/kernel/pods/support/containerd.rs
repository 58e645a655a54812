//! A real containerd for one test.

mod ready;
mod settings;

use std::{
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;
use xtask::{
    lab::{
        Cgroup, Cgroup1, InCgroup as _, Netns, Process, RemovedCgroup, TEST_PREFIX, cgroup2_root, scratch,
    },
    setup::PodTools,
};

pub(super) use self::ready::wait_for_image;
use super::{Driver, image};

/// A containerd in namespaces of its own (network, mounts, processes) with its directories in a scratch
/// directory. When it is dropped, everything in the namespaces is killed, and all that it made is removed.
///
/// Its cgroups are those of the host, below a group that no other test has. In a machine of `cargo xtask vm` systemd
/// makes them.
pub(crate) struct Containerd {
    line: String,
    tools: PodTools,
    init: Process,
    cgroups: (Driver, String),
    // In the order in which they are removed.
    _top: Top,
    netns: Netns,
    directory: TempDir,
}

impl Containerd {
    /// Starts the containerd of a line (`1.6`, `1.7`, `2`) and waits until it can start pods, once there are
    /// images.
    ///
    /// Of the host's mounts it and its containers see those that there are at this moment.
    pub(crate) fn start(line: &str) -> Self {
        let mut containerd = Self::prepare(line, &[]);
        containerd.start_again();
        containerd
    }

    /// As [`Self::start`], one that knows nothing of pods, as Docker brings it along.
    pub(crate) fn start_without_cri(line: &str) -> Self {
        let mut containerd = Self::prepare(line, &["io.containerd.grpc.v1.cri"]);
        containerd.boot();
        containerd
    }

    fn prepare(line: &str, disabled: &[&str]) -> Self {
        let tools = tools();
        let programs = tools.containerds.get(line).unwrap_or_else(|| panic!("there is no containerd {line}"));
        let (cgroups, top) = top();
        let driver = cgroups.0;
        let netns = Netns::create(TEST_PREFIX, "node").unwrap();
        let directory = scratch(TEST_PREFIX, "containerd").unwrap();
        settings::write(directory.path(), &tools, driver, disabled);

        let mut command = netns.command("unshare");
        command.args(["--mount", "--propagation=slave"]);
        // systemd has to know processes by the numbers that the runtime tells it.
        if driver == Driver::Cgroupfs {
            command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        }
        command.args(["sh", "-c", include_str!("containerd/init.sh"), "init.sh"]);
        command.arg(directory.path()).arg(programs.join("containerd"));
        // containerd looks for its shim there.
        command.env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()));
        if let Some(home) = &top.home {
            command.in_cgroup(home);
        }
        let init = Process::spawn(&format!("containerd {line}"), command).unwrap();
        Self { line: line.to_owned(), tools, init, cgroups, _top: top, netns, directory }
    }

    /// Gives it the images [`image::PAUSE`], without which it starts no pod, and [`image::USERLAND`].
    pub(crate) fn import_images(&self) {
        image::import_for_pods(self);
    }

    /// Its CRI socket, as the host sees it. Containers that mount `/run/containerd` find it there, as on any node.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("run/containerd.sock")
    }

    /// A scratch directory, the same for the host and for its containers' mounts.
    pub(crate) fn directory(&self) -> PathBuf {
        self.directory.path().join("scratch")
    }

    /// How cgroups have to be told to it, and the path, below the root, of the one that stands for the kubelet's
    /// `kubepods`: all pods have to be below it.
    pub(crate) fn cgroups(&self) -> (Driver, String) {
        self.cgroups.clone()
    }

    /// What a container of [`image::USERLAND`] has to mount, each path on itself, to run the host's programs and this
    /// one.
    pub(crate) fn userland_mounts() -> Vec<PathBuf> {
        let program = std::env::current_exe().unwrap();
        vec![PathBuf::from("/usr"), program.parent().unwrap().to_owned()]
    }

    /// The network namespace that its pods are reached from, as those of a node are by its kubelet.
    pub(crate) const fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The programs that it was made of.
    pub(crate) fn tools(&self) -> &PodTools {
        &self.tools
    }

    /// Stops containerd and nothing else: its pods live on.
    pub(crate) fn stop(&mut self) {
        let mark = self.init.mark();
        self.init.say("TERM").unwrap();
        self.init.wait_line_from(mark, "containerd has ended").unwrap();
    }

    /// Starts containerd with the directories of before, after [`Self::stop`], and waits until it answers. A client's
    /// connections of before are broken.
    pub(crate) fn start_again(&mut self) {
        self.boot();
        ready::wait_for_pods(&self.socket());
    }

    /// Lets containerd accept connections and answer nothing, until [`Self::thaw`].
    pub(crate) fn freeze(&mut self) {
        self.init.say("STOP").unwrap();
    }

    /// Lets it answer after [`Self::freeze`].
    pub(crate) fn thaw(&mut self) {
        self.init.say("CONT").unwrap();
    }

    /// Runs its own client on the images and containers of the CRI.
    pub(crate) fn ctr(&self, arguments: &[&str]) -> String {
        let programs = &self.tools.containerds[&self.line];
        let mut command = Command::new(programs.join("ctr"));
        command.arg("--address").arg(self.socket()).args(["--namespace", "k8s.io"]).args(arguments);
        xtask::process::output(&mut command).unwrap()
    }

    fn boot(&mut self) {
        let mark = self.init.mark();
        self.init.say("start").unwrap();
        self.init.wait_line_from(mark, "containerd successfully booted").unwrap();
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // The end of the input is the end of the namespaces' first process, and that one ends after all others: what
        // is removed after this is in use no more. A hang is reported by the groups that then cannot be removed.
        self.init.close_stdin();
        let _ = self.init.wait();
    }
}

/// What stands for the kubelet's top, in the order in which it is removed.
struct Top {
    /// In a machine systemd makes the cgroups of pods, in a slice, and the processes are in no namespace with which they
    /// would end: containerd and its shims are in `home`.
    home: Option<Cgroup>,
    _slice: Option<RemovedCgroup>,
    _cgroups: Option<(Cgroup, Cgroup1)>,
}

/// How cgroups are told to the runtime, and the path of the one that stands for the kubelet's top.
fn top() -> ((Driver, String), Top) {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    match std::env::var("KEEPALIVE_CGROUP_DRIVER").as_deref() {
        Ok("systemd") => {
            // A dash would make it a slice in another.
            let name = format!("keepalivetest{}", NEXT.fetch_add(1, Ordering::Relaxed));
            let slice = cgroup2_root().unwrap().join(format!("{name}.slice"));
            let home = Cgroup::create(TEST_PREFIX, "containerd").unwrap();
            let top = Top { home: Some(home), _slice: Some(RemovedCgroup::at(slice)), _cgroups: None };
            ((Driver::Systemd, name), top)
        }
        _ => {
            let cgroup = Cgroup::create(TEST_PREFIX, "kubepods").unwrap();
            let cgroup1 = Cgroup1::of(&cgroup).unwrap();
            let path = cgroup.relative().display().to_string();
            let top = Top { home: None, _slice: None, _cgroups: Some((cgroup, cgroup1)) };
            ((Driver::Cgroupfs, path), top)
        }
    }
}

/// The programs, as `cargo xtask test` tells.
pub(crate) fn tools() -> PodTools {
    let Ok(tools) = std::env::var("KEEPALIVE_POD_TOOLS") else {
        panic!("KEEPALIVE_POD_TOOLS does not tell where containerd is; `cargo xtask test` does")
    };
    serde_json::from_str(&tools).unwrap()
}
