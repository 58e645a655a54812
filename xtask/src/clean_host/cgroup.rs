//! Removes a control group with all that is in it.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long killed processes may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kills what runs in the control group `path` and below, and removes it.
pub(super) fn remove(path: &Path) -> Result<()> {
    kill_all(path).with_context(|| format!("cannot end the processes in {}", path.display()))?;
    remove_tree(path)
}

fn kill_all(path: &Path) -> Result<()> {
    let mut events = File::open(path.join("cgroup.events"))?;
    let start = Instant::now();
    while is_populated(&mut events)? {
        ensure!(start.elapsed() < PATIENCE, "they are still there after {} s", PATIENCE.as_secs());
        // Kernels before 5.14 have no cgroup.kill; a process may fork before it is killed, hence the loop.
        if fs::write(path.join("cgroup.kill"), "1").is_err() {
            kill_each(path)?;
        }
        // Woken when `populated` changes.
        poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], PollTimeout::from(500_u16))?;
    }
    Ok(())
}

/// Read anew from the file that is polled, which then wakes up only for what is later.
fn is_populated(events: &mut File) -> Result<bool> {
    let mut text = String::new();
    events.rewind()?;
    events.read_to_string(&mut text)?;
    Ok(text.lines().any(|line| line == "populated 1"))
}

fn kill_each(path: &Path) -> Result<()> {
    for pid in fs::read_to_string(path.join("cgroup.procs"))?.lines().filter_map(|pid| pid.parse().ok()) {
        // It may have ended since the list was read, and then there is nothing to kill.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    folders(path)?.iter().try_for_each(|folder| kill_each(folder))
}

fn remove_tree(path: &Path) -> Result<()> {
    folders(path)?.iter().try_for_each(|folder| remove_tree(folder))?;
    fs::remove_dir(path).with_context(|| format!("cannot remove {}", path.display()))
}

fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}
