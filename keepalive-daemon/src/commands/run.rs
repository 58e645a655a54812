//! `run`: the daemon.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nix::sys::resource::{Resource, getrlimit};

use crate::{
    allocator,
    app::{self, Config},
    cli::{BpffsArg, CgroupRootArg, GroupArg, MinIdleArg, RuntimeArg, SocketArg, SweepArgs},
    helped::HelpArgs,
    logging,
    metrics::MetricsArgs,
};

/// Run the daemon: follow policies, cgroups and pods, and attach.
///
/// It reads the policies again when a file of the directory changes. At SIGHUP it also reads again what is
/// attached, and puts right what was changed by hand. A mistake in any policy leaves the last good ones in force.
/// SIGTERM and SIGINT end it; what it attached stays in force then, and also if it is killed.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The directory of policy documents (*.yaml, *.yml).
    #[arg(long, value_name = "DIR", env = "KEEPALIVE_POLICIES", default_value = "/etc/keepalive/policies.d")]
    policies: PathBuf,
    #[command(flatten)]
    cgroup_root: CgroupRootArg,
    #[command(flatten)]
    bpffs: BpffsArg,
    #[command(flatten)]
    runtime: RuntimeArg,
    #[command(flatten)]
    socket: SocketArg,
    #[command(flatten)]
    group: GroupArg,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    min_idle: MinIdleArg,
    #[command(flatten)]
    sweep: SweepArgs,
    #[command(flatten)]
    help: HelpArgs,
    /// Detach from all cgroups and remove all pins at the end, as `cleanup` does, rather than leave the policies in force.
    #[arg(long, env = "KEEPALIVE_DETACH_ON_EXIT")]
    detach_on_exit: bool,
    /// Log a line for each connection of the policy's direction, written by the eBPF program; for debugging.
    #[arg(long, env = "KEEPALIVE_LOG_BPF")]
    pub(crate) log_bpf: bool,
    /// How log lines look.
    #[arg(long, value_enum, value_name = "FORMAT", env = "KEEPALIVE_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: logging::Format,
}

/// Runs the daemon until a signal ends it.
pub(crate) fn run(options: Options) -> Result<()> {
    let Options {
        policies,
        cgroup_root,
        bpffs,
        runtime,
        socket,
        metrics,
        group,
        min_idle,
        sweep,
        help,
        detach_on_exit,
        log_bpf,
        ..
    } = options;
    let config = Config {
        policies,
        cgroup_root: cgroup_root.cgroup_root,
        bpffs: bpffs.bpffs,
        runtime: runtime.cri_socket,
        api_socket: socket.api_socket,
        metrics,
        api_group: group.api_group,
        limits: min_idle.limits(),
        log_bpf,
        sweeping: sweep.options(),
        helping: help.options(),
        detach_on_exit,
    };
    check_open_files()?;
    allocator::share_one_arena();
    // One thread does it all: what there is to do takes microseconds, and waits for the kernel.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start tokio")?;
    runtime.block_on(app::run(config))
}

/// Checks that the daemon may open as many files as it needs: two dozen or three, however many cgroups it governs, and
/// one for each client: of the control socket it serves 64 at once, of metrics 16.
fn check_open_files() -> Result<()> {
    const ENOUGH: u64 = 128;

    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read RLIMIT_NOFILE")?;
    if limit < ENOUGH {
        bail!(
            "RLIMIT_NOFILE allows {limit} open files, and the daemon needs {ENOUGH}; raise it (`ulimit -n`)"
        );
    }
    Ok(())
}
