//! The daemon with a policy for the story's clients.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::happenings::{Happening, Happenings};
use super::screen::Screen;
use crate::lab::story::Story;
use crate::lab::{Bpffs, DEMO_PREFIX, Output, Process, Stream};
use crate::process;

/// How long the daemon may take until it is ready.
const START: Duration = Duration::from_secs(30);

/// A running daemon; killed when dropped, and what it pinned is gone with its own BPF file system.
pub(super) struct Guard {
    process: Process,
    binary: PathBuf,
    bpffs: Bpffs,
    directory: TempDir,
}

impl Guard {
    /// Starts the daemon with a policy of probes each `idle` seconds, and waits until it is applied.
    pub(super) fn start(
        binary: PathBuf,
        story: &Story,
        idle: u32,
        happenings: &Happenings,
        screen: &mut Screen,
    ) -> Result<Self> {
        let bpffs = Bpffs::mount(DEMO_PREFIX)?;
        let directory = tempfile::Builder::new()
            .prefix(DEMO_PREFIX)
            .tempdir()
            .context("cannot make a directory for the daemon")?;
        let policies = directory.path().join("policies");
        let policy = policy(&story.cgroup().relative().display().to_string(), idle);
        fs::create_dir(&policies).with_context(|| format!("cannot create {}", policies.display()))?;
        let file = policies.join("demo.yaml");
        fs::write(&file, &policy).with_context(|| format!("cannot write {}", file.display()))?;
        screen.line("the policy:");
        policy.lines().for_each(|line| screen.line(format_args!("  {line}")));

        let mut command = Command::new(&binary);
        command.arg("run").arg("--policies").arg(&policies).arg("--bpffs").arg(bpffs.path());
        command
            .arg("--api-socket")
            .arg(directory.path().join("api.sock"))
            .args(["--min-idle", "1s"])
            .args(["--cri-socket", "none"])
            // A daemon of this machine may have the port.
            .args(["--metrics", "none"]);
        screen.line(format_args!("$ {}", process::describe(&command)));
        let process = Process::observed("keepalive-daemon", command, happenings.daemon_observer())?;
        let guard = Self { process, binary, bpffs, directory };
        guard.wait_ready(happenings, screen)?;
        Ok(guard)
    }

    fn wait_ready(&self, happenings: &Happenings, screen: &mut Screen) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match happenings.next(left) {
                None => bail!("the daemon was not ready within {} s", START.as_secs()),
                Some(Happening::Interrupted) => {
                    bail!("interrupted; everything that the demo made is removed")
                }
                Some(Happening::Daemon(Output::Ended(_))) => self.check()?,
                Some(Happening::Daemon(Output::Line(line))) => {
                    screen.event("daemon", &line.text);
                    if line.text.contains("ready") && !line.text.contains("not ready") {
                        return Ok(());
                    }
                }
                Some(Happening::Story(_)) => {}
            }
        }
    }

    /// Makes sure that the daemon is still running.
    pub(super) fn check(&self) -> Result<()> {
        self.process.check()
    }

    /// How to see what the daemon does.
    pub(super) fn status_command(&self) -> String {
        let mut command = Command::new(&self.binary);
        command.arg("status").arg("--api-socket").arg(self.directory.path().join("api.sock"));
        process::describe(command.arg("--bpffs").arg(self.bpffs.path()))
    }

    /// Ends the daemon and has it remove what it left in the kernel on purpose.
    pub(super) fn stop(self, screen: &mut Screen) -> Result<()> {
        screen.heading("Away with it");
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.wait()?;
        if !status.success() {
            bail!("on SIGTERM the daemon ended with {status}");
        }
        screen.line("the daemon is stopped; without it the kernel would go on applying the policy");
        let mut cleanup = Command::new(&self.binary);
        cleanup.arg("cleanup").arg("--bpffs").arg(self.bpffs.path());
        screen.line(format_args!("$ {}", process::describe(&cleanup)));
        let cleanup = Process::spawn("keepalive-daemon cleanup", cleanup)?;
        let status = cleanup.wait_output()?;
        for stream in [Stream::Stdout, Stream::Stderr] {
            cleanup.text(stream).lines().for_each(|line| screen.line(format_args!("  {line}")));
        }
        if !status.success() {
            return Err(anyhow!("`keepalive-daemon cleanup` ended with {status}"));
        }
        Ok(())
    }
}

fn policy(cgroup: &str, idle: u32) -> String {
    format!(
        "\
apiVersion: keepalive.dev/v1alpha1
kind: ClusterKeepalivePolicy
metadata: {{name: demo}}
spec:
  cgroups: [\"{cgroup}\"]
  keepalive: {{idle: {idle}s, interval: {idle}s, probes: 4}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_cgroup_and_the_times() {
        let text = policy("keepalive-demo-clients-7-1", 2);

        assert!(text.contains("cgroups: [\"keepalive-demo-clients-7-1\"]\n"), "{text}");
        assert!(text.contains("{idle: 2s, interval: 2s, probes: 4}"), "{text}");
    }
}
