//! `status`: what is attached and what came of it.

use anyhow::Result;
use clap::Args;

use super::failure::Verdict;
use crate::{
    api::{self, client},
    cli::{BpffsArg, OutputArg, SocketArg},
    kernel::{self, Stored},
    report::{self, open_connections::OpenConnections, status},
    sweeper,
};

/// Show the governed cgroups, their policy and their counters.
///
/// Asks the daemon; if none answers, reads what is pinned, which is what is in force. Exits with 1 if the daemon
/// is not ready (it cannot use the policies in its directory, say), could not govern a cgroup that a policy selects,
/// or may miss pods because the container runtime does not answer; without a daemon with 0.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    socket: SocketArg,
    #[command(flatten)]
    bpffs: BpffsArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Prints the status.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let Options { socket, bpffs, output } = options;
    let status = match client::get::<status::Status>(&socket.api_socket, api::STATUS)? {
        Some(status) => status,
        None => status::Status { nobody: api::nobody(&socket.api_socket), ..pinned(&bpffs.bpffs)? },
    };
    let status = status.sorted();
    report::print(&status, output.output)?;
    let daemon_is_well = |daemon: &status::Daemon| daemon.ready && !daemon.misses_pods();
    let well = status.refused.is_empty() && status.daemon.as_ref().is_none_or(daemon_is_well);
    Ok(if well { Verdict::Good } else { Verdict::Bad })
}

fn pinned(bpffs: &std::path::Path) -> Result<status::Status> {
    let attachments = kernel::inspect(bpffs)?;
    let cgroups = attachments.into_iter().map(|(attachment, counters)| {
        let policy = match attachment.stored {
            Stored::Policy(policy) => Some(policy),
            Stored::Unreadable | Stored::Missing => None,
        };
        let id = attachment.cgroup_id;
        let cgroup = status::Cgroup::new(&attachment.path, id, &attachment.policy_name, policy, counters);
        // Whether those that are not will be depends on the policies, and what is not read here.
        let is_swept = policy.is_some_and(|policy| attachment.swept == Some(sweeper::as_swept(&policy, id)));
        let open_connections = is_swept.then(|| OpenConnections::new("swept", None));
        status::Cgroup { open_connections, ..cgroup }
    });
    Ok(status::Status {
        daemon: None,
        cgroups: cgroups.collect(),
        refused: Vec::new(),
        unreachable: Vec::new(),
        annotations: Vec::new(),
        no_longer_governed: Vec::new(),
        nobody: String::new(),
    })
}
