//! `cargo xtask soak`: whether the daemon stays as it is while all around it changes for a long time.

mod churn;
mod ledger;
pub mod peer;
mod plot;
mod report;
pub(crate) mod sample;
pub(crate) mod site;
mod verdict;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use self::{
    churn::Stirrer,
    ledger::Ledger,
    report::Report,
    sample::{Sample, Sampler},
    site::Site,
};
use crate::{build, console, files, process, setup, stop::Stop};
use anyhow::{Context as _, Error, Result, bail, ensure};
use clap::{Args, ValueEnum};

/// How many samples there are, if the time allows.
const SAMPLES: u32 = 360;
/// Between two of them.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);
/// How often a log that nobody watches gets a line.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Has cgroups, policies and connections come and go around a daemon, and sees whether it
/// stays as it is.
///
/// In a lab of its own, which it removes: cgroups are made and removed, policies change, go
/// and come back, applications connect and try to be rid of keep-alive, and the daemon is
/// asked all that it can be asked. It fails if a connection has not what a policy in force
/// says (getsockopt tells), if the daemon logs an error or ends, if `cleanup` leaves
/// something, if something grows, or if it is ended early, by Ctrl-C, with the report until
/// then. Needs root.
///
/// The first tenth, and half a minute at least, is not judged: caches fill, programs are
/// loaded when they are first needed, and the daemon's journal fills with its last events. Of
/// the rest, something grows if the median of its last quarter is above that of the first by
/// more than it may be, and the line fitted through all values rises by more than that as
/// well. What it may grow by:
///
/// - anonymous memory: 1 MiB, what an allocator and lists of other lengths move; in half an
///   hour, with some 10,000 cgroups made and a million ends of connections, that is 100 bytes
///   a cgroup and 1 an end;
/// - all memory that is resident: 4 MiB, because pages of the program itself count when they
///   are first needed;
/// - descriptors, threads, inotify watches, links, programs and maps: 2 or 3, and pins 10,
///   for a client or a new cgroup that is there at that moment; one left by each would be
///   thousands;
/// - CPU: a quarter and a hundredth of one, for the machine's other work;
/// - medians of times: a half and some milliseconds, and p99 twice and 20 ms, for the same;
///   more if the machine got slower, by what a new process takes to connect in a new cgroup
///   at all, which the daemon has no part in.
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// For how long.
    #[arg(long, value_name = "N", default_value = "30", conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// For how long, to try it out; what is too short is not judged.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// Kill the daemon every so many seconds, and start it again: what is in force must stay so meanwhile.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    kill: Option<u32>,
    /// How the report looks.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// Draw each measure over time into this file (SVG).
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Use this daemon instead of building one.
    #[arg(long, value_name = "PATH")]
    daemon: Option<PathBuf>,
}

/// How the report looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table.
    Text,
    /// All of it, with every sample.
    Json,
}

/// Soaks, and prints what came of it.
///
/// # Errors
///
/// If the lab cannot be made, anything is not as it must be, or it is interrupted.
pub fn run(options: Options) -> Result<()> {
    options.plot.iter().try_for_each(|file| files::ensure_writable(file))?;
    setup::test_tools()?;
    let daemon = match &options.daemon {
        Some(daemon) => daemon.clone(),
        None => build::daemon_with(build::Options { release: true, is_static: false })?,
    };
    if !process::is_root() {
        return Err(again_as_root(&daemon)?);
    }
    let daemon =
        daemon.canonicalize().with_context(|| format!("there is no daemon at {}", daemon.display()))?;
    let length = match options.seconds {
        Some(seconds) => Duration::from_secs(seconds.into()),
        None => Duration::from_secs(60 * u64::from(options.minutes)),
    };
    let kill = options.kill.map(|seconds| Duration::from_secs(seconds.into()));
    let stop = Arc::new(Stop::default());
    let signals = Stop::at_signals(&stop)?;
    let report = soak(&daemon, length, kill, &stop)?;
    signals.close();
    match options.output {
        Format::Text => console::result(&report),
        Format::Json => {
            console::result(serde_json::to_string_pretty(&report).context("cannot write the report")?);
        }
    }
    if let Some(file) = &options.plot {
        plot::draw(file, &report.samples)?;
        console::progress(format_args!("drawn in {}", file.display()));
    }
    let faults = report.faults();
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    Ok(())
}

