//! `exec`: keep-alive for one command, or one running process, without a daemon.

mod janitor;
mod running;

use std::{
    convert::Infallible,
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use keepalive_ebpf::{Direction, Mode, Policy, Timers};

use super::failure;
use crate::{
    kernel::{Cgroup, Private},
    policy::{Limits, MODES, TimerSpec, UserTimeout, parse_duration},
    report::Output,
    workloads::Transient,
};

/// The exit code for a failure before the command could be run, as of `env` and `timeout`.
const EXIT_FAILED: u8 = 125;
const EXIT_CANNOT_RUN: u8 = 126;
const EXIT_NOT_FOUND: u8 = 127;

/// Run a command whose connections are kept alive; no daemon, no policy files.
///
/// What LD_PRELOAD=libkeepalive.so gave, for any program: also static ones, Go and the JVM. The command takes
/// the place of this process, so signals, exit status and terminal are its own; it runs in a cgroup of its own
/// below the caller's, which goes when the last process in it ends.
///
/// With --pid instead of a command: once, for the connections that a running process has open. Those that it
/// opens later need the daemon, or a start as `exec -- COMMAND`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Silence before the first probe, 1s to 32767s; also as plain seconds [default: 60s].
    #[arg(long, value_name = "DURATION", env = "KEEPIDLE", value_parser = duration)]
    idle: Option<Duration>,
    /// Time between unanswered probes, 1s to 32767s; also as plain seconds [default: 15s].
    #[arg(long, value_name = "DURATION", env = "KEEPINTVL", value_parser = duration)]
    interval: Option<Duration>,
    /// Unanswered probes that end the connection, 1 to 127 [default: 4].
    #[arg(long, value_name = "COUNT", env = "KEEPCNT")]
    probes: Option<i64>,
    /// When to give up on data that nobody acknowledges: a duration, or `auto` for idle + interval × probes
    /// [default: left to the command].
    #[arg(long, value_name = "DURATION")]
    user_timeout: Option<UserTimeout>,
    /// Monitor, FillMissing or Tighten: what to do to a connection for which the command asks for keep-alive
    /// itself.
    #[arg(long, value_name = "MODE", default_value = "Tighten", value_parser = mode)]
    mode: Mode,
    /// The bpffs of the daemon, if one runs: by it this command's values win over those of a policy for a cgroup
    /// above. Not needed without a daemon.
    #[arg(long, value_name = "DIR", env = "KEEPALIVE_BPFFS", default_value = "/sys/fs/bpf")]
    bpffs: PathBuf,
    /// Set the values once, on the TCP connections that this process and its descendants have open now, and
    /// list them. It takes CAP_SYS_PTRACE, and no eBPF. Ends with 1 if the kernel refused any.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pid: Option<u32>,
    /// With --pid: list what would be set, and set nothing; so does the mode Monitor.
    #[arg(long)]
    dry_run: bool,
    /// With --pid: how to print the list.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// The command and its arguments.
    #[arg(
        value_name = "COMMAND",
        last = true,
        required_unless_present = "pid",
        conflicts_with_all = ["pid", "dry_run", "output"]
    )]
    command: Vec<OsString>,
}

/// Runs the command in place of this process; returns only to report a failure, or what came of a running process.
pub(crate) fn run(options: Options) -> ExitCode {
    let Options { idle, interval, probes, user_timeout, mode, bpffs, pid, dry_run, output, command } =
        options;
    let timers = TimerSpec { idle, interval, probes, user_timeout };
    if let Some(pid) = pid {
        let applied = resolve(&timers).and_then(|timers| running::apply(pid, timers, mode, dry_run, output));
        return failure::report(applied);
    }
    match start(&timers, mode, &bpffs, &command) {
        Ok(never) => match never {},
        Err(Failure { code, error }) => {
            failure::print(&error);
            ExitCode::from(code)
        }
    }
}

struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { code: EXIT_FAILED, error }
    }
}

fn start(timers: &TimerSpec, mode: Mode, bpffs: &Path, command: &[OsString]) -> Result<Infallible, Failure> {
    let inherited = janitor::inherited()?;
    let timers = resolve(timers)?;
    // A claim costs a little per connection, and whether an ancestor is governed can change at any time.
    let policy = Policy::new(mode, Direction::Both, timers).claiming(true);
    let mut kernel = Private::load(bpffs)?;
    let cgroup = Transient::create()?;
    let policy = policy.of_cgroup(cgroup.id());
    let link = kernel
        .attach(Cgroup { root: cgroup.path(), path: "", id: cgroup.id() }, &policy)
        .with_context(|| format!("cannot attach to the cgroup {}", cgroup.path().display()))?;
    janitor::leave_behind(&cgroup, link, &inherited)?;
    cgroup.enter()?;
    // Puts the memory limit back, which the command inherits.
    drop(kernel);
    Err(replace_process(command, cgroup))
}

fn resolve(timers: &TimerSpec) -> Result<Timers> {
    // Whoever may run this may flood nobody but himself: the kernel's own floor.
    let limits = Limits::new(Duration::from_secs(1));
    timers.resolve(&limits).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow!("{}", errors.join("\n"))
    })
}

/// Becomes the command. Only on failure this process goes on, and the cgroup with it until it exits.
fn replace_process(command: &[OsString], cgroup: Transient) -> Failure {
    cgroup.keep();
    let Some((program, arguments)) = command.split_first() else {
        return anyhow!("no command was given").into();
    };
    let error = Command::new(program).args(arguments).exec();
    let code = if error.kind() == io::ErrorKind::NotFound { EXIT_NOT_FOUND } else { EXIT_CANNOT_RUN };
    let error = anyhow!(error).context(format!("cannot run {}", program.display()));
    Failure { code, error }
}

/// A duration, or plain seconds as libkeepalive takes them.
fn duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => parse_duration(text).map_err(|fault| fault.to_string()),
    }
}

/// A mode by its name; not `Enforce`, whose second program would have to stay attached beside the first.
fn mode(text: &str) -> Result<Mode, String> {
    let offered = || MODES.iter().filter(|(_, mode)| *mode != Mode::Enforce);
    let is_named = |name: &str| name.eq_ignore_ascii_case(text);
    offered().find(|(name, _)| is_named(name)).map(|(_, mode)| *mode).ok_or_else(|| {
        let names: Vec<&str> = offered().map(|(name, _)| *name).collect();
        let known = MODES.iter().any(|(name, _)| is_named(name));
        let why = if known { "nothing guards the command's options here, a policy can; " } else { "" };
        format!("{why}it is one of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_may_be_plain_seconds() {
        assert_eq!(duration("60"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("soon").is_err());
    }

    #[test]
    fn modes_go_by_the_names_of_the_policy_language() {
        assert_eq!(mode("tighten"), Ok(Mode::Tighten));
        assert_eq!(mode("Enforced"), Err("it is one of Monitor, FillMissing, Tighten".to_owned()));
    }

    #[test]
    fn what_nothing_guards_is_not_enforced() {
        let refused = "nothing guards the command's options here, a policy can; it is one of Monitor, FillMissing, Tighten";
        assert_eq!(mode("enforce"), Err(refused.to_owned()));
    }
}
