//! What starts in which order, and what is left at the end.

use std::path::PathBuf;

use anyhow::Result;
use tracing::info;

use super::Daemon;
use crate::{
    api::{Group, server},
    governor::Governor,
    helped::{self, Helped},
    journal::Journal,
    kernel::{self, Held, Kernel, Targets, waiting},
    metrics::{self, MetricsArgs, Reconciles},
    policy::Limits,
    policy_files::PolicyFiles,
    privileges::{self, Starter},
    readiness::Readiness,
    sweeper::{self, Sweeps},
    workloads::{CriSocket, Node, cgroup2_root},
};

/// What the daemon is told at its start.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The directory of policy documents.
    pub(crate) policies: PathBuf,
    /// The directory that cgroup paths are relative to; found if absent.
    pub(crate) cgroup_root: Option<PathBuf>,
    /// Where the bpffs is mounted.
    pub(crate) bpffs: PathBuf,
    /// The container runtime to ask for pods.
    pub(crate) runtime: CriSocket,
    /// The control socket.
    pub(crate) api_socket: PathBuf,
    pub(crate) metrics: MetricsArgs,
    /// Whose members may open that, too.
    pub(crate) api_group: Option<Group>,
    /// Bounds on what policies may ask for.
    pub(crate) limits: Limits,
    /// Whether the program writes a log line a connection.
    pub(crate) log_bpf: bool,
    /// How connections are swept that are open already.
    pub(crate) sweeping: sweeper::Options,
    /// How it is found out whether it helped.
    pub(crate) helping: helped::Options,
    /// Whether to detach from all cgroups at the end rather than leave the policies in force.
    pub(crate) detach_on_exit: bool,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// If it cannot start, or can no longer follow what it governs; what is in force stays so.
pub(crate) async fn run(config: Config) -> Result<()> {
    let Config {
        policies,
        cgroup_root,
        bpffs,
        runtime,
        api_socket,
        metrics: MetricsArgs { address, labels },
        api_group,
        limits,
        log_bpf,
        sweeping,
        helping,
        detach_on_exit,
    } = config;
    privileges::seal();
    let root = cgroup2_root(cgroup_root.as_deref())?;
    // What leaves no trace comes first.
    let files = PolicyFiles::open(&policies)?;
    let journal = Journal::default();
    let node = Node::open(&root, runtime, journal.clone())?;
    let held = Held::take(&bpffs)?;
    let starter = Starter::begin()?;
    let (_socket, mut questions) = server::serve(&api_socket, api_group, journal.clone(), starter)?;
    let kernel = Kernel::open(held, log_bpf)?;
    let mut asked = metrics::serve(address)?;
    info!(cgroup_root = %root.display(), bpffs = %bpffs.display(), policies = %policies.display(), "started");
    let swept_cgroups = Targets::default();
    let governor =
        Governor::new(kernel, root.clone(), swept_cgroups.clone(), node.cgroups(), journal.clone())?;
    let (sweeps, mut swept) = Sweeps::start(&sweeping, &bpffs, &swept_cgroups, journal.clone())?;
    let helped = Helped::start(helping, journal.clone())?;
    let mut daemon = Daemon {
        directory: policies,
        limits,
        policies: None,
        policy_error: None,
        files,
        node,
        governor,
        sweeps,
        helped,
        unfollowed: None,
        readiness: Readiness::new(),
        reconciles: Reconciles::default(),
        labels,
        journal,
        is_untidy: false,
        told_of_lack: false,
        told_of_waiting: waiting::Told::default(),
        pins_trouble: None,
    };
    privileges::settle();
    daemon.follow(&mut questions, &mut asked, &mut swept).await?;
    if !detach_on_exit {
        info!("leaving the policies in force; `keepalive-daemon cleanup` ends them");
        return Ok(());
    }
    // Lets go of the lock on the pins.
    drop(daemon);
    kernel::remove_all(
        &bpffs,
        || Ok(root.clone()),
        |what, path| {
            info!(path = %path.display(), why = "asked to detach on exit", "removed the {what}");
        },
    )
}
