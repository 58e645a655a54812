//! New cgroups: how soon after each is made its policy is in force.

use std::{fs, path::Path, process::Command, time::Instant};

use anyhow::{Context as _, Result};

use super::{
    Bench,
    cgroups::{bare_loop, layout},
    findings::{Findings, Growth, Table},
    goals::{Figure, Quantity, Unit},
    statistics::{Estimate, at},
};
use crate::{lab::Process, process, soak::site::Site};

/// How many governed cgroups there are beside each new one: those of a small host, of a busy node, and of a crowded one.
const OTHERS: [u32; 3] = [10, 100, 1000];

/// That of which the goal speaks: a node of Kubernetes has 110 pods at most, unless told otherwise.
const GOAL: u32 = 100;

/// How many are made in one go, which takes a second or so.
const BATCH: u32 = 100;
const QUICK_BATCH: u32 = 25;

/// So many tell the 99th percentile well.
const ENOUGH: usize = 3000;

const POLICY: &str = "apiVersion: keepalive.dev/v1alpha1\nkind: ClusterKeepalivePolicy\nmetadata: {name: all}\nspec:\n  \
                      cgroups: [\"*\"]\n  keepalive: {idle: 60s, interval: 15s, probes: 4}\n";

pub(super) fn measure(bench: &Bench, deadline: Instant) -> Result<Findings> {
    let prober = bench.tools.program("prober", include_str!("newcomers/prober.c"))?;
    let site = Site::prepare(&bench.daemon, &[])?;
    site.write_policy("all", Some(POLICY))?;
    site.start()?;
    let bare = Bare::start(bench)?;
    let batch = if bench.quick { QUICK_BATCH } else { BATCH };
    let make = |site: &Site| -> Result<Vec<f64>> {
        let policies = layout(site.bpffs.path())?.join("maps/POLICY");
        let mut command = Command::new(&prober);
        command.arg("make").arg(site.root.path()).arg(batch.to_string()).arg(&policies);
        process::output(&mut command)?.lines().map(to_milliseconds).collect()
    };

    let mut findings = Findings::default();
    let mut table = Table::new("New cgroup: from its making until its policy is in force", "ms");
    let (mut points, mut made) = ([Vec::new(), Vec::new()], 0);
    let begun = Instant::now();
    let budget = deadline.saturating_duration_since(begun);
    for (index, others) in (1..).zip(OTHERS) {
        for number in made..others {
            let path = site.root.path().join(format!("c{number}"));
            fs::create_dir(&path).with_context(|| format!("cannot make the cgroup {}", path.display()))?;
        }
        site.wait_log(0, "attached cgroup=\"c", usize::try_from(others)?)?;
        made = others;
        let until = begun + budget * index / u32::try_from(OTHERS.len())?;
        let (mut times, mut bare_times) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        // In turns, so that what else the machine does falls on all.
        while times[1].len() < ENOUGH && (times[1].is_empty() || Instant::now() < until) {
            bench.go_on()?;
            let mut all = |at: usize| -> Result<()> {
                times[at].extend(make(&site)?);
                if others == GOAL {
                    bare_times[at].extend(make(&bare.site)?);
                }
                Ok(())
            };
            all(0)?;
            let _load = spin(&prober)?;
            all(1)?;
        }
        site.check()?;
        let mut add = |name: String, times: &[f64]| {
            table.add(&name, times);
            if let Some(p99) = at(times, 0.99) {
                table.note(format!("{name}: p99 {p99:.2}"));
            }
        };
        for (((times, bare_times), points), how) in
            times.iter().zip(&bare_times).zip(&mut points).zip(["idle", "all processors busy"])
        {
            add(format!("beside {others}, {how}"), times);
            if others == GOAL {
                add(format!("a bare loop, {how}"), bare_times);
            }
            points.extend(Estimate::of_median(times).map(|median| (f64::from(others), median.value)));
        }
        if others == GOAL {
            let of = [
                (Quantity::NewcomerUnderLoad, "p99", &times[1]),
                (Quantity::NewcomerUnderLoadBare, "a bare loop's", &bare_times[1]),
            ];
            for (quantity, name, times) in of {
                let estimate = Estimate::exactly(at(times, 0.99).context("no cgroup was made")?);
                findings.figures.push(Figure { quantity, name, estimate, unit: Unit::Milliseconds });
            }
        }
    }
    table.note(
        "as the map of policies tells a program that asks it every 250 µs, and comes before all others",
    );
    findings.tables.push(table);
    for (what, points) in ["new cgroup, idle", "new cgroup, busy"].into_iter().zip(points) {
        findings.growths.push(Growth::new(what, "other cgroups", 1.0, points));
    }
    Ok(findings)
}

/// A loop in C that governs what is made, by the calls without which it cannot be done, with a program that a daemon left.
struct Bare {
    _follower: Process,
    site: Site,
}

impl Bare {
    fn start(bench: &Bench) -> Result<Self> {
        let site = Site::prepare(&bench.daemon, &[])?;
        site.start()?;
        site.stop()?;
        let layout = layout(site.bpffs.path())?;
        let pins = site.bpffs.path().join("bare");
        fs::create_dir(&pins).with_context(|| format!("cannot make {}", pins.display()))?;
        let mut command = Command::new(bare_loop(bench)?);
        command.arg("follow").arg(site.root.path()).arg("0");
        command.arg(layout.join("program")).arg(layout.join("maps/POLICY")).arg(pins);
        let follower = Process::spawn("a bare loop", command)?;
        follower.wait_line("following")?;
        Ok(Self { _follower: follower, site })
    }
}

/// Keeps every processor busy until what it returns is dropped.
fn spin(prober: &Path) -> Result<Vec<Process>> {
    let processors = std::thread::available_parallelism().context("cannot count the processors")?;
    let spinner = || {
        let mut command = Command::new(prober);
        command.arg("spin");
        Process::spawn("a program that spins", command)
    };
    (0..processors.get()).map(|_| spinner()).collect()
}

fn to_milliseconds(nanoseconds: &str) -> Result<f64> {
    let number: f64 = nanoseconds.parse().with_context(|| format!("the prober printed {nanoseconds:?}"))?;
    Ok(number / 1e6)
}
