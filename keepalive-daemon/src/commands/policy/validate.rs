//! `policy validate`: what can be said of policies without a kernel.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::{
    cli::{MinIdleArg, OutputArg},
    commands::failure::Verdict,
    features::Feature,
    policy::{
        Fault, KernelOptions, KernelVersion, Limits,
        directory::{self, FileReport},
    },
    report::{self, ForPeople},
};

/// Check policy files as the daemon would; needs neither root nor a kernel.
///
/// Exits with 1 if anything is wrong.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Files, or directories of policy files; together they are checked as one directory.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    min_idle: MinIdleArg,
    /// Refuse what the kernel of this version does not let a program set, as a daemon on it would
    /// [default: nothing for its kernel].
    #[arg(long, value_name = "VERSION", value_parser = of_a_daemon)]
    kernel: Option<KernelVersion>,
    #[command(flatten)]
    output: OutputArg,
}

/// The version of a kernel that a daemon runs on.
fn of_a_daemon(text: &str) -> Result<KernelVersion, String> {
    let version: KernelVersion = text.parse().map_err(|fault: Fault| fault.to_string())?;
    let first = Feature::SetOptions.since();
    if version < first {
        return Err(format!(
            "no daemon runs on it: Linux {first} is the first whose programs may set the options"
        ));
    }
    Ok(version)
}

#[derive(Debug, Serialize)]
struct Validation {
    valid: bool,
    files: Vec<FileReport>,
}

impl ForPeople for Validation {
    fn for_people(&self) -> String {
        let lines = self.files.iter().map(|report| {
            let FileReport { file, policies, problems } = report;
            if problems.is_empty() {
                let names = if policies.is_empty() { "no policies".to_owned() } else { policies.join(", ") };
                return format!("{file}: ok: {names}");
            }
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Checks and prints what was found.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let Options { files, min_idle, kernel, output } = options;
    let kernel = KernelOptions { version: *kernel, ..KernelOptions::ANY };
    let limits = Limits { kernel, ..min_idle.limits() };
    let files = directory::check(files, &limits);
    let valid = files.iter().all(|report| report.problems.is_empty());
    report::print(&Validation { valid, files }, output.output)?;
    Ok(if valid { Verdict::Good } else { Verdict::Bad })
}
