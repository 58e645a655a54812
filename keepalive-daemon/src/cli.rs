//! The command line.

mod answer;

use std::{
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{
    Args, CommandFactory as _, Error, FromArgMatches as _, Parser, Subcommand, ValueEnum, builder::Resettable,
};

use crate::{
    api::Group,
    commands::{self, failure},
    kernel::Method,
    logging,
    policy::{Limits, parse_duration},
    report::Output,
    sweeper::{self, Means},
    workloads::CriSocket,
};

const EXIT_CODES: &str = "\
Exit codes:
  0    it worked
  1    it failed, and the message says why
  2    the command line is wrong
  3    `check` found something that is not fine
  125  `exec` failed before it could run the command; 126, 127: the command cannot be run, or is not found;
       otherwise `exec` ends as the command does";

/// Arms TCP keep-alive in the kernel for the cgroups that policies select.
///
/// Connections that die in silence behind a NAT or a load balancer stay alive, whatever program and language
/// they belong to, without a change to the program.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_long_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(commands::run::Options),
    Exec(commands::exec::Options),
    Status(commands::status::Options),
    Sockets(commands::sockets::Options),
    Top(commands::top::Options),
    Events(commands::events::Options),
    Apply(commands::apply::Options),
    Check(commands::check::Options),
    #[command(subcommand)]
    Policy(commands::policy::Verb),
    Health(commands::health::Options),
    Probe(commands::probe::Options),
    Bugtool(commands::bugtool::Options),
    Cleanup(commands::cleanup::Options),
}

/// Which container runtime to ask.
#[derive(Clone, Debug, Args)]
pub(crate) struct RuntimeArg {
    /// The socket of the container runtime that tells which pods there are: `auto` looks at the usual places until one
    /// tells of some, `none` is for a host without pods.
    #[arg(
        long,
        value_name = "auto|none|PATH",
        env = "KEEPALIVE_CRI_SOCKET",
        default_value = "auto",
        value_parser = |text: &str| text.parse::<CriSocket>()
    )]
    pub(crate) cri_socket: CriSocket,
}

/// Where the pins are.
#[derive(Clone, Debug, Args)]
pub(crate) struct BpffsArg {
    /// Where the bpffs is mounted; everything is pinned in its directory `keepalive`.
    #[arg(long, value_name = "DIR", env = "KEEPALIVE_BPFFS", default_value = "/sys/fs/bpf")]
    pub(crate) bpffs: PathBuf,
}

/// Where the cgroups are.
#[derive(Clone, Debug, Args)]
pub(crate) struct CgroupRootArg {
    /// The directory that the cgroup paths of policies are relative to [default: where cgroup2 is mounted].
    #[arg(long, value_name = "DIR", env = "KEEPALIVE_CGROUP_ROOT")]
    pub(crate) cgroup_root: Option<PathBuf>,
}

/// Where the daemon answers.
#[derive(Clone, Debug, Args)]
pub(crate) struct SocketArg {
    /// The daemon's control socket.
    #[arg(
        long,
        value_name = "PATH",
        env = "KEEPALIVE_API_SOCKET",
        default_value = "/run/keepalive/keepalive.sock"
    )]
    pub(crate) api_socket: PathBuf,
}

/// Who may ask the daemon.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct GroupArg {
    /// A group, by name or number, whose members may use the control socket too, which only root may otherwise: to look,
    /// and to have policies applied to open connections. They also need to be let into its directory.
    #[arg(long, value_name = "NAME|GID", env = "KEEPALIVE_API_GROUP", value_parser = |text: &str| text.parse::<Group>())]
    pub(crate) api_group: Option<Group>,
}

/// How low `idle` may be.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct MinIdleArg {
    /// The smallest `idle` a policy may ask for: how often, at most, an idle connection is probed.
    #[arg(
        long,
        value_name = "DURATION",
        env = "KEEPALIVE_MIN_IDLE",
        default_value = "5s",
        value_parser = |text: &str| parse_duration(text)
    )]
    min_idle: Duration,
}

