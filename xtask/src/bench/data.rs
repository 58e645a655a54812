//! What the data of established connections pays: nothing that can be measured.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{
    Bench,
    findings::{Findings, Table},
    goals::{Figure, Quantity, Unit},
    kernel::Hook,
    ours::{Ours, Policy},
    statistics::{self, Estimate},
    worker::{self, ARMED, BULK_BYTES, Took, UNTOUCHED, Way, Work, Worker},
};

const POLICY: Policy = Policy { mode: "Tighten", rules: 0 };

const WITHOUT: &str = "without a policy";
const WITH: &str = "with one";
const CALLS: &str = "without, but for the application's own calls";

/// What is compared. An application that asks for the same has the same on its connections, and nothing is attached: what
/// these pay more is what keep-alive costs, and no program.
const VARIANTS: [&str; 3] = [WITHOUT, CALLS, WITH];

/// In a round, of each: a dozen milliseconds, of which what attaching did to the caches is little.
const ECHOES: u32 = 6000;
const BULKS: u32 = 2000;

/// How many rounds a process makes: where its memory lies makes up to one percent, for one variant and not for the others.
const ROUNDS_OF_ONE: usize = 30;

/// Until what was put off is done.
const SETTLE: Duration = Duration::from_millis(2);

/// More would not make it surer.
const MOST_ROUNDS: usize = 5000;

/// Measures the part. One process of one cgroup makes each connection anew, with everything attached and with nothing,
/// in turn: two processes that do the same are no pair, as memory is not alike everywhere. After some rounds another takes
/// its place.
pub(super) fn measure(bench: &Bench, deadline: Instant) -> Result<Findings> {
    let peer = worker::compile(&bench.tools)?;
    let ours = Ours::prepare(bench, &[POLICY])?;
    let cgroup = ours.cgroups.first().context("no cgroup was made")?;
    let netns = &ours.site.netns;
    let way = Way {
        program: &peer,
        cgroup,
        netns,
        server: None,
        address: "127.0.0.1",
        calls: "none",
        environment: &[],
    };
    let mut worker = Worker::start(&way)?;
    let attach = |is_with: bool| {
        let programs =
            [(Some(&ours.keepalive), Hook::SockOps(cgroup)), (ours.closing.as_ref(), Hook::Tracing)];
        let wanted = programs.into_iter().filter(|_| is_with);
        let found = wanted.filter_map(|(program, hook)| Some((program?, hook)));
        found.map(|(program, hook)| program.attach(hook)).collect::<Result<Vec<_>>>()
    };
    worker.check(WITHOUT, UNTOUCHED)?;
    worker.check_armed(CALLS)?;
    let attached = attach(true)?;
    worker.check(WITH, ARMED)?;
    drop(attached);
    let mut measure = |what: &str, work, count, until| {
        let mut made = 0_usize;
        bench.rounds(what, VARIANTS.len(), MOST_ROUNDS, until, |index| {
            let variant = VARIANTS[index];
            if made > 0 && made.is_multiple_of(VARIANTS.len() * ROUNDS_OF_ONE) {
                worker = Worker::start(&way)?;
            }
            made += 1;
            // Before and after each, so that all are measured after the same: attaching and detaching leave the caches
            // otherwise, and the kernel something to do, for longer than it is waited for.
            drop(attach(true)?);
            let attached = attach(variant == WITH)?;
            bench.stop.within(SETTLE);
            let took = if variant == CALLS { worker.run_armed(work, count) } else { worker.run(work, count) };
            drop(if variant == WITH { attached } else { attach(true)? });
            took
        })
    };
    let half = deadline.saturating_duration_since(Instant::now()) / 2;
    let echo = measure("requests and answers", Work::Echo, ECHOES, deadline - half)?;
    let bulk = measure("throughput", Work::Bulk, BULKS, deadline)?;
    Ok(found(&echo, &bulk))
}

fn found(echo: &[Vec<Took>], bulk: &[Vec<Took>]) -> Findings {
    let [latency, throughput] = [
        (echo, "A byte there and a byte back on an established connection (CPU time)", "ns"),
        (bulk, "Throughput of an established connection (for each second of CPU time)", "MiB/s"),
    ]
    .map(|(took, title, unit)| {
        let of = |took: &Took| if unit == "ns" { took.cpu_ns } else { mebibytes_per_second(took) };
        let values: Vec<Vec<f64>> = took.iter().map(|took| by_process(took.iter().map(of))).collect();
        let [without, calls, with] = [0, 1, 2].map(|index| values.get(index).cloned().unwrap_or_default());
        let mut table = Table::new(title, unit);
        table.add(WITHOUT, &without);
        table.add_against(CALLS, &calls, &[(WITHOUT, &without)]);
        table.add_against(WITH, &with, &[(WITHOUT, &without), (CALLS, &calls)]);
        table.note(format!("each value is the median of {ROUNDS_OF_ONE} rounds, which one process made"));
        let ratio = Estimate::of_ratio(with.into_iter().zip(without));
        (table, ratio)
    });
    let figures =
        [(Quantity::Latency, "latency", latency.1), (Quantity::Throughput, "throughput", throughput.1)];
    let figure = |(quantity, name, estimate): (_, _, Option<Estimate>)| {
        Some(Figure { quantity, name, estimate: estimate?, unit: Unit::Times })
    };
    Findings {
        tables: vec![latency.0, throughput.0],
        figures: figures.into_iter().filter_map(figure).collect(),
        ..Findings::default()
    }
}

/// The median of what each process took: between processes it differs, which their rounds cannot tell.
fn by_process(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let values: Vec<f64> = values.collect();
    values.chunks(ROUNDS_OF_ONE).filter_map(|rounds| statistics::at(rounds, 0.5)).collect()
}

fn mebibytes_per_second(took: &Took) -> f64 {
    let seconds = took.cpu_ns / Duration::from_secs(1).as_nanos() as f64;
    f64::from(BULK_BYTES) / f64::from(1 << 20) / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(cpu_ns: f64) -> Vec<Took> {
        vec![Took { cpu_ns, wall_ns: cpu_ns }; 10]
    }

    #[test]
    fn latency_and_throughput_are_compared_with_none() {
        let findings = found(
            &[took(10_000.0), took(10_050.0), took(10_100.0)],
            &[took(20_000.0), took(18_000.0), took(16_000.0)],
        );

        let ratios: Vec<_> =
            findings.figures.iter().map(|figure| (figure.quantity, figure.estimate.value)).collect();
        let [(Quantity::Latency, latency), (Quantity::Throughput, throughput)] = ratios[..] else {
            unreachable!("{ratios:?}")
        };
        assert!((latency - 1.01).abs() < 1e-9 && (throughput - 1.25).abs() < 1e-9, "{ratios:?}");
        let of_each = by_process([1.0, 2.0].into_iter().flat_map(|value| [value; ROUNDS_OF_ONE]));
        assert_eq!(of_each, [1.0, 2.0]);
        let speed = findings.tables[1].rows[0].spread.median;
        assert!((speed - 3125.0).abs() < 1e-6, "{speed}");
    }
}
