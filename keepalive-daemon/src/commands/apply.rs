//! `apply`: sweeps open connections because somebody asks for it.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Result;
use clap::Args;

use super::failure::Verdict;
use crate::{
    answers::Selection,
    api::{self, client},
    cli::{OutputArg, SocketArg},
    report::{self, applied::Applied},
};

/// Have the daemon apply policies, as they are in force, to connections that are open already.
///
/// It does so by itself when a policy changes, unless that says `applyToExisting: false`; this is for such policies,
/// and, with --dry-run, to see what a policy would change. Of the governed cgroups it is for those of which all that
/// is given is true, for all of them if nothing is. What is changed is paced by the --sweep-rate of `run`, so that it
/// can take some time. Exits with 1 if the kernel refused an option of a connection.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Apply to the connections that are open now; new ones are governed anyway.
    #[arg(long, required = true)]
    existing: bool,
    /// Tell what would be changed, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Pods of this namespace.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Pods of this name.
    #[arg(short, long, value_name = "POD")]
    pod: Option<String>,
    /// Governed cgroups that this glob matches, as in policies: `system.slice/*`.
    #[arg(long, value_name = "GLOB")]
    cgroup: Option<String>,
    /// What this policy governs: its name, of a namespace's policy NAMESPACE/NAME.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    #[command(flatten)]
    socket: SocketArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Asks the daemon, waits, and prints what was done.
pub(crate) fn run(options: Options) -> Result<Verdict> {
    let Options { existing: _, dry_run, namespace, pod, cgroup, policy, socket, output } = options;
    let selection = Selection { namespace, pod, cgroup, policy, dry_run };
    if io::stderr().is_terminal() {
        // Without a terminal any more there is nobody to tell.
        let _ = writeln!(io::stderr(), "sweeping\u{2026}");
    }
    let applied: Applied = client::post(&socket.api_socket, api::APPLY, &selection)?;
    report::print(&applied, output.output)?;
    Ok(if applied.totals.refused == 0 { Verdict::Good } else { Verdict::Bad })
}
