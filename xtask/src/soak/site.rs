//! A host of its own for a soak or a benchmark, and the daemon on it.

use std::{
    fs, io,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    console,
    lab::{self, Bpffs, Cgroup, Line, Netns, Process, Stream, TEST_PREFIX},
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
    /// What it is told beside where everything is.
    arguments: &'static [&'static str],
    /// First, so that it ends before what it stands on goes.
    daemon: Mutex<Option<Process>>,
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

impl Drop for Site {
    /// Cgroups may have been removed while they were attached to: what the kernel would not survive freeing stays, and
    /// only `cleanup` can tell.
    fn drop(&mut self) {
        drop(self.lock().take());
        if let Err(error) = self.cleanup() {
            let kept = self
                .bpffs
                .keep()
                .map_or_else(|error| format!("could not be kept: {error:#}"), |()| "stays".to_owned());
            console::progress(format_args!("{} {kept}: {error:#}", self.bpffs.path().display()));
        }
    }
}

/// A line that the daemon logged.
pub(crate) struct Logged {
    pub(crate) at: Instant,
    /// The mark of what it logged later.
    pub(crate) after: usize,
}

impl Site {
    /// Makes it and starts the daemon; returns once it is ready.
    pub(crate) fn new(program: &Path) -> Result<Self> {
        // No delay, so that each change is swept before the next one.
        let site = Self::prepare(program, &["--sweep-delay", "0s"])?;
        site.start()?;
        Ok(site)
    }

