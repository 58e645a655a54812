//! `cargo xtask bench`: what it costs, against everything that a user would pick instead.

mod cgroups;
mod connections;
mod daemon;
mod data;
mod findings;
mod goals;
mod kernel;
mod machine;
mod newcomers;
mod ours;
mod part;
mod plot;
mod readme;
mod report;
mod round;
mod statistics;
mod sweep;
mod tools;
mod worker;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, Error, Result};
use clap::{Args, ValueEnum};

use self::{
    machine::Machine,
    part::{Outcome, Part},
    report::Report,
    tools::Tools,
};
use crate::{build, console, failures::Failures, files, image, process, setup, stop::Stop};

/// Measures what it costs, side by side with what a user would pick instead, and says whether
/// the goals are met.
///
/// Numbers are medians of many short rounds, in each of which everything that is compared is
/// measured once, in random order; ratios are taken within a round, so that what else the
/// machine does falls on both sides. Absolute times mean little on a machine that is shared.
///
/// It takes 20 minutes, with --quick 3, besides what is built and fetched first: a release
/// build of the daemon, clang, and the libraries that it compares with, which are unpacked
/// and not installed. Ctrl-C ends it. It removes what it makes. Needs root. A goal that is
/// missed is no failure of this program: the last table has it.
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Fewer and smaller: in 3 minutes, and less sure.
    #[arg(long)]
    quick: bool,
    /// How the report looks.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// Write all of it into this file as JSON, with every single value.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw what a connection costs into this file (SVG).
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write the table of the goals and the plot into the README of this project: on a machine with nothing else to do.
    #[arg(long)]
    readme: bool,
    /// Use this daemon instead of building one.
    #[arg(long, value_name = "PATH")]
    daemon: Option<PathBuf>,
    /// Use this image instead of building one.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Only these parts [default: all].
    #[arg(value_enum, value_name = "PART")]
    parts: Vec<Part>,
}

/// How the report looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables.
    Text,
    /// All of it, with every single value.
    Json,
}

/// What parts measure with.
struct Bench {
    /// The program of the daemon.
    daemon: PathBuf,
    /// What is deployed on nodes; only where it is measured.
    image: Option<PathBuf>,
    tools: Tools,
    /// Fewer and smaller.
    quick: bool,
    stop: Arc<Stop>,
}

/// Measures, and prints what came of it.
///
/// # Errors
///
/// If something cannot be set up, a part fails, or it is interrupted; what was measured until then is printed all the
/// same.
pub fn run(options: Options) -> Result<()> {
    options.json.iter().chain(&options.plot).try_for_each(|file| files::ensure_writable(file))?;
    setup::test_tools()?;
    let compared = setup::bench_tools()?;
    let daemon = match &options.daemon {
        Some(daemon) => daemon.clone(),
        None => build::daemon_with(build::Options { release: true, is_static: false })?,
    };
    let parts = chosen(&options.parts);
    let image = match &options.image {
        None if parts.contains(&Part::Daemon) => Some(image::in_place()?.archive),
        image => image.clone(),
    };
    if !process::is_root() {
        return Err(again_as_root(&daemon, image.as_deref())?);
    }
    let daemon =
        daemon.canonicalize().with_context(|| format!("there is no daemon at {}", daemon.display()))?;
    let stop = Arc::new(Stop::default());
    let signals = Stop::at_signals(&stop)?;
    let bench = Bench { daemon, image, tools: Tools::new(compared)?, quick: options.quick, stop };
    let (machine, start) = (Machine::here()?, Instant::now());
    let outcomes = measure(&bench, &parts);
    let report = Report::new(machine, options.quick, start.elapsed(), outcomes);
    signals.close();

    let json = || serde_json::to_string_pretty(&report).context("cannot write the report");
    match options.output {
        Format::Text => console::result(&report),
        Format::Json => console::result(json()?),
    }
    let mut failures = Failures::new();
    for (part, failure) in report.failures() {
        failures.add(part, failure);
    }
    if let Some(file) = &options.json {
        let written = fs::write(file, json()?).with_context(|| format!("cannot write {}", file.display()));
        failures.check("report", written);
    }
    if let Some(file) = &options.plot {
        failures.check("plot", plot::draw(file, &report));
    }
    if options.readme {
        failures.check("README", readme::write(&report));
    }
    failures.finish()
}

/// In the order of the report, each once.
fn chosen(parts: &[Part]) -> Vec<Part> {
    let all = Part::value_variants().iter().copied();
    all.filter(|part| parts.is_empty() || parts.contains(part)).collect()
}

/// One part after the other; one that fails is told at the end, and the others go on.
fn measure(bench: &Bench, parts: &[Part]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if bench.is_stopped() {
            break;
        }
        console::progress(format_args!(
            "part {} of {}, {}: up to {} s",
            index + 1,
            parts.len(),
            part.name(),
            part.budget(bench.quick).as_secs()
        ));
        let outcome = part.measure(bench);
        let how = if outcome.failure.is_some() { "failed" } else { "done" };
        console::progress(format_args!("{}: {how} in {:.0} s", part.name(), outcome.seconds));
        outcomes.push(outcome);
    }
    outcomes
}

/// What was built as the user need not be built again as root.
fn again_as_root(daemon: &Path, image: Option<&Path>) -> Result<Error> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program's own file")?);
    command.args(std::env::args_os().skip(1));
    for (option, path) in [("--daemon", Some(daemon)), ("--image", image)] {
        let is_told = |word: String| word == option || word.starts_with(&format!("{option}="));
        if let Some(path) = path.filter(|_| !std::env::args().any(is_told)) {
            command.arg(option).arg(path);
        }
    }
    Ok(process::become_command(&mut process::as_root(&command)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_run_in_their_order_and_once_and_all_if_none_is_named() {
        assert_eq!(chosen(&[Part::Data, Part::Connections, Part::Data]), [Part::Connections, Part::Data]);
        assert_eq!(chosen(&[]), Part::value_variants());
    }

    #[test]
    fn all_parts_together_are_within_the_time_that_the_help_tells() {
        let seconds =
            |quick| Part::value_variants().iter().map(|part| part.budget(quick).as_secs()).sum::<u64>();

        assert!(seconds(false) <= 20 * 60, "{}", seconds(false));
        assert!(seconds(true) <= 3 * 60, "{}", seconds(true));
    }
}
