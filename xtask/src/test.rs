//! `cargo xtask test`: the tests that need nothing, then those that need root and a kernel.

use std::{path::PathBuf, process::Command, time::Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{build, console, failures::Failures, image, lab, process, setup, vm, workspace};

mod summary;

use summary::{Group, count_group, run_group};

/// What the names of the tests that need a machine begin with.
const IN_MACHINE: &str = "kernel::machine";

/// A kernel whose iterators cannot set options, and the test of what is done instead.
const ON_OLD_KERNEL: (&str, &str) = ("5.10", "kernel::sweep::all_of_ten_thousand_by_descriptors");

/// Runs the tests: those that need nothing, and those that need root and a kernel.
///
/// Those of `kernel::crash` kill the daemon at 20 points of each thing it does, or at as many as the variable
/// `KEEPALIVE_CRASH_ROUNDS` says; with more than there are steps, at each of them. `KEEPALIVE_CRASH_SEED` repeats the
/// points of a failure, which names it.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Only the tests that need neither root nor a kernel.
    #[arg(long, conflicts_with = "kernel")]
    unit: bool,
    /// Only the tests that need root and a kernel.
    #[arg(long)]
    kernel: bool,
    /// Only the tests whose names contain this.
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
}

/// Runs the tests and tells, at the end, all that failed.
///
/// # Errors
///
/// If a test fails, a prerequisite is missing, or the filter fits no test.
pub fn run(Options { unit, kernel, filter }: Options) -> Result<()> {
    let mut failures = Failures::new();
    let mut groups = Vec::new();
    setup::ebpf_toolchain()?;
    if !kernel {
        groups.extend(failures.check("unit tests", unit_tests(filter.as_deref())));
        groups.extend(failures.check("manifest tests", manifest_tests(filter.as_deref())));
    }
    if !unit {
        groups.extend(failures.check("kernel tests", kernel_tests(filter.as_deref())));
        if filter.as_deref().is_none_or(|filter| filter.starts_with(IN_MACHINE)) {
            let filter = filter.as_deref().unwrap_or(IN_MACHINE);
            groups.extend(
                failures.check("kernel tests in a machine", machine_tests(vm::DEFAULT_KERNEL, filter)),
            );
        }
        if filter.is_none() {
            let (kernel, filter) = ON_OLD_KERNEL;
            groups.extend(failures.check("kernel tests on an old kernel", machine_tests(kernel, filter)));
        }
    }
    for group in &groups {
        console::result(group);
        if !group.succeeded() {
            failures.add(&group.name, "not all tests passed");
        }
    }
    if failures.is_empty() && groups.iter().all(Group::is_empty) {
        failures.add("tests", if filter.is_none() { "there are none" } else { "none has such a name" });
    }
    failures.finish()
}

fn unit_tests(filter: Option<&str>) -> Result<Group> {
    let mut command = workspace::cargo();
    command.args(["test", "--locked", "--workspace", "--no-fail-fast", "--"]).args(filter);
    run_group("unit tests", &mut command)
}

/// The tests of what `deploy` has for Kubernetes, which render it with kubectl, and for Prometheus.
fn manifest_tests(filter: Option<&str>) -> Result<Group> {
    let mut command = workspace::cargo();
    command.args(["test", "--locked", "--package", "keepalive-daemon", "--test", "manifests", "--"]);
    command.arg("--ignored").args(filter).env("KEEPALIVE_KUBECTL", setup::kubectl()?);
    command.env("KEEPALIVE_PROMTOOL", setup::prometheus()?.promtool);
    run_group("manifest tests", &mut command)
}

fn kernel_tests(filter: Option<&str>) -> Result<Group> {
    setup::test_tools()?;
    check_kernel()?;
    run_group("kernel tests", &mut process::as_root(&kernel_command(filter)?)?)
}

/// Kernel tests in a machine with the kernel of a line, which has systemd as the first process and cgroup2 alone.
fn machine_tests(kernel: &str, filter: &str) -> Result<Group> {
    let command = kernel_command(Some(filter))?;
    let name = format!("kernel tests in a machine with Linux {kernel}");
    count_group(&name, |show| vm::run_in_machine(kernel, &command, show))
}

/// Builds the program of the kernel tests and all that they need; returns what runs them, to be run as root.
///
/// # Errors
///
/// If something is missing and cannot be installed, or a build fails.
pub(crate) fn kernel_command(filter: Option<&str>) -> Result<Command> {
    setup::test_tools()?;
    // In this order: both put their program in one place, and what is found there later is the daemon itself.
    let next_daemon = build::next_daemon().context("cannot build the daemon of a later version")?;
    build::daemon()?;
    let tests = kernel_test_program()?;
    let mut command = Command::new(&tests);
    command.arg("--ignored").args(filter);
    if filter.is_some_and(|filter| filter.starts_with(IN_MACHINE)) {
        // Emulated, runtimes beside each other take from each other the time in which a pod gets its policy.
        command.arg("--test-threads=1");
    }
    command.env("KEEPALIVE_NEXT_DAEMON", next_daemon).current_dir(workspace::root().join("keepalive-daemon"));
    // Nobody waits for what some tests need, only to run others. Those of a machine are listed there only.
    let names = process::output(Command::new(&tests).args(["--ignored", "--list"]).args(filter))?;
    let has = |module: &str| names.lines().any(|name| name.starts_with(module));
    if has("kernel::pods::") || filter.is_some_and(|filter| filter.starts_with(IN_MACHINE)) {
        command.env("KEEPALIVE_POD_TOOLS", serde_json::to_string(&setup::pod_tools()?)?);
    }
    if has("kernel::metrics::") {
        command.env("KEEPALIVE_PROMETHEUS", serde_json::to_string(&setup::prometheus()?)?);
    }
    if has("kernel::api::fuzz::") {
        command.env("KEEPALIVE_FUZZER", setup::fuzzer()?);
    }
    if has("kernel::pods::packaged::") {
        command.env("KEEPALIVE_IMAGE", serde_json::to_string(&image::in_place()?)?);
    }
    Ok(command)
}

/// Built by this user and run by root, so that root owns nothing in the target folder.
fn kernel_test_program() -> Result<PathBuf> {
    let mut command = workspace::cargo();
    command.args(["test", "--locked", "--package", "keepalive-daemon", "--test", "kernel", "--no-run"]);
    build::executable(&mut command, "kernel")
}

/// Sees whether the kernel and this user can do what all those tests stand on, so that its lack is told once
/// and not by each test.
fn check_kernel() -> Result<()> {
    let start = Instant::now();
    lab::cgroup2_root()?;
    let bpftool = process::find("bpftool").context("there is no bpftool: run `cargo xtask setup`")?;
    let mut command = Command::new(bpftool);
    command.args(["prog", "show"]);
    if let Err(error) = process::output(&mut process::as_root(&command)?) {
        bail!(
            "root cannot use BPF here, which the kernel tests are about (CAP_BPF or CAP_SYS_ADMIN): {error:#}"
        );
    }
    console::progress(format_args!("root, cgroup2 and BPF are there ({} ms)", start.elapsed().as_millis()));
    Ok(())
}
