//! The whole of a short connection.

use std::time::Instant;

use anyhow::Result;

use super::{EMPTY, FLOOR, MODES, Place, RULES, Stage, Variant, variant::preloaded};
use crate::{
    bench::{
        Bench,
        findings::{Findings, Table},
        goals::{Figure, Quantity, Unit},
        ours::{OURS, Policy},
        statistics::Estimate,
        worker::{ARMED, Took, UNTOUCHED, Way, Worker},
    },
    lab::{End as VethEnd, Netns, TEST_PREFIX, veth},
};

/// The table that is drawn.
pub(in crate::bench) const WHOLE_COST: &str =
    "Whole cost of a short connection over loopback, both ends governed (CPU time)";

/// What all is compared with.
pub(in crate::bench) const NOTHING: &str = "nothing attached";

const LIBKEEPALIVE: &str = "libkeepalive0, preloaded";
const LIBDONTDIE: &str = "libdontdie0, preloaded";
const OWN_CALLS: &str = "the application's own calls, each end";
const INHERITED: &str = "the application's own calls, client and listener";

/// In a round: short, so that what else the machine does falls on all that is compared.
const CONNECTIONS: u32 = 500;

/// More would not make it surer.
const MOST_ROUNDS: usize = 2000;

/// The end of the cable that listens.
const ADDRESS: &str = "10.201.0.2";

pub(super) fn over_loopback(bench: &Bench, stage: &Stage, deadline: Instant) -> Result<Findings> {
    let way = stage.way(&stage.plain);
    let mut variants = alternatives(bench, stage, &way)?;
    for mode in MODES {
        variants.push(while_the_daemon_runs(stage, stage.ours(Policy { mode, rules: 0 })?));
    }
    for rules in RULES.into_iter().skip(1) {
        variants.push(while_the_daemon_runs(stage, stage.ours(Policy { mode: MODES[0], rules })?));
    }
    let mut without = stage.ours(Policy { mode: MODES[0], rules: 0 })?;
    without.name += ", the daemon stopped";
    variants.push(without);

    let (names, took) = measure(bench, "short connections, loopback", variants, deadline)?;
    let mut tables =
        tables(&names, &took, [WHOLE_COST, "Short connections, one after the other, over loopback"]);
    if let Some(table) = tables.first_mut() {
        table.note("a byte there and one back; both ends in one process of one thread, so that no waiting hides the cost");
        table.note("ours with all that is attached while the daemon runs, unless it says otherwise");
    }
    Ok(Findings { tables, figures: judged(&names, &took), ..Findings::default() })
}

pub(super) fn over_veth(bench: &Bench, stage: &Stage, deadline: Instant) -> Result<Findings> {
    let client = &stage.ours.site.netns;
    let server = Netns::create(TEST_PREFIX, "bench-server")?;
    veth(
        VethEnd { netns: client, interface: "client", address: "10.201.0.1/24" },
        VethEnd { netns: &server, interface: "server", address: &format!("{ADDRESS}/24") },
    )?;
    server.sysctl("net.ipv4.tcp_max_tw_buckets", "0")?;
    let way = Way { server: Some(&server), address: ADDRESS, ..stage.way(&stage.plain) };
    let mut variants = alternatives(bench, stage, &way)?;
    let mut ours = stage.ours(Policy { mode: MODES[0], rules: 0 })?;
    ours.worker = Worker::start(&Way { cgroup: ours.cgroup, ..way })?;
    variants.push(while_the_daemon_runs(stage, ours));
    let (names, took) = measure(bench, "short connections, veth", variants, deadline)?;
    let titles = [
        "Whole cost of a short connection over a veth, both ends governed (CPU time)",
        "Short connections, one after the other, over a veth",
    ];
    Ok(Findings { tables: tables(&names, &took, titles), ..Findings::default() })
}

/// All that is none of ours.
fn alternatives<'a>(bench: &Bench, stage: &'a Stage, way: &Way<'a>) -> Result<Vec<Variant<'a>>> {
    let plain = |name: &str, calls, environment: &[_]| -> Result<Variant<'a>> {
        Ok(Variant {
            name: name.to_owned(),
            cgroup: &stage.plain,
            programs: Vec::new(),
            expected: if name == NOTHING { UNTOUCHED } else { ARMED },
            worker: Worker::start(&Way { calls, environment, ..*way })?,
        })
    };
    let attached = |name, program, expected| -> Result<Variant<'a>> {
        let programs = vec![(program, Place::SockOps)];
        Ok(Variant { programs, expected, ..plain(name, "none", &[])? })
    };
    let compared = &bench.tools.compared;
    Ok(vec![
        plain(NOTHING, "none", &[])?,
        attached(EMPTY, &stage.empty, UNTOUCHED)?,
        attached(FLOOR, &stage.floor, ARMED)?,
        plain(LIBKEEPALIVE, "none", &preloaded(compared.libkeepalive.as_os_str()))?,
        plain(LIBDONTDIE, "none", &preloaded(compared.libdontdie.as_os_str()))?,
        plain(OWN_CALLS, "both", &[])?,
        plain(INHERITED, "inherit", &[])?,
    ])
}

