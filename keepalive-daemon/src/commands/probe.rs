//! `probe`: what this kernel and these privileges allow.

mod capabilities;
mod features;
mod programs;
mod surroundings;
mod trial;

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use self::{features::Found, programs::Program};
use super::failure::Verdict;
use crate::{
    cli::{BpffsArg, CgroupRootArg, OutputArg, RuntimeArg},
    features::Feature,
    kernel,
    report::{self, ForPeople, Table},
    workloads::{CriSocket, cgroup2_root},
};

/// Show what this kernel and these privileges allow, and what is missing.
///
/// Tries things rather than asks for versions: it attaches the programs to a cgroup of its own and makes
/// connections to itself. Exits with 1 if something is missing without which `run` does not work.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    bpffs: BpffsArg,
    #[command(flatten)]
    cgroup_root: CgroupRootArg,
    #[command(flatten)]
    runtime: RuntimeArg,
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

/// What is said of what was not tried.
const CURE_FIRST: &str = "cure what is missing above first";

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Probe {
    kernel: String,
    checks: Vec<Check>,
    features: Vec<Found>,
    programs: Vec<Program>,
}

impl ForPeople for Probe {
    fn for_people(&self) -> String {
        let mut table = Table::new(["CHECK", "STATE", "FOR", "FOUND, OR WHAT TO DO"]);
        for Check { name, state, purpose, note } in &self.checks {
            let state = format!("{state:?}").to_lowercase();
            table.row([name.clone(), state, (*purpose).to_owned(), note.clone()]);
        }
        let mut features =
            Table::new(["FEATURE", "STATE", "SINCE LINUX", "WHY NOT; WHAT THERE IS WITHOUT IT"]);
        for found in &self.features {
            features.row(found.row());
        }
        let mut programs = Table::new([
            "PROGRAM",
            "INSTRUCTIONS",
            "VERIFIED",
            "STACK",
            "VERIFICATION US",
            "MACHINE CODE",
            "WHY NOT",
        ]);
        for program in &self.programs {
            programs.row(program.row());
        }
        format!("Linux {}\n\n{table}\n{features}\n{programs}", self.kernel)
    }
}

impl Probe {
    /// Whether `run` works.
    fn is_well(&self) -> bool {
        let sets = |found: &Found| found.feature() != Feature::SetOptions || found.is_present();
        let stands = |check: &Check| !matches!(check.state, State::Missing | State::Untried);
        self.features.iter().all(sets) && self.checks.iter().all(stands)
    }
}

/// Tries everything and prints what was found.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let Options { bpffs, cgroup_root, runtime, output } = options;
    let probe = examine(&bpffs.bpffs, cgroup_root.cgroup_root.as_deref(), &runtime.cri_socket)?;
    let well = probe.is_well();
    report::print(&probe, output.output)?;
    Ok(if well { Verdict::Good } else { Verdict::Bad })
}

/// Tries everything.
pub(super) fn examine(bpffs: &Path, cgroup_root: Option<&Path>, runtime: &CriSocket) -> Result<Probe> {
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
    let (trials, tried) = trial::run(bpffs);
    // Without what they all need, the checks say so.
    let programs = programs::all().unwrap_or_default();
    let features = features::all(tried, Program::log(&programs));
    let is_limited = |found: &Found| found.feature() == Feature::Memory && !found.is_present();
    checks.extend(capabilities::checks(features.iter().any(is_limited))?);
    checks.extend(trials);
    checks.extend(surroundings::checks(runtime));
    let kernel = nix::sys::utsname::uname()?.release().to_string_lossy().into_owned();
    Ok(Probe { kernel, checks, features, programs })
}

fn btf() -> Check {
    const PATH: &str = "/sys/kernel/btf/vmlinux";
    let purpose = "programs that look at sockets; bpftool names the kernel's types";
    if Path::new(PATH).exists() {
        Check::present("kernel BTF", purpose, PATH)
    } else {
        let cure = "not needed to arm connections; a kernel built with CONFIG_DEBUG_INFO_BTF has it";
        Check::absent("kernel BTF", State::Degraded, purpose, cure)
    }
}
