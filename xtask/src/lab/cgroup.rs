//! A control group of our own in the cgroup2 hierarchy.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{mounts, report_leftover, unique};

/// How long killed members may take to leave before removal gives up.
const LEAVE: Duration = Duration::from_secs(10);

/// Between two attempts to remove a group in which somebody else makes and removes others.
const PAUSE: Duration = Duration::from_millis(20);

/// Where the cgroup2 hierarchy is mounted, also on hosts that mount version 1 beside it.
///
/// # Errors
/// When the mount table cannot be read or has no cgroup2.
pub fn cgroup2_root() -> Result<PathBuf> {
    mounts::mounted("cgroup2")?
        .context("no cgroup2 hierarchy is mounted here; mount one with `mount -t cgroup2 none DIRECTORY`")
}

/// A control group that is removed, with its members killed and all groups below it, when dropped.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    root: PathBuf,
    id: u64,
    procs: Arc<File>,
}

impl Cgroup {
    /// Makes an empty group with a unique name directly under the cgroup2 root.
    ///
    /// # Errors
    /// When cgroup2 is not mounted or the kernel refuses the directory.
    pub fn create(prefix: &str, label: &str) -> Result<Self> {
        let root = cgroup2_root()?;
        let name = unique(prefix, label, |name| root.join(name).exists());
        Self::make(root.join(name), root)
    }

    /// Makes a group below this one, and those in between: `child("a/b")`.
    ///
    /// The result removes only the last of them when dropped; this group removes the rest.
    ///
    /// # Errors
    /// When the kernel refuses the directory.
    pub fn child(&self, relative: &str) -> Result<Self> {
        Self::make(self.path.join(relative), self.root.clone())
    }

    fn make(path: PathBuf, root: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path).with_context(|| format!("making the cgroup {}", path.display()))?;
        let opened = || -> io::Result<(File, u64)> {
            let procs = OpenOptions::new().write(true).open(path.join("cgroup.procs"))?;
            Ok((procs, fs::metadata(&path)?.ino()))
        };
        let (procs, id) = opened().with_context(|| format!("opening the cgroup {}", path.display()))?;
        Ok(Self { path, root, id, procs: Arc::new(procs) })
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path below the cgroup2 root, as a policy's glob names it.
    pub fn relative(&self) -> &Path {
        self.path.strip_prefix(&self.root).unwrap_or(&self.path)
    }

    /// The kernel's id of this group, as BPF link information and cgroup storage keys show it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The ids of the processes directly in this group.
    ///
    /// # Errors
    /// When the group is gone.
    pub fn procs(&self) -> Result<Vec<u32>> {
        let file = self.path.join("cgroup.procs");
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        text.lines().map(|pid| pid.parse().with_context(|| format!("{pid:?} is not a process id"))).collect()
    }

    /// Removes the group at once and tells what is in the way; dropping only reports it.
    ///
    /// # Errors
    /// When members do not die or the kernel refuses the removal.
    pub fn remove(self) -> Result<()> {
        remove_tree(&self.path)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.path) {
            report_leftover(&format!("the cgroup {}", self.path.display()), &error);
        }
    }
}

/// A group that a program makes for a test, systemd say: what runs in it is killed, and it is removed, when this is
/// dropped.
#[derive(Debug)]
#[must_use]
pub struct RemovedCgroup(PathBuf);

impl RemovedCgroup {
    /// Whether or not it is there yet.
    pub const fn at(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Drop for RemovedCgroup {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.0) {
            report_leftover(&format!("the cgroup {}", self.0.display()), &error);
        }
    }
}

/// Starts programs as members of a [`Cgroup`].
pub trait InCgroup {
    /// The child moves itself into `cgroup` between fork and exec, so that not one instruction of the program,
    /// and not one of its sockets, is outside.
    fn in_cgroup(&mut self, cgroup: &Cgroup) -> &mut Self;
}

impl InCgroup for Command {
    fn in_cgroup(&mut self, cgroup: &Cgroup) -> &mut Self {
        let procs = Arc::clone(&cgroup.procs);
        let join = move || nix::unistd::write(&procs, b"0").map(drop).map_err(io::Error::from);
        // SAFETY: the closure makes one write(2) to a file opened before the fork; it neither allocates nor locks.
        unsafe { self.pre_exec(join) }
    }
}

/// Kills what runs in the group `path` and below, and removes it; one that is gone is as good.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    let deadline = Instant::now() + LEAVE;
    loop {
        if !path.exists() {
            return Ok(());
        }
        let killed = kill_members(path).with_context(|| format!("killing the members of {}", path.display()));
        match killed.and_then(|()| remove_directories(path)) {
            // Whoever made what is in it, systemd say, may be about to remove it, or to make more.
            Err(_) if Instant::now() < deadline => thread::sleep(PAUSE),
            removed => return removed,
        }
    }
}

/// Kills whatever runs in the group and below, and waits until the kernel says that it is empty.
fn kill_members(path: &Path) -> Result<()> {
    let mut events = File::open(path.join("cgroup.events"))?;
    let deadline = Instant::now() + LEAVE;
    while is_populated(&mut events)? {
        if Instant::now() >= deadline {
            bail!("they did not end within {} s", LEAVE.as_secs());
        }
        // Kernels before 5.14 have no cgroup.kill.
        if fs::write(path.join("cgroup.kill"), "1").is_err() {
            kill_one_by_one(path)?;
        }
        // The kernel raises POLLPRI when `populated` changes. The time limit is for a member that forked in
        // between the look at cgroup.procs and its death: it is killed in the next round.
        match poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], PollTimeout::from(250_u16)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Reads through the file that is polled: POLLPRI means "changed since this file was read".
fn is_populated(events: &mut File) -> Result<bool> {
    let mut text = String::new();
    events.rewind()?;
    events.read_to_string(&mut text)?;
    Ok(text.lines().any(|line| line == "populated 1"))
}

fn kill_one_by_one(path: &Path) -> Result<()> {
    for pid in fs::read_to_string(path.join("cgroup.procs"))?.lines().filter_map(|pid| pid.parse().ok()) {
        // It may have ended by itself meanwhile.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    children(path)?.iter().try_for_each(|child| kill_one_by_one(child))
}

/// Removes the groups `path` and below, in which nothing runs; one that is gone is as good.
pub(crate) fn remove_directories(path: &Path) -> Result<()> {
    for child in children(path)? {
        remove_directories(&child)?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn children(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("listing {}", path.display()))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}
