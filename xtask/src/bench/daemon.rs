//! The daemon itself: its memory and its CPU, its size, and how long its listings take.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Bench,
    cgroups::milliseconds,
    findings::{Findings, Growth, Table},
    goals::{Figure, Quantity, Unit},
    statistics::Estimate,
    sweep::Crowd,
};
use crate::soak::{
    sample::{cpu_time, of_status},
    site::Site,
};

/// That of which the goal speaks.
const GOAL: u32 = 1000;

const SIZES: [u32; 3] = [10, GOAL, 10_000];
const QUICK_SIZES: [u32; 2] = [10, GOAL];

/// So long nothing happens. Once a minute the daemon reads everything from scratch, so that a minute has one of that.
const IDLE: Duration = Duration::from_secs(60);
const QUICK_IDLE: Duration = Duration::from_secs(10);

/// Until the daemon has done all that follows from its start: open connections are looked at two seconds later.
const SETTLE: Duration = Duration::from_secs(5);

/// So long cgroups come and go, and how often one does.
const CHURN: Duration = Duration::from_secs(10);
const QUICK_CHURN: Duration = Duration::from_secs(3);
const BETWEEN: Duration = Duration::from_millis(20);

/// How many ends of connections the listings have.
const ENDS: u32 = 100_000;
const QUICK_ENDS: u32 = 10_000;
const LISTINGS: usize = 10;

const MEBIBYTE: f64 = 1024.0 * 1024.0;

const POLICY: &str = "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {name: all}\nspec:\n  \
                      cgroups: [\"*\"]\n  keepalive: {idle: 60s, interval: 15s, probes: 4}\n";

/// A daemon with so many cgroups to govern.
struct Subject {
    site: Site,
    size: u32,
}

/// What a daemon has and takes.
struct Needs {
    resident_mib: f64,
    anonymous_mib: f64,
    cpu_percent: f64,
}

pub(super) fn measure(bench: &Bench, deadline: Instant) -> Result<Findings> {
    let mut findings = Findings::default();
    sizes(bench, &mut findings)?;
    let wanted: &[u32] = if bench.quick { &QUICK_SIZES } else { &SIZES };
    let subjects = wanted.iter().map(|size| Subject::new(bench, *size)).collect::<Result<Vec<_>>>()?;
    pause(bench, SETTLE)?;

    let mut table = Table::new("The daemon: resident memory", "MiB");
    let mut anonymous = Table::new("The daemon: of this, what is not pages of its file", "MiB");
    let mut cpu = Table::new("The daemon: CPU, of one", "%");
    let mut points = Vec::new();
    // All at the same time, as none has anything to do.
    let idle = if bench.quick { QUICK_IDLE } else { IDLE };
    let before = subjects.iter().map(Subject::used).collect::<Result<Vec<_>>>()?;
    let begun = Instant::now();
    pause(bench, idle)?;
    for (subject, before) in subjects.iter().zip(&before) {
        let needs = subject.needs(*before, begun)?;
        let name = format!("{} cgroups, idle", subject.size);
        table.add(&name, &[needs.resident_mib]);
        anonymous.add(&name, &[needs.anonymous_mib]);
        cpu.add(&name, &[needs.cpu_percent]);
        points.push((f64::from(subject.size), needs.resident_mib));
        if subject.size == GOAL {
            let figure = |quantity, name, value, unit| Figure {
                quantity,
                name,
                estimate: Estimate::exactly(value),
                unit,
            };
            findings.figures.push(figure(Quantity::Resident, "", needs.resident_mib, Unit::Mebibytes));
            findings.figures.push(figure(Quantity::IdleCpu, "idle CPU", needs.cpu_percent, Unit::Percent));
        }
    }
    cpu.note(format!("idle for {} s", idle.as_secs()));
    for subject in &subjects {
        let (before, begun) = (subject.used()?, Instant::now());
        subject.churn(bench)?;
        let needs = subject.needs(before, begun)?;
        let name = format!("{} cgroups, and one made or removed every 20 ms", subject.size);
        table.add(&name, &[needs.resident_mib]);
        anonymous.add(&name, &[needs.anonymous_mib]);
        cpu.add(&name, &[needs.cpu_percent]);
        subject.site.check()?;
    }
    findings.growths.push(Growth::new("resident memory", "cgroups", 1.0, points));
    findings.tables.extend([table, anonymous, cpu]);
    if let Some(subject) = subjects.first() {
        subject.listings(bench, deadline, &mut findings)?;
    }
    Ok(findings)
}

