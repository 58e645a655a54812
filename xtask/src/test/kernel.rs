//! The kernel tests: what they need, and the commands that run them, here or in machines.

use std::{collections::BTreeSet, path::PathBuf, process::Command, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::summary::{Group, count_group, run_group};
use crate::{build, console, image, lab, process, setup, vm, workspace};

/// What the names of the tests that need a machine begin with.
pub(super) const IN_MACHINE: &str = "kernel::machine";
/// Those of pods.
const PODS: &str = "kernel::pods";

/// The kernel tests, built, and all that they need.
pub(crate) struct KernelTests {
    /// The program, in its folder and with its environment.
    command: Command,
}

impl KernelTests {
    /// Builds what those tests need whose names contain one of `filters`, or all.
    ///
    /// # Errors
    ///
    /// If something is missing and cannot be installed, a build fails, or a filter fits no test.
    pub(crate) fn build<S: AsRef<str>>(filters: &[S]) -> Result<Self> {
        setup::test_tools()?;
        // In this order: both put their program in one place, and what is found there later is the daemon itself.
        let next_daemon = build::next_daemon().context("cannot build the daemon of a later version")?;
        build::daemon()?;
        let tests = program()?;
        let mut command = Command::new(&tests);
        command.arg("--ignored").env("KEEPALIVE_NEXT_DAEMON", next_daemon);
        command.current_dir(workspace::root().join("keepalive-daemon"));

        // Nobody waits for what some tests need, only to run others. Those of a machine are listed there only.
        let mut names = BTreeSet::new();
        let list = process::output(Command::new(&tests).args(["--ignored", "--list"]))?;
        for filter in filters.iter().map(AsRef::as_ref) {
            let of_filter: Vec<_> = list.lines().filter(|name| name.contains(filter)).collect();
            let exist = !of_filter.is_empty() || filter.starts_with(IN_MACHINE);
            ensure!(exist, "no kernel test has such a name: {filter}");
            names.extend(of_filter);
        }
        if filters.is_empty() {
            names.extend(list.lines());
        }
        let in_machine = filters.is_empty() || filters.iter().any(|filter| is_alone(filter.as_ref()));
        let has = |module: &str| names.iter().any(|name| name.starts_with(module));
        if has(PODS) || in_machine {
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
        Ok(Self { command })
    }

    /// Runs those whose names contain `filter`, or all, on this host's kernel.
    pub(super) fn run_here(&self, filter: Option<&str>) -> Result<Group> {
        check_kernel()?;
        let group = run_group("kernel tests", &mut process::as_root(&self.with(filter))?);
        let release = nix::sys::utsname::uname().context("cannot tell which kernel runs here")?;
        Ok(group.on(&format!("here, {}", release.release().display())))
    }

    /// Runs those whose names contain one of `filters`, or all, in a machine with the kernel of a line, which has
    /// systemd as the first process and cgroup2 alone.
    pub(crate) fn run_in_machine<S: AsRef<str>>(
        &self,
        kernel: &str,
        filters: &[S],
        show: impl Fn(&str),
    ) -> Group {
        let name = format!("kernel tests in a machine with Linux {kernel}");
        let commands = self.for_machine(filters);
        count_group(&name, show, |show| vm::run_in_machine(kernel, &commands, show)).on(kernel)
    }

    /// The commands that run them one after another.
    ///
    /// Emulated, runtimes beside each other take from each other the time in which a pod gets its policy: their tests
    /// run one by one.
    fn for_machine<S: AsRef<str>>(&self, filters: &[S]) -> Vec<Command> {
        let mut filters: Vec<_> = filters.iter().map(AsRef::as_ref).collect();
        let mut commands = Vec::new();
        if filters.is_empty() {
            let mut others = self.with(None);
            others.args(["--skip", PODS, "--skip", IN_MACHINE]);
            commands.push(others);
            filters = vec![PODS, IN_MACHINE];
        }
        commands.extend(filters.into_iter().map(|filter| {
            let mut command = self.with(Some(filter));
            if is_alone(filter) {
                command.arg("--test-threads=1");
            }
            command
        }));
        commands
    }

    fn with(&self, filter: Option<&str>) -> Command {
        let mut command = Command::new(self.command.get_program());
        command.args(self.command.get_args()).args(filter);
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        command
    }
}

/// Whether tests with such names start container runtimes.
fn is_alone(filter: &str) -> bool {
    [PODS, IN_MACHINE].iter().any(|prefix| filter.starts_with(prefix))
}

/// Built by this user and run by root, so that root owns nothing in the target folder.
fn program() -> Result<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(filters: &[&str]) -> Vec<String> {
        let mut command = Command::new("tests");
        command.arg("--ignored").env("KEEPALIVE_A", "1").current_dir("/work");
        let commands = KernelTests { command }.for_machine(filters);
        for command in &commands {
            assert_eq!(command.get_envs().count(), 1);
            assert_eq!(command.get_current_dir(), Some("/work".as_ref()));
        }
        commands.iter().map(process::describe).collect()
    }

    #[test]
    fn tests_with_container_runtimes_run_one_by_one() {
        assert_eq!(
            words(&["kernel::sweep", "kernel::pods::first"]),
            ["tests --ignored kernel::sweep", "tests --ignored kernel::pods::first --test-threads=1"]
        );
    }

    #[test]
    fn without_a_filter_each_test_runs_once() {
        assert_eq!(
            words(&[]),
            [
                "tests --ignored --skip kernel::pods --skip kernel::machine",
                "tests --ignored kernel::pods --test-threads=1",
                "tests --ignored kernel::machine --test-threads=1",
            ]
        );
    }
}
