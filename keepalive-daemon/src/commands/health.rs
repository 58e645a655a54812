//! `health`: for the probes of whatever started the daemon.

use anyhow::Result;
use clap::Args;

use super::failure::Verdict;
use crate::{
    api::{self, client},
    cli::{OutputArg, SocketArg},
    report::{self, health::Health},
};

/// Tell whether the daemon does its job.
///
/// Exits with 0 if it answers; it answers from the loop that does the work. With --ready, exits with 0 only if it
/// has put the policies in force in every cgroup they select.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Whether it is ready, too.
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    socket: SocketArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Asks and prints the answer.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let Options { ready, socket, output } = options;
    let health: Health = client::require(&socket.api_socket, api::HEALTH)?;
    report::print(&health, output.output)?;
    Ok(if health.ready || !ready { Verdict::Good } else { Verdict::Bad })
}