/// Soaks for too short a time to judge what grows, with a program that serves as a [`peer`]; returns the report.
///
/// # Errors
///
/// If the lab cannot be made, or anything is not as it must be.
pub fn briefly(daemon: &Path, length: Duration, kill: Duration) -> Result<String> {
    let report = soak(daemon, length, Some(kill), &Stop::default())?;
    let faults = report.faults();
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(report.to_string())
}

/// What was built as the user need not be built again as root.
fn again_as_root(daemon: &Path) -> Result<Error> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program's own file")?);
    command.args(std::env::args_os().skip(1));
    if !std::env::args().any(|word| word == "--daemon" || word.starts_with("--daemon=")) {
        command.arg("--daemon").arg(daemon);
    }
    Ok(process::become_command(&mut process::as_root(&command)?))
}

fn soak(daemon: &Path, length: Duration, kill: Option<Duration>, stop: &Stop) -> Result<Report> {
    let site = Site::new(daemon)?;
    let ledger = Ledger::default();
    let stirrers: [(&str, Stirrer); 4] = [
        ("cgroups that come and go", churn::come_and_go),
        ("cgroups that stay", churn::reside),
        ("changes of policies", churn::change),
        ("questions to the daemon", churn::ask),
    ];
    let (samples, is_interrupted) = thread::scope(|scope| {
        for (name, stir) in stirrers {
            let (site, ledger) = (&site, &ledger);
            scope.spawn(move || {
                if let Err(error) = stir(site, ledger, stop) {
                    ledger.fail(format!("{name}: {error:#}"));
                    stop.now();
                }
            });
        }
        let samples = watch(&site, &ledger, stop, length, kill);
        let is_interrupted = stop.within(Duration::ZERO) && ledger.failures().is_empty();
        stop.now();
        (samples, is_interrupted)
    });
    if !ledger.failures().is_empty() {
        console::progress(format_args!("the daemon logged at last:\n{}", site.log_tail()));
    }
    if is_interrupted {
        ledger.fail("interrupted before its end".to_owned());
    }
    if let Err(error) = site.check().and_then(|()| site.finish()) {
        ledger.fail(format!("{error:#}"));
    }
    Ok(Report::new(samples, ledger.totals(), ledger.failures()))
}

/// Measures until the end, and kills the daemon now and then.
fn watch(site: &Site, ledger: &Ledger, stop: &Stop, length: Duration, kill: Option<Duration>) -> Vec<Sample> {
    let every = (length / SAMPLES).clamp(SHORTEST, LONGEST);
    let start = Instant::now();
    let (mut sampler, mut samples) = (Sampler::new(), Vec::new());
    let (mut killed, mut told) = (Instant::now(), Instant::now());
    while start.elapsed() < length && !stop.within(every) {
        let measured = site.check().and_then(|()| sampler.take(site, ledger.take_window()));
        match measured {
            Ok(sample) => samples.push(sample),
            Err(error) => {
                ledger.fail(format!("{error:#}"));
                break;
            }
        }
        if console::is_watched() || told.elapsed() >= HEARTBEAT {
            told = Instant::now();
            tell(start.elapsed(), length, ledger, samples.last());
        }
        if kill.is_some_and(|kill| killed.elapsed() >= kill) {
            if let Err(error) = site.restart() {
                ledger.fail(format!("after it was killed: {error:#}"));
                break;
            }
            ledger.note(|_, totals| totals.kills += 1);
            killed = Instant::now();
        }
    }
    if console::is_watched() {
        console::status("");
    }
    samples
}

fn tell(elapsed: Duration, length: Duration, ledger: &Ledger, sample: Option<&Sample>) {
    let totals = ledger.totals();
    let resident = sample.map_or(0.0, |sample| sample.resident_kib);
    let line = format!(
        "{} of {} s: {} cgroups, {} ends, {} unarmed, {resident:.0} KiB",
        elapsed.as_secs(),
        length.as_secs(),
        totals.newcomers,
        totals.ends,
        totals.unarmed
    );
    if console::is_watched() {
        console::status(&line);
    } else {
        console::progress(line);
    }
}
