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
use clap::{Args, ValueEnum};

use crate::{
    console,
    failures::Failures,
    lab, process,
    setup::{self, Machine},
    test::{KernelTests, Matrix},
    workspace,
};

mod accelerator;
mod initramfs;
mod qemu;

use accelerator::Accelerator;
use qemu::Qemu;

/// The kernel of those who do not choose: the oldest of a Debian that gets updates.
pub const DEFAULT_KERNEL: &str = "6.1";

/// What tells the tests that they may change whatever they like.
const IN_MACHINE: &str = "KEEPALIVE_IN_MACHINE";
/// What tells the tests of pods how the machine's pods get their cgroups.
const CGROUP_DRIVER: &str = "KEEPALIVE_CGROUP_DRIVER";

/// All kernels, for those who name none of them.
const ALL: &str = "all";

/// Runs kernel tests in machines of their own, with systemd and cgroup2 alone, under QEMU.
///
/// All failures are collected, and a table of kernels and groups of tests is printed at the end, with the number of
/// those that passed, failed, and were refused because the kernel lacks what they need. Where machines are emulated, as
/// without KVM, booting takes half a minute, a test some seconds, and all tests an hour for each kernel. Kernels are
/// fetched once, of Debian. Needs root, and x86-64.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The lines of kernels, of those in the root Cargo.toml below
    /// `workspace.metadata.setup.machine.kernels`, with commas between; or `all`. One that is not there is answered with
    /// those that are.
    #[arg(long, value_name = "LINES", value_delimiter = ',', default_value = DEFAULT_KERNEL)]
    kernel: Vec<String>,
    /// How the table is printed. With `json` it is all that is on standard output: the tests' own lines go to standard
    /// error.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Output,
    /// Only the tests whose names contain one of these. One that none contains is an error.
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

/// How the table is printed.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Builds the kernel tests, runs them in machines and shows what they print and what became of them.
///
/// # Errors
///
/// If something is missing and cannot be installed, the build fails, a machine ends without a verdict, a test fails,
/// or a filter fits none.
pub fn run(Options { kernel, output, filters }: Options) -> Result<()> {
    let lines = chosen(kernel, setup::kernel_lines()?)?;
    let tests = KernelTests::build(&filters)?;
    let mut failures = Failures::new();
    let mut matrix = Matrix::default();
    let machines: Vec<_> = lines.into_iter().map(|line| (line, filters.clone())).collect();
    let groups = tests.run_in_machines(&machines, |line| match output {
        Output::Table => console::result(line),
        Output::Json => console::progress(line),
    });
    for (group, (line, _)) in groups.iter().zip(&machines) {
        group.add_to(&mut matrix);
        if let Some(failure) = group.failure() {
            let log = log(line)?;
            failures.add(
                &group.name,
                format_args!("{failure}; what the machine said itself is in {}", log.display()),
            );
        }
    }
    match output {
        Output::Table => console::result(format_args!("\n{matrix}")),
        Output::Json => console::result(serde_json::to_string_pretty(&matrix)?),
    }
    failures.finish()
}

/// The lines that are asked for, of those that there are.
fn chosen(asked: Vec<String>, all: Vec<String>) -> Result<Vec<String>> {
    if asked == [ALL] {
        return Ok(all);
    }
    for line in &asked {
        ensure!(all.contains(line), "there is no kernel {line}: choose of {}, or `{ALL}`", all.join(", "));
    }
    Ok(asked)
}

/// Runs `command` as root in a machine, which has the kernel of a line, and calls `show` with each line that it prints, on
/// either stream. Of this process's environment it has the `PATH`; to the rest of its own come the variables that tell
/// tests where they are.
///
/// Returns whether it succeeded.
///
/// # Errors
///
/// If the machine ends, or hangs, without a verdict: the error has the last that it said.
pub fn run_in_machine(
    kernel: &str,
    machine: &Machine,
    command: &Command,
    show: impl FnMut(&str),
) -> Result<bool> {
    let start = Instant::now();
    let folder = lab::scratch(lab::TEST_PREFIX, "machine")?;
    let accelerator = Accelerator::find();
    let script = script(command, accelerator);
    let initramfs = initramfs::build(folder.path(), machine, &script).with_context(|| {
        format!("cannot make the first files of a machine with Linux {}", machine.release)
    })?;
    let qemu = Qemu { machine, accelerator, initramfs: &initramfs, log: &log(kernel)? };
    // At once, as nothing removes it if a signal ends this process.
    let mut folder = Some(folder);
    let passed = qemu.run(|| drop(folder.take()), show)?;
    console::progress(format_args!("the machine ran for {:.1} s", start.elapsed().as_secs_f32()));
    Ok(passed)
}

/// What a machine's kernel and first process say, kept for whoever looks for the cause of a failure.
fn log(kernel: &str) -> Result<PathBuf> {
    Ok(workspace::target_dir()?.join(format!("machine-{kernel}.log")))
}

/// The command as a line of a shell script, in its folder and with its environment.
fn script(command: &Command, accelerator: Accelerator) -> String {
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
    let emulated = (accelerator == Accelerator::Emulation).then(|| (lab::EMULATED, "1".into()));
    let given = command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_owned())));
    for (name, value) in own.into_iter().chain(emulated).chain(given) {
        env.arg(format!("{name}={}", Path::new(&value).display()));
    }
    env.arg(command.get_program()).args(command.get_args());
    format!("exec {}\n", process::describe(&env))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_script_runs_the_command_where_and_with_what_it_would_run_here() {
        let mut command = Command::new("/target/kernel-1");
        command
            .args(["--ignored", "two words"])
            .env("KEEPALIVE_POD_TOOLS", r#"{"runc":"/r"}"#)
            .current_dir("/work");

        let [script, emulated] =
            [Accelerator::Kvm, Accelerator::Emulation].map(|accelerator| script(&command, accelerator));

        assert!(script.starts_with("exec env --chdir=/work PATH="), "{script}");
        let end = r#" 'KEEPALIVE_POD_TOOLS={"runc":"/r"}' /target/kernel-1 --ignored 'two words'"#;
        assert!(script.ends_with(&format!("{CGROUP_DRIVER}=systemd{end}\n")), "{script}");
        let end = format!(" {}=1{end}\n", lab::EMULATED);
        assert!(emulated.ends_with(&end), "{emulated}");
    }

    #[test]
    fn kernels_are_chosen_of_those_that_there_are() {
        let all = || ["5.10", "6.1"].map(str::to_owned).to_vec();
        let of = |asked: &[&str]| chosen(asked.iter().map(|line| (*line).to_owned()).collect(), all());

        assert_eq!(of(&["all"]).unwrap(), all());
        assert_eq!(of(&["6.1", "5.10"]).unwrap(), ["6.1", "5.10"]);
        assert_eq!(
            of(&["4.4"]).unwrap_err().to_string(),
            "there is no kernel 4.4: choose of 5.10, 6.1, or `all`"
        );
    }
}
