//! New cgroups: how soon after each is made its policy is in force.

use std::{fs, process::Command, time::Instant};

use anyhow::{Context as _, Result};

use super::{
    Bench,
    cgroups::layout,
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
    let policies = layout(site.bpffs.path())?.join("maps/POLICY");
    let batch = if bench.quick { QUICK_BATCH } else { BATCH };
    let make = || -> Result<Vec<f64>> {
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
        let mut times = [Vec::new(), Vec::new()];
        // In turns, so that what else the machine does falls on both.
        while times[1].len() < ENOUGH && (times[1].is_empty() || Instant::now() < until) {
            bench.go_on()?;
            times[0].extend(make()?);
            let _load = spin(&prober)?;
            times[1].extend(make()?);
        }
        site.check()?;
        for ((times, points), how) in times.iter().zip(&mut points).zip(["idle", "all processors busy"]) {
            let p99 = at(times, 0.99).context("no cgroup was made")?;
            table.add(format!("beside {others}, {how}"), times);
            table.note(format!("beside {others}, {how}: p99 {p99:.2}"));
            points.extend(Estimate::of_median(times).map(|median| (f64::from(others), median.value)));
        }
        if others == GOAL {
            let estimate = Estimate::exactly(at(&times[1], 0.99).context("no cgroup was made")?);
            let quantity = Quantity::NewcomerUnderLoad;
            findings.figures.push(Figure { quantity, name: "p99", estimate, unit: Unit::Milliseconds });
        }
    }
    table
        .note("as the map of policies tells a program that asks it every 20 µs, and comes before all others");
    findings.tables.push(table);
    for (what, points) in ["new cgroup, idle", "new cgroup, busy"].into_iter().zip(points) {
        findings.growths.push(Growth::new(what, "other cgroups", 1.0, points));
    }
    Ok(findings)
}

/// Keeps every processor busy until what it returns is dropped.
fn spin(prober: &std::path::Path) -> Result<Vec<Process>> {
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
