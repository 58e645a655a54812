//! The kernel tests: what they need, and the commands that run them, here or in machines.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::summary::{Group, count_group, run_group};
use crate::{
    build, console, image, lab, process,
    setup::{self, Machine},
    vm, workspace,
};

/// What the names of the tests that need a machine begin with.
pub(super) const IN_MACHINE: &str = "kernel::machine";
/// What keeps a program busy that no kernel has a part in, for half an hour where it is emulated; unless asked for, it runs
/// here only.
const OF_ANY_KERNEL: [&str; 2] = ["kernel::api::fuzz::", "kernel::pictures::"];
/// What tells their program the names, or parts of names, of those that are to run.
const ONLY: &str = "KEEPALIVE_TESTS";

/// The kernel tests, built, and all that they need.
pub(crate) struct KernelTests {
    /// The program, in its folder and with its environment.
    command: Command,
    /// What it lists here: those that need a machine are listed there only.
    names: Vec<String>,
}

impl KernelTests {
    /// Builds what those tests need whose names contain one of `filters`, or all.
    ///
    /// # Errors
    ///
    /// If something is missing and cannot be installed, a build fails, or a filter fits no test.
    pub(crate) fn build<S: AsRef<str>>(filters: &[S]) -> Result<Self> {
        setup::test_tools()?;
        // First, as it knows its tests: nobody waits for more to be told that a name is wrong.
        let tests = program()?;
        let mut command = Command::new(&tests);
        command.arg("--ignored").current_dir(workspace::root().join("keepalive-daemon"));
        let list = process::output(Command::new(&tests).args(["--ignored", "--list"]))?;
        let mut tests = Self { command, names: list.lines().map(str::to_owned).collect() };
        tests.check(filters)?;

        // In this order: both put their program in one place, and what is found there later is the daemon itself.
        let next_daemon = build::next_daemon().context("cannot build the daemon of a later version")?;
        build::daemon()?;
        let command = &mut tests.command;
        command.env("KEEPALIVE_NEXT_DAEMON", next_daemon);

        // Nobody waits for what some tests need, only to run others.
        let filters = || filters.iter().map(AsRef::as_ref);
        let is_wanted = |name: &str| filters().len() == 0 || filters().any(|filter| name.contains(filter));
        let wanted: Vec<_> = tests.names.iter().filter(|name| is_wanted(name)).collect();
        let has = |module: &str| wanted.iter().any(|name| name.starts_with(module));
        let in_machine = filters().len() == 0 || filters().any(|filter| filter.starts_with(IN_MACHINE));
        if has("kernel::pods::") || in_machine {
            command.env("KEEPALIVE_POD_TOOLS", serde_json::to_string(&setup::pod_tools()?)?);
        }
        if has("kernel::metrics::") {
            command.env("KEEPALIVE_PROMETHEUS", serde_json::to_string(&setup::prometheus()?)?);
        }
        if has("kernel::foreign::bpftune") {
            command.env("KEEPALIVE_BPFTUNE", setup::bpftune()?);
        }
        if has("kernel::api::fuzz::") {
            command.env("KEEPALIVE_FUZZER", setup::fuzzer()?);
        }
        if has("kernel::pods::packaged::") {
            command.env("KEEPALIVE_IMAGE", serde_json::to_string(&image::in_place()?)?);
        }
        Ok(tests)
    }

    /// Sees that each filter fits a test.
    fn check<S: AsRef<str>>(&self, filters: &[S]) -> Result<()> {
        for filter in filters.iter().map(AsRef::as_ref) {
            let exists =
                filter.starts_with(IN_MACHINE) || self.names.iter().any(|name| name.contains(filter));
            ensure!(exists, "no kernel test has such a name: {filter}");
        }
        Ok(())
    }

    /// Runs those whose names contain `filter`, or all, on this host's kernel.
    pub(super) fn run_here(&self, filter: Option<&str>) -> Result<Group> {
        check_kernel()?;
        let group = run_group("kernel tests", &mut process::as_root(&self.with(filter))?);
        let release = nix::sys::utsname::uname().context("cannot tell which kernel runs here")?;
        Ok(group.on(&format!("here, {}", release.release().display())))
    }

    /// What runs those whose names contain `filter`, or all, with one more variable.
    pub(crate) fn recording(&self, filter: Option<&str>, (name, value): (&str, &Path)) -> Command {
        let mut command = self.with(filter);
        command.env(name, value);
        command
    }

