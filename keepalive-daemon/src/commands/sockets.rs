//! `sockets`: the connections, one by one.

use std::{ops::ControlFlow, thread, time::Duration};

use anyhow::Result;
use clap::Args;

use super::failure::Verdict;
use crate::{
    answers::SocketQuery,
    api::client,
    cli::{OutputArg, SocketArg},
    report::{self, sockets::Sockets},
};

/// Show the TCP connections of governed pods and cgroups, as the kernel has them.
///
/// Each with its keep-alive values, its timer, how long ago data was last sent and received, and the policy that governs
/// it, with why it has its values, or does not. Shown are those of which all that is given is true; what a namespace,
/// pod or cgroup names is shown whether a policy governs it or not. Asks the daemon.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Of pods of this namespace.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Of pods of this name.
    #[arg(short, long, value_name = "POD")]
    pod: Option<String>,
    /// Of cgroups that this glob matches, as in policies, and of all below them: `system.slice/*`.
    #[arg(long, value_name = "GLOB")]
    cgroup: Option<String>,
    /// What this policy governs: its name, of a namespace's policy NAMESPACE/NAME.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Only those whose keep-alive is off.
    #[arg(long)]
    unarmed: bool,
    /// Also those that no policy governs.
    #[arg(long)]
    all: bool,
    /// Show them again and again, every so many seconds: over each other on a terminal, one after the other elsewhere.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    watch: Option<u64>,
    #[command(flatten)]
    socket: SocketArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Asks the daemon and prints the connections.
pub(crate) fn run(options: Options) -> Result<Verdict> {
    let Options { namespace, pod, cgroup, policy, unarmed, all, watch, socket, output } = options;
    let query = SocketQuery { namespace, pod, cgroup, policy, unarmed, all, limit: None };
    let ask = || -> Result<Sockets> {
        let mut sockets = Vec::new();
        let summary = client::connections(&socket.api_socket, &query, |row| {
            sockets.push(row);
            ControlFlow::Continue(())
        })?;
        Ok(Sockets { sockets, summary }.sorted())
    };
    let Some(seconds) = watch else {
        report::print(&ask()?, output.output)?;
        return Ok(Verdict::Good);
    };
    // What cannot be shown once is an end: the daemon may be restarted, and whoever asks can too.
    while report::redraw(&ask()?, output.output)? {
        thread::sleep(Duration::from_secs(seconds));
    }
    Ok(Verdict::Good)
}
