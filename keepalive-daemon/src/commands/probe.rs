//! `probe`: what this kernel and these privileges allow.

mod capabilities;
mod trial;

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::failure::Verdict;
use crate::{
    cli::{BpffsArg, CgroupRootArg, OutputArg},
    kernel,
    report::{self, ForPeople, Table},
    workloads::cgroup2_root,
};

/// Show what this kernel and these privileges allow, and what is missing.
///
/// Tries things rather than asks for versions: it attaches the program to a cgroup of its own and makes a
/// connection to itself. Exits with 1 if something is missing without which `run` does not work.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    bpffs: BpffsArg,
    #[command(flatten)]
    cgroup_root: CgroupRootArg,
    #[command(flatten)]
    output: OutputArg,
}

/// One thing that was looked for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    name: String,
    state: State,
    /// What it is for.
    purpose: &'static str,
    /// What was found, or what to do.
    note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    Present,
    /// Not there, and something named in the note is not to be had without it.
    Degraded,
    /// Not there, and nothing works without it.
    Missing,
    /// Not tried, because something before it is missing.
    Untried,
}

impl Check {
    fn present(name: &str, purpose: &'static str, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Present, purpose, note: found.into() }
    }

    fn absent(name: &str, state: State, purpose: &'static str, cure: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state, purpose, note: cure.into() }
    }

    fn required(name: &str, purpose: &'static str, tried: Result<String>) -> Self {
        match tried {
            Ok(found) => Self::present(name, purpose, found),
            Err(error) => Self::absent(name, State::Missing, purpose, format!("{error:#}")),
        }
    }
}

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Probe {
    kernel: String,
    checks: Vec<Check>,
}

impl ForPeople for Probe {
    fn for_people(&self) -> String {
        let mut table = Table::new(["CHECK", "STATE", "FOR", "FOUND, OR WHAT TO DO"]);
        for Check { name, state, purpose, note } in &self.checks {
            let state = format!("{state:?}").to_lowercase();
            table.row([name.clone(), state, (*purpose).to_owned(), note.clone()]);
        }
        format!("Linux {}\n\n{table}", self.kernel)
    }
}

/// Tries everything and prints what was found.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let Options { bpffs, cgroup_root, output } = options;
    let probe = examine(&bpffs.bpffs, cgroup_root.cgroup_root.as_deref())?;
    let well = probe.checks.iter().all(|check| !matches!(check.state, State::Missing | State::Untried));
    report::print(&probe, output.output)?;
    Ok(if well { Verdict::Good } else { Verdict::Bad })
}

/// Tries everything.
pub(super) fn examine(bpffs: &Path, cgroup_root: Option<&Path>) -> Result<Probe> {
    let mut checks = vec![
        Check::required(
            "cgroup2",
            "eBPF programs attach to its cgroups",
            cgroup2_root(cgroup_root).map(|root| root.display().to_string()),
        ),
        Check::required(
            "bpffs",
            "`run`, which pins what it attaches; `exec` needs none",
            kernel::check_bpffs(bpffs).map(|()| bpffs.display().to_string()),
        ),
        btf(),
    ];
    checks.extend(capabilities::checks()?);
    checks.extend(trial::checks(bpffs));
    checks.push(dead_peers());
    let kernel = nix::sys::utsname::uname()?.release().to_string_lossy().into_owned();
    Ok(Probe { kernel, checks })
}

fn btf() -> Check {
    const PATH: &str = "/sys/kernel/btf/vmlinux";
    let purpose = "bpftool names the kernel's types";
    if Path::new(PATH).exists() {
        Check::present("kernel BTF", purpose, PATH)
    } else {
        let cure = "not needed to arm connections; a kernel built with CONFIG_DEBUG_INFO_BTF has it";
        Check::absent("kernel BTF", State::Degraded, purpose, cure)
    }
}

fn dead_peers() -> Check {
    let (name, purpose) = ("notice dead peers", "`status` counts them, Linux 5.9, CAP_PERFMON");
    match kernel::Closing::load() {
        Ok(_) => Check::present(name, purpose, ""),
        Err(error) => {
            let note = format!("nothing else depends on it; {error:#}");
            Check::absent(name, State::Degraded, purpose, note)
        }
    }
}
