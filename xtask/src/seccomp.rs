//! `cargo xtask seccomp`: writes the seccomp profile of the daemon, of what it calls while the kernel tests run.
//!
//! It is in two forms, with the same calls: as the OCI's runtimes read it, and in the service of systemd. What is
//! recorded is what this machine's C library and kernel have the daemon call; the module `elsewhere` has what others would.

mod elsewhere;
mod files;
mod recorded;

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result};
use clap::Args;
use tempfile::TempDir;

use crate::{console, process, test::KernelTests, workspace};

/// What tells the kernel tests where to record what the daemon calls.
const RECORD: &str = "KEEPALIVE_RECORD_CALLS";

/// Records which calls of the kernel the daemon makes in the kernel tests, and writes its seccomp profile.
///
/// It is for whoever changed what the daemon calls: the tests run under the profile, and a call that is not in it ends
/// the daemon with SIGSYS there. Needs root and strace.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Only in the tests whose names contain this; what they call is added to the profile, and nothing taken out.
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
}

/// Runs the tests and writes the profile, also if tests fail: some do not bear to be watched.
///
/// # Errors
///
/// If there is no strace, the tests cannot be built or run, or the files cannot be written.
pub fn run(Options { filter }: Options) -> Result<()> {
    process::find("strace").context("there is no strace: install the package of that name")?;
    let folder = TempDir::with_prefix("keepalive-calls-").context("cannot make a folder")?;
    let tests = KernelTests::build(filter.as_slice())?;
    let command = tests.recording(filter.as_deref(), (RECORD, folder.path()));
    if let Err(error) = process::run(&mut process::as_root(&command)?) {
        console::progress(format_args!("not all tests passed: {error:#}"));
    }
    let mut calls = BTreeSet::new();
    for entry in fs::read_dir(folder.path()).context("cannot list what was recorded")? {
        let path = entry.context("cannot list what was recorded")?.path();
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        calls.append(&mut recorded::calls(&String::from_utf8_lossy(&text)));
    }
    let seen = calls.len();
    if filter.is_some() {
        calls.extend(files::read(workspace::root())?);
    }
    let calls = elsewhere::complete(calls);
    files::write(workspace::root(), &calls)?;
    console::result(format_args!("{seen} calls were seen, {} are in the profile", calls.len()));
    Ok(())
}