/// With what is attached besides for as long as the daemon runs.
fn while_the_daemon_runs<'a>(stage: &'a Stage, mut ours: Variant<'a>) -> Variant<'a> {
    ours.programs.extend(stage.ours.closing.iter().map(|closing| (closing, Place::Tracepoint)));
    ours
}

fn measure(
    bench: &Bench,
    what: &str,
    mut variants: Vec<Variant<'_>>,
    deadline: Instant,
) -> Result<(Vec<String>, Vec<Vec<Took>>)> {
    variants.iter_mut().try_for_each(Variant::check)?;
    let took = bench
        .rounds(what, variants.len(), MOST_ROUNDS, deadline, |index| variants[index].run(CONNECTIONS))?;
    Ok((variants.into_iter().map(|variant| variant.name).collect(), took))
}

/// The cost, and how many there are in a second.
fn tables(names: &[String], took: &[Vec<Took>], [cost, speed]: [&str; 2]) -> Vec<Table> {
    let (mut cost, mut speed) = (Table::new(cost, "ns"), Table::new(speed, "1/s"));
    let cpu = |took: &[Took]| took.iter().map(|took| took.cpu_ns).collect::<Vec<_>>();
    let per_second = |took: &[Took]| took.iter().map(|took| 1e9 / took.wall_ns).collect::<Vec<_>>();
    let Some(nothing) = took.first() else { return Vec::new() };
    for (name, took) in names.iter().zip(took) {
        cost.add_against(name, &cpu(took), &[(NOTHING, &cpu(nothing))]);
        speed.add_against(name, &per_second(took), &[(NOTHING, &per_second(nothing))]);
    }
    vec![cost, speed]
}

/// What the goals speak of: of our own the usual one, while the daemon runs.
fn judged(names: &[String], took: &[Vec<Took>]) -> Vec<Figure> {
    let of = |name: &str| took.get(names.iter().position(|other| other == name)?);
    let ours = format!("{OURS}, {}", MODES[0]);
    let figure = |(quantity, base, name)| {
        let pairs = of(&ours)?.iter().zip(of(base)?).map(|(ours, base)| (ours.cpu_ns, base.cpu_ns));
        Some(Figure { quantity, name, estimate: Estimate::of_ratio(pairs)?, unit: Unit::Times })
    };
    [
        (Quantity::ConnectionAgainstLibkeepalive, LIBKEEPALIVE, "libkeepalive0"),
        (Quantity::ConnectionAgainstLibdontdie, LIBDONTDIE, "libdontdie0"),
        (Quantity::ConnectionAgainstOwnCalls, OWN_CALLS, "own calls"),
        (Quantity::ConnectionAgainstNothing, NOTHING, "nothing attached"),
    ]
    .into_iter()
    .filter_map(figure)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(cpu_ns: f64) -> Vec<Took> {
        vec![Took { cpu_ns, wall_ns: 2.0 * cpu_ns }; 6]
    }

    #[test]
    fn ours_is_judged_against_each_alternative() {
        let names = [NOTHING, LIBKEEPALIVE, LIBDONTDIE, OWN_CALLS, "ours, Tighten"].map(str::to_owned);
        let took = [1000.0, 1200.0, 1250.0, 1300.0, 1040.0].map(took);

        let figures = judged(&names, &took);

        let values: Vec<_> = figures.iter().map(|figure| (figure.quantity, figure.estimate.value)).collect();
        assert_eq!(values.len(), 4);
        assert_eq!(values[3], (Quantity::ConnectionAgainstNothing, 1.04));
        assert_eq!(values[2], (Quantity::ConnectionAgainstOwnCalls, 0.8));
    }

    #[test]
    fn speed_is_by_the_clock() {
        let names = [NOTHING, "ours, Tighten"].map(str::to_owned);

        let tables = tables(&names, &[took(1000.0), took(1040.0)], ["cost", "speed"]);

        let median = |table: usize, row: usize| tables[table].rows[row].spread.median;
        assert!((median(0, 1) - 1040.0).abs() < 1e-9);
        assert!((median(1, 0) - 500_000.0).abs() < 1e-6);
    }
}
