//! `cargo xtask vm`: kernel tests in a machine of their own, where this one lacks what they are about: a given kernel,
//! systemd as the first process, cgroup2 and nothing beside it, all rights.
//!
//! The machine's files are this one's, so that what is installed and built here is there, but for what is below `/run`
//! and `/var/tmp`. What it writes is in its memory and gone with it. It has no network but its own loopback.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{console, process, setup, test, workspace};

mod accelerator;
mod initramfs;
mod qemu;

use qemu::Qemu;

/// The kernel of those who do not choose: the oldest of a Debian that gets updates.
pub const DEFAULT_KERNEL: &str = "6.1";

/// What tells the tests that they may change whatever they like.
const IN_MACHINE: &str = "KEEPALIVE_IN_MACHINE";
/// What tells the tests of pods how the machine's pods get their cgroups.
const CGROUP_DRIVER: &str = "KEEPALIVE_CGROUP_DRIVER";

/// Runs kernel tests in a machine of their own, with systemd and cgroup2 alone, under QEMU.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The line of the kernel, of those in [workspace.metadata.setup.machine.kernels].
    #[arg(long, value_name = "LINE", default_value = DEFAULT_KERNEL)]
    kernel: String,
    /// Only the tests whose names contain this.
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
}

/// Builds the kernel tests, runs them in a machine and shows what they print.
///
/// # Errors
///
/// If something is missing and cannot be installed, the build fails, the machine ends without a verdict, a test fails,
/// or the filter fits none.
pub fn run(Options { kernel, filter }: Options) -> Result<()> {
    let command = test::kernel_command(filter.as_deref())?;
    let mut any = false;
    let passed = run_in_machine(&kernel, &command, |line| {
        any |= line.starts_with("test ");
        console::result(line);
    })?;
    ensure!(passed, "not all tests passed; what the machine said itself is in {}", log(&kernel)?.display());
    ensure!(any, "no kernel test has such a name");
    Ok(())
}

/// Runs `command` as root in a machine with the kernel of a line, and calls `show` with each line that it prints, on
/// either stream. Of this process's environment it has the `PATH`; to the rest of its own come the variables that tell
/// tests where they are.
///
/// Returns whether it succeeded.
///
/// # Errors
///
/// If what runs machines is missing and cannot be installed, or the machine ends, or hangs, without a verdict: the
/// error has the last that it said.
pub fn run_in_machine(kernel: &str, command: &Command, show: impl FnMut(&str)) -> Result<bool> {
    let machine = setup::machine(kernel)?;
    let start = Instant::now();
    let folder = tempfile::Builder::new()
        .prefix("keepalive-machine-")
        .tempdir()
        .context("cannot make a folder for the machine's first files")?;
    let initramfs = initramfs::build(folder.path(), &machine, &script(command)).with_context(|| {
        format!("cannot make the first files of a machine with Linux {}", machine.release)
    })?;
    let qemu = Qemu { machine: &machine, initramfs: &initramfs, log: &log(kernel)? };
    let passed = qemu.run(show)?;
    console::progress(format_args!("the machine ran for {:.1} s", start.elapsed().as_secs_f32()));
    Ok(passed)
}

/// What a machine's kernel and first process say, kept for whoever looks for the cause of a failure.
fn log(kernel: &str) -> Result<PathBuf> {
    Ok(workspace::target_dir()?.join(format!("machine-{kernel}.log")))
}

/// The command as a line of a shell script, in its folder and with its environment.
fn script(command: &Command) -> String {
    let mut env = Command::new("env");
    if let Some(folder) = command.get_current_dir() {
        env.arg(format!("--chdir={}", folder.display()));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let own = [
        ("PATH", path),
        ("TMPDIR", "/var/tmp".into()),
        (IN_MACHINE, "1".into()),
        (CGROUP_DRIVER, "systemd".into()),
    ];
    let given = command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_owned())));
    for (name, value) in own.into_iter().chain(given) {
        env.arg(format!("{name}={}", Path::new(&value).display()));
    }
    env.arg(command.get_program()).args(command.get_args());
    format!("exec {}\n", process::describe(&env))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_runs_the_command_where_and_with_what_it_would_run_here() {
        let mut command = Command::new("/target/kernel-1");
        command
            .args(["--ignored", "two words"])
            .env("KEEPALIVE_POD_TOOLS", r#"{"runc":"/r"}"#)
            .current_dir("/work");

        let script = script(&command);

        assert!(script.starts_with("exec env --chdir=/work PATH="), "{script}");
        let end = r#" 'KEEPALIVE_POD_TOOLS={"runc":"/r"}' /target/kernel-1 --ignored 'two words'"#;
        assert!(script.ends_with(&format!("{CGROUP_DRIVER}=systemd{end}\n")), "{script}");
    }
}