    /// Runs tests in machines, each with the kernel of a line, systemd as the first process and cgroup2 alone: those whose
    /// names contain one of the filters that come with the line, or all. Calls `show` with each line that they print.
    ///
    /// There are as many machines at a time as this host has processors: with its tests one by one, an emulated machine
    /// keeps little more than one busy.
    pub(crate) fn run_in_machines(
        &self,
        machines: &[(String, Vec<String>)],
        show: impl Fn(&str) + Sync,
    ) -> Vec<Group> {
        // What is missing is installed by one after another.
        let waiting: VecDeque<_> =
            machines.iter().map(|it @ (kernel, _)| (it, setup::machine(kernel))).enumerate().collect();
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let at_once = processors.min(machines.len());
        let waiting = Mutex::new(waiting);
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let work = || {
            let mut groups = Vec::new();
            while let Some((index, ((kernel, filters), machine))) = next() {
                let show = |line: &str| match at_once {
                    1 => show(line),
                    _ => show(&format!("{kernel} | {line}")),
                };
                groups.push((index, self.run_in_machine(kernel, machine, filters, show)));
            }
            groups
        };
        let groups: BTreeMap<_, _> = thread::scope(|scope| {
            let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .flat_map(|it| it.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        groups.into_values().collect()
    }

    fn run_in_machine<S: AsRef<str>>(
        &self,
        kernel: &str,
        machine: Result<Machine>,
        filters: &[S],
        show: impl Fn(&str),
    ) -> Group {
        let name = format!("kernel tests in a machine with Linux {kernel}");
        let command = self.for_machine(filters);
        let run = |show: &mut dyn FnMut(&str)| {
            self.check(filters)?;
            vm::run_in_machine(kernel, &machine?, &command, show)
        };
        count_group(&name, show, run).on(kernel).with_some()
    }

    /// The command that runs them one by one: emulated, what makes way for others, as the sweeping of open connections
    /// does, comes to nothing beside a test that is busy, and container runtimes take from each other the time in which
    /// a pod gets its policy.
    fn for_machine<S: AsRef<str>>(&self, filters: &[S]) -> Command {
        let mut command = self.with(None);
        command.arg("--test-threads=1");
        if filters.is_empty() {
            command.args(OF_ANY_KERNEL.iter().flat_map(|it| ["--skip", it]));
        } else {
            command.env(ONLY, filters.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" "));
        }
        command
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

/// Built by this user and run by root, so that root owns nothing in the target folder.
fn program() -> Result<PathBuf> {
    setup::ebpf_toolchain()?;
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

    #[test]
    fn tests_in_machines_run_one_by_one_whatever_the_filters() {
        let mut command = Command::new("tests");
        command.arg("--ignored").env("KEEPALIVE_A", "1").current_dir("/work");
        let tests = KernelTests { command, names: Vec::new() };

        let all = tests.for_machine::<&str>(&[]);
        let some = tests.for_machine(&["kernel::sweep", "kernel::walk"]);

        let skipped: String = OF_ANY_KERNEL.iter().map(|it| format!(" --skip {it}")).collect();
        assert_eq!(process::describe(&all), format!("tests --ignored --test-threads=1{skipped}"));
        assert_eq!(all.get_envs().count(), 1);
        assert_eq!(process::describe(&some), "tests --ignored --test-threads=1");
        assert_eq!(some.get_current_dir(), Some("/work".as_ref()));
        let only = some.get_envs().find(|(name, _)| *name == ONLY).and_then(|(_, value)| value);
        assert_eq!(only, Some("kernel::sweep kernel::walk".as_ref()));
    }

    #[test]
    fn a_filter_that_fits_nothing_is_no_success() {
        let tests =
            KernelTests { command: Command::new("tests"), names: vec!["kernel::walk::one: test".into()] };

        let machine = Err(anyhow::anyhow!("not needed"));
        let group = tests.run_in_machine("5.10", machine, &["kernel::walk", "kernel::wlak"], |_line| {});

        assert_eq!(group.failure().as_deref(), Some("no kernel test has such a name: kernel::wlak"));
        assert!(tests.check(&["kernel::machine::service"]).is_ok(), "those are listed in machines only");
    }
}
