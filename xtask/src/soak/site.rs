//! A host of its own for a soak or a benchmark, and the daemon on it.

use std::{
    fs, io,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    lab::{Bpffs, Cgroup, Netns, Process, Stream, TEST_PREFIX},
    process,
};

/// Where the daemon serves metrics, in a network namespace where nobody else does.
const METRICS: &str = "127.0.0.1:9798";

/// Far beyond what any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cgroup subtree that the daemon takes for the whole hierarchy, a bpffs, two network namespaces, policies and a
/// control socket; all of it is gone when it is dropped.
pub(crate) struct Site {
    program: PathBuf,
    /// First, so that it ends before what it stands on goes.
    daemon: Mutex<Process>,
    /// Held by those who ask, and against them while there is nobody to answer.
    answering: RwLock<()>,
    pub(crate) root: Cgroup,
    pub(crate) bpffs: Bpffs,
    /// Where the connections are.
    pub(crate) netns: Netns,
    /// Where the daemon is, as its own pod might be.
    own_netns: Netns,
    directory: TempDir,
}

impl Site {
    /// Makes it and starts the daemon; returns once it is ready.
    pub(crate) fn new(program: &Path) -> Result<Self> {
        let directory = TempDir::with_prefix(TEST_PREFIX).context("cannot make a directory")?;
        let policies = directory.path().join("policies");
        fs::create_dir(&policies).with_context(|| format!("cannot make {}", policies.display()))?;
        let root = Cgroup::create(TEST_PREFIX, "soak")?;
        let bpffs = Bpffs::mount(TEST_PREFIX)?;
        let netns = Netns::create(TEST_PREFIX, "soak")?;
        let own_netns = Netns::create(TEST_PREFIX, "soak-daemon")?;
        let command = command(program, &root, &bpffs, &own_netns, directory.path());
        let daemon = Mutex::new(Process::spawn("the daemon", command)?);
        let site = Self {
            program: program.to_owned(),
            daemon,
            answering: RwLock::default(),
            root,
            bpffs,
            netns,
            own_netns,
            directory,
        };
        site.wait_ready()?;
        Ok(site)
    }

    /// A cgroup below the root.
    pub(crate) fn cgroup(&self, name: &str) -> Result<Cgroup> {
        self.root.child(name)
    }

    /// The process id of the daemon.
    pub(crate) fn pid(&self) -> u32 {
        self.lock().pid()
    }

    /// Makes sure that the daemon runs, and has logged no error.
    pub(crate) fn check(&self) -> Result<()> {
        let daemon = self.lock();
        daemon.check()?;
        let log = daemon.text(Stream::Stderr);
        let error = log.lines().find(|line| line.contains("ERROR") || line.contains("panicked at"));
        error.map_or(Ok(()), |line| bail!("the daemon logged {line:?}"))
    }

    /// What the daemon logged last, for whoever wonders what it was about.
    pub(crate) fn log_tail(&self) -> String {
        const LINES: usize = 30;
        let log = self.lock().text(Stream::Stderr);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// Kills the daemon and starts it again; returns once it is ready.
    pub(crate) fn restart(&self) -> Result<()> {
        let _nobody_asks = self.answering.write().unwrap_or_else(PoisonError::into_inner);
        let mut daemon = self.lock();
        daemon.signal(Signal::SIGKILL)?;
        daemon.wait()?;
        let command = command(&self.program, &self.root, &self.bpffs, &self.own_netns, self.directory.path());
        *daemon = Process::spawn("the daemon", command)?;
        drop(daemon);
        self.wait_ready()
    }

    /// Puts a policy file in place in one step; without text, takes it away.
    pub(crate) fn write_policy(&self, name: &str, text: Option<&str>) -> Result<()> {
        let policies = self.directory.path().join("policies");
        let file = policies.join(format!("{name}.yaml"));
        let hidden = policies.join(format!(".{name}.next"));
        let written = match text {
            Some(text) => fs::write(&hidden, text).and_then(|()| fs::rename(&hidden, &file)),
            None => fs::remove_file(&file),
        };
        written.with_context(|| format!("cannot change {}", file.display()))
    }

    /// Asks the control socket; the daemon's answer must be a good one, and whole.
    pub(crate) fn ask(&self, path: &str) -> Result<()> {
        let _answering = self.answering.read().unwrap_or_else(PoisonError::into_inner);
        let socket = self.directory.path().join("api.sock");
        let asked = || -> io::Result<String> {
            let stream = UnixStream::connect(&socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            ask(stream, path)
        };
        check_answer(path, asked())
    }

    /// Scrapes the metrics.
    pub(crate) fn scrape(&self) -> Result<()> {
        let _answering = self.answering.read().unwrap_or_else(PoisonError::into_inner);
        let at: SocketAddr = METRICS.parse().context("not an address")?;
        let asked = || -> io::Result<String> {
            let stream = TcpStream::connect_timeout(&at, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            ask(stream, "/metrics")
        };
        check_answer("/metrics", self.own_netns.run(asked)?)
    }

    /// Ends the daemon; what it attached stays.
    pub(crate) fn stop(&self) -> Result<()> {
        let daemon = self.lock();
        daemon.signal(Signal::SIGTERM)?;
        let status = daemon.wait()?;
        ensure!(status.success(), "on SIGTERM the daemon ended with {status}");
        Ok(())
    }

    /// Ends the daemon and has it take all away; fails if anything stays.
    pub(crate) fn finish(&self) -> Result<()> {
        self.stop()?;
        let mut cleanup = Command::new(&self.program);
        cleanup.arg("cleanup").arg("--bpffs").arg(self.bpffs.path());
        process::output(cleanup.arg("--cgroup-root").arg(self.root.path()))?;
        let pins = self.bpffs.path().join("keepalive");
        ensure!(!pins.exists(), "`cleanup` left {}", pins.display());
        Ok(())
    }

    fn wait_ready(&self) -> Result<()> {
        self.lock().wait_line("ready: all policies").map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Process> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn command(program: &Path, root: &Cgroup, bpffs: &Bpffs, netns: &Netns, directory: &Path) -> Command {
    let mut command = netns.command(program);
    command.arg("run").arg("--policies").arg(directory.join("policies"));
    command.arg("--bpffs").arg(bpffs.path()).arg("--cgroup-root").arg(root.path());
    command.arg("--api-socket").arg(directory.join("api.sock")).args(["--metrics", METRICS]);
    // No delay, so that each change is swept before the next one.
    command.args(["--cri-socket", "none", "--sweep-delay", "0s"]).env_remove("RUST_LOG");
    command
}

/// Of the older version of HTTP: an answer ends with the connection.
fn ask(mut stream: impl io::Read + io::Write, path: &str) -> io::Result<String> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn check_answer(path: &str, answer: io::Result<String>) -> Result<()> {
    let answer = answer.with_context(|| format!("cannot ask the daemon for {path}"))?;
    let first = answer.lines().next().unwrap_or_default();
    ensure!(first.contains(" 200 "), "the daemon answers {first:?} to {path}");
    Ok(())
}