/// How large what is deployed is.
fn sizes(bench: &Bench, findings: &mut Findings) -> Result<()> {
    let mebibytes = |path: &Path| -> Result<f64> {
        let found = fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
        Ok(f64::from(u32::try_from(found.len())?) / MEBIBYTE)
    };
    let mut table = Table::new("The daemon: size", "MiB");
    table.add("program", &[mebibytes(&bench.daemon)?]);
    if let Some(image) = &bench.image {
        let size = mebibytes(image)?;
        table.add("image", &[size]);
        let (quantity, estimate) = (Quantity::Image, Estimate::exactly(size));
        findings.figures.push(Figure { quantity, name: "", estimate, unit: Unit::Mebibytes });
    }
    findings.tables.push(table);
    Ok(())
}

/// Waits, unless somebody wants it to end.
fn pause(bench: &Bench, time: Duration) -> Result<()> {
    ensure!(!bench.stop.within(time), "interrupted");
    Ok(())
}

impl Subject {
    /// Makes the cgroups, and starts the daemon, which governs them all.
    fn new(bench: &Bench, size: u32) -> Result<Self> {
        let site = Site::prepare(&bench.daemon, &["--sweep-delay", "0s"])?;
        site.write_policy("all", Some(POLICY))?;
        for number in 0..size {
            make(&site.root.path().join(format!("c{number}")))?;
        }
        site.start()?;
        Ok(Self { site, size })
    }

    fn used(&self) -> Result<Duration> {
        cpu_time(self.site.pid()?)
    }

    /// What it has now, and the CPU time that it took since.
    fn needs(&self, before: Duration, since: Instant) -> Result<Needs> {
        let used = self.used()?.saturating_sub(before);
        let [resident_kib, anonymous_kib] = of_status(self.site.pid()?, ["VmRSS:", "RssAnon:"])?;
        Ok(Needs {
            resident_mib: resident_kib / 1024.0,
            anonymous_mib: anonymous_kib / 1024.0,
            cpu_percent: 100.0 * used.as_secs_f64() / since.elapsed().as_secs_f64(),
        })
    }

    /// Has cgroups come and go.
    fn churn(&self, bench: &Bench) -> Result<()> {
        let until = Instant::now() + if bench.quick { QUICK_CHURN } else { CHURN };
        let path = self.site.root.path().join("new");
        while Instant::now() < until {
            make(&path)?;
            pause(bench, BETWEEN)?;
            remove(&path)?;
            pause(bench, BETWEEN)?;
        }
        Ok(())
    }

    /// Has the daemon list many connections.
    fn listings(&self, bench: &Bench, deadline: Instant, findings: &mut Findings) -> Result<()> {
        let ends = if bench.quick { QUICK_ENDS } else { ENDS };
        let cgroup = self.site.cgroup("app")?;
        self.site.wait_log(0, "attached cgroup=\"app\"", 1)?;
        let mut crowd = Crowd::new(bench, &self.site.netns, &cgroup)?;
        crowd.grow_to(ends)?;
        let mut sizes = [0.0; 3];
        let what = ["`/v1/sockets?all=true`", "`/metrics`", "`/v1/status`"];
        let values = bench.rounds("listings", what.len(), LISTINGS, deadline, |thing| {
            let begun = Instant::now();
            let answer = match thing {
                0 => self.site.ask("/v1/sockets?all=true")?,
                1 => self.site.scrape()?,
                _ => self.site.ask("/v1/status")?,
            };
            let took = milliseconds(begun.elapsed());
            sizes[thing] = f64::from(u32::try_from(answer.len())?) / MEBIBYTE;
            Ok(took)
        })?;
        let mut table = Table::new(format!("The daemon: answers with {ends} ends of connections"), "ms");
        for ((what, values), size) in what.into_iter().zip(&values).zip(sizes) {
            table.add(what, values);
            table.note(format!("{what}: {size:.2} MiB"));
        }
        let [most_kib] = of_status(self.site.pid()?, ["VmHWM:"])?;
        table.note(format!("resident memory was {:.1} MiB at most", most_kib / 1024.0));
        findings.tables.push(table);
        Ok(())
    }
}

fn make(path: &PathBuf) -> Result<()> {
    fs::create_dir(path).with_context(|| format!("cannot make the cgroup {}", path.display()))
}

fn remove(path: &PathBuf) -> Result<()> {
    fs::remove_dir(path).with_context(|| format!("cannot remove the cgroup {}", path.display()))
}