    /// Makes it, without a daemon: one is told these arguments when it is started.
    pub(crate) fn prepare(program: &Path, arguments: &'static [&'static str]) -> Result<Self> {
        let directory = lab::scratch(TEST_PREFIX, "soak")?;
        let policies = directory.path().join("policies");
        fs::create_dir(&policies).with_context(|| format!("cannot make {}", policies.display()))?;
        let root = Cgroup::create(TEST_PREFIX, "soak")?;
        let bpffs = Bpffs::mount(TEST_PREFIX)?;
        let netns = Netns::create(TEST_PREFIX, "soak")?;
        let own_netns = Netns::create(TEST_PREFIX, "soak-daemon")?;
        Ok(Self {
            program: program.to_owned(),
            arguments,
            daemon: Mutex::default(),
            answering: RwLock::default(),
            root,
            bpffs,
            netns,
            own_netns,
            directory,
        })
    }

    /// Starts the daemon; returns how long it took to be ready.
    pub(crate) fn start(&self) -> Result<Duration> {
        let mut command = self.own_netns.command(&self.program);
        command.arg("run").arg("--policies").arg(self.directory.path().join("policies"));
        command.arg("--bpffs").arg(self.bpffs.path()).arg("--cgroup-root").arg(self.root.path());
        command.arg("--api-socket").arg(self.api_socket()).args(["--metrics", METRICS]);
        command.args(["--cri-socket", "none"]).args(self.arguments).env_remove("RUST_LOG");
        *self.lock() = Some(Process::spawn("the daemon", command)?);
        let ready = self.wait_log(0, "ready: all policies", 1)?;
        self.with_daemon(|daemon| Ok(ready.at.saturating_duration_since(daemon.started())))
    }

    /// A cgroup below the root.
    pub(crate) fn cgroup(&self, name: &str) -> Result<Cgroup> {
        self.root.child(name)
    }

    /// The process id of the daemon.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.with_daemon(|daemon| Ok(daemon.pid()))
    }

    /// Makes sure that the daemon runs, and has logged no error.
    pub(crate) fn check(&self) -> Result<()> {
        self.with_daemon(|daemon| {
            daemon.check()?;
            let log = daemon.text(Stream::Stderr);
            let error = log.lines().find(|line| line.contains("ERROR") || line.contains("panicked at"));
            error.map_or(Ok(()), |line| bail!("the daemon logged {line:?}"))
        })
    }

    /// What the daemon logged last, for whoever wonders what it was about.
    pub(crate) fn log_tail(&self) -> String {
        const LINES: usize = 30;
        let log = self.lock().as_ref().map(|daemon| daemon.text(Stream::Stderr)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// Kills the daemon and starts it again; returns how long it took to be ready.
    pub(crate) fn restart(&self) -> Result<Duration> {
        let _nobody_asks = self.answering.write().unwrap_or_else(PoisonError::into_inner);
        self.end(Signal::SIGKILL)?;
        self.start()
    }

    /// Ends the daemon, and tells how it ended.
    pub(crate) fn end(&self, signal: Signal) -> Result<ExitStatus> {
        self.with_daemon(|daemon| {
            daemon.signal(signal)?;
            daemon.wait()
        })
    }

    /// Tells the daemon something, which goes on.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.with_daemon(|daemon| daemon.signal(signal))
    }

    /// How many lines the daemon has logged: a place to start [`Self::wait_log`] at.
    pub(crate) fn mark(&self) -> Result<usize> {
        self.with_daemon(|daemon| Ok(daemon.mark()))
    }

    /// Waits until the daemon has logged so many lines with `text` since `mark`; tells of the last.
    pub(crate) fn wait_log(&self, mark: usize, text: &str, count: usize) -> Result<Logged> {
        let (mut seen, mut found) = (mark, 0);
        // Each line is looked at once, for there may be thousands.
        let look = |lines: &[Line], _| {
            while let Some(line) = lines.get(seen).filter(|_| found < count) {
                seen += 1;
                found += usize::from(line.text.contains(text));
            }
            let last = lines.get(seen.saturating_sub(1)).filter(|_| found >= count);
            last.map(|line| Logged { at: line.at, after: seen })
        };
        self.with_daemon(|daemon| daemon.wait_for(&format!("{count} lines with {text:?}"), look))
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
    pub(crate) fn ask(&self, path: &str) -> Result<String> {
        let _answering = self.answering.read().unwrap_or_else(PoisonError::into_inner);
        let asked = || -> io::Result<String> {
            let stream = UnixStream::connect(self.api_socket())?;
            stream.set_read_timeout(Some(PATIENCE))?;
            ask(stream, path)
        };
        check_answer(path, asked())
    }

    /// Scrapes the metrics.
    pub(crate) fn scrape(&self) -> Result<String> {
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
        let status = self.end(Signal::SIGTERM)?;
        ensure!(status.success(), "on SIGTERM the daemon ended with {status}");
        Ok(())
    }

    /// Ends the daemon and has it take all away; fails if anything stays.
    pub(crate) fn finish(&self) -> Result<()> {
        self.stop()?;
        self.cleanup()
    }

    /// Has all taken away that the daemon left, which has ended; fails if anything stays.
    pub(crate) fn cleanup(&self) -> Result<()> {
        let mut cleanup = Command::new(&self.program);
        cleanup.arg("cleanup").arg("--bpffs").arg(self.bpffs.path());
        process::output(cleanup.arg("--cgroup-root").arg(self.root.path()))?;
        let pins = self.bpffs.path().join("keepalive");
        ensure!(!pins.exists(), "`cleanup` left {}", pins.display());
        Ok(())
    }

    fn api_socket(&self) -> PathBuf {
        self.directory.path().join("api.sock")
    }

    fn with_daemon<T>(&self, ask: impl FnOnce(&Process) -> Result<T>) -> Result<T> {
        ask(self.lock().as_ref().context("the daemon was not started")?)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of the older version of HTTP: an answer ends with the connection.
fn ask(mut stream: impl io::Read + io::Write, path: &str) -> io::Result<String> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn check_answer(path: &str, answer: io::Result<String>) -> Result<String> {
    let answer = answer.with_context(|| format!("cannot ask the daemon for {path}"))?;
    let first = answer.lines().next().unwrap_or_default();
    ensure!(first.contains(" 200 "), "the daemon answers {first:?} to {path}");
    Ok(answer)
}
