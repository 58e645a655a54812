//! `policy list`: the policies in force.

use anyhow::Result;
use clap::Args;

use crate::{
    api::{self, client},
    cli::{OutputArg, SocketArg},
    commands::failure::Verdict,
    report::{self, policies::PolicyList},
};

/// List the policies in force, of any two the one that wins first, and what each governs on this node.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    socket: SocketArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Asks the daemon and prints the list.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let Options { socket, output } = options;
    let policies: PolicyList = client::require(&socket.api_socket, api::POLICIES)?;
    report::print(&policies, output.output)?;
    Ok(Verdict::Good)
}