impl MinIdleArg {
    pub(crate) const fn limits(self) -> Limits {
        Limits::new(self.min_idle)
    }
}

/// How connections are swept that are open already.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SweepArgs {
    /// How to get at connections that are open already: `iterator` is a program that the kernel runs for each (Linux
    /// 6.1), `descriptors` borrows those of the processes that hold them, `auto` is the first of them that works here,
    /// and with `none` no open connection is changed.
    #[arg(long, value_enum, value_name = "METHOD", env = "KEEPALIVE_SWEEP_METHOD", default_value = "auto")]
    sweep_method: SweepMethod,
    /// How many open connections are changed a second at most; 0 for no limit. One that has been idle for longer than
    /// its new idle time is probed at once: at 1000, with the usual idle time of 60s, no more probes are sent than
    /// 60,000 connections with keep-alive send anyway.
    #[arg(long, value_name = "CONNECTIONS", env = "KEEPALIVE_SWEEP_RATE", default_value = "1000")]
    sweep_rate: u32,
    /// How long at most, by chance, open connections wait after policies changed: all nodes get new policies at the
    /// same time. 0s for not at all, 1h at most.
    #[arg(
        long,
        value_name = "DURATION",
        env = "KEEPALIVE_SWEEP_DELAY",
        default_value = "5s",
        value_parser = |text: &str| sweep_delay(text)
    )]
    sweep_delay: Duration,
}

/// How to get at open connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SweepMethod {
    Auto,
    Iterator,
    Descriptors,
    None,
}

impl SweepArgs {
    pub(crate) const fn options(self) -> sweeper::Options {
        let means = match self.sweep_method {
            SweepMethod::Auto => Means::Any,
            SweepMethod::Iterator => Means::Only(Method::Iterator),
            SweepMethod::Descriptors => Means::Only(Method::Descriptors),
            SweepMethod::None => Means::None,
        };
        sweeper::Options { means, rate: self.sweep_rate, delay: self.sweep_delay }
    }
}

/// Longer than it takes until every node has seen a change, and short enough that nobody takes it for a failure.
const LONGEST_SWEEP_DELAY: Duration = Duration::from_secs(3600);

fn sweep_delay(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(delay) if delay <= LONGEST_SWEEP_DELAY => Ok(delay),
        Ok(_) => Err("it is longer than 1h; write less, or 0s".to_owned()),
        Err(fault) => Err(fault.to_string()),
    }
}

/// How a listing is printed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArg {
    /// How to print it.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Output,
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// If it asks for help, or makes no sense: that is answered by then, and the exit code is left.
    pub fn read() -> Result<Self, ExitCode> {
        Self::parse_all(env::args_os()).map_err(answer::answer)
    }

    fn parse_all(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Error> {
        let mut command = without_empty_variables(Self::command());
        let matches = command.try_get_matches_from_mut(arguments)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }

    /// Runs the command; reports a failure once, with its causes.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Run(options) => {
                logging::init(options.log_format, options.log_bpf);
                failure::report_logged(commands::run::run(options))
            }
            Command::Exec(options) => commands::exec::run(options),
            Command::Status(options) => failure::report(commands::status::run(&options)),
            Command::Sockets(options) => failure::report(commands::sockets::run(options)),
            Command::Top(options) => failure::report(commands::top::run(&options)),
            Command::Events(options) => failure::report(commands::events::run(&options)),
            Command::Apply(options) => failure::report(commands::apply::run(options)),
            Command::Check(options) => failure::report(commands::check::run(options)),
            Command::Policy(verb) => failure::report(commands::policy::run(verb)),
            Command::Health(options) => failure::report(commands::health::run(&options)),
            Command::Probe(options) => failure::report(commands::probe::run(&options)),
            Command::Bugtool(options) => failure::report(commands::bugtool::run(&options)),
            Command::Cleanup(options) => failure::report(commands::cleanup::run(&options)),
        }
    }
}

/// A variable that is empty is as good as none: so it stands in files of settings, and comes of templates.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if arg.get_env().is_some_and(is_empty) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty_variables)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
