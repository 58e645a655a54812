//! `cargo xtask fuzz`: libFuzzer looks for bytes that the daemon's readers do not stand.
//!
//! The programs are those of `keepalive-daemon/fuzz`, which is laid out as cargo-fuzz has it, and built with the flags
//! that cargo-fuzz gives, but for those that only a nightly compiler takes: what they would add, AddressSanitizer, finds
//! faults of `unsafe` code, of which the readers have no more than words taken for plain data of the same size.

use std::{
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};

use crate::{console, failures::Failures, process, setup, workspace};

mod outcome;

use outcome::{Outcome, table};

/// Instrumentation that any compiler has: counters at every edge, and what is compared.
const FLAGS: [&str; 8] = [
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=4",
];

/// The longest input, in bytes: what takes the square of it in time, or in memory, shows.
const LONGEST: u32 = 16 << 10;
/// The longest that one may take, in seconds.
const SLOWEST: u32 = 10;
/// The most memory that a program may have, in megabytes.
const LARGEST: u32 = 2048;

/// Fuzzes what reads policies, annotations, answers of the runtime, requests, pins and files of the kernel.
///
/// The programs, with what they begin with, are below `keepalive-daemon/fuzz`; what they find, and what crashed, is kept
/// below `fuzz` in the target folder. A first build takes some minutes, with a C++ compiler, which is installed if there is none.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Only this target, of the folder `fuzz_targets`; all of them, one after the other, if there is none.
    target: Option<String>,
    /// How long to fuzz each.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// How to tell what came of it.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Builds the programs, runs them, and tells what came of it. What crashed is kept below the target folder.
///
/// # Errors
///
/// If the build fails, there is no such target, or one of them crashes, hangs or takes too much memory.
pub fn run(Options { target, seconds, output }: Options) -> Result<()> {
    let all = targets()?;
    let chosen = match target {
        None => all,
        Some(target) if all.contains(&target) => vec![target],
        Some(target) => bail!("there is no target {target}; there are {}", all.join(", ")),
    };
    setup::libfuzzer_compiler()?;
    let programs = build().context("cannot build the programs")?;
    let mut failures = Failures::new();
    let mut outcomes = Vec::new();
    for target in &chosen {
        console::progress(format_args!("fuzzing {target} for {seconds} s"));
        let outcome = failures.check(target, fuzz(&programs, target, seconds));
        if let Some(crash) = outcome.as_ref().and_then(|outcome: &Outcome| outcome.crashes.first()) {
            failures.add(target, reproduction(&programs, target, crash));
        }
        outcomes.extend(outcome);
    }
    match output {
        Format::Table => console::result(table(&outcomes).to_string().trim_end()),
        Format::Json => console::result(serde_json::to_string_pretty(&outcomes)?),
    }
    failures.finish()
}

fn reproduction(programs: &Path, target: &str, crash: &Path) -> String {
    format!(
        "it does not stand {input}; to see that again, run `{program} {input}`; once it does, keep the input in {corpus}, \
         over which a test runs it",
        input = crash.display(),
        program = programs.join(target).display(),
        corpus = folder().join("corpus").join(target).display(),
    )
}

fn folder() -> PathBuf {
    workspace::root().join("keepalive-daemon/fuzz")
}

/// The names of the programs.
fn targets() -> Result<Vec<String>> {
    let folder = folder().join("fuzz_targets");
    let list = || format!("cannot list {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(list)? {
        let name = entry.with_context(list)?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(".rs")).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Builds all programs and returns their folder.
fn build() -> Result<PathBuf> {
    let (manifest, lock) = (folder().join("Cargo.toml"), folder().join("Cargo.lock"));
    // What is fuzzed is built of what the daemon is built of. The one crate that is not, libFuzzer's, is pinned.
    fs::copy(workspace::root().join("Cargo.lock"), &lock)
        .with_context(|| format!("cannot write {}", lock.display()))?;
    let triple = format!("{ARCH}-unknown-linux-gnu");
    let target_dir = workspace::target_dir()?.join("fuzz");
    let mut command = workspace::cargo();
    // The target is named so that build scripts and macros, which are not fuzzed, do without the flags.
    command.args(["build", "--release", "--target", &triple, "--manifest-path"]).arg(manifest);
    command.arg("--target-dir").arg(&target_dir);
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", FLAGS.join(" "));
    // Nothing of the eBPF side is fuzzed here.
    command.env("AYA_BUILD_SKIP", "1");
    process::run(&mut command)?;
    Ok(target_dir.join(triple).join("release"))
}

/// Runs a program for some time.
fn fuzz(programs: &Path, target: &str, seconds: u32) -> Result<Outcome> {
    let kept = workspace::target_dir()?.join("fuzz");
    let [found, crashes] = ["corpus", "crashes"].map(|name| kept.join(name).join(target));
    for folder in [&found, &crashes] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let before = files(&crashes)?;
    let program = programs.join(target);
    let mut command = Command::new(&program);
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={LONGEST}"),
        format!("-timeout={SLOWEST}"),
        format!("-rss_limit_mb={LARGEST}"),
        format!("-artifact_prefix={}/", crashes.display()),
        "-print_final_stats=1".to_owned(),
    ]);
    // What is found goes to the first; the second, which is in the repository, is only read.
    command.arg(&found).arg(folder().join("corpus").join(target));
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let mut outcome = Outcome::read(target, &said).with_context(|| {
        format!("{} ended ({}) without its figures: {said}", program.display(), output.status)
    })?;
    outcome.corpus = files(&found)?.len();
    outcome.crashes = files(&crashes)?.into_iter().filter(|crash| !before.contains(crash)).collect();
    ensure!(
        output.status.success() || !outcome.crashes.is_empty(),
        "{} failed ({}): {said}",
        program.display(),
        output.status
    );
    if !outcome.crashes.is_empty() {
        // The last lines say what happened.
        console::progress(&said);
    }
    Ok(outcome)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = || format!("cannot list {}", folder.display());
    let entries = fs::read_dir(folder).with_context(list)?;
    entries.map(|entry| Ok(entry.with_context(list)?.path())).collect()
}
